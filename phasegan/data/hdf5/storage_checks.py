"""Checks that a dataset's values stand in the file, and are not made up by HDF5.

Chunks that were never written, and virtual sources that are gone, are read by HDF5 as the
fill value, 0 by default, without an error. Values in external files, and virtual sources
anywhere on the disk, are read without a word.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.container import check_files, open_hdf5
from phasegan.data.hdf5.filters import refuse_missing_filters
from phasegan.data.hdf5.links import resolve_name
from phasegan.errors import InputError, printable

_PREFIX = "HDF5_VDS_PREFIX"


def refuse_unwritten(
    dataset: h5py.Dataset,
    path: Path,
    rows: int | None = None,
    visited: dict[tuple[Path, str], bool] | None = None,
) -> None:
    """Refuse a dataset of which values are missing, or stand where they may not.

    Parameters
    ----------
    dataset : h5py.Dataset
        Dataset of any layout. Virtual ones are followed to their sources, which stand in the same
        file, beside it or below.
    path : pathlib.Path
        Its file, for messages.
    rows : int, optional
        Only so many along the first axis are going to be read; all by default.
    visited : dict of bool, optional
        Virtual datasets by file and name, on the way from the first one: True for those that
        are checked, False for those whose sources are being checked, which would be a circle.

    Raises
    ------
    InputError
        Naming the source that is gone or not allowed, the filter that is missing, or the
        first values that were never written.
    """
    if dataset.shape is None or dataset.size == 0:
        return
    label = printable(str(dataset.name))
    if dataset.external:
        raise InputError(
            f"{path}: {label} keeps its values in another file "
            f"({printable(str(dataset.external[0][0]))}), which is not followed; save them in "
            "the file itself"
        )
    shape = dataset.shape if rows is None else (min(rows, dataset.shape[0]), *dataset.shape[1:])
    if dataset.is_virtual:
        visited = {} if visited is None else visited
        key = path.resolve(), str(dataset.name)
        if visited.get(key) is False:
            raise InputError(f"{path}: the sources of {label} go round in a circle")
        if key not in visited:
            visited[key] = False
            _check_sources(dataset, path, shape, visited)
            visited[key] = True
        return
    refuse_missing_filters(dataset, path)
    if dataset.chunks is None:
        if dataset.id.get_storage_size() == 0:
            raise InputError(f"{path}: {label} was never written")
        return
    _refuse_missing_chunks(dataset, path, shape)


def _refuse_missing_chunks(dataset: h5py.Dataset, path: Path, shape: tuple[int, ...]) -> None:
    chunks: tuple[int, ...] = dataset.chunks
    counts = [-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True)]
    all_counts = [-(-size // chunk) for size, chunk in zip(dataset.shape, chunks, strict=True)]
    if dataset.id.get_num_chunks() >= math.prod(all_counts):
        return
    numbers: set[int] = set()

    def note(chunk: Any) -> None:
        place = [o // c for o, c in zip(chunk.chunk_offset, chunks, strict=True)]
        if place[0] < counts[0]:
            number = 0
            for index, count in zip(place, counts, strict=True):
                number = number * count + index
            numbers.add(number)

    dataset.id.chunk_iter(note)
    total = math.prod(counts)
    if len(numbers) >= total:
        return
    number = next(i for i in range(total) if i not in numbers)
    first: list[int] = []
    for count, chunk in zip(reversed(counts), reversed(chunks), strict=True):
        number, index = divmod(number, count)
        first.insert(0, index * chunk)
    last = [
        min(start + chunk, size) - 1
        for start, chunk, size in zip(first, chunks, dataset.shape, strict=True)
    ]
    region = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in zip(first, last, strict=True))
    raise InputError(
        f"{path}: {total - len(numbers)} of {total} chunks of {printable(str(dataset.name))} were "
        f"never written, the first at [{region}]; was the acquisition stopped? save what was "
        "measured, or name what to trust, --mask FILE (mask=…), with the rest as NaN"
    )


def _check_sources(
    dataset: h5py.Dataset,
    path: Path,
    shape: tuple[int, ...],
    visited: dict[tuple[Path, str], bool],
) -> None:
    label = printable(str(dataset.name))
    if os.environ.get(_PREFIX):
        raise InputError(f"{path}: {label} is virtual, and {_PREFIX} is set; unset it")
    sources: dict[str, list[tuple[Any, list[list[_Axis]]]]] = {}
    for source in dataset.virtual_sources():
        virtual = [
            slab
            for slab in _slabs(source.vspace, dataset.shape)
            if all(axis.start < size for axis, size in zip(slab, shape, strict=True))
        ]
        if virtual:
            sources.setdefault(str(source.file_name), []).append((source, virtual))
    places = {name: path if name == "." else _beside(path, name, label) for name in sources}
    check_files([where for name, where in places.items() if name != "."])
    parts: list[list[NDArray[np.int64]]] = []
    for name, where in places.items():
        same_file = name == "."
        with nullcontext(dataset.file) if same_file else open_hdf5(where, check=False) as file:
            for source, virtual in sources[name]:
                inside = str(source.dset_name)
                description = printable(inside) if same_file else f"{printable(inside)} in {where}"
                part = resolve_name(file, inside, where)
                if not isinstance(part, h5py.Dataset):
                    raise InputError(f"{path}: {label} lacks its source {description}")
                refuse_unwritten(part, where, visited=visited)
                try:
                    parts += _indices(virtual, source.src_space, shape, part.shape)
                except IndexError:
                    raise InputError(
                        f"{path}: {label} asks for more than its source {description} has"
                    ) from None
    values = math.prod(shape)
    missing = values - _count(parts, shape)
    if missing:
        raise InputError(f"{path}: {missing} of {values} values of {label} have no source")


def _beside(path: Path, name: str, label: str) -> Path:
    """Return the file of a virtual source, which has to stand beside the other or below."""
    inside = PurePosixPath(name)
    drive = PureWindowsPath(name)
    if inside.is_absolute() or drive.drive or drive.root or ".." in {*inside.parts, *drive.parts}:
        raise InputError(
            f"{path}: {label} takes values from {printable(name)}, and sources are only followed "
            "beside the file or below; save the values in the file itself"
        )
    where = path.parent / name
    if not where.exists():
        raise InputError(
            f"{path}: {label} lacks its source {printable(name)}; put it beside this file"
        )
    return where


@dataclass(frozen=True)
class _Axis:
    """A regular selection along an axis: blocks, a stride apart."""

    start: int
    stride: int
    count: int
    block: int

    @property
    def endless(self) -> bool:
        """Whether it is unlimited and takes all there is."""
        return max(self.count, self.block) >= h5py.h5s.UNLIMITED

    def within(self, size: int) -> int:
        """Return how many whole blocks, or values of an endless one, an axis has."""
        if self.block >= h5py.h5s.UNLIMITED:
            return max(size - self.start, 0)
        return max((size - self.start - self.block) // self.stride + 1, 0)

    def indices(self, size: int, available: int) -> NDArray[np.int64]:
        """Return the indices below `size`; an endless selection takes `found`."""
        count = available if self.count >= h5py.h5s.UNLIMITED else self.count
        block = available if self.block >= h5py.h5s.UNLIMITED else self.block
        count = min(count, -(-(size - self.start) // self.stride))
        block = min(block, size - self.start)
        index = self.start + self.stride * np.arange(count)[:, None] + np.arange(block)
        return index[index < size]


def _slabs(space: Any, shape: tuple[int, ...]) -> list[list[_Axis]]:
    """Return a selection in a dataset of that shape as regular ones."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return [[_Axis(0, 1, size, 1) for size in shape]]
    if space.is_regular_hyperslab():
        return [
            [_Axis(*map(int, axis)) for axis in zip(*space.get_regular_hyperslab(), strict=True)]
        ]
    return [
        [_Axis(int(a), 1, int(b) - int(a) + 1, 1) for a, b in zip(start, end, strict=True)]
        for start, end in space.get_select_hyper_blocklist()
    ]


def _indices(
    virtual: list[list[_Axis]], source: Any, shape: tuple[int, ...], source_shape: tuple[int, ...]
) -> list[list[NDArray[np.int64]]]:
    """Return the indices along each axis that a source gives, for each part of a selection.

    Raises
    ------
    IndexError
        If the source is smaller than its selection.
    """
    available = 0
    for slab in _slabs(source, source_shape):
        for axis, size in zip(slab, source_shape, strict=True):
            if axis.endless:
                available = axis.within(size)
            elif axis.start + (axis.count - 1) * axis.stride + axis.block > size:
                raise IndexError
    if source.get_select_type() == h5py.h5s.SEL_ALL:
        requested = sum(math.prod(axis.count * axis.block for axis in slab) for slab in virtual)
        if requested > math.prod(source_shape):
            raise IndexError
    return [
        [axis.indices(size, available) for axis, size in zip(slab, shape, strict=True)]
        for slab in virtual
    ]


def _count(parts: list[list[NDArray[np.int64]]], shape: tuple[int, ...]) -> int:
    """Return how many values some parts cover together; they may overlap."""
    partly = [
        axis
        for axis, size in enumerate(shape)
        if any(len(np.unique(part[axis])) < size for part in parts)
    ]
    mask = np.zeros([shape[axis] for axis in partly], dtype=bool)
    for part in parts:
        mask[np.ix_(*(part[axis] for axis in partly)) if partly else ()] = True
    return int(mask.sum()) * math.prod(shape) // max(mask.size, 1)
