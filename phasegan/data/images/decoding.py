"""Decoding of image files to 8- or 16-bit integers.

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
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from phasegan.data.images import high_bit_depth, tiff
from phasegan.data.images.colour_profiles import is_srgb
from phasegan.data.images.high_bit_depth import Pixels, UnreadableImageError
from phasegan.data.images.notices import BAND, BLACK, FRAMES, NO_DATA, PROFILE, SIZES, ImageNotices

T = TypeVar("T")


class ImageFormat(NamedTuple):
    """A format that Pillow does not read, or reads only in part."""

    suffixes: frozenset[str]
    """Beyond Pillow's, lower case, with the dot."""
    matches: Callable[[bytes], bool]
    """Tells it from the bytes of a file."""
    decode: Callable[[bytes], Pixels]
    """Returns pixels of the full depth; raises `UnreadableImageError` with the reason."""
    depth: int = 8
    """Bits of what `decode` returns, 8 or 16."""


FORMATS = (ImageFormat(frozenset(), high_bit_depth.is_deep_pnm, high_bit_depth.decode_pnm, 16),)
"""Formats that are tried before Pillow's."""

# Suffixes that Pillow lists, of documents, videos and containers.
_NOT_IMAGES = {
    ".bufr", ".emf", ".eps", ".fit", ".fits", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".pdf",
    ".ps", ".wmf",
}  # fmt: skip

_USUAL = {"JPEG", "PNG", "BMP", "GIF"}

# Formats that Pillow hands to other programs or libraries, or unpacks without a limit.
_NOT_FORMATS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are taken, whatever a file's name is.

    The usual ones come first: some of the others are only known by trying to read them.
    """
    Image.init()
    formats = [name for name in Image.ID if name not in _NOT_FORMATS]
    return tuple(sorted(formats, key=lambda name: name not in _USUAL))


def image_suffixes() -> frozenset[str]:
    """Return the suffixes of image files, lower case, with the dot."""
    Image.init()
    own = frozenset[str]().union(*(image_format.suffixes for image_format in FORMATS))
    return frozenset(Image.registered_extensions()) - _NOT_IMAGES | own


def read_image(data: bytes, notes: ImageNotices | None = None) -> Pixels:
    """Decode an image file.

    Parameters
    ----------
    data : bytes
        The file's contents, in any format that Pillow or tifffile reads. Of
        several frames the first is taken. EXIF orientation is applied,
        palettes are resolved, CMYK becomes RGB, transparent parts are
        composited over black.
    notes : ImageNotices, optional
        Receives notices on parts that are left out.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 3).

    Raises
    ------
    UnreadableImageError
        If the bytes are not an image, are damaged, are larger than Pillow's
        limit, or hold other numbers than 8- or 16-bit integers.
    """
    notes = ImageNotices() if notes is None else notes
    return flatten_alpha(decode_image(data, notes), notes)


def decode_image(data: bytes, notes: ImageNotices) -> Pixels:
    """Decode an image file as `read_image` does, but keep alpha.

    Parameters
    ----------
    data : bytes
        The file's contents.
    notes : ImageNotices
        Receives notices on parts that are left out.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 2, 3 or 4); the last of 2
        and of 4 channels is alpha.
    """

    def decode(data: bytes) -> Pixels:
        image = open_image(data, notes)
        return image if isinstance(image, np.ndarray) else to_pixels(image)

    return guarded(decode, data)


def guarded(decode: Callable[[bytes], T], data: bytes) -> T:
    """Call a decoder, and turn whatever it raises into one line.

    Parameters
    ----------
    decode : callable
        Takes the bytes of a file.
    data : bytes
        The file's contents.

    Returns
    -------
    Any
        Result of the decoder.

    Raises
    ------
    UnreadableImageError
        If the decoder fails or there are no bytes; the message is the reason alone.
    """
    if not data:
        raise UnreadableImageError("the file is empty")
    try:
        return decode(data)
    except UnreadableImageError:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableImageError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise high_bit_depth.too_many_pixels_error() from None
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(f"damaged ({reason})") from None


@contextlib.contextmanager
def quiet_decoders() -> Iterator[None]:
    """Silence decoders' remarks on odd files; enter it in the main thread, around all workers."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_image(data: bytes, notes: ImageNotices) -> Pixels | Image.Image:
    """Decode the bytes, or open them with Pillow where Pillow reads the full depth.

    Parameters
    ----------
    data : bytes
        The file's contents.
    notes : ImageNotices
        Receives notices on parts that are left out.

    Returns
    -------
    numpy.ndarray or PIL.Image.Image
        With EXIF orientation applied.

    Raises
    ------
    UnreadableImageError
        If the image is too large or of an unsupported kind.
    """
    high_bit_depth.set_pixel_limit()
    for image_format in FORMATS:
        if image_format.matches(data):
            return image_format.decode(data)
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.UnidentifiedImageError:
        if tiff.is_tiff(data):
            return tiff.decode_tiff(data, notes)
        raise
    high_bit_depth.check_size(image.width, image.height)
    note_profile(image.info.get("icc_profile"), notes)
    if image.format == "TIFF":
        return _open_tiff(image, data, notes)
    if _has_frames(image, data):
        notes.notices.add(FRAMES)
    if image.format in ("ICO", "ICNS") and len(image.info.get("sizes", ())) > 1:
        notes.notices.add(SIZES)
    if high_bit_depth.is_deep_png(data):
        orientation = image.getexif().get(high_bit_depth.ORIENTATION, 1)
        return high_bit_depth.apply_orientation(high_bit_depth.decode_png(data), orientation)
    if image.format == "JPEG" and not image.info.keys() & _MAY_TURN:
        return image  # the right way up, and not to be copied
    return ImageOps.exif_transpose(image)


def _open_tiff(image: Any, data: bytes, notes: ImageNotices) -> Pixels | Image.Image:
    if tiff.is_deep_tiff(image):
        return tiff.decode_tiff(data, notes)
    if getattr(image, "is_animated", False):
        tiff.note_pages(data, notes)
    missing, extra_bands, alpha = (
        tiff.missing_value(image.tag_v2),
        *tiff.extra_bands(image.tag_v2),
    )
    upright = ImageOps.exif_transpose(image)
    if extra_bands > alpha:
        notes.notices.add(BAND)
        if not alpha and upright.mode in _WITHOUT_LAST:
            upright = upright.convert(_WITHOUT_LAST[upright.mode])
    if missing is not None and tiff.is_missing(np.asarray(upright), missing):
        notes.notices.add(NO_DATA)
    return upright


def _has_frames(image: Any, data: bytes) -> bool:
    """Tell an image with frames or pages after the first; layers of one are no frames."""
    if image.format == "PSD":
        return False
    if image.format == "GIF":  # which is read on to find out
        with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as another:
            return bool(getattr(another, "is_animated", False))
        return False
    return bool(getattr(image, "is_animated", False))


def note_profile(profile: Any, notes: ImageNotices) -> None:
    """Note an ICC profile other than sRGB.

    Parameters
    ----------
    profile : Any
        bytes; in damaged files other types.
    notes : ImageNotices
        Receives the profile.
    """
    if isinstance(profile, bytes) and profile and not is_srgb(profile):
        notes.profile = profile
        notes.notices.add(PROFILE)


_WITHOUT_LAST = {"RGBA": "RGB", "RGBX": "RGB", "LA": "L", "La": "L"}
_MAY_TURN = {"exif", "xmp", "XML:com.adobe.xmp"}


def to_pixels(image: Image.Image) -> Pixels:
    """Return the pixels of an image of any mode.

    Parameters
    ----------
    image : PIL.Image.Image
        Opened by Pillow.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (rows, columns[, 2, 3 or 4]).

    Raises
    ------
    UnreadableImageError
        If the pixels are floats or exceed 16 bits.
    """
    mode = image.mode
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if mode == "I":
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise UnreadableImageError(
                f"pixels from {wide.min()} to {wide.max()}; whole numbers from 0 to 65535 are taken"
            )
        return wide.astype(np.uint16)
    if mode == "F":
        raise UnreadableImageError("floating-point pixels; only 8- and 16-bit integers are taken")
    if mode in ("La", "PA") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    if mode in ("L", "RGB", "LA", "RGBA"):
        return np.asarray(image)
    if mode == "1":
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))


def flatten_alpha(pixels: Pixels, notes: ImageNotices) -> Pixels:
    """Composite pixels with alpha over black.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns[, 2, 3 or 4]).
    notes : ImageNotices
        Told if any pixel is transparent.

    Returns
    -------
    numpy.ndarray
        (rows, columns[, 3]), same dtype, rounded to nearest.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    top = 255 if pixels.dtype == np.uint8 else 65535
    if pixels[..., -1].min() < top:
        notes.notices.add(BLACK)
    alpha = pixels[..., -1:].astype(np.float64) / top
    colour = np.rint(pixels[..., :-1].astype(np.float64) * alpha).astype(pixels.dtype)
    return colour[..., 0] if colour.shape[2] == 1 else colour


def bit_depth(data: bytes) -> int:
    """Return the depth of the result of `read_image`, from the header alone.

    Parameters
    ----------
    data : bytes
        An image file; of a PNG the first 26 bytes are enough. What cannot be
        read counts as 8 bit.

    Returns
    -------
    int
        8 or 16.
    """
    if data.startswith(b"\xff\xd8"):
        return 8
    if data.startswith(high_bit_depth.PNG_SIGNATURE):
        return 16 if data[24:25] == b"\x10" else 8
    for image_format in FORMATS:
        if image_format.matches(data):
            return image_format.depth
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.UnidentifiedImageError:
        return tiff.tiff_depth(data) if tiff.is_tiff(data) else 8
    except Exception:  # an unreadable image is named when it is decoded
        return 8
    if image.format == "TIFF":
        return tiff.tiff_depth(data)
    return 16 if image.mode == "I" or image.mode.startswith("I;16") else 8
