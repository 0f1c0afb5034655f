"""Combining prepared files: rows of several become one file, copied or as virtual datasets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.layout import SHARDS, SPLITS, Layout, dataset_attributes
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.records import PositionalFile
from phasegan.data.hdf5.split import PreparedSplit
from phasegan.data.hdf5.verification import check_written
from phasegan.data.prepare.partial import check_disk_space
from phasegan.data.prepare.sample_file import (
    Provenance,
    SampleEntry,
    SplitWriter,
    reopen,
    sample_arrays,
    write_attributes,
    write_mean,
)
from phasegan.errors import InputError
from phasegan.fourier.exact_sum import ExactSum, fraction_bits, sum_from_mean
from phasegan.fourier.phase import analyse
from phasegan.io.atomic import atomic_file

_ROWS = 4096
"""Samples whose names and checksums are read at once."""
_BLOCK_BYTES = 2**24
_METADATA_BYTES = 4096
"""Of a segment in all virtual datasets, roughly."""


class Segment(NamedTuple):
    """Rows of a file that are part of the combined one."""

    split: int
    """0 train, 1 test."""
    file: int
    start: int
    stop: int


class Origin(NamedTuple):
    """Origin of the samples of a combined file."""

    recipe: dict[str, Any]
    """As files store it."""
    listing: str
    """Digest of the source's names and sizes."""
    checksum: str | None = None
    """Over split, name and hash of each sample, where the recipe states it."""


def combine(
    path: Path,
    files: Sequence[PreparedFile],
    segments: Sequence[Segment],
    origin: Origin,
    *,
    virtual: bool,
    max_name_bytes: int = 0,
) -> dict[str, int]:
    """Write rows of several prepared files as one file.

    Checksums and the mean magnitude are those of a file that was prepared in one piece.

    Parameters
    ----------
    path : pathlib.Path
        The file; replaced atomically.
    files : sequence of PreparedFile
        Of one layout.
    segments : sequence of Segment
        Which rows, training samples first, in the order of reading.
    origin : Origin
        Of the samples.
    virtual : bool
        Leave the samples in their files, which stand in the same folder; copy them otherwise.
    max_name_bytes : int
        Bytes of the longest name of a source, where samples are copied.

    Returns
    -------
    dict of int
        Samples by split.

    Raises
    ------
    InputError
        If samples are damaged, or not those of the checksum.
    """
    layout = files[0].layout
    splits = {
        name: PreparedSplit.concatenate(
            files[0],
            name,
            [file.split(name) for file in files],
            [segment for segment in segments if segment.split == i],
        )
        for i, name in enumerate(SPLITS)
    }
    counts = {name: len(split) for name, split in splits.items()}
    steps = files[0].attributes["magnitude_steps"]
    if not virtual:
        steps = fraction_bits(math.prod(layout.shape) * layout.data_range, counts["train"])
    if virtual:  # what is copied was asked for before the new samples were prepared
        needed = _METADATA_BYTES * (1 + len(segments)) + 8 * math.prod(layout.phase_shape)
        check_disk_space(path, 2**20 + needed, "another folder")
    with atomic_file(path) as temporary:
        if virtual:
            file = container.create(temporary, sealed=True)
        else:
            _copy(temporary, splits, layout, counts)
            file = reopen(temporary, layout, counts, max_name_bytes)
        with file:
            checksums, checksum = _write_splits(
                file, files, segments, splits, None if virtual else max_name_bytes
            )
            if layout.has_images:
                checksums |= write_mean(file, _mean(files, steps), layout)
            if virtual:
                _write_shards(file, files, segments)
            if origin.checksum not in (None, checksum):
                raise InputError(
                    f"{path}: the pictures of all shards have checksum {checksum}, the recipe "
                    f"{origin.recipe['name']} asks for {origin.checksum}; they are not the same set"
                )
            provenance = Provenance(origin.recipe, origin.listing, checksum, steps)
            write_attributes(file, layout, provenance, checksums)
        if virtual:
            container.seal(temporary)
        check_written(temporary, path)
    return counts


def _copy(
    path: Path, splits: dict[str, PreparedSplit], layout: Layout, counts: dict[str, int]
) -> None:
    """Create a file with the values of all samples, and nothing else."""
    size, target = max(1, _BLOCK_BYTES // layout.sample_bytes), PositionalFile(path, writable=True)
    with container.create(path) as file:
        offsets = {
            name: container.create_contiguous(
                file.require_group(name.split("/")[0]), name.split("/")[1], array
            )
            for name, array in sample_arrays(layout, counts).items()
        }
    for name, offset in offsets.items():
        group, short = name.split("/")
        for start in range(0, counts[group], size):
            values = splits[group].take(short, slice(start, start + size))
            target.write(offset, values)
            offset += values.nbytes
    target.close()


def _write_splits(
    file: h5py.File,
    files: Sequence[PreparedFile],
    segments: Sequence[Segment],
    splits: dict[str, PreparedSplit],
    max_name_bytes: int | None,
) -> tuple[dict[str, str], str]:
    """Write the small datasets, or all as virtual ones; return their checksums and the source's."""
    source = hashlib.sha256()
    checksums: dict[str, str] = {}
    # Copied splits are written by turns, virtual ones one after the other: the bytes of the file
    # follow from it, and equal input writes equal bytes whatever version writes it.
    for names in [SPLITS] if max_name_bytes is not None else [(name,) for name in SPLITS]:
        writers = {
            name: _virtual_split(file, name, files, segments)
            if max_name_bytes is None
            else SplitWriter(file[name], files[0].layout, len(splits[name]), max_name_bytes)
            for name in names
        }
        for name, writer in writers.items():
            for entry in _entries(files, splits[name]):
                writer.add(entry)
                source.update(f"{name} {entry.source} {entry.source_sha256}\n".encode())
        for writer in writers.values():
            checksums |= writer.finish()
    return checksums, f"sha256:{source.hexdigest()}"


def _virtual_split(
    file: h5py.File, name: str, files: Sequence[PreparedFile], segments: Sequence[Segment]
) -> SplitWriter:
    """Create the virtual datasets of a split; return what computes their checksums."""
    layout, group = files[0].layout, file.create_group(name)
    own = [segment for segment in segments if SPLITS[segment.split] == name]
    for dataset in layout.datasets:
        _create_virtual(group, dataset, files, own, layout)
        container.set_attributes(group[dataset], dataset_attributes(dataset, layout))
    return SplitWriter(group, layout, None)


def _entries(files: Sequence[PreparedFile], split: PreparedSplit) -> Iterator[SampleEntry]:
    masked = split.undefined_rows()
    next_masked = next(masked, None)
    for start in range(0, len(split), _ROWS):
        rows = slice(start, start + _ROWS)
        names, hashes = split.sources(rows), split.source_sha256(rows)
        tables = {key: split.digests(key, rows) for key in split.layout.raw}
        for i, (name, sha256) in enumerate(zip(names, hashes, strict=True)):
            mask = None
            if start + i == next_masked:
                values = split.undefined([next_masked])[0]
                mask = values if values.any() else None
                next_masked = next(masked, None)
            digests = {key: table[i].tobytes() for key, table in tables.items()}
            yield SampleEntry(split.name, name, sha256, digests, mask)
        for opened in files:  # a thousand open ones take half a gigabyte
            opened.close()


def _mean(files: Sequence[PreparedFile], steps: int) -> NDArray[np.float64]:
    """Return the mean magnitude of all training samples: equal to that of one file."""
    total = ExactSum(steps)
    for file in files:
        if len(file.train):
            total.merge(_magnitudes(file, steps))
        file.close()
    return total.mean(sum(len(file.train) for file in files))


def _magnitudes(file: PreparedFile, steps: int) -> NDArray[np.int64] | None:
    """Return the sum of a file's magnitudes, in steps of rounding."""
    count, total = len(file.train), ExactSum(steps)
    if file.attributes["magnitude_steps"] == steps:
        mean = file.mean_magnitude()
        total.merge(sum_from_mean(mean, count, steps))
        if np.array_equal(total.mean(count), mean):
            return total.total
        total = ExactSum(steps)
    # Rounded to other steps, or averaged by an earlier version: the images say what the sum is.
    block = max(1, _BLOCK_BYTES // file.layout.sample_bytes)
    for start in range(0, count, block):
        for image in file.train.images(slice(start, start + block)):
            total.add(analyse(image, file.layout.frame).magnitude)
    return total.total


def _create_virtual(
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
        length = len(files[segment.file].split(split))
        block = (segment.stop - segment.start, *shape)
        target, source = h5py.h5s.create_simple(extent), h5py.h5s.create_simple((length, *shape))
        target.select_hyperslab((row, *rest), block)
        source.select_hyperslab((segment.start, *rest), block)
        file_name = files[segment.file].path.name.encode()
        created.set_virtual(target, file_name, f"{split}/{name}".encode(), source)
        row += block[0]
    kind = h5py.h5t.py_create(dtype, logical=True)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(extent), created)


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
