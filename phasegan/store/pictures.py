"""Reading pictures as integers, and fitting them to a square.

Pixels are uint8 or uint16 arrays, (rows, columns) for grey and
(rows, columns, 3) for RGB.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from phasegan.errors import InputError

Pixels = NDArray[np.generic]

FITS = ("crop", "pad", "stretch")
CHANNELS = ("gray", "rgb")
BYTE_TO_WORD = 257
"""65535 / 255: how 8-bit pixels are lifted to 16 bit."""

# What Pillow lists among its suffixes but is a document, a video or a container.
_NOT_PICTURES = {
    ".bufr", ".emf", ".eps", ".fit", ".fits", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".pdf",
    ".ps", ".wmf",
}  # fmt: skip
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_BITS = 258


class UnreadablePictureError(InputError):
    """A picture cannot be used; the message is the reason alone."""


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
        If the bytes are not a picture, are damaged, or hold other numbers than
        8- or 16-bit integers.
    """
    if not data:
        raise UnreadablePictureError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _flatten_alpha(_decode(data))
    except UnreadablePictureError:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadablePictureError("not a picture in a known format") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = Image.MAX_IMAGE_PIXELS
        raise UnreadablePictureError(f"larger than the limit of {limit} pixels") from None
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadablePictureError(f"damaged ({reason})") from None


def _decode(data: bytes) -> Pixels:
    if data.startswith(_PNG_SIGNATURE) and data[24:25] == b"\x10" and data[25:26] != b"\0":
        return _decode_deep_png(data)
    try:
        picture: Image.Image = Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _decode_tiff(data)
        raise
    if picture.format == "TIFF" and _is_deep_tiff(picture):
        return _decode_tiff(data)
    picture = ImageOps.exif_transpose(picture)
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
    if mode in ("L", "RGB", "LA", "RGBA"):
        return np.asarray(picture)
    if mode == "1":
        return np.asarray(picture.convert("L"))
    if mode in ("La", "PA") or (mode == "P" and "transparency" in picture.info):
        return np.asarray(picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))


def _decode_deep_png(data: bytes) -> Pixels:
    import png

    columns, rows, values, info = png.Reader(bytes=data).read_flat()
    pixels = np.array(values, dtype=np.uint16).reshape(rows, columns, info["planes"])
    return pixels[..., 0] if info["planes"] == 1 else pixels


def _is_deep_tiff(picture: Any) -> bool:
    bits = picture.tag_v2.get(_TIFF_BITS, (1,))
    return max(bits) > 8 and (len(bits) > 1 or picture.mode == "RGB")


def _decode_tiff(data: bytes) -> Pixels:
    import imageio.v3

    pixels = imageio.v3.imread(data, plugin="tifffile", extension=".tif", index=0)
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] not in (2, 3, 4):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UnreadablePictureError(
            f"{pixels.dtype} pixels; only 8- and 16-bit integers are taken"
        )
    if (pixels.ndim == 3 and pixels.shape[2] not in (1, 2, 3, 4)) or pixels.ndim not in (2, 3):
        raise UnreadablePictureError(f"pixels of shape {pixels.shape}; expected grey or RGB")
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _flatten_alpha(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    alpha = pixels[..., -1:].astype(np.float64) / (255 if pixels.dtype == np.uint8 else 65535)
    colour = np.rint(pixels[..., :-1].astype(np.float64) * alpha).astype(pixels.dtype)
    return colour[..., 0] if colour.shape[2] == 1 else colour


def bit_depth(data: bytes) -> int:
    """Return 8 or 16: what `read_picture` will give, from the header where that is enough."""
    if data.startswith(b"\xff\xd8"):
        return 8
    if data.startswith(_PNG_SIGNATURE):
        return 16 if data[24:25] == b"\x10" else 8
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data))
    except Exception:  # an unreadable picture is named when it is decoded
        return 16 if data[:2] in (b"II", b"MM") else 8
    deep = picture.format == "TIFF" and _is_deep_tiff(picture)
    return 16 if deep or picture.mode.startswith("I") else 8


def to_channels(pixels: Pixels, channels: str) -> Pixels:
    """Convert between grey and RGB.

    Grey is the rec. 601 luma in the integer arithmetic of Pillow's mode L,
    (19595 R + 38470 G + 7471 B + 32768) >> 16, at 8 and at 16 bit.
    """
    if channels == "gray" and pixels.ndim == 3:
        red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
        luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        return luma.astype(pixels.dtype)
    if channels == "rgb" and pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1)
    return pixels


def to_depth(pixels: Pixels, bits: int) -> Pixels:
    """Convert between 8 and 16 bit, full range to full range, rounding to nearest."""
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
