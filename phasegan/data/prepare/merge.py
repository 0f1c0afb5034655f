"""Merging of shards: a small file of HDF5 virtual datasets through which they are read as one.

HDF5 reads a missing shard as zeros without a word. So the file also identifies each
shard, and phasegan's reader asks every one of them on opening.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.config.settings import differences
from phasegan.data.hdf5 import container
from phasegan.data.hdf5.container import open_hdf5
from phasegan.data.hdf5.layout import SHARDS, Layout
from phasegan.data.hdf5.links import has_member
from phasegan.data.hdf5.records import mask_record
from phasegan.data.hdf5.reader import PreparedFile, check_open_file_limit
from phasegan.data.hdf5.split import PreparedSplit
from phasegan.data.prepare.writer import (
    SPLITS,
    Provenance,
    describe,
    write_attributes,
    write_mean,
)
from phasegan.data.recipes import Recipe
from phasegan.errors import InputError
from phasegan.fourier.exact_sum import ExactSum, sum_from_mean
from phasegan.io.atomic import atomic_file

_BLOCK = 4096


class Segment(NamedTuple):
    """Rows of a shard that are part of the merged file."""

    split: int
    """0 train, 1 test."""
    shard: int
    start: int
    stop: int


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
    """Tell whether an HDF5 file merges shards.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    bool
        False for a file with samples of its own.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
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
        splits = {
            name: PreparedSplit.concatenate(
                files[0],
                name,
                [file.split(name) for file in files],
                [segment for segment in segments if segment.split == i],
            )
            for i, name in enumerate(SPLITS)
        }
        with atomic_file(path) as temporary:
            with container.create(temporary, sealed=True) as file:
                _write(file, files, splits, segments, described, recipe.source.checksum)
            container.seal(temporary)
    finally:
        for opened in files:
            opened.close()
    return MergeResult({name: len(split) for name, split in splits.items()}, shared, left_out)


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


def _write(
    file: h5py.File,
    files: Sequence[PreparedFile],
    splits: dict[str, PreparedSplit],
    segments: Sequence[Segment],
    recipe: dict[str, object],
    expected: str | None,
) -> None:
    layout = files[0].layout
    checksums: dict[str, str] = {}
    source = hashlib.sha256()
    for i, (name, split) in enumerate(splits.items()):
        group = file.create_group(name)
        split_segments = [segment for segment in segments if segment.split == i]
        for dataset in layout.datasets:
            _virtual(group, dataset, files, split_segments, layout)
            describe(group[dataset], dataset, layout)
        checksums |= _sums(files, split, split_segments, layout, group, source)
    if layout.has_images:
        checksums |= write_mean(file, _mean(files), layout)
    _write_shards(file, files, segments)
    checksum = f"sha256:{source.hexdigest()}"
    if expected not in (None, checksum):
        raise InputError(
            f"{file.filename}: the pictures of all shards have checksum {checksum}, the recipe "
            f"{recipe['name']} asks for {expected}; they are not the same set"
        )
    provenance = Provenance(
        recipe=recipe,
        listing=files[0].attributes["source_listing"],
        source_checksum=checksum,
        steps=files[0].attributes["magnitude_steps"],
    )
    write_attributes(file, layout, provenance, checksums)


def _virtual(
    group: h5py.Group,
    name: str,
    files: Sequence[PreparedFile],
    segments: Sequence[Segment],
    layout: Layout,
) -> None:
    """Map the segments of a dataset after one another."""
    split = group.name.lstrip("/")
    count = sum(segment.stop - segment.start for segment in segments)
    if name.startswith("source"):
        shape: tuple[int, ...] = ()
        dtype = files[0].read(lambda f: f[f"{split}/{name}"].dtype)
    else:
        shape, dtype = layout.dataset(name)
    if not count:
        group.create_dataset(name, (0, *shape), dtype)
        return
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_obj_track_times(False)
    extent, rest, row = (count, *shape), (0,) * len(shape), 0
    for segment in segments:
        length = len(files[segment.shard].split(split))
        block = (segment.stop - segment.start, *shape)
        target, source = h5py.h5s.create_simple(extent), h5py.h5s.create_simple((length, *shape))
        target.select_hyperslab((row, *rest), block)
        source.select_hyperslab((segment.start, *rest), block)
        file_name = files[segment.shard].path.name.encode()
        created.set_virtual(target, file_name, f"{split}/{name}".encode(), source)
        row += block[0]
    kind = h5py.h5t.py_create(dtype, logical=True)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(extent), created)


def _sums(
    files: Sequence[PreparedFile],
    split: PreparedSplit,
    segments: Sequence[Segment],
    layout: Layout,
    group: h5py.Group,
    source: hashlib._Hash,
) -> dict[str, str]:
    """Return the checksums that one file of the same samples would have."""
    sums = {
        name: hashlib.sha256() for name in (*layout.raw, "undefined", "source", "source_sha256")
    }
    for start in range(0, len(split), _BLOCK):
        rows = slice(start, start + _BLOCK)
        names, hashes = split.sources(rows), split.source_sha256(rows)
        for key, texts in (("source", names), ("source_sha256", hashes)):
            sums[key].update(b"".join(text.encode() + b"\0" for text in texts))
        for name, sha in zip(names, hashes, strict=True):
            source.update(f"{split.name} {name} {sha}\n".encode())
        for key in layout.raw:
            sums[key].update(split.digests(key, rows).tobytes())
        for opened in files:  # a thousand open ones take half a gigabyte
            opened.close()
    undefined = first = 0
    for part, segment in zip(split.segments, segments, strict=True):
        alone = PreparedSplit(files[segment.shard], split.name, [part])
        for row in alone.undefined_rows():
            mask = alone.undefined([row])[0]
            if mask.any():
                sums["undefined"].update(mask_record(first + row, mask))
                undefined += int(mask.sum())
        first += len(alone)
        files[segment.shard].close()
    group["undefined"].attrs["count"] = undefined
    return {f"{split.name}/{name}": digest.hexdigest() for name, digest in sums.items()}


def _mean(files: Sequence[PreparedFile]) -> NDArray[np.float64]:
    """Return the mean magnitude of all training samples: equal to that of one file."""
    steps = files[0].attributes["magnitude_steps"]
    total = ExactSum(steps)
    for file in files:
        total.merge(sum_from_mean(file.mean_magnitude(), len(file.train), steps))
        file.close()
    return total.mean(sum(len(file.train) for file in files))


def _write_shards(
    file: h5py.File, files: Sequence[PreparedFile], segments: Sequence[Segment]
) -> None:
    group = file.create_group(SHARDS)
    for key, texts in (
        ("file", [opened.path.name for opened in files]),
        ("identity", [opened.attributes["attributes_checksum"] for opened in files]),
    ):
        encoded = [text.encode() for text in texts]
        kind = container.string_dtype(max(map(len, encoded)))
        container.create_checksummed(group, key, len(encoded), (), kind, container.CHUNK_ROWS)[
            :
        ] = np.array(encoded, kind)
    rows = np.array(segments, np.int64).reshape(-1, 4)
    container.create_checksummed(
        group, "pieces", len(rows), (4,), rows.dtype, container.CHUNK_ROWS
    )[:] = rows
