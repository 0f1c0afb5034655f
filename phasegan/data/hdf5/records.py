"""Records at their places in a file: raw bytes, read and written by offset, and their SHA-256.

Reading and writing are safe in threads and after a fork: no position is shared, and nothing is
remembered between two calls but the file descriptor, which is opened anew in a process that got
the object pickled.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def process_lock() -> threading.Lock:
    """Return a lock that no fork leaves locked in the child."""
    lock = threading.Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock


_LOCK = process_lock()
"""For opening, and for platforms without positional reads, where the position is shared."""


class PositionalFile:
    """A file whose bytes are read and written by their offset.

    Parameters
    ----------
    path : pathlib.Path
        The file; opened at the first use.
    writable : bool
        Open it for writing too. It must be there, itself and not as a link.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.path = path
        self._writable = writable
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The descriptor of this process.

        Raises
        ------
        OSError
            If the file cannot be opened.
        """
        if self._descriptor is None:
            with _LOCK:
                if self._descriptor is None:
                    writing = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
                    flags = writing if self._writable else os.O_RDONLY
                    self._descriptor = os.open(self.path, flags | getattr(os, "O_BINARY", 0))
        return self._descriptor

    def read(self, offset: int, into: NDArray[Any]) -> None:
        """Fill an array from an offset.

        Parameters
        ----------
        offset : int
            Bytes from the begin of the file.
        into : numpy.ndarray
            C-contiguous; any shape and dtype.

        Raises
        ------
        OSError
            If the bytes cannot be read, or the file ends before.
        """
        if not into.size:
            return
        view = into.data.cast("B")
        descriptor, done = self.descriptor, 0
        while done < len(view):
            count = _read_at(descriptor, view[done:], offset + done)
            if count == 0:
                raise OSError(f"the file ends at byte {offset + done}")
            done += count

    def write(self, offset: int, *arrays: NDArray[Any]) -> None:
        """Write arrays after each other, from an offset on.

        Parameters
        ----------
        offset : int
            Bytes from the begin of the file.
        *arrays : numpy.ndarray
            C-contiguous; any shape and dtype; some hundred at the most.

        Raises
        ------
        OSError
            If they cannot be written, for example because the disk is full.
        """
        views = [memoryview(values.reshape(-1).view(np.uint8).data) for values in arrays]
        descriptor = self.descriptor
        while views:
            done = _write_at(descriptor, views, offset)
            offset += done
            while views and done >= len(views[0]):
                done -= len(views.pop(0))
            if views:
                views[0] = views[0][done:]

    def close(self) -> None:
        """Close the descriptor; the next use opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptor": None}

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            self.close()


if hasattr(os, "preadv"):

    def _read_at(descriptor: int, view: memoryview, offset: int) -> int:
        return os.preadv(descriptor, [view], offset)

    def _write_at(descriptor: int, views: list[memoryview], offset: int) -> int:
        return os.pwritev(descriptor, views, offset)

else:

    def _read_at(descriptor: int, view: memoryview, offset: int) -> int:
        with _LOCK:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def _write_at(descriptor: int, views: list[memoryview], offset: int) -> int:
        with _LOCK:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, views[0])


DIGEST_BYTES = 32
"""Bytes of a SHA-256."""


@dataclass(frozen=True)
class RecordArray:
    """Records that lie after each other in a dataset.

    Records of one size have equal offsets: a range, which takes no memory.

    Attributes
    ----------
    dtype : numpy.dtype
        Dtype of the elements.
    offsets : numpy.ndarray or range
        (n + 1,), int64, elements before each record, and in all.
    place : int
        Where the first record begins in the file, in bytes.
    shape : tuple of int, optional
        Shape of each record; None where they differ.
    """

    dtype: np.dtype[Any]
    offsets: NDArray[np.int64] | range
    place: int = 0
    shape: tuple[int, ...] | None = None

    @classmethod
    def of_one_shape(
        cls, count: int, shape: tuple[int, ...], dtype: np.dtype[Any], place: int = 0
    ) -> RecordArray:
        """Return the array of records of one shape.

        Parameters
        ----------
        count : int
            Records.
        shape : tuple of int
            Shape of one, not empty.
        dtype : numpy.dtype
            Dtype of the elements.
        place : int
            Where the first begins, in bytes.

        Returns
        -------
        RecordArray
            With equal offsets.
        """
        size = math.prod(shape)
        return cls(dtype, range(0, count * size + 1, size), place, shape)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def start(self, row: int) -> int:
        """Return the byte at which a record begins in the file."""
        return self.place + int(self.offsets[row]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all records."""
        return int(self.offsets[-1]) * self.dtype.itemsize


class RecordReader:
    """Records of a file, compared with the SHA-256 of each.

    Parameters
    ----------
    file : PositionalFile
        The file.
    records : RecordArray
        The places of the records.
    digests : int
        Where the table of their SHA-256, 32 bytes each, begins, in bytes.
    """

    def __init__(self, file: PositionalFile, records: RecordArray, digests: int) -> None:
        self._file, self._records, self._digests = file, records, digests

    def read(self, first: int, into: NDArray[Any], *, check: bool = True) -> int | None:
        """Read consecutive records.

        Parameters
        ----------
        first : int
            The first one.
        into : numpy.ndarray
            (n, …), C-contiguous: filled with n records.
        check : bool
            Compare each with its SHA-256 (default).

        Returns
        -------
        int or None
            The first record that does not match; None if all do.

        Raises
        ------
        OSError
            If they cannot be read.
        """
        self._file.read(self._records.start(first), into)
        if check:
            sums = np.empty((len(into), DIGEST_BYTES), np.uint8)
            self._file.read(self._digests + first * DIGEST_BYTES, sums)
            view = into.reshape(-1).view(np.uint8).data
            size = len(view) // max(len(into), 1)
            for i, expected in enumerate(sums):
                if hashlib.sha256(view[i * size : (i + 1) * size]).digest() != expected.tobytes():
                    return first + i
        return None

    def verify(self, rows: range) -> Iterator[tuple[int, bool]]:
        """Compare records with their checksums.

        Parameters
        ----------
        rows : range
            Which records.

        Yields
        ------
        (int, bool)
            Row, and whether the record matches; False also where it cannot be read.
        """
        for row in rows:
            size = int(self._records.offsets[row + 1]) - int(self._records.offsets[row])
            try:
                yield row, self.read(row, np.empty((1, size), self._records.dtype)) is None
            except OSError:
                yield row, False


def digest(values: NDArray[Any]) -> bytes:
    """Return the SHA-256 of an array's bytes in row-major order: 32 bytes."""
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def dataset_checksum(values: NDArray[Any]) -> str:
    """Return the SHA-256 of a dataset's values.

    Parameters
    ----------
    values : numpy.ndarray
        Numbers in row-major order, or strings, each of which is ended by a zero byte.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    if values.dtype.kind in "SO":
        data = b"".join(bytes(text) + b"\0" for text in values.tolist())
        return hashlib.sha256(data).hexdigest()
    return digest(values).hex()


def mask_record(row: int, mask: NDArray[np.bool_]) -> bytes:
    """Return the bytes that a sample with undefined phases adds to the checksum of `undefined`.

    Parameters
    ----------
    row : int
        Row of the sample in its split.
    mask : numpy.ndarray
        bool, True where the phase is undefined.

    Returns
    -------
    bytes
        The row as 8 bytes, little-endian, then the mask.
    """
    return row.to_bytes(8, "little") + mask.tobytes()
