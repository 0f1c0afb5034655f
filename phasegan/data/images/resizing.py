"""Conversion of images to the channels, depth and size of samples.

Pixels are uint8 or uint16 arrays, (rows, columns) for grey and
(rows, columns, 3) for RGB.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from phasegan.data.images.decoding import flatten_alpha, guarded, open_image, to_pixels
from phasegan.data.images.high_bit_depth import Pixels, UnreadableImageError
from phasegan.data.images.notices import ImageNotices
from phasegan.errors import InputError

FITS = ("crop", "pad", "stretch")
CHANNELS = ("gray", "rgb")
BYTE_TO_WORD = 257
"""65535 / 255: how 8-bit pixels are lifted to 16 bit."""


def to_channels(pixels: Pixels, channels: str) -> Pixels:
    """Convert between grey and RGB.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 3).
    channels : {"gray", "rgb"}
        Grey is the rec. 601 luma in the integer arithmetic of Pillow's mode L,
        (19595 R + 38470 G + 7471 B + 32768) >> 16, at 8 and at 16 bit.

    Returns
    -------
    numpy.ndarray
        (rows, columns) for grey, (rows, columns, 3) for RGB, same dtype.
    """
    if channels == "gray" and pixels.ndim == 3:
        red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
        luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        return luma.astype(pixels.dtype)
    if channels == "rgb" and pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1)
    return pixels


def to_depth(pixels: Pixels, bits: int) -> Pixels:
    """Convert between 8 and 16 bit, full range to full range, rounding to nearest.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, any shape.
    bits : {8, 16}
        Depth of the result.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, same shape.
    """
    if bits == 16 and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(BYTE_TO_WORD)
    if bits == 8 and pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + BYTE_TO_WORD // 2) // BYTE_TO_WORD).astype(np.uint8)
    return pixels


def fit(pixels: Pixels, size: int, how: str) -> Pixels:
    """Fit an image to N×N pixels by Lanczos resampling; never enlarges.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns[, 3]).
    size : int
        N.
    how : {"crop", "pad", "stretch"}
        `crop`: the largest centred square; `pad`: the whole image, its long
        side made N, centred on black; `stretch`: both sides made N.

    Returns
    -------
    numpy.ndarray
        (N, N[, 3]), the dtype of `pixels`, rounded to nearest and clipped.

    Raises
    ------
    UnreadableImageError
        If the image would have to be enlarged.
    """
    rows, columns = pixels.shape[:2]
    limiting = max(rows, columns) if how == "pad" else min(rows, columns)
    if limiting < size:
        raise UnreadableImageError(f"{columns}×{rows} pixels, smaller than {size}")
    if how == "stretch":
        return _resize(pixels, size, size)
    if how == "pad":
        scale = size / max(rows, columns)
        inner_rows, inner_columns = max(1, round(rows * scale)), max(1, round(columns * scale))
        canvas = np.zeros((size, size, *pixels.shape[2:]), dtype=pixels.dtype)
        top, left = (size - inner_rows) // 2, (size - inner_columns) // 2
        inner = _resize(pixels, inner_rows, inner_columns)
        canvas[top : top + inner_rows, left : left + inner_columns] = inner
        return canvas
    if how != "crop":
        raise InputError(f"fit {how!r}: choose one of {', '.join(FITS)}")
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    return _resize(pixels[top : top + side, left : left + side], size, size)


def to_square(pixels: Pixels, size: int, channels: str, bits: int, how: str) -> Pixels:
    """Convert pixels to the channels, depth and size of a layout.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns[, 3]).
    size, channels, bits, how
        See `fit`, `to_channels`, `to_depth`.

    Returns
    -------
    numpy.ndarray
        (N, N[, 3]), uint8 or uint16.
    """
    return fit(to_depth(to_channels(pixels, channels), bits), size, how)


def read_square(
    data: bytes, size: int, channels: str, bits: int, how: str, notes: ImageNotices | None = None
) -> Pixels:
    """Decode an image file and fit it: `to_square(read_image(data), …)`.

    Common images stay with Pillow until they are small; the result is the same.

    Parameters
    ----------
    data : bytes
        The file's contents.
    size, channels, bits, how
        As of `to_square`.
    notes : ImageNotices, optional
        Receives notices on parts that are left out.

    Returns
    -------
    numpy.ndarray
        (N, N[, 3]), uint8 or uint16.

    Raises
    ------
    UnreadableImageError
        If it cannot be decoded, or is smaller than N.
    """
    image_notices = ImageNotices() if notes is None else notes

    def decode(data: bytes) -> Pixels:
        image = open_image(data, image_notices)
        if isinstance(image, Image.Image):
            plain = image.mode in ("L", "RGB") and "transparency" not in image.info
            if plain and bits == 8 and how != "pad":
                return _square(image, size, "L" if channels == "gray" else "RGB", how)
            image = to_pixels(image)
        return to_square(flatten_alpha(image, image_notices), size, channels, bits, how)

    return guarded(decode, data)


def _square(image: Image.Image, size: int, mode: str, how: str) -> Pixels:
    columns, rows = image.size
    if min(rows, columns) < size:
        raise UnreadableImageError(f"{columns}×{rows} pixels, smaller than {size}")
    if how == "crop" and rows != columns:
        side = min(rows, columns)
        top, left = (rows - side) // 2, (columns - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _resize(pixels: Pixels, rows: int, columns: int) -> Pixels:
    if pixels.shape[:2] == (rows, columns):
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((columns, rows), Image.Resampling.LANCZOS))
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    resized = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[..., c], dtype=np.float32)).resize(
                (columns, rows), Image.Resampling.LANCZOS
            )
        )
        for c in range(planes.shape[2])
    ]
    stacked = np.clip(np.rint(np.stack(resized, axis=-1)), 0, 65535).astype(np.uint16)
    return stacked[..., 0] if pixels.ndim == 2 else stacked
