"""A split in one HDF5 file, read at offsets and compared with its checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.layout import DIGEST_BYTES, Layout
from phasegan.data.hdf5.raw_data import PositionalFile, digest
from phasegan.errors import InputError

Rows = NDArray[np.int64]
T = TypeVar("T")


class SplitParent(Protocol):
    """The file that a split belongs to: `phasegan.data.hdf5.reader.PreparedFile`."""

    path: Path
    check: bool
    layout: Layout
    raw: PositionalFile

    def read(self, function: Callable[[h5py.File], T]) -> T:
        """Call a function with the open HDF5 file.

        Parameters
        ----------
        function : callable
            Takes an `h5py.File`.

        Returns
        -------
        Any
            Its result.

        Raises
        ------
        InputError
            If HDF5 cannot read the data.
        """

    def require_images(self, what: str) -> None:
        """Refuse a file of phases alone.

        Parameters
        ----------
        what : str
            The reason or advice at the end of the message.

        Raises
        ------
        InputError
            If the file holds no images.
        """


class _Place(NamedTuple):
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int
    """Bytes of a value."""


class HDF5Split:
    """A split of one file.

    Parameters
    ----------
    parent : SplitParent
        The prepared file.
    name : str
        `train` or `test`.
    file : h5py.File
        Its handle.

    Raises
    ------
    InputError
        If a dataset is missing, of another shape or dtype, or of another length.
    """

    def __init__(self, parent: SplitParent, name: str, file: h5py.File) -> None:
        self._parent, self.name = parent, name
        self._raw: PositionalFile = parent.raw
        layout: Layout = parent.layout
        datasets = {n: self._dataset(file, n) for n in layout.datasets}
        self.count = self._check(datasets, layout)
        self._places: dict[str, _Place] = {}
        for key in [*layout.raw, *(f"{n}_sha256" for n in layout.raw)] if self.count else []:
            offset, (shape, dtype) = container.contiguous_offset(datasets[key]), layout.dataset(key)
            if offset is None:
                raise InputError(
                    f"{parent.path}: {name}/{key} does not lie in one piece: rewritten by another "
                    "program; prepare the pictures again, or restore the file from a copy"
                )
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            self._places[key] = _Place(offset, shape, dtype, size)
        self._nowhere_undefined = datasets["undefined"].id.get_storage_size() == 0

    def _dataset(self, file: h5py.File, name: str) -> h5py.Dataset:
        try:
            dataset = file.get(f"{self.name}/{name}")
        except Exception:  # damaged links fail in many ways inside libhdf5
            dataset = None
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(
                f"{self._parent.path}: damaged, dataset {self.name}/{name} is missing or unreadable"
            )
        return dataset

    def _check(self, datasets: dict[str, h5py.Dataset], layout: Layout) -> int:
        path, lengths = self._parent.path, set()
        for name, dataset in datasets.items():
            if not name.startswith("source"):
                shape, dtype = layout.dataset(name)
                if dataset.shape[1:] != shape or dataset.dtype != dtype:
                    raise InputError(
                        f"{path}: {self.name}/{name} is {dataset.shape} {dataset.dtype}, "
                        f"expected (n, {', '.join(map(str, shape))}) {dtype}"
                    )
            elif dataset.ndim != 1 or dataset.dtype.kind != "S":
                raise InputError(f"{path}: {self.name}/{name} is not a list of strings")
            lengths.add(dataset.shape[0])
        if len(lengths) != 1:
            raise InputError(f"{path}: the datasets of {self.name} differ in length")
        return int(lengths.pop())

    def take(self, name: str, rows: Rows, into: NDArray[Any]) -> None:
        """Read the values of some samples.

        Parameters
        ----------
        name : str
            A dataset.
        rows : numpy.ndarray
            int64, in 0..count−1, any order, repeats allowed.
        into : numpy.ndarray
            Where they go, (len(rows), …), C-contiguous.

        Raises
        ------
        InputError
            If they cannot be read, or do not match their checksums.
        """
        if name == "undefined" and self._nowhere_undefined:
            into[...] = False
        elif name in self._places:
            self._take_raw(name, rows, into)
        else:
            into[...] = self._parent.read(lambda file: self._take_hdf5(file, name, rows))

    def _take_hdf5(self, file: h5py.File, name: str, rows: Rows) -> NDArray[Any]:
        dataset = file[f"{self.name}/{name}"]
        unique, back = np.unique(rows, return_inverse=True)
        selection: Any = unique
        if len(unique) and unique[-1] - unique[0] + 1 == len(unique):
            selection = slice(int(unique[0]), int(unique[-1]) + 1)
        values: NDArray[Any] = dataset[selection][back]
        return values

    def _take_raw(self, name: str, rows: Rows, into: NDArray[Any]) -> None:
        place, table = self._places[name], self._places.get(f"{name}_sha256")
        try:
            for start, stop in _runs(rows):
                first = int(rows[start])
                self._raw.read(place.offset + first * place.size, into[start:stop])
                if table is None or not self._parent.check:
                    continue
                sums = np.empty((stop - start, DIGEST_BYTES), np.uint8)
                self._raw.read(table.offset + first * DIGEST_BYTES, sums)
                for i in range(stop - start):
                    if digest(into[start + i]) != sums[i].tobytes():
                        raise self._damaged(name, first + i)
        except OSError as error:
            raise InputError(
                f"{self._parent.path}: damaged, data cannot be read ({error.strerror or error})"
            ) from None

    def _damaged(self, name: str, row: int) -> InputError:
        return InputError(
            f"{self._parent.path}: damaged, {self.name}/{name} of sample {row} is not what was "
            "written; restore the file from a copy or prepare the pictures again"
        )

    def check(self, name: str, rows: range) -> Iterator[tuple[int, bool]]:
        """Compare rows with their checksums.

        Parameters
        ----------
        name : {"phase", "images"}
            The dataset.
        rows : range
            Rows of this file.

        Yields
        ------
        (int, bool)
            Row, and whether the values match; False also where they cannot be read.
        """
        if not rows:
            return
        place, table = self._places[name], self._places[f"{name}_sha256"]
        values = np.empty(place.shape, place.dtype)
        sums = np.empty(DIGEST_BYTES, np.uint8)
        for row in rows:
            try:
                self._raw.read(place.offset + row * place.size, values)
                self._raw.read(table.offset + row * DIGEST_BYTES, sums)
                yield row, digest(values) == sums.tobytes()
            except OSError:
                yield row, False

    def undefined_rows(self) -> Iterator[int]:
        """Yield the rows of `undefined` that were written."""
        if self._nowhere_undefined:
            return

        def written(file: h5py.File) -> list[int]:
            rows: list[int] = []
            file[f"{self.name}/undefined"].id.chunk_iter(
                lambda chunk: rows.append(int(chunk.chunk_offset[0]))
            )
            return sorted(rows)

        yield from self._parent.read(written)


def _runs(rows: Rows) -> Iterator[tuple[int, int]]:
    """Yield where consecutive rows start and stop."""
    if len(rows) == 1:
        yield 0, 1
    elif len(rows):
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        yield from zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True)
