"""Arrays as pictures: files of numpy and MATLAB, and slices of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from phasegan.data.images.pixels import (
    MAX_CHANNELS,
    DecodedImage,
    Pixels,
    UnreadableImageError,
    check_size,
    white,
)
from phasegan.data.images.reading import Reading, fill_missing
from phasegan.data.images.tiff import missing_pixels
from phasegan.io.untrusted import MAX_IMAGE_BYTES, check_growth, open_regular

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MATLAB_HEADER = 512
"""Bytes before the HDF5 signature of a MATLAB file of version 7.3."""


class StoredArray(NamedTuple):
    """An array that is not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Pixels]
    matlab: bool = False
    """MATLAB counts pages along the last axis."""


def open_array(path: Path, variable: str | None) -> StoredArray:
    """Find the array of a file.

    Parameters
    ----------
    path : pathlib.Path
        A `.npy`, `.npz` or `.mat` file.
    variable : str or None
        Its name, where the file has several.

    Returns
    -------
    StoredArray
        Its shape and how to read it.

    Raises
    ------
    UnreadableImageError
        If there is none, or several and no name.
    """
    from phasegan.io import arrays

    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _lazily(lambda check: arrays.read_npy(path, check))
    if suffix == ".npz":
        name = _chosen(arrays.npz_names(path), variable)
        return _lazily(lambda check: arrays.read_npz(path, name, check))
    with open_regular(path) as stream:
        head = stream.read(_MATLAB_HEADER + len(_HDF5))
    if _HDF5 in (head[: len(_HDF5)], head[_MATLAB_HEADER:]):
        return _matlab_hdf5(path, variable)
    return _matlab(path, variable)


class _Stop(Exception):
    """The header is known."""


def _lazily(read: Callable[[Any], Pixels]) -> StoredArray:
    found: list[Any] = []

    def look(header: Any) -> None:
        found.append(header)
        raise _Stop

    with contextlib.suppress(_Stop):
        read(look)
    return StoredArray(found[0].shape, found[0].dtype, lambda: read(None))


def _chosen(names: list[str], variable: str | None) -> str:
    """Return the variable asked for, or the only one."""
    if variable is not None:
        if variable not in names:
            raise UnreadableImageError(
                f"holds no variable {variable}, but {', '.join(names[:8]) or 'none'}"
            )
        return variable
    if len(names) != 1:
        raise UnreadableImageError(
            f"holds {len(names)} arrays ({', '.join(names[:8])}); name one with --variable"
            if names
            else "holds no array of numbers"
        )
    return names[0]


def _matlab(path: Path, variable: str | None) -> StoredArray:
    import scipy.io

    with open_regular(path) as stream:
        try:
            listed = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(stream)}
        except Exception as error:
            raise UnreadableImageError(f"damaged ({' '.join(str(error).split())})") from None
    kinds = ("int", "uint", "double", "single", "logical")
    numeric = [n for n, (shape, kind) in listed.items() if kind.startswith(kinds) and _fits(shape)]
    name = _chosen(numeric, variable)
    shape = tuple(map(int, listed[name][0]))
    kind = {"double": "f8", "single": "f4", "logical": "u1"}.get(listed[name][1], listed[name][1])
    check_growth(math.prod(shape) * np.dtype(kind).itemsize, path)

    def read() -> Pixels:
        with open_regular(path) as stream:
            values = scipy.io.loadmat(stream, variable_names=[name])[name]
        return np.asarray(values)

    return StoredArray(shape, np.dtype(kind), read, matlab=True)


def _fits(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and math.prod(shape) > 1


def _matlab_hdf5(path: Path, variable: str | None) -> StoredArray:
    """Find an array of version 7.3, whose axes stand in reverse."""
    import h5py

    with open_regular(path) as stream, h5py.File(stream, "r") as file:
        names = [
            name
            for name in file
            if isinstance(file.get(name, getlink=True), h5py.HardLink)
            and isinstance(file[name], h5py.Dataset)
            and file[name].dtype.kind in "uif"
            and _fits(file[name].shape)
            and not file[name].external
            and not file[name].is_virtual
        ]
        name = _chosen(names, variable)
        shape, dtype = file[name].shape[::-1], file[name].dtype
    check_growth(math.prod(shape) * dtype.itemsize, path)

    def read() -> Pixels:
        with open_regular(path) as stream, h5py.File(stream, "r") as file:
            return np.asarray(file[name][()]).T

    return StoredArray(shape, dtype, read, matlab=True)


def array_pages(array: StoredArray, reading: Reading) -> int | None:
    """Return how many pictures an array holds.

    Parameters
    ----------
    array : StoredArray
        Of two axes or more.
    reading : Reading
        With `pages="samples"` three axes are pages, rows and columns; a fourth one
        is the pages' in any case.

    Returns
    -------
    int or None
        None for one picture.
    """
    if len(array.shape) == 4 or (len(array.shape) == 3 and reading.pages == "samples"):
        if reading.pages == "channels":
            raise UnreadableImageError(f"an array of shape {array.shape} has channels already")
        return array.shape[-1 if array.matlab else 0]
    return None


def read_array(array: StoredArray, page: int | None, reading: Reading) -> DecodedImage:
    """Return a picture of an array.

    Parameters
    ----------
    array : StoredArray
        As opened.
    page : int or None
        Which of those that `array_pages` counts.
    reading : Reading
        Channel axis and missing values.

    Returns
    -------
    DecodedImage
        With the axis of its channels.
    """
    shape, place = array.shape, 0
    if page is None and reading.pages == "first" and len(shape) == 4:
        page = 0
    if page is not None:
        shape = shape[:-1] if array.matlab else shape[1:]
        place = page
    check_array(shape, array.dtype, reading.channel_axis)
    if math.prod(array.shape) * array.dtype.itemsize > MAX_IMAGE_BYTES:
        raise UnreadableImageError(f"an array of more than {MAX_IMAGE_BYTES:,} bytes")
    values = array.read()
    if page is not None:
        values = values[..., place] if array.matlab else values[place]
    return from_values(values, reading)


def from_values(
    values: Pixels, reading: Reading, missing: Any = None, mark: float | None = None
) -> DecodedImage:
    """Return values as a picture, with missing ones filled where a way is named.

    Parameters
    ----------
    values : numpy.ndarray
        (rows, columns), or with an axis of channels.
    reading : Reading
        Channel axis and missing values.
    missing : numpy.ndarray, optional
        bool, (rows, columns); by default NaN is missing.
    mark : float, optional
        Value of missing pixels.

    Returns
    -------
    DecodedImage
        uint8, uint16 or finite float32.
    """
    axis = axis_of(values.shape, reading.channel_axis)
    if axis == "first":
        values = np.moveaxis(values, 0, -1)
    if reading.nodata is None:
        return DecodedImage(from_array(values, channels_last=True), None, axis=axis)
    where = missing_pixels(values, mark) if missing is None else missing
    clean = values
    if values.dtype.kind == "f":
        clean = np.where(where[..., None] if values.ndim == 3 else where, 0, values)
    image = DecodedImage(from_array(clean, channels_last=True), None, axis=axis)
    return fill_missing(image._replace(mark=mark), where, reading.nodata)


def axis_of(shape: tuple[int, ...], channel_axis: str | None) -> str:
    """Return where the channels of an array stand.

    Parameters
    ----------
    shape : tuple of int
        Of an array of two or three axes.
    channel_axis : {"first", "last"} or None
        As asked for.

    Returns
    -------
    {"first", "last", "none"}
        `none` for two axes.
    """
    if len(shape) == 2:
        return "none"
    return channel_axis or ("first" if shape[0] < shape[2] else "last")


def check_array(
    shape: tuple[int, ...], dtype: np.dtype[Any], channel_axis: str | None = None
) -> None:
    """Refuse an array that is not an image, or too large.

    Parameters
    ----------
    shape, dtype
        Of the array.
    channel_axis : {"first", "last"} or None
        Where its channels stand.

    Raises
    ------
    UnreadableImageError
        The message is the reason alone.
    """
    if len(shape) not in (2, 3) or dtype.kind not in "uifb" or not math.prod(shape):
        raise UnreadableImageError(
            f"an array of shape {shape} and dtype {dtype}; expected numbers, "
            "(rows, columns) or (rows, columns, channels)"
        )
    rows, columns, channels = (*shape, 1)[:3]
    if axis_of(shape, channel_axis) == "first":
        channels, rows, columns = shape
    if channels > MAX_CHANNELS:
        raise UnreadableImageError(f"{channels} channels, at most {MAX_CHANNELS}")
    check_size(columns, rows, channels * dtype.itemsize)


def from_array(values: Pixels, channels_last: bool = False) -> Pixels:
    """Return an array as uint8, uint16 or finite float32, (rows, columns, C).

    Parameters
    ----------
    values : numpy.ndarray
        Numbers.
    channels_last : bool
        Its channels stand last, whatever its shape.

    Returns
    -------
    numpy.ndarray
        Contiguous.

    Raises
    ------
    UnreadableImageError
        If it is no picture, or not finite.
    """
    axis = "last" if channels_last else None
    check_array(values.shape, values.dtype, axis)
    if values.ndim == 2:
        values = values[..., None]
    elif axis_of(values.shape, axis) == "first":
        values = np.moveaxis(values, 0, -1)
    if white(values.dtype) is None:
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise UnreadableImageError(
                "holds values that are not finite (NaN or infinite), as missing ones are; fill "
                "them in with --nodata mean, or first, as numpy.nan_to_num does"
            )
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))
