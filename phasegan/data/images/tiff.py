"""TIFF files that Pillow reads only in part, and the bands and pages of a TIFF.

Pixels are uint8 or uint16 arrays, (rows, columns) or (rows, columns, channels).
"""

from __future__ import annotations

import io
import itertools
import lzma
import zlib
from typing import Any

import numpy as np

from phasegan.data.images.high_bit_depth import (
    ORIENTATION,
    Pixels,
    UnreadableImageError,
    apply_orientation,
    check_size,
    inflated_size,
)
from phasegan.data.images.notices import BAND, FRAMES, MASK, NO_DATA, ImageNotices
from phasegan.io.untrusted import MAX_IMAGE_BYTES

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES = 258, 262, 277
_TIFF_EXTRA, _TIFF_FORMAT, _TIFF_DEPTH = 338, 339, 32997
_ICC_PROFILE, _GDAL_NODATA = 34675, 42113
_SIGNED = 2
_ALPHA = (1, 2, 999)
"""Values of ExtraSamples that mean alpha: premultiplied, not, and as Corel Draw 10 writes it."""
_PREMULTIPLIED = 1
_COLOURS = {2: 3, 5: 4, 6: 3, 8: 3}
"""Bands that are colours by PhotometricInterpretation: RGB, CMYK, YCbCr, Lab; others have one."""
_REDUCED, _MASK = 1, 4
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEFLATE = ("DEFLATE", "ADOBE_DEFLATE")
_GROWTH = 10_000
"""Bytes that a byte of a compressed strip may become."""


def is_tiff(data: bytes) -> bool:
    """Tell a TIFF or BigTIFF by its first bytes.

    Parameters
    ----------
    data : bytes
        At least 4 bytes of a file.

    Returns
    -------
    bool
        Whether it is one.
    """
    return data[:4] in _TIFF_SIGNATURES


def is_deep_tiff(image: Any) -> bool:
    """Tell a TIFF, opened by Pillow, that Pillow would reduce to 8 bits or misread.

    Parameters
    ----------
    image : PIL.Image.Image
        Image of format TIFF.

    Returns
    -------
    bool
        Whether tifffile has to read it.
    """
    tags = image.tag_v2
    bits = tags.get(_TIFF_BITS, (1,))
    if tags.get(_TIFF_DEPTH, 1) != 1 or (
        _SIGNED in tags.get(_TIFF_FORMAT, ()) and image.mode != "I"
    ):
        return True
    white_is_zero = tags.get(_TIFF_PHOTOMETRIC) == 0
    return max(bits) > 8 and (len(bits) > 1 or image.mode == "RGB" or white_is_zero)


def tiff_depth(data: bytes) -> int:
    """Return the depth of a TIFF.

    Parameters
    ----------
    data : bytes
        A file.

    Returns
    -------
    int
        16 for integers of more than 8 bits that can be read, else 8.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages.first
            dtype = page.dtype
            if dtype == np.uint16 or dtype is None or dtype.kind not in "ui" or dtype.itemsize == 1:
                return 16 if dtype == np.uint16 else 8
            check_page(page)
            _as_words(page_values(page))  # most of these are refused for their values
            return 16
    except Exception:  # an unreadable image is named when it is decoded
        return 8


def check_page(page: Any) -> None:
    """Refuse a page of a TIFF, opened by tifffile, before memory is taken for it.

    Parameters
    ----------
    page : tifffile.TiffPage
        Not decoded yet.

    Raises
    ------
    UnreadableImageError
        If it, or one of its tiles, is larger than `check_size` allows, or its strips
        unpack to more than that.
    """
    if page.imagedepth > 1:
        raise UnreadableImageError(f"a volume of {page.imagedepth} planes, not a picture")
    each = page.samplesperpixel * max(page.bitspersample // 8, 1)
    check_size(page.imagewidth, page.imagelength, each)
    if page.is_tiled:
        check_size(page.tilewidth, page.tilelength * max(page.tiledepth, 1), each)
    name = getattr(page.compression, "name", "")
    if name in (*_DEFLATE, "LZMA"):  # which tifffile unpacks without a limit
        stream = page.parent.filehandle
        for place, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            if count * _GROWTH > MAX_IMAGE_BYTES:
                stream.seek(place)
                unpacker = zlib.decompressobj() if name in _DEFLATE else lzma.LZMADecompressor()
                if inflated_size(unpacker, [stream.read(count)], MAX_IMAGE_BYTES) > MAX_IMAGE_BYTES:
                    raise UnreadableImageError("damaged (a strip is larger than the picture)")


def page_values(page: Any) -> Pixels:
    """Decode a page of a TIFF, opened by tifffile.

    Parameters
    ----------
    page : tifffile.TiffPage
        Checked by `check_page`.

    Returns
    -------
    numpy.ndarray
        (rows, columns[, channels]), in the page's dtype.

    Raises
    ------
    UnreadableImageError
        If it takes the package imagecodecs to read them, and that is not installed.
    """
    try:
        values: Pixels = page.asarray()
    except ValueError as error:
        if "imagecodecs" in str(error):
            name = getattr(page.compression, "name", page.compression)
            raise UnreadableImageError(
                f"TIFF with {name} compression; it is read when the package imagecodecs is "
                "installed (pip install imagecodecs)"
            ) from None
        raise
    if getattr(page.planarconfig, "name", "") == "SEPARATE" and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    return values


def note_pages(data: bytes, notes: ImageNotices) -> None:
    """Note masks and further pages of a TIFF, but no smaller copies of the first.

    Parameters
    ----------
    data : bytes
        A file.
    notes : ImageNotices
        Receives the notices.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            for page in itertools.islice(file.pages, 1, None):
                kind = int(getattr(page, "subfiletype", 0))
                if kind & _MASK:
                    notes.notices.add(MASK)
                elif not kind & _REDUCED:
                    notes.notices.add(FRAMES)
                    return
            if file.is_imagej and int((file.imagej_metadata or {}).get("images", 1)) > 1:
                notes.notices.add(FRAMES)  # of large stacks ImageJ describes one page alone
    except Exception:  # decoders raise whatever they like on damaged bytes
        notes.notices.add(FRAMES)


def missing_value(tags: Any) -> float | None:
    """Return the value that GDAL_NODATA names.

    Parameters
    ----------
    tags : mapping
        Tags of tifffile or Pillow.

    Returns
    -------
    float or None
        None without the tag.
    """
    tag = tags.get(_GDAL_NODATA)
    text = str(getattr(tag, "value", tag)).strip("\0 \n")
    try:
        return float(text)
    except ValueError:
        return None


def is_missing(values: Pixels, mark: float | None) -> bool:
    """Tell whether any pixel has the value that marks missing data.

    Parameters
    ----------
    values : numpy.ndarray
        (rows, columns[, channels]); integers count if all channels have it.
    mark : float or None
        As `missing_value` returns it.

    Returns
    -------
    bool
        False without a mark.
    """
    if mark is None:
        return False
    equal = values == np.float64(mark) if values.dtype.kind in "ui" else values == mark
    all_channels = values.dtype.kind in "ui" and values.ndim == 3
    return bool((equal.all(axis=2) if all_channels else equal).any())


def profile_of(page: Any) -> bytes | None:
    """Return the ICC profile of a page of a TIFF, opened by tifffile.

    Parameters
    ----------
    page : tifffile.TiffPage
        Any.

    Returns
    -------
    bytes or None
        None without a profile.
    """
    tag = page.tags.get(_ICC_PROFILE)
    return tag.value if tag is not None and isinstance(tag.value, bytes) else None


def extra_bands(tags: Any) -> tuple[int, bool]:
    """Count the bands after the colours of a TIFF, and tell whether the first of them is alpha.

    Parameters
    ----------
    tags : mapping
        As Pillow gives them. A band is alpha only where ExtraSamples says so.

    Returns
    -------
    (int, bool)
        Bands, and whether the first is alpha.
    """
    photometric = tags.get(_TIFF_PHOTOMETRIC)
    count = int(tags.get(_TIFF_SAMPLES, 1)) - _COLOURS.get(photometric, 1)
    extra = tags.get(_TIFF_EXTRA, ())
    return max(count, 0), count > 0 and bool(extra) and extra[0] in _ALPHA


def _divided(pixels: Any) -> Pixels:
    """Return colours that were multiplied by alpha as they were before."""
    top = np.iinfo(pixels.dtype).max
    alpha = pixels[..., -1:].astype(np.float64)
    colours = pixels[..., :-1] * (top / np.maximum(alpha, 1))
    straight = np.concatenate([np.rint(colours.clip(0, top)), alpha], axis=2)
    return straight.astype(pixels.dtype)


def _as_words(values: Pixels) -> Pixels:
    """Return whole numbers of another type as uint16, as they are."""
    low, high = int(values.min()), int(values.max())
    if values.dtype == np.int8 or low < 0 or high > 65535:
        raise UnreadableImageError(
            f"{values.dtype} pixels from {low} to {high}; taken are 8 bits without sign, and whole "
            "numbers from 0 to 65535"
        )
    return values.astype(np.uint16)


def decode_tiff(data: bytes, notes: ImageNotices) -> Pixels:
    """Decode the first page of a TIFF with tifffile.

    Parameters
    ----------
    data : bytes
        The file.
    notes : ImageNotices
        Receives notices on parts that are left out.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 2, 3 or 4), where
        the last of 2 and 4 channels is alpha.

    Raises
    ------
    UnreadableImageError
        If its pixels are not whole numbers from 0 to 65535 in grey, RGB or CMYK.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first
        check_page(page)
        if page.dtype is None or page.dtype.kind not in "ui":
            raise UnreadableImageError(
                f"{page.dtype or 'unknown'} pixels; only 8- and 16-bit integers are taken"
            )
        pixels: Any = page_values(page)
        if pixels.dtype not in (np.uint8, np.uint16):
            pixels = _as_words(pixels)
        photometric = getattr(page.photometric, "name", "unknown")
        tag = page.tags.get(ORIENTATION)
        orientation = 1 if tag is None else int(tag.value)
        extra = tuple(map(int, page.extrasamples))
        if is_missing(pixels, missing_value(page.tags)):
            notes.notices.add(NO_DATA)
    note_pages(data, notes)
    top = np.iinfo(pixels.dtype).max
    planes = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3 and planes == 1:
        pixels = pixels[..., 0]
    colours = {"RGB": 3, "SEPARATED": 4}.get(photometric, 1)
    alpha = bool(extra) and extra[0] in _ALPHA and photometric != "SEPARATED"
    if planes > colours + alpha and (colours > 1 or planes == 2):
        notes.notices.add(BAND)
        planes = colours + alpha
        pixels = pixels[..., 0] if planes == 1 else pixels[..., :planes]
    if photometric == "MINISWHITE" and planes == 1:
        pixels = top - pixels
    elif photometric == "SEPARATED" and planes == 4:
        ink = pixels.astype(np.float64) / top
        colour = (1 - ink[..., :3]) * (1 - ink[..., 3:])
        pixels = np.rint(colour * top).astype(pixels.dtype)
    elif (photometric, planes) in (("MINISBLACK", 2), ("RGB", 4)):
        if extra[0] == _PREMULTIPLIED:
            pixels = _divided(pixels)
    elif (photometric, planes) not in (("MINISBLACK", 1), ("RGB", 3)):
        raise UnreadableImageError(
            f"{planes} bands that the file calls {photometric}; taken are grey, RGB and CMYK"
        )
    return apply_orientation(pixels, orientation)
