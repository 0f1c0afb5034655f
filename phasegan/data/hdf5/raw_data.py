"""Raw bytes of arrays: reading and writing at offsets in a file, and their SHA-256.

Reading and writing are safe in threads and after a fork: no position is shared, and nothing is
remembered between two calls but the file descriptor, which is opened anew in a process that got
the object pickled.
"""

from __future__ import annotations

import hashlib
import os
import threading
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

    def write(self, offset: int, values: NDArray[Any]) -> None:
        """Write an array at an offset.

        Parameters
        ----------
        offset : int
            Bytes from the begin of the file.
        values : numpy.ndarray
            C-contiguous; any shape and dtype.

        Raises
        ------
        OSError
            If they cannot be written, for example because the disk is full.
        """
        view = memoryview(values.reshape(-1).view(np.uint8).data)
        descriptor, done = self.descriptor, 0
        while done < len(view):
            done += _write_at(descriptor, view[done:], offset + done)

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

    def _write_at(descriptor: int, view: memoryview, offset: int) -> int:
        return os.pwrite(descriptor, view, offset)

else:

    def _read_at(descriptor: int, view: memoryview, offset: int) -> int:
        with _LOCK:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def _write_at(descriptor: int, view: memoryview, offset: int) -> int:
        with _LOCK:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, view)


def digest(values: NDArray[Any]) -> bytes:
    """Return the SHA-256 of an array's bytes in row-major order.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape and dtype.

    Returns
    -------
    bytes
        32 bytes.
    """
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
