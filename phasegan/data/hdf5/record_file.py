"""Files of records: what reading of phase spectra and of picture domains has in common."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import h5py

from phasegan.data.hdf5.container import contiguous_offset, open_hdf5
from phasegan.data.hdf5.layout import one_line
from phasegan.data.hdf5.records import PositionalFile, RecordArray, RecordReader, process_lock
from phasegan.errors import InputError

T = TypeVar("T")

_OPENING = process_lock()


class RecordFile(ABC):
    """A prepared file, opened when it is needed, once per process.

    Instances can be pickled, survive a fork and can be used by several threads: the HDF5
    handle is never shared between processes, and records are read at their places in the
    file, without HDF5.

    Parameters
    ----------
    path : path
        The HDF5 file.
    check : bool
        Compare the attributes and each record that is read with their checksums.
    hint : str
        How to make such a file, for messages.

    Raises
    ------
    InputError
        If it is missing, not HDF5, truncated, or damaged.
    """

    def __init__(self, path: str | os.PathLike[str], check: bool, hint: str) -> None:
        self.path, self.check = Path(path), check
        self.raw = PositionalFile(self.path)
        self._hint = hint
        self._handle: h5py.File | None = None
        self._process = 0
        try:
            self._read_structure(self._open())
        except BaseException as error:
            self.close()
            if isinstance(error, InputError) or not isinstance(error, Exception):
                raise
            # Damaged files fail in many ways inside libhdf5.
            raise InputError(f"{path}: damaged ({one_line(error)})") from None

    @abstractmethod
    def _read_structure(self, file: h5py.File) -> None:
        """Check attributes and datasets, and keep what reading needs."""

    def _open(self) -> h5py.File:
        handle = open_hdf5(self.path, self._hint)
        self._handle, self._process = handle, os.getpid()
        return handle

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
        with _OPENING:
            if self._handle is None or not self._handle or self._process != os.getpid():
                self._open()
            handle = self._handle
        assert handle is not None
        try:
            return function(handle)
        except InputError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{self.path}: damaged, data cannot be read ({one_line(error)})"
            ) from None

    def dataset(self, file: h5py.File, name: str) -> h5py.Dataset:
        """Return a dataset that the format asks for.

        Parameters
        ----------
        file : h5py.File
            The open file.
        name : str
            From the root.

        Returns
        -------
        h5py.Dataset
            Not read yet.

        Raises
        ------
        InputError
            If there is none.
        """
        try:
            node = file.get(name)
        except Exception:  # damaged links fail in many ways inside libhdf5
            node = None
        if not isinstance(node, h5py.Dataset):
            raise InputError(f"{self.path}: damaged, dataset {name} is missing or unreadable")
        return node

    def records(
        self, values: h5py.Dataset, digests: h5py.Dataset, records: RecordArray
    ) -> RecordReader:
        """Return the reader of records in one piece.

        Parameters
        ----------
        values, digests : h5py.Dataset
            The records, and the SHA-256 of each.
        records : RecordArray
            Their sizes.

        Returns
        -------
        RecordReader
            Reads this file.

        Raises
        ------
        InputError
            If a dataset does not lie in one piece, or goes beyond the end of the file.
        """
        offsets = [self._offset(dataset) for dataset in (values, digests)]
        places = RecordArray(records.dtype, records.offsets, offsets[0], records.shape)
        return RecordReader(self.raw, places, offsets[1])

    def _offset(self, dataset: h5py.Dataset) -> int:
        if not dataset.size:
            return 0
        offset, name = contiguous_offset(dataset), dataset.name.lstrip("/")
        if offset is None:
            raise InputError(
                f"{self.path}: {name} does not lie in one piece: rewritten by another program; "
                "prepare the pictures again, or restore the file from a copy"
            )
        if offset + dataset.size * dataset.dtype.itemsize > self.path.stat().st_size:
            raise InputError(f"{self.path}: damaged, {name} goes beyond its end")
        return offset

    def close(self) -> None:
        """Close the HDF5 handle of this process; the next read opens it again."""
        if self._handle is not None and self._process == os.getpid():
            self._handle.close()
        self._handle = None
        self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None, "_process": 0}
