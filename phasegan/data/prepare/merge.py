"""Merging of shards: a small file of HDF5 virtual datasets through which they are read as one.

HDF5 reads a missing shard as zeros without a word. So the file also identifies each
shard, and phasegan's reader asks every one of them on opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.config.settings import differences
from phasegan.data.hdf5.container import open_hdf5
from phasegan.data.hdf5.layout import SHARDS
from phasegan.data.hdf5.links import has_member
from phasegan.data.hdf5.reader import PreparedFile, check_open_file_limit
from phasegan.data.prepare.combine import Origin, Segment, combine
from phasegan.data.recipes import Recipe
from phasegan.errors import InputError

_BLOCK = 4096


class MergeResult(NamedTuple):
    """Result of `merge_shards`."""

    counts: dict[str, int]
    shared: int
    """Test samples whose file also stands in the training split."""
    left_out: list[str]
    """Names of test samples that were left out because another shard trains on them."""


class ShardMismatchError(InputError):
    """A shard that was prepared otherwise than the others."""


def is_merged(path: Path) -> bool:
    """Tell whether an HDF5 file merges shards; one that cannot be opened is an `InputError`."""
    with open_hdf5(path) as file:
        return has_member(file, SHARDS)


def merge_shards(
    path: Path, shards: Sequence[Path], recipe: Recipe, described: dict[str, object]
) -> MergeResult:
    """Write the file through which shards are read as one.

    Parameters
    ----------
    path : pathlib.Path
        The file; the shards stand in the same folder.
    shards : sequence of pathlib.Path
        In their order.
    recipe : Recipe
        That all of them were prepared by.
    described : dict
        The same as files have it.

    Returns
    -------
    MergeResult
        Counts. Of a source without a split, a file that stands in two shards is never on
        both sides: the test sample is left out.

    Raises
    ------
    InputError
        If a shard is missing, damaged, or of something else.
    """
    files: list[PreparedFile] = []
    check_open_file_limit(path, len(shards))
    try:
        for shard in shards:
            files.append(PreparedFile(shard))
            files[-1].close()
        _check_alike(files, described)
        segments, shared, left_out = _segments(files)
        counts = combine(
            path,
            files,
            segments,
            Origin(described, files[0].attributes["source_listing"], recipe.source.checksum),
            virtual=True,
        )
    finally:
        for opened in files:
            opened.close()
    return MergeResult(counts, shared, left_out)


def _check_alike(files: Sequence[PreparedFile], recipe: dict[str, object]) -> None:
    first = files[0]
    for number, file in enumerate(files):
        if file.attributes.get("shard") != f"{number} of {len(files)}":
            raise ShardMismatchError(
                f"{file.path}: not shard {number} of {len(files)} but "
                f"{file.attributes.get('shard', 'no shard')}; prepare it again with --overwrite"
            )
        if file.layout != first.layout:
            raise ShardMismatchError(
                f"{file.path}: {file.layout.describe()}, where {first.path.name} is "
                f"{first.layout.describe()}; prepare that shard again with --overwrite"
            )
        changes = differences(recipe, file.attributes["recipe"])
        if file.attributes["magnitude_steps"] != first.attributes["magnitude_steps"]:
            changes.append("another number of samples in all")
        if file.attributes["source_listing"] != first.attributes["source_listing"]:
            changes.append("other pictures in the source")
        if changes:
            raise ShardMismatchError(
                f"{file.path}: a shard of something else ({'; '.join(changes)}); prepare it again "
                "with --overwrite"
            )


def _segments(files: Sequence[PreparedFile]) -> tuple[list[Segment], int, list[str]]:
    """Return which rows are kept, how many are shared, and the names of those left out."""
    trained = np.sort(np.concatenate([_hashes(file, "train") for file in files]))
    has_split = _has_split(files)
    segments = [
        Segment(0, i, 0, len(file.train)) for i, file in enumerate(files) if len(file.train)
    ]
    shared, left_out = 0, []
    for i, file in enumerate(files):
        twice = np.flatnonzero(_isin(_hashes(file, "test"), trained)).tolist()
        if has_split or not twice:
            shared += len(twice)
            twice = []
        left_out += file.test.sources(twice)
        file.close()
        ends = [*twice, len(file.test)]
        for start, stop in zip([0, *(row + 1 for row in twice)], ends, strict=True):
            if stop > start:
                segments.append(Segment(1, i, start, stop))
    return segments, shared, left_out


def _has_split(files: Sequence[PreparedFile]) -> bool:
    """Tell whether the source had a split: then it had both folders, and without one it had not."""
    if files[0].attributes["recipe"]["source"]["kind"] != "folder":
        return True
    first = {
        split.name: split.sources([0])[0]
        for file in reversed(files)
        for split in (file.train, file.test)
        if len(split)
    }
    return all(name.startswith(f"{split}/") for split, name in first.items())


def _hashes(file: PreparedFile, name: str) -> NDArray[np.bytes_]:
    """Return half of each file's SHA-256: (n,), 16 bytes each."""
    split = file.split(name)
    hashes = np.empty(len(split), "S16")
    for start in range(0, len(split), _BLOCK):
        texts = split.source_sha256(slice(start, start + _BLOCK))
        hashes[start : start + len(texts)] = np.frombuffer(
            b"".join(bytes.fromhex(text)[:16] for text in texts), "S16"
        )
    file.close()
    return hashes


def _isin(values: NDArray[np.bytes_], ordered: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    equal: NDArray[np.bool_] = ordered[place] == values
    return equal
