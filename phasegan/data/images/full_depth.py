"""Decoding of images of any depth and any number of channels, for translation.

Pixels are uint8, uint16 or float32 arrays (rows, columns, channels).
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.data.images import high_bit_depth, tiff
from phasegan.data.images.decoding import decode_image, guarded, image_suffixes, note_profile
from phasegan.data.images.high_bit_depth import UnreadableImageError
from phasegan.data.images.notices import NO_DATA, ImageNotices
from phasegan.io.arrays import ArrayHeader, read_npy
from phasegan.io.untrusted import UnreadableFileError, read_regular

ARRAY_SUFFIX = ".npy"
MAX_CHANNELS = 512
_WHITE = {"uint8": 255.0, "uint16": 65535.0}

Pixels = NDArray[np.generic]


class DecodedImage(NamedTuple):
    """A decoded image.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8, uint16 or float32, (rows, columns, C), without alpha.
    alpha : numpy.ndarray or None
        Same dtype, (rows, columns), where the image has one.
    remarks : tuple of str
        Notices on parts that are left out, of `phasegan.data.images.notices`.
    profile : bytes or None
        Its ICC profile, unless that is sRGB.
    """

    pixels: Pixels
    alpha: Pixels | None
    notices: tuple[str, ...] = ()
    profile: bytes | None = None

    def with_alpha(self) -> Pixels:
        """Return (rows, columns, C + 1); opaque where there is no alpha."""
        alpha = self.alpha
        if alpha is None:
            top = white(self.pixels.dtype) or 1.0
            alpha = np.full(self.pixels.shape[:2], top, self.pixels.dtype)
        return np.concatenate([self.pixels, alpha[..., None]], axis=2)


def white(dtype: np.dtype[np.generic] | type) -> float | None:
    """Return the largest value of a dtype of pixels.

    Parameters
    ----------
    dtype : numpy.dtype or type
        Dtype of pixels.

    Returns
    -------
    float or None
        255 or 65535; None for floats.
    """
    return _WHITE.get(np.dtype(dtype).name)


def pixel_suffixes() -> frozenset[str]:
    """Return the suffixes that `read_full_depth` takes, lower case, with the dot."""
    return image_suffixes() | {ARRAY_SUFFIX}


def read_full_depth(path: Path) -> DecodedImage:
    """Decode an image file or an array, keeping depth, channels and alpha.

    Parameters
    ----------
    path : pathlib.Path
        An image in any format that Pillow or tifffile reads, also 16 bit and
        floating-point TIFF with any number of channels; or a `.npy` array
        (rows, columns), (rows, columns, C) or (C, rows, columns): of first and last
        axis the shorter one counts channels, of equal ones the last. Integers other
        than uint8 and uint16 become float32.

    Returns
    -------
    DecodedImage
        Pixels and alpha; EXIF orientation applied, palettes resolved, CMYK as RGB.

    Raises
    ------
    UnreadableImageError
        If it is not an image, is damaged or too large, or has values that are
        not finite; the message is the reason alone.
    """
    try:
        if path.suffix.lower() == ARRAY_SUFFIX:
            return DecodedImage(_from_array(read_npy(path, _check_header)), None)
        return _from_file(read_regular(path))
    except UnreadableImageError:
        raise
    except UnreadableFileError as error:
        raise UnreadableImageError(str(error)) from None
    except MemoryError:
        raise UnreadableImageError("larger than the memory") from None


def _check_header(header: ArrayHeader) -> None:
    _check_array(header.shape, header.dtype)


def _check_array(shape: tuple[int, ...], dtype: np.dtype[Any], channels_last: bool = False) -> None:
    """Refuse an array that is not an image, or too large."""
    if len(shape) not in (2, 3) or dtype.kind not in "uifb" or not math.prod(shape):
        raise UnreadableImageError(
            f"an array of shape {shape} and dtype {dtype}; expected numbers, "
            "(rows, columns) or (rows, columns, channels)"
        )
    rows, columns, channels = (*shape, 1)[:3]
    if len(shape) == 3 and rows < channels and not channels_last:
        channels, rows, columns = shape
    if channels > MAX_CHANNELS:
        raise UnreadableImageError(f"{channels} channels, at most {MAX_CHANNELS}")
    high_bit_depth.check_size(columns, rows, channels * dtype.itemsize)


def _from_array(values: NDArray[np.generic], channels_last: bool = False) -> Pixels:
    _check_array(values.shape, values.dtype, channels_last)
    if values.ndim == 2:
        values = values[..., None]
    elif values.shape[0] < values.shape[2] and not channels_last:
        values = np.moveaxis(values, 0, -1)
    if values.dtype.name not in _WHITE:
        with np.errstate(over="ignore"):
            values = _finite(values.astype(np.float32))
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise UnreadableImageError(
            "holds values that are not finite (NaN or infinite), as missing ones are; fill them in "
            "first, as numpy.nan_to_num does"
        )
    return values


def _from_file(data: bytes) -> DecodedImage:
    notes = ImageNotices()
    planes = _planes_of_tiff(data, notes) if tiff.is_tiff(data) else None
    if planes is not None:
        return _noted(_from_array(planes, channels_last=True), None, notes)
    pixels = decode_image(data, notes)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):
        return _noted(np.ascontiguousarray(pixels[..., :-1]), pixels[..., -1], notes)
    return _noted(pixels, None, notes)


def _noted(pixels: Pixels, alpha: Pixels | None, notes: ImageNotices) -> DecodedImage:
    return DecodedImage(pixels, alpha, tuple(sorted(notes.notices)), notes.profile)


def _planes_of_tiff(data: bytes, notes: ImageNotices) -> NDArray[np.generic] | None:
    """Return the pixels of a TIFF that is not of grey, RGB or CMYK integers."""
    import tifffile

    def decode(data: bytes) -> NDArray[np.generic] | None:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages.first
            bands, name = page.samplesperpixel, getattr(page.photometric, "name", "")
            usual = bands <= (2 if name == "MINISBLACK" else 4)
            if usual and page.dtype in (np.uint8, np.uint16, bool):
                return None
            if page.dtype is None or page.dtype.kind not in "uif":
                raise UnreadableImageError(f"pixels of {page.dtype or 'an unknown kind'}")
            if bands > MAX_CHANNELS:
                raise UnreadableImageError(f"{bands} channels, at most {MAX_CHANNELS}")
            tiff.check_page(page)
            note_profile(tiff.profile_of(page), notes)
            values = _values(page, data)
            if tiff.is_missing(values, tiff.missing_value(page.tags)):
                if values.dtype not in (np.uint8, np.uint16):
                    raise UnreadableImageError(
                        "holds values that GDAL_NODATA marks as missing; fill them in first"
                    )
                notes.notices.add(NO_DATA)
            tag = page.tags.get(high_bit_depth.ORIENTATION)
        tiff.note_pages(data, notes)
        return high_bit_depth.apply_orientation(values, 1 if tag is None else int(tag.value))

    return guarded(decode, data)


def _values(page: Any, data: bytes) -> NDArray[np.generic]:
    """Return the values of a page as tifffile reads them, or where it cannot as Pillow does."""
    try:
        return tiff.page_values(page)
    except UnreadableImageError as reason:
        try:
            with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
                if image.mode not in ("F", "I") or page.dtype == np.uint32:
                    raise reason
                return np.asarray(image)
        except Image.UnidentifiedImageError:
            raise reason from None
