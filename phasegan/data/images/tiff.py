"""TIFF: what Pillow reads of it only in part, its bands and its pages."""

from __future__ import annotations

import io
import itertools
import lzma
import zlib
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from phasegan.data.images.notices import BAND, FRAMES, MASK, NO_DATA, ImageNotices, note_profile
from phasegan.data.images.pixels import (
    MAX_CHANNELS,
    ORIENTATION,
    Pixels,
    UnreadableImageError,
    apply_orientation,
    check_size,
    inflated_size,
)
from phasegan.io.untrusted import MAX_IMAGE_BYTES

_BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA_SAMPLES = 258, 262, 277, 338
_SAMPLE_FORMAT, _DEPTH, _ICC_PROFILE, _GDAL_NODATA = 339, 32997, 34675, 42113
_SIGNED = 2
_ALPHA = (1, 2, 999)
"""Values of ExtraSamples that mean alpha: premultiplied, not, and as Corel Draw 10 writes it."""
_PREMULTIPLIED = 1
_COLOURS = {2: 3, 5: 4, 6: 3, 8: 3}
"""Bands that are colours by PhotometricInterpretation: RGB, CMYK, YCbCr, Lab; others have one."""
_REDUCED, _MASK = 1, 4
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DEFLATE = ("DEFLATE", "ADOBE_DEFLATE")
OTHERS = " (prepare --range LOW HIGH takes others)"
_GROWTH = 10_000
"""Bytes that a byte of a compressed strip may become."""
_WORDS = (np.uint8, np.uint16)
_WITHOUT_LAST = {"RGBA": "RGB", "RGBX": "RGB", "LA": "L", "La": "L"}


Data = bytes | IO[bytes]
"""A file's contents, or the open file, of which only what is needed is read."""


class Bands(NamedTuple):
    """A page of any numbers."""

    values: Pixels
    """(rows, columns[, bands]), in the dtype of the file."""
    missing: Any
    """bool, (rows, columns); None where they were not asked for."""
    mark: float | None
    """Value of missing pixels."""


def as_stream(data: Data) -> IO[bytes]:
    """Return a file at its start.

    Parameters
    ----------
    data : bytes or file
        Contents, or an open file.

    Returns
    -------
    file
        To be read and moved in.
    """
    if isinstance(data, bytes):
        return io.BytesIO(data)
    data.seek(0)
    return data


def open_pages(data: Data) -> Any:
    """Open a TIFF, and no other file that it may name.

    Parameters
    ----------
    data : bytes or file
        Contents, or an open file, which stays open.

    Returns
    -------
    tifffile.TiffFile
        To be closed.
    """
    import tifffile

    return tifffile.TiffFile(as_stream(data), name="a.tif", _multifile=False)


def missing_pixels(values: Pixels, mark: float | None) -> Any:
    """Tell which pixels are missing: NaN in any channel, or marked in it (integers: in all).

    Parameters
    ----------
    values : numpy.ndarray
        (rows, columns[, C]).
    mark : float or None
        Value of missing pixels.

    Returns
    -------
    numpy.ndarray
        bool, (rows, columns).
    """
    planes = values if values.ndim == 3 else values[..., None]
    if planes.dtype.kind != "f":
        marked = planes == np.float64(np.nan if mark is None else mark)
        return marked.all(axis=2)
    marked = ~np.isfinite(planes)
    if mark is not None:
        marked |= planes == planes.dtype.type(mark)
    return marked.any(axis=2)


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
    return data[:4] in _SIGNATURES


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
            _check_page(page)
            _to_words(_page_values(page))  # most of these are refused for their values
            return 16
    except Exception:  # an unreadable image is named when it is decoded
        return 8


def open_tiff(
    data: Data, notes: ImageNotices, image: Any = None, index: int | None = None
) -> Pixels | Image.Image:
    """Open a TIFF of grey, RGB or CMYK integers, with Pillow where it reads the full depth.

    Parameters
    ----------
    data : bytes
        The file.
    notes : ImageNotices
        Receives notices on parts that are left out.
    image : PIL.Image.Image, optional
        As Pillow opened it, if it could.
    index : int, optional
        A page; the first one by default, which notes that there are others.

    Returns
    -------
    numpy.ndarray or PIL.Image.Image
        uint8 or uint16, (rows, columns) or (rows, columns, 2, 3 or 4), where the last of 2
        and 4 channels is alpha; or Pillow's image of any mode. Orientation is applied.

    Raises
    ------
    UnreadableImageError
        If its pixels are not whole numbers from 0 to 65535 in grey, RGB or CMYK.
    """
    if image is None or _is_deep(image.tag_v2, image.mode):
        return _decode_colours(data, notes, index)
    tags = image.tag_v2
    if index is None and getattr(image, "is_animated", False):
        _note_pages(data, notes)
    missing, (extra_bands, alpha) = _missing_value(tags), _extra_bands(tags)
    upright = ImageOps.exif_transpose(image)
    if extra_bands > alpha:
        notes.notices.add(BAND)
        if not alpha and upright.mode in _WITHOUT_LAST:
            upright = upright.convert(_WITHOUT_LAST[upright.mode])
    if missing is not None and _is_missing(np.asarray(upright), missing):
        notes.notices.add(NO_DATA)
    return upright


def decode_bands(
    data: Data, notes: ImageNotices, index: int | None = None, nodata: bool = False
) -> Bands | None:
    """Decode a page of a TIFF that is not of grey, RGB or CMYK integers.

    Parameters
    ----------
    data : bytes
        The file.
    notes : ImageNotices
        Receives notices on parts that are left out, and the ICC profile.
    index : int, optional
        The page; the first one by default, which notes that there are others.
    nodata : bool
        Missing values are taken, and all numbers are read here.

    Returns
    -------
    Bands or None
        None for grey, RGB and CMYK integers, which `open_tiff` reads.

    Raises
    ------
    UnreadableImageError
        If it holds no numbers, is too large, or has missing values.
    """
    with open_pages(data) as file:
        page: Any = file.pages[index or 0]
        bands, name = page.samplesperpixel, getattr(page.photometric, "name", "")
        usual = bands <= (2 if name == "MINISBLACK" else 4)
        mark = _missing_value(page.tags)
        if usual and page.dtype in (*_WORDS, bool) and not (nodata and mark is not None):
            return None
        if page.dtype is None or page.dtype.kind not in "uif":
            raise UnreadableImageError(f"pixels of {page.dtype or 'an unknown kind'}")
        if bands > MAX_CHANNELS:
            raise UnreadableImageError(f"{bands} channels, at most {MAX_CHANNELS}")
        _check_page(page)
        profile = page.tags.get(_ICC_PROFILE)
        note_profile(getattr(profile, "value", None), notes)
        values = _any_values(page, data)
        if nodata:
            where = missing_pixels(values, mark)
            upright = [_upright(part, page, data, notes, index) for part in (values, where)]
            return Bands(upright[0], upright[1], mark)
        if _is_missing(values, mark):
            if values.dtype not in _WORDS:
                raise UnreadableImageError(
                    "holds values that GDAL_NODATA marks as missing; fill them in first"
                )
            notes.notices.add(NO_DATA)
        return Bands(_upright(values, page, data, notes, index), None, mark)


def _decode_colours(data: Data, notes: ImageNotices, index: int | None) -> Pixels:
    """Decode a page with tifffile to 8 or 16 bits of grey or RGB, perhaps with alpha."""
    with open_pages(data) as file:
        page: Any = file.pages[index or 0]
        _check_page(page)
        if page.dtype is None or page.dtype.kind not in "ui":
            raise UnreadableImageError(
                f"{page.dtype or 'unknown'} pixels; only 8- and 16-bit integers are taken{OTHERS}"
            )
        pixels = _to_words(_page_values(page))
        if _is_missing(pixels, _missing_value(page.tags)):
            notes.notices.add(NO_DATA)
        return _upright(_colours(pixels, page, notes), page, data, notes, index)


def _is_deep(tags: Any, mode: str) -> bool:
    """Tell a TIFF that Pillow would reduce to 8 bits or misread, by its tags and Pillow's mode."""
    if tags.get(_DEPTH, 1) != 1 or (_SIGNED in tags.get(_SAMPLE_FORMAT, ()) and mode != "I"):
        return True
    bits, white_is_zero = tags.get(_BITS, (1,)), tags.get(_PHOTOMETRIC) == 0
    return max(bits) > 8 and (len(bits) > 1 or mode == "RGB" or white_is_zero)


def _check_page(page: Any) -> None:
    """Refuse a page that is too large, or unpacks to too much, before memory is taken for it."""
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


def _page_values(page: Any) -> Pixels:
    """Return (rows, columns[, bands]) of a checked page, in its dtype."""
    try:
        values: Pixels = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        name = getattr(page.compression, "name", page.compression)
        raise UnreadableImageError(
            f"TIFF with {name} compression; it is read when the package imagecodecs is "
            "installed (pip install imagecodecs)"
        ) from None
    if getattr(page.planarconfig, "name", "") == "SEPARATE" and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    return values


def _any_values(page: Any, data: Data) -> Pixels:
    """Return the values of a page as tifffile reads them, or where it cannot as Pillow does."""
    try:
        return _page_values(page)
    except UnreadableImageError as reason:
        try:
            with Image.open(as_stream(data), formats=["TIFF"]) as image:
                image.seek(page.index)
                if image.mode not in ("F", "I") or page.dtype == np.uint32:
                    raise reason
                return np.asarray(image)
        except Image.UnidentifiedImageError:
            raise reason from None


def _upright(
    pixels: Pixels, page: Any, data: Data, notes: ImageNotices, index: int | None
) -> Pixels:
    """Apply the orientation of a page, and note the pages after the first."""
    if index is None:
        _note_pages(data, notes)
    tag = page.tags.get(ORIENTATION)
    return apply_orientation(pixels, 1 if tag is None else int(tag.value))


def _note_pages(data: Data, notes: ImageNotices) -> None:
    """Note masks and further pages, but no smaller copies of the first."""
    try:
        with open_pages(data) as file:
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


def _missing_value(tags: Any) -> float | None:
    """Return the value that GDAL_NODATA names in tags of tifffile or Pillow."""
    tag = tags.get(_GDAL_NODATA)
    try:
        return float(str(getattr(tag, "value", tag)).strip("\0 \n"))
    except ValueError:
        return None


def _is_missing(values: Pixels, mark: float | None) -> bool:
    """Tell whether any pixel has the mark: of integers all its channels, of floats one."""
    if mark is None:
        return False
    equal = values == np.float64(mark) if values.dtype.kind in "ui" else values == mark
    all_channels = values.dtype.kind in "ui" and values.ndim == 3
    return bool((equal.all(axis=2) if all_channels else equal).any())


def _extra_bands(tags: Mapping[int, Any]) -> tuple[int, bool]:
    """Count the bands after the colours, and tell whether ExtraSamples calls the first alpha."""
    count = int(tags.get(_SAMPLES, 1)) - _COLOURS.get(tags.get(_PHOTOMETRIC, -1), 1)
    extra = tags.get(_EXTRA_SAMPLES, ())
    return max(count, 0), count > 0 and bool(extra) and extra[0] in _ALPHA


def _to_words(values: Any) -> Pixels:
    """Return whole numbers of another type than uint8 and uint16 as uint16, as they are."""
    if values.dtype in _WORDS:
        return values
    low, high = int(values.min()), int(values.max())
    if values.dtype == np.int8 or low < 0 or high > 65535:
        raise UnreadableImageError(
            f"{values.dtype} pixels from {low} to {high}; taken are 8 bits without sign, and whole "
            f"numbers from 0 to 65535{OTHERS}"
        )
    return values.astype(np.uint16)


def _colours(pixels: Any, page: Any, notes: ImageNotices) -> Pixels:
    """Return the bands of a page as grey or RGB, with alpha if ExtraSamples calls one so."""
    photometric = getattr(page.photometric, "name", "unknown")
    extra = tuple(map(int, page.extrasamples))
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
        return top - pixels
    if photometric == "SEPARATED" and planes == 4:
        ink = pixels.astype(np.float64) / top
        return np.rint((1 - ink[..., :3]) * (1 - ink[..., 3:]) * top).astype(pixels.dtype)
    if (photometric, planes) in (("MINISBLACK", 2), ("RGB", 4)):
        return _divided(pixels) if extra[0] == _PREMULTIPLIED else pixels
    if (photometric, planes) in (("MINISBLACK", 1), ("RGB", 3)):
        return pixels
    raise UnreadableImageError(
        f"{planes} bands that the file calls {photometric}; taken are grey, RGB and CMYK"
    )


def _divided(pixels: Any) -> Pixels:
    """Return colours that were multiplied by alpha as they were before."""
    top = np.iinfo(pixels.dtype).max
    alpha = pixels[..., -1:].astype(np.float64)
    colours = pixels[..., :-1] * (top / np.maximum(alpha, 1))
    straight = np.concatenate([np.rint(colours.clip(0, top)), alpha], axis=2)
    return straight.astype(pixels.dtype)
