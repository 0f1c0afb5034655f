"""Reading of plain numeric arrays from untrusted `.npy` and `.npz` files.

Headers are checked against the file's size before memory is taken. They are Python
literals, and CPython's parser of these fails at times when several threads are in it
(CPython issue 106905), so that they are parsed one at a time; data are read outside of
that lock. Pickled objects are refused, whatever they are.
"""

from __future__ import annotations

import io
import math
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.io.untrusted import UnreadableFileError, check_growth, open_regular

MAX_HEADER_BYTES = 10_000
"""Bytes; numpy's own limit. Headers of plain arrays have some 120."""
NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK"
_SUFFIX = ".npy"
_MOST_DIMENSIONS = 64
_KINDS = "biufc"
_BLOCK = 1 << 20
_ENCRYPTED = 1
_parsing = threading.Lock()


class ArrayHeader(NamedTuple):
    """Shape, dtype and order of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


Check = Callable[[ArrayHeader], None]
"""Looks at a header before memory is taken, and raises an InputError."""


def read_npy(
    path: str | os.PathLike[str], check: Check | None = None, samples: int | None = None
) -> NDArray[Any]:
    """Read a file that `numpy.save` wrote.

    Parameters
    ----------
    path : path
        The file.
    check : callable, optional
        Refuses headers, before memory is taken.
    samples : int, optional
        Only the first so many along the first axis, of an array with three axes or more.

    Returns
    -------
    numpy.ndarray
        Booleans, integers, floats or complex numbers, of any shape.

    Raises
    ------
    UnreadableFileError
        If it is no such file, is truncated, or holds anything but plain numbers; the
        message is the reason alone.
    """
    with open_regular(path) as stream, _readable():
        size = os.fstat(stream.fileno()).st_size
        if not size:
            raise UnreadableFileError("the file is empty")
        header = _read_header(stream)
        remaining = size - stream.tell()
        if header.nbytes > remaining:
            raise UnreadableFileError(
                f"its header promises {header.nbytes:,} bytes of numbers, there are {remaining:,}"
            )
        return _read_values(stream, header, check, samples)


def npz_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the arrays in a file that `numpy.savez` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    list of str
        Without the suffix `.npy`.

    Raises
    ------
    UnreadableFileError
        If it is no such file, or damaged; the message is the reason alone.
    """
    with open_regular(path) as stream, _readable(), zipfile.ZipFile(stream) as archive:
        return [n.removesuffix(_SUFFIX) for n in archive.namelist() if n.endswith(_SUFFIX)]


def read_npz(
    path: str | os.PathLike[str],
    name: str,
    check: Check | None = None,
    samples: int | None = None,
) -> NDArray[Any]:
    """Read one array of a file that `numpy.savez` wrote.

    Parameters
    ----------
    path : path
        The file.
    name : str
        As in `npz_names`.
    check : callable, optional
        Refuses headers, before memory is taken.
    samples : int, optional
        Only the first so many along the first axis, of an array with three axes or more.

    Returns
    -------
    numpy.ndarray
        As `read_npy`.

    Raises
    ------
    UnreadableFileError
        As `read_npy`; also if there is no such array, it unpacks to far more than the
        file, or does not match its checksum.
    """
    with open_regular(path) as stream, _readable(), zipfile.ZipFile(stream) as archive:
        try:
            member = archive.getinfo(name + _SUFFIX)
        except KeyError:
            raise UnreadableFileError(f"holds no array {name}") from None
        if member.flag_bits & _ENCRYPTED:
            raise UnreadableFileError("an encrypted archive")
        with archive.open(member) as inside:
            header = _read_header(inside)
            size = os.fstat(stream.fileno()).st_size
            check_growth(_first(header, samples).nbytes, size)
            if header.nbytes > member.file_size:
                raise UnreadableFileError(
                    f"the header of {name} promises {header.nbytes:,} bytes, it has "
                    f"{member.file_size:,}"
                )
            values = _read_values(inside, header, check, samples)
            while inside.read(_BLOCK):  # the checksum is compared at the end
                pass
            return values


def _read_header(stream: IO[bytes]) -> ArrayHeader:
    magic = _exactly(stream, len(NPY_MAGIC) + 2)
    if magic.startswith(ZIP_MAGIC):
        raise UnreadableFileError("an archive of arrays; save one array with numpy.save")
    if not magic.startswith(NPY_MAGIC):
        raise UnreadableFileError("not an array that numpy.save wrote")
    if magic[-2] not in (1, 2, 3):
        raise UnreadableFileError(f"version {magic[-2]} of numpy's format, which is not known")
    form = "<H" if magic[-2] == 1 else "<I"
    (length,) = struct.unpack(form, _exactly(stream, struct.calcsize(form)))
    if length > MAX_HEADER_BYTES:
        raise UnreadableFileError(f"a header of {length:,} bytes, at most {MAX_HEADER_BYTES:,}")
    text = struct.pack("<I", length) + _exactly(stream, length)
    try:
        with _parsing:
            shape, fortran_order, dtype = npy.read_array_header_2_0(io.BytesIO(text))
    except Exception as error:  # a hostile literal fails in many ways inside the parser
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFileError(f"a damaged header ({reason})") from None
    if dtype.hasobject:
        raise UnreadableFileError(
            "holds pickled Python objects, not an array of numbers; save it with numpy.save again"
        )
    if dtype.kind not in _KINDS:
        raise UnreadableFileError(f"holds {dtype}, expected numbers")
    if len(shape) > _MOST_DIMENSIONS or any(
        isinstance(length, bool) or length < 0 for length in shape
    ):
        raise UnreadableFileError("a damaged header (its shape is none)")
    return ArrayHeader(tuple(int(length) for length in shape), dtype, bool(fortran_order))


def _first(header: ArrayHeader, samples: int | None) -> ArrayHeader:
    """Return the header of the first samples alone."""
    if samples is None or len(header.shape) < 3 or samples >= header.shape[0]:
        return header
    return header._replace(shape=(samples, *header.shape[1:]))


def _read_values(
    stream: IO[bytes], header: ArrayHeader, check: Check | None, samples: int | None
) -> NDArray[Any]:
    if check is not None:
        check(header)
    selection = _first(header, samples)
    values = np.empty(math.prod(selection.shape), selection.dtype)
    view = values.view(np.uint8).data
    if not header.fortran_order:
        _fill(stream, view)
        return values.reshape(selection.shape)
    if selection is header:
        _fill(stream, view)
    else:  # the samples of each pixel stand together
        samples_of_pixel = np.empty(header.shape[0], header.dtype)
        for place in range(0, len(values), selection.shape[0]):
            _fill(stream, samples_of_pixel.view(np.uint8).data)
            values[place : place + selection.shape[0]] = samples_of_pixel[: selection.shape[0]]
    return values.reshape(selection.shape[::-1]).transpose()


def _fill(stream: IO[bytes], view: memoryview) -> None:
    done = 0
    while done < len(view):
        block = stream.read(min(_BLOCK, len(view) - done))
        if not block:
            raise UnreadableFileError(f"ends after {done:,} of {len(view):,} bytes of numbers")
        view[done : done + len(block)] = block
        done += len(block)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise UnreadableFileError("ends within its header")
    return data


@contextmanager
def _readable() -> Iterator[None]:
    damaged = (
        OSError, EOFError, ValueError, RuntimeError, OverflowError, zlib.error,
        zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, LookupError, AttributeError,
    )  # fmt: skip
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise UnreadableFileError("larger than the memory") from None
    except damaged as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFileError(f"damaged ({reason})") from None
