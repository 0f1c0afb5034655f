"""Pictures of any depth and any number of channels, as they are: of translation's domains.

Pixels are uint8, uint16 or float32 arrays (rows, columns, channels).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.store import deep
from phasegan.store.deep import UnreadablePictureError
from phasegan.store.pictures import decode_picture, picture_suffixes

ARRAY_SUFFIX = ".npy"
MAX_CHANNELS = 512
_WHITE = {"uint8": 255.0, "uint16": 65535.0}

Pixels = NDArray[np.generic]


class Picture(NamedTuple):
    """A decoded picture.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8, uint16 or float32, (rows, columns, C), without alpha.
    alpha : numpy.ndarray or None
        Same dtype, (rows, columns), where the picture has one.
    """

    pixels: Pixels
    alpha: Pixels | None

    def with_alpha(self) -> Pixels:
        """Return (rows, columns, C + 1); opaque where there is no alpha."""
        alpha = self.alpha
        if alpha is None:
            top = white(self.pixels.dtype) or 1.0
            alpha = np.full(self.pixels.shape[:2], top, self.pixels.dtype)
        return np.concatenate([self.pixels, alpha[..., None]], axis=2)


def white(dtype: np.dtype[np.generic] | type) -> float | None:
    """Return the largest value of a dtype of pixels; None for floats, which have none."""
    return _WHITE.get(np.dtype(dtype).name)


def pixel_suffixes() -> frozenset[str]:
    """Return the file name suffixes that `read_pixels` takes, lower case, with the dot."""
    return picture_suffixes() | {ARRAY_SUFFIX}


def read_pixels(path: Path) -> Picture:
    """Decode a picture file or an array, keeping depth, channels and alpha.

    Parameters
    ----------
    path : pathlib.Path
        A picture in any format that Pillow or tifffile reads, also 16 bit and
        floating-point TIFF with any number of channels; or a `.npy` array
        (rows, columns), (rows, columns, C) or (C, rows, columns): of first and last
        axis the shorter one counts channels, of equal ones the last. Integers other
        than uint8 and uint16 become float32.

    Returns
    -------
    Picture
        Pixels and alpha; EXIF orientation applied, palettes resolved, CMYK as RGB.

    Raises
    ------
    UnreadablePictureError
        If it is not a picture, is damaged or too large, or has values that are
        not finite; the message is the reason alone.
    """
    try:
        if path.suffix.lower() == ARRAY_SUFFIX:
            return Picture(_from_array(_load_array(path)), None)
        return _from_file(path.read_bytes())
    except UnreadablePictureError:
        raise
    except OSError as error:
        raise UnreadablePictureError(error.strerror or "cannot be read") from None
    except MemoryError:
        raise UnreadablePictureError("larger than the memory") from None
    except (ValueError, EOFError, SyntaxError) as error:
        reason = " ".join(str(error).split())
        raise UnreadablePictureError(f"not an array of numbers ({reason})") from None


def _load_array(path: Path) -> NDArray[np.generic]:
    values = np.load(path, allow_pickle=False)
    if not isinstance(values, np.ndarray):  # np.load goes by the content, not by the name
        values.close()
        raise UnreadablePictureError("an archive of arrays; save one array with numpy.save")
    return values


def _from_array(values: NDArray[np.generic], channels_last: bool = False) -> Pixels:
    if values.ndim not in (2, 3) or values.dtype.kind not in "uifb" or not values.size:
        raise UnreadablePictureError(
            f"an array of shape {values.shape} and dtype {values.dtype}; expected numbers, "
            "(rows, columns) or (rows, columns, channels)"
        )
    if values.ndim == 2:
        values = values[..., None]
    elif values.shape[0] < values.shape[2] and not channels_last:
        values = np.moveaxis(values, 0, -1)
    if values.shape[2] > MAX_CHANNELS:
        raise UnreadablePictureError(f"{values.shape[2]} channels, at most {MAX_CHANNELS}")
    if values.dtype.name not in _WHITE:
        with np.errstate(over="ignore"):
            values = _finite(values.astype(np.float32))
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise UnreadablePictureError("holds values that are not finite")
    return values


def _from_file(data: bytes) -> Picture:
    if deep.is_tiff(data):
        planes = _float_tiff(data)
        if planes is not None:
            return Picture(_from_array(planes, channels_last=True), None)
    pixels = decode_picture(data)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):
        return Picture(np.ascontiguousarray(pixels[..., :-1]), pixels[..., -1])
    return Picture(pixels, None)


def _float_tiff(data: bytes) -> NDArray[np.generic] | None:
    """Return the pixels of a TIFF that is not of grey, RGB or CMYK integers."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages.first
            usual = page.dtype in (np.uint8, np.uint16, bool) and page.samplesperpixel <= 4
            if usual:
                return None
            if page.dtype is None or page.dtype.kind not in "uif":
                raise UnreadablePictureError(f"{page.dtype} pixels")
            if page.imagewidth * page.imagelength > (Image.MAX_IMAGE_PIXELS or np.inf):
                raise UnreadablePictureError(
                    f"larger than the limit of {Image.MAX_IMAGE_PIXELS} pixels"
                )
            values = page.asarray()
            if values.ndim == 3 and page.planarconfig.name == "SEPARATE":
                values = np.moveaxis(values, 0, -1)
            tag = page.tags.get(deep.ORIENTATION)
            return deep.turn(values, 1 if tag is None else int(tag.value))
    except UnreadablePictureError:
        raise
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadablePictureError(f"damaged ({reason})") from None
