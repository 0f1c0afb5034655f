"""Resizing, for two purposes.

For phases, `fit` brings pixels (rows, columns[, 3]) to N₁×N₂ by Lanczos resampling and never
enlarges. For pictures, `resize` brings planes (C, rows, columns) to any size by antialiased
bicubic interpolation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.data.images.pixel_format import Planes, to_channels, to_depth
from phasegan.data.images.pixels import Pixels, UnreadableImageError
from phasegan.errors import InputError

Shape = tuple[int, int]
"""(N₁, N₂), rows and columns."""

FITS = ("stretch", "short-side", "none")
"""How pictures are brought to the size that crops are taken from."""
_PHASE_FITS = ("crop", "pad", "stretch")


def to_shape(
    pixels: Pixels | Image.Image, shape: Shape, channels: str, bits: int, how: str
) -> Pixels:
    """Convert pixels to the channels, depth and size of a layout.

    Parameters
    ----------
    pixels : numpy.ndarray or PIL.Image.Image
        uint8 or uint16, (rows, columns[, 3]). An image of mode L or RGB stays with Pillow
        until it is small, if `bits` is 8 and `how` not `pad`; the result is the same.
    shape, channels, bits, how
        See `fit`, `to_channels`, `to_depth`.

    Returns
    -------
    numpy.ndarray
        (N₁, N₂[, 3]), uint8 or uint16.
    """
    if isinstance(pixels, Image.Image):
        return _fit_plain(pixels, shape, "L" if channels == "gray" else "RGB", how)
    return fit(to_depth(to_channels(pixels, channels), bits), shape, how)


def fit(pixels: Pixels, shape: Shape, how: str) -> Pixels:
    """Fit an image to N₁×N₂ pixels by Lanczos resampling; never enlarges.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns[, 3]).
    shape : (int, int)
        (N₁, N₂).
    how : {"crop", "pad", "stretch"}
        `crop`: the largest centred rectangle of that aspect ratio; `pad`: the
        whole image, as large as it fits, centred on black; `stretch`: each side
        by itself.

    Returns
    -------
    numpy.ndarray
        (N₁, N₂[, 3]), the dtype of `pixels`, rounded to nearest and clipped.

    Raises
    ------
    UnreadableImageError
        If the image would have to be enlarged.
    """
    rows, columns = pixels.shape[:2]
    top, left, height, width = _largest_crop(rows, columns, shape, padded=how == "pad")
    if how == "stretch":
        return _lanczos(pixels, *shape)
    if how == "crop":
        return _lanczos(pixels[top : top + height, left : left + width], *shape)
    if how != "pad":
        raise InputError(f"fit {how!r}: choose one of {', '.join(_PHASE_FITS)}")
    scale = min(shape[0] / rows, shape[1] / columns)
    inner_rows, inner_columns = max(1, round(rows * scale)), max(1, round(columns * scale))
    canvas = np.zeros((*shape, *pixels.shape[2:]), dtype=pixels.dtype)
    top, left = (shape[0] - inner_rows) // 2, (shape[1] - inner_columns) // 2
    inner = _lanczos(pixels, inner_rows, inner_columns)
    canvas[top : top + inner_rows, left : left + inner_columns] = inner
    return canvas


def resize(planes: Planes, rows: int, columns: int) -> Planes:
    """Resize by antialiased bicubic interpolation, rounded and clipped to the dtype.

    Parameters
    ----------
    planes : numpy.ndarray
        (C, rows, columns), uint8, uint16 or float32.
    rows, columns : int
        Size of the result.

    Returns
    -------
    numpy.ndarray
        (C, rows, columns), same dtype.
    """
    if planes.shape[1:] == (rows, columns):
        return planes
    resized = _resampled(planes, rows, columns, Image.Resampling.BICUBIC)
    if planes.dtype.kind == "u":
        return _rounded(resized, planes.dtype)
    return np.clip(resized, planes.min(), planes.max())


def resize_to_load(planes: Planes, load: int, fit: str) -> Planes:
    """Resize planes to the size that crops are taken from.

    Parameters
    ----------
    planes : numpy.ndarray
        (C, rows, columns).
    load : int
        The size.
    fit : {"stretch", "short-side", "none"}
        Both sides become `load`, as published; the short one does; or neither.

    Returns
    -------
    numpy.ndarray
        (C, rows, columns), same dtype.
    """
    rows, columns = planes.shape[1:]
    return resize(planes, *load_size(rows, columns, load, fit))


def load_size(rows: int, columns: int, load: int, fit: str) -> tuple[int, int]:
    """Return rows and columns of the result of `resize_to_load`.

    Parameters
    ----------
    rows, columns : int
        Size of the image.
    load : int
        Pixels.
    fit : {"stretch", "short-side", "none"}
        As of `resize_to_load`.

    Returns
    -------
    (int, int)
        Rows and columns.
    """
    if fit == "none":
        return rows, columns
    if fit == "stretch":
        return load, load
    scale = load / min(rows, columns)
    return max(load, round(rows * scale)), max(load, round(columns * scale))


def _fit_plain(image: Image.Image, shape: Shape, mode: str, how: str) -> Pixels:
    """Fit as `fit` does, without leaving Pillow."""
    columns, rows = image.size
    top, left, height, width = _largest_crop(rows, columns, shape)
    if how == "crop" and (rows, columns) != (height, width):
        image = image.crop((left, top, left + width, top + height))
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != shape[::-1]:
        image = image.resize(shape[::-1], Image.Resampling.LANCZOS)
    return np.asarray(image)


def _largest_crop(
    rows: int, columns: int, shape: Shape, padded: bool = False
) -> tuple[int, int, int, int]:
    """Return top, left, rows and columns of the largest centred crop of a shape's aspect ratio.

    Images that would have to be enlarged are refused; one that is padded needs one side.
    """
    fits = (rows >= shape[0], columns >= shape[1])
    if not (any(fits) if padded else all(fits)):
        size = f"{shape[0]}" if shape[0] == shape[1] else f"{shape[0]}×{shape[1]}"
        raise UnreadableImageError(f"{rows}×{columns} pixels (rows × columns), smaller than {size}")
    if rows * shape[1] <= columns * shape[0]:
        height, width = rows, min(columns, round(rows * shape[1] / shape[0]))
    else:
        height, width = min(rows, round(columns * shape[0] / shape[1])), columns
    return (rows - height) // 2, (columns - width) // 2, height, width


def _lanczos(pixels: Pixels, rows: int, columns: int) -> Pixels:
    """Resize (rows, columns[, 3]), rounded and clipped to the dtype."""
    if pixels.shape[:2] == (rows, columns):
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((columns, rows), Image.Resampling.LANCZOS))
    planes = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    resized = _resampled(planes, rows, columns, Image.Resampling.LANCZOS)
    fitted = np.ascontiguousarray(np.moveaxis(_rounded(resized, pixels.dtype), 0, -1))
    return fitted[..., 0] if pixels.ndim == 2 else fitted


def _resampled(planes: Planes, rows: int, columns: int, method: Any) -> NDArray[np.float32]:
    """Resize each plane in float32."""
    floats = (Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in planes)
    return np.stack([np.asarray(image.resize((columns, rows), method)) for image in floats])


def _rounded(values: NDArray[np.float32], dtype: np.dtype[Any]) -> Pixels:
    """Return values as integers, rounded and clipped."""
    return np.clip(np.rint(values), 0, np.iinfo(dtype.name).max).astype(dtype)
