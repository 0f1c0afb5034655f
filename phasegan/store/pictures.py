"""Reading pictures as integers, and fitting them to a square.

Pixels are uint8 or uint16 arrays, (rows, columns) for grey and
(rows, columns, 3) for RGB.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from phasegan.errors import InputError
from phasegan.store import deep
from phasegan.store.deep import Pixels, UnreadablePictureError

T = TypeVar("T")

FITS = ("crop", "pad", "stretch")
CHANNELS = ("gray", "rgb")
BYTE_TO_WORD = 257
"""65535 / 255: how 8-bit pixels are lifted to 16 bit."""

# What Pillow lists among its suffixes but is a document, a video or a container.
_NOT_PICTURES = {
    ".bufr", ".emf", ".eps", ".fit", ".fits", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".pdf",
    ".ps", ".wmf",
}  # fmt: skip

# Formats that Pillow hands to other programs or libraries, or unpacks without a limit.
_NOT_FORMATS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}


@functools.cache
@functools.cache
def _formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are taken, whatever a file's name is."""
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_FORMATS)


def picture_suffixes() -> frozenset[str]:
    """Return the file name suffixes that are taken for pictures, lower case, with the dot."""
    Image.init()
    return frozenset(Image.registered_extensions()) - _NOT_PICTURES


def read_picture(data: bytes) -> Pixels:
    """Decode a picture file.

    Parameters
    ----------
    data : bytes
        The file's contents, in any format that Pillow or tifffile reads. Of
        several frames the first is taken. EXIF orientation is applied,
        palettes are resolved, CMYK becomes RGB, transparent parts are
        composited over black.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 3).

    Raises
    ------
    UnreadablePictureError
        If the bytes are not a picture, are damaged, are larger than Pillow's
        limit, or hold other numbers than 8- or 16-bit integers.
    """
    return _flatten_alpha(decode_picture(data))


def decode_picture(data: bytes) -> Pixels:
    """Decode a picture file as `read_picture` does, but keep alpha.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 2, 3 or 4); the last of 2
        and of 4 channels is alpha.
    """
    return _guarded(_decode, data)


def _guarded(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode, and say in one line why not."""
    if not data:
        raise UnreadablePictureError("the file is empty")
    try:
        return decode(data)
    except UnreadablePictureError:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadablePictureError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise UnreadablePictureError(
            f"larger than the limit of {Image.MAX_IMAGE_PIXELS} pixels"
        ) from None
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadablePictureError(f"damaged ({reason})") from None


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Silence what decoders say of odd files; enter it in the main thread, around all workers."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _decode(data: bytes) -> Pixels:
    found = _open(data)
    return found if isinstance(found, np.ndarray) else _decode_shallow(found)


def _open(data: bytes) -> Pixels | Image.Image:
    """Return pixels, or where Pillow can hold them a picture that is the right way up."""
    if deep.is_deep_pnm(data):
        return deep.decode_pnm(data)
    try:
        picture: Image.Image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.UnidentifiedImageError:
        if deep.is_tiff(data):
            return deep.decode_tiff(data)
        raise
    deep.check_size(picture.width, picture.height)
    if deep.is_deep_png(data):
        orientation = picture.getexif().get(deep.ORIENTATION, 1)
        return deep.turn(deep.decode_png(data), orientation)
    if picture.format == "TIFF" and deep.is_deep_tiff(picture):
        return deep.decode_tiff(data)
    if picture.format == "JPEG" and not picture.info.keys() & _MAY_TURN:
        return picture  # the right way up, and not to be copied
    return ImageOps.exif_transpose(picture)


_MAY_TURN = {"exif", "xmp", "XML:com.adobe.xmp"}


def _decode_shallow(picture: Image.Image) -> Pixels:
    mode = picture.mode
    if mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if mode == "I":
        wide = np.asarray(picture)
        if wide.min() < 0 or wide.max() > 65535:
            raise UnreadablePictureError("32-bit pixels; only 8- and 16-bit integers are taken")
        return wide.astype(np.uint16)
    if mode == "F":
        raise UnreadablePictureError("floating-point pixels; only 8- and 16-bit integers are taken")
    if mode in ("La", "PA") or "transparency" in picture.info:
        return np.asarray(picture.convert("RGBA"))
    if mode in ("L", "RGB", "LA", "RGBA"):
        return np.asarray(picture)
    if mode == "1":
        return np.asarray(picture.convert("L"))
    return np.asarray(picture.convert("RGB"))


def _flatten_alpha(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., -1:].astype(np.float64) / (255 if pixels.dtype == np.uint8 else 65535)
    colour = np.rint(pixels[..., :-1].astype(np.float64) * alpha).astype(pixels.dtype)
    return colour[..., 0] if colour.shape[2] == 1 else colour


def bit_depth(data: bytes) -> int:
    """Return 8 or 16: what `read_picture` will give, from the header alone.

    Parameters
    ----------
    data : bytes
        A picture file; of a PNG the first 26 bytes are enough. What cannot be
        read counts as 8 bit.
    """
    if data.startswith(b"\xff\xd8"):
        return 8
    if data.startswith(deep.PNG_SIGNATURE):
        return 16 if data[24:25] == b"\x10" else 8
    if deep.is_deep_pnm(data):
        return 16
    try:
        picture = Image.open(io.BytesIO(data), formats=_formats())
    except Image.UnidentifiedImageError:
        return deep.tiff_depth(data) if deep.is_tiff(data) else 8
    except Exception:  # an unreadable picture is named when it is decoded
        return 8
    if picture.format == "TIFF":
        return deep.tiff_depth(data)
    return 16 if picture.mode.startswith("I;16") else 8


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
        What is wanted.

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
    """Bring a picture to size × size by Lanczos resampling; never enlarges.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns[, 3]).
    size : int
        N.
    how : {"crop", "pad", "stretch"}
        `crop`: the largest centred square; `pad`: the whole picture, its long
        side made N, centred on black; `stretch`: both sides made N.

    Returns
    -------
    numpy.ndarray
        (N, N[, 3]), the dtype of `pixels`, rounded to nearest and clipped.

    Raises
    ------
    UnreadablePictureError
        If the picture would have to be enlarged.
    """
    rows, columns = pixels.shape[:2]
    limiting = max(rows, columns) if how == "pad" else min(rows, columns)
    if limiting < size:
        raise UnreadablePictureError(f"{columns}×{rows} pixels, smaller than {size}")
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


def square(pixels: Pixels, size: int, channels: str, bits: int, how: str) -> Pixels:
    """Bring pixels to the channels, depth and size of a layout.

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


def read_square(data: bytes, size: int, channels: str, bits: int, how: str) -> Pixels:
    """Decode a picture file and bring it to a layout: `square(read_picture(data), …)`.

    Common pictures stay with Pillow until they are small; the result is the same.
    """

    def decode(data: bytes) -> Pixels:
        found = _open(data)
        if isinstance(found, Image.Image):
            plain = found.mode in ("L", "RGB") and "transparency" not in found.info
            if plain and bits == 8 and how != "pad":
                return _square(found, size, "L" if channels == "gray" else "RGB", how)
            found = _decode_shallow(found)
        return square(_flatten_alpha(found), size, channels, bits, how)

    return _guarded(decode, data)


def _square(picture: Image.Image, size: int, mode: str, how: str) -> Pixels:
    columns, rows = picture.size
    if min(rows, columns) < size:
        raise UnreadablePictureError(f"{columns}×{rows} pixels, smaller than {size}")
    if how == "crop" and rows != columns:
        side = min(rows, columns)
        top, left = (rows - side) // 2, (columns - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if picture.mode != mode:
        picture = picture.convert(mode)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _resize(pixels: Pixels, rows: int, columns: int) -> Pixels:
    if pixels.shape[:2] == (rows, columns):
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(picture.resize((columns, rows), Image.Resampling.LANCZOS))
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
