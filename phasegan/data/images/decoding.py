"""Decoding of image files.

`read_full_depth` keeps depth, channels and alpha; `read_image` reduces to what `prepare` takes.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from phasegan.data.images import stacks, tiff
from phasegan.data.images.deep_png import PNG_SIGNATURE, decode_png
from phasegan.data.images.notices import BLACK, CUT, FRAMES, SIZES, ImageNotices, note_profile
from phasegan.data.images.pixels import (
    ORIENTATION,
    DecodedImage,
    Pixels,
    UnreadableImageError,
    apply_orientation,
    check_size,
    set_pixel_limit,
    too_many_pixels_error,
    white,
)
from phasegan.data.images.reading import DEFAULT, Reading, to_words
from phasegan.data.images.resizing import to_shape
from phasegan.io.untrusted import UnreadableFileError, open_regular, read_head, read_regular

T = TypeVar("T")
D = TypeVar("D")

ARRAY_SUFFIXES = frozenset({".npy", ".npz", ".mat"})
DEEP_SUFFIXES = ARRAY_SUFFIXES | {".nii", ".nii.gz", ".dcm", ".dicom", ".ima"}
"""Of files that Pillow does not know."""
STACK_SUFFIXES = frozenset({".tif", ".tiff"})
ANIMATED_SUFFIXES = frozenset({".gif", ".webp", ".png", ".apng"})
_ANIMATED, _DEEP = tuple(ANIMATED_SUFFIXES), tuple(DEEP_SUFFIXES)
_PAGED = (*ANIMATED_SUFFIXES, *STACK_SUFFIXES, *DEEP_SUFFIXES)
_PNM_HEADER = re.compile(rb"P([56])(?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s+(\d+)\s")


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


def _is_deep_pnm(data: bytes) -> bool:
    """Tell a binary PGM or PPM with a maximum above 255."""
    header = _PNM_HEADER.match(data[:1000])
    return header is not None and int(header[4]) > 255


def _decode_pnm(data: bytes) -> Pixels:
    """Decode a binary PGM or PPM of more than 8 bits, scaled to the full range."""
    header = _PNM_HEADER.match(data[:1000])
    assert header is not None
    kind, columns, rows, top = (int(group) for group in header.groups())
    planes = 3 if kind == 6 else 1
    check_size(columns, rows, 2 * planes)
    count = rows * columns * planes
    if top > 65535 or len(data) < header.end() + 2 * count:
        raise UnreadableImageError("damaged (its header promises more than there is)")
    values = np.frombuffer(data, ">u2", count, header.end()).astype(np.float64)
    pixels = np.rint(np.minimum(values, top) * (65535 / top)).astype(np.uint16)
    return pixels.reshape((rows, columns, planes))


FORMATS = (ImageFormat(frozenset(), _is_deep_pnm, _decode_pnm, 16),)
"""Formats that are tried before Pillow's."""

# Suffixes that Pillow lists, of documents, videos and containers.
_NOT_IMAGES = {
    ".bufr", ".emf", ".eps", ".fit", ".fits", ".grib", ".h5", ".hdf", ".mpeg", ".mpg", ".pdf",
    ".ps", ".wmf",
}  # fmt: skip

_USUAL = {"JPEG", "PNG", "BMP", "GIF"}

# Formats that Pillow hands to other programs or libraries, or unpacks without a limit.
_NOT_FORMATS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"}

_MAY_TURN = {"exif", "xmp", "XML:com.adobe.xmp"}


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are taken, whatever a file's name is.

    The usual ones come first: some of the others are only known by trying to read them.
    """
    Image.init()
    formats = [name for name in Image.ID if name not in _NOT_FORMATS]
    return tuple(sorted(formats, key=lambda name: name not in _USUAL))


def _identified(data: bytes) -> Image.Image:
    """Open a file with Pillow; for a JPEG or PNG no other plugin has to be loaded."""
    usual = data.startswith((b"\xff\xd8\xff", PNG_SIGNATURE))
    return Image.open(io.BytesIO(data), formats=("JPEG", "PNG") if usual else _formats())


def image_suffixes() -> frozenset[str]:
    """Return the suffixes of image files, lower case, with the dot."""
    Image.init()
    own = frozenset[str]().union(*(image_format.suffixes for image_format in FORMATS))
    return frozenset(Image.registered_extensions()) - _NOT_IMAGES | own


def pixel_suffixes() -> frozenset[str]:
    """Return the suffixes that `read_full_depth` takes, lower case, with the dot."""
    return image_suffixes() | DEEP_SUFFIXES


def read_image(data: bytes, notes: ImageNotices | None = None) -> Pixels:
    """Decode an image file to 8- or 16-bit grey or RGB.

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
    return _over_black(_decode(data, notes), notes)


def read_fitted(
    data: bytes,
    shape: tuple[int, int],
    channels: str,
    bits: int,
    how: str,
    notes: ImageNotices | None = None,
) -> Pixels:
    """Decode an image file and fit it: `to_shape(read_image(data), …)`.

    Common images stay with Pillow until they are small; the result is the same.

    Parameters
    ----------
    data : bytes
        The file's contents.
    shape, channels, bits, how
        As of `phasegan.data.images.resizing.to_shape`.
    notes : ImageNotices, optional
        Receives notices on parts that are left out.

    Returns
    -------
    numpy.ndarray
        (N₁, N₂[, 3]), uint8 or uint16.

    Raises
    ------
    UnreadableImageError
        If it cannot be decoded, or is smaller than that.
    """
    image_notices = ImageNotices() if notes is None else notes

    def decode(data: bytes) -> Pixels:
        image = _open(data, image_notices)
        if not isinstance(image, Image.Image) or bits != 8 or how == "pad" or not _is_plain(image):
            image = _over_black(_to_decoded(image, image_notices), image_notices)
        return to_shape(image, shape, channels, bits, how)

    return _guarded(decode, data)


def read_full_depth(
    path: Path, page: int | None = None, reading: Reading = DEFAULT
) -> DecodedImage:
    """Decode an image file or an array, keeping depth, channels and alpha.

    Parameters
    ----------
    path : pathlib.Path
        An image in any format that Pillow or tifffile reads, also 16 bit and
        floating-point TIFF with any number of channels; a `.npy`, `.npz` or `.mat` array
        (rows, columns), (rows, columns, C) or (C, rows, columns): of first and last
        axis the shorter one counts channels, of equal ones the last; a NIfTI or DICOM file.
        Integers other than uint8 and uint16 become float32.
    page : int, optional
        Which of the pictures that `page_count` counts.
    reading : Reading
        Pages, axes and missing values.

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
    return _readable(lambda: _read(path, page, reading))


def page_count(path: str | os.PathLike[str], reading: Reading) -> int | None:
    """Return how many pictures a file holds.

    Parameters
    ----------
    path : path
        The file.
    reading : Reading
        What pages are.

    Returns
    -------
    int or None
        None for one picture, and where it cannot be read, which reading it will say.
    """
    name = os.fspath(path)
    lower = name.lower()
    if reading.pages == "first" or not lower.endswith(_PAGED):
        return None
    try:
        if lower.endswith(_ANIMATED) and _is_still(name, reading):
            return None
        with quiet_decoders():
            count = _count(Path(path), file_suffix(name), reading)
    except Exception:  # decoders raise whatever they like; the reason is said when it is read
        return None
    return count if count is not None and count > 1 else None


def _is_still(name: str, reading: Reading) -> bool:
    """Tell a file that animations could be, but that is not read as one, by its first bytes."""
    if not reading.animations or reading.pages == "channels":
        return True
    return stacks.is_still(read_head(name, stacks.HEAD))


def file_suffix(name: str) -> str:
    """Return the suffix of a file, lower case, with the dot.

    Parameters
    ----------
    name : str
        Name or path.

    Returns
    -------
    str
        `.nii.gz` whole.
    """
    name = name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else os.path.splitext(name)[1]


def _count(path: Path, suffix: str, reading: Reading) -> int | None:
    if suffix in DEEP_SUFFIXES:
        if suffix in ARRAY_SUFFIXES:
            from phasegan.data.images import arrays  # which most processes never need

            return arrays.array_pages(arrays.open_array(path, reading.variable), reading)
        from phasegan.data.images import medical

        return medical.slice_count(path, suffix, reading)
    if suffix in STACK_SUFFIXES:
        with open_regular(path) as stream:
            if not _is_tiff(stream) or stacks.is_single_tiff(stream):
                return None
            stream.seek(0)
            return len(stacks.tiff_units(stream, reading))
    with open_regular(path) as stream:
        return stacks.frame_count(stream)


def _is_tiff(stream: IO[bytes]) -> bool:
    head = stream.read(4)
    stream.seek(0)
    return tiff.is_tiff(head)


def _read(path: Path, page: int | None, reading: Reading) -> DecodedImage:
    suffix = file_suffix(path.name)
    if suffix in DEEP_SUFFIXES:
        if suffix in ARRAY_SUFFIXES:
            from phasegan.data.images import arrays

            return arrays.read_array(arrays.open_array(path, reading.variable), page, reading)
        from phasegan.data.images import medical

        return medical.read_slice(path, suffix, page, reading)
    if suffix in STACK_SUFFIXES and reading.pages != "first":
        with open_regular(path) as stream:
            if _is_tiff(stream):
                units = _guarded(lambda stream: stacks.tiff_units(stream, reading), stream)
                if len(units) > 1 or len(units[0]) > 1 or units[0][0].plane is not None:
                    image = _decode_unit(stream, units[page or 0], reading)
                    left = {FRAMES} if page is None and len(units) > 1 else set()
                    return image._replace(notices=tuple(sorted({*image.notices, *left})))
    if page is not None:
        with open_regular(path) as stream:
            notes = ImageNotices()
            return _guarded(lambda s: _to_decoded(stacks.read_frame(s, page, notes), notes), stream)
    return _decode(read_regular(path), ImageNotices(), full_depth=True, reading=reading)


def _decode_unit(stream: IO[bytes], unit: tuple[Any, ...], reading: Reading) -> DecodedImage:
    """Decode the pages of one picture of a TIFF, of which more than one are its channels."""
    from phasegan.data.images import arrays

    def decode(page: Any) -> DecodedImage:
        if page.plane is not None:
            values = stacks.read_plane(stream, page)
            last = reading._replace(channel_axis="last")
            return arrays.from_values(values, last)._replace(axis=None)
        notes = ImageNotices()
        bands = tiff.decode_bands(stream, notes, page.number, reading.nodata is not None)
        if bands is not None:
            return _from_bands(bands, notes, reading)
        with contextlib.suppress(Image.UnidentifiedImageError):
            image = Image.open(tiff.as_stream(stream), formats=("TIFF",))
            image.seek(page.number)
            check_size(image.width, image.height)
            note_profile(image.info.get("icc_profile"), notes)
            return _to_decoded(tiff.open_tiff(stream, notes, image, page.number), notes)
        return _to_decoded(tiff.open_tiff(stream, notes, None, page.number), notes)

    set_pixel_limit()
    pictures = [_guarded(decode, page) for page in unit]
    if len(pictures) == 1:
        return pictures[0]
    pixels = stacks.joined([picture.pixels for picture in pictures])
    masks = [picture.missing for picture in pictures if picture.missing is not None]
    missing = np.logical_or.reduce(masks) if masks else None
    return pictures[0]._replace(pixels=pixels, alpha=None, missing=missing, axis="pages")


def _from_bands(bands: tiff.Bands, notes: ImageNotices, reading: Reading) -> DecodedImage:
    """Return a page of any numbers as a picture."""
    from phasegan.data.images import arrays

    last = reading._replace(channel_axis="last")
    image = arrays.from_values(bands.values, last, bands.missing, bands.mark)
    return image._replace(axis=None, notices=tuple(sorted(notes.notices)), profile=notes.profile)


def _readable(read: Callable[[], T]) -> T:
    """Call what reads a file, and turn its errors into reasons of one line."""
    try:
        return read()
    except UnreadableImageError:
        raise
    except UnreadableFileError as error:
        raise UnreadableImageError(str(error)) from None
    except MemoryError:
        raise UnreadableImageError("larger than the memory") from None


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


def is_array(name: str) -> bool:
    """Tell a file that Pillow does not know by its name.

    Parameters
    ----------
    name : str
        Name or path.

    Returns
    -------
    bool
        Arrays, NIfTI and DICOM.
    """
    return name.lower().endswith(_DEEP)


def to_integers(image: DecodedImage, reading: Reading) -> tuple[Pixels, tuple[str, ...]]:
    """Reduce an image of any numbers to what `prepare` takes.

    Parameters
    ----------
    image : DecodedImage
        At full depth.
    reading : Reading
        Limits, which floats need.

    Returns
    -------
    (numpy.ndarray, tuple of str)
        uint8 or uint16, (rows, columns) or (rows, columns, 3), over black; and the notices.

    Raises
    ------
    UnreadableImageError
        If it has other channels, or floats and there are no limits.
    """
    channels = image.pixels.shape[2]
    if channels not in (1, 3):
        raise UnreadableImageError(
            f"{channels} channels; phases are of grey or RGB (--pages samples takes pages one by "
            "one)"
        )
    notes = ImageNotices(set(image.notices))
    if reading.limits is not None:
        low, high = reading.limits
        if image.pixels.min() < low or image.pixels.max() > high:
            notes.notices.add(CUT)
        image = image._replace(pixels=to_words(image.pixels, reading.limits))
    elif image.pixels.dtype.kind == "f":
        raise UnreadableImageError(
            "values other than 8- and 16-bit integers; --range LOW HIGH says which become black "
            "and white"
        )
    return _over_black(image, notes), tuple(sorted(notes.notices))


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
    if data.startswith(PNG_SIGNATURE):
        return 16 if data[24:25] == b"\x10" else 8
    for image_format in FORMATS:
        if image_format.matches(data):
            return image_format.depth
    try:
        image = _identified(data)
    except Image.UnidentifiedImageError:
        return tiff.tiff_depth(data) if tiff.is_tiff(data) else 8
    except Exception:  # an unreadable image is named when it is decoded
        return 8
    if image.format == "TIFF":
        return tiff.tiff_depth(data)
    return 16 if image.mode == "I" or image.mode.startswith("I;16") else 8


def _decode(
    data: bytes, notes: ImageNotices, full_depth: bool = False, reading: Reading = DEFAULT
) -> DecodedImage:
    """Decode an image file; in full depth a TIFF of any numbers and any bands, too."""
    if full_depth and tiff.is_tiff(data):
        filled = reading.nodata is not None
        bands = _guarded(lambda data: tiff.decode_bands(data, notes, None, filled), data)
        if bands is not None:
            return _from_bands(bands, notes, reading)
    return _guarded(lambda data: _to_decoded(_open(data, notes), notes), data)


def _guarded(decode: Callable[[D], T], data: D) -> T:
    """Call a decoder, and turn whatever it raises into an `UnreadableImageError` of one line."""
    if not data:
        raise UnreadableImageError("the file is empty")
    try:
        return decode(data)
    except UnreadableImageError:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableImageError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise too_many_pixels_error() from None
    except Exception as error:  # decoders raise whatever they like on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(f"damaged ({reason})") from None


def _open(data: bytes, notes: ImageNotices) -> Pixels | Image.Image:
    """Decode the bytes, or open them with Pillow where Pillow reads the full depth; upright.

    Of an array of 2 or 4 channels the last is alpha.
    """
    set_pixel_limit()
    for image_format in FORMATS:
        if image_format.matches(data):
            return image_format.decode(data)
    try:
        image = _identified(data)
    except Image.UnidentifiedImageError:
        if tiff.is_tiff(data):
            return tiff.open_tiff(data, notes)
        raise
    check_size(image.width, image.height)
    note_profile(image.info.get("icc_profile"), notes)
    if image.format == "TIFF":
        return tiff.open_tiff(data, notes, image)
    if _has_frames(image, data):
        notes.notices.add(FRAMES)
    if image.format in ("ICO", "ICNS") and len(image.info.get("sizes", ())) > 1:
        notes.notices.add(SIZES)
    if _is_deep_png(data):
        orientation = image.getexif().get(ORIENTATION, 1)
        return apply_orientation(decode_png(data), orientation)
    if image.format == "JPEG" and not image.info.keys() & _MAY_TURN:
        return image  # the right way up, and not to be copied
    return ImageOps.exif_transpose(image)


def _to_decoded(image: Pixels | Image.Image, notes: ImageNotices) -> DecodedImage:
    """Return uint8 or uint16 pixels and the alpha of an image that was opened."""
    pixels = image if isinstance(image, np.ndarray) else _to_pixels(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    alpha = None
    if pixels.shape[2] in (2, 4):
        pixels, alpha = np.ascontiguousarray(pixels[..., :-1]), pixels[..., -1]
    return DecodedImage(pixels, alpha, tuple(sorted(notes.notices)), notes.profile)


def _over_black(image: DecodedImage, notes: ImageNotices) -> Pixels:
    """Composite an image over black, rounded to nearest: (rows, columns[, 3])."""
    pixels, alpha = image.pixels, image.alpha
    if alpha is not None:
        top = white(alpha.dtype) or 1.0
        if alpha.min() < top:
            notes.notices.add(BLACK)
        share = alpha[..., None].astype(np.float64) / top
        pixels = np.rint(pixels.astype(np.float64) * share).astype(pixels.dtype)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _is_plain(image: Image.Image) -> bool:
    """Tell grey or RGB of 8 bits, without alpha."""
    return image.mode in ("L", "RGB") and "transparency" not in image.info


def _has_frames(image: Any, data: bytes) -> bool:
    """Tell an image with frames or pages after the first; layers of one are no frames."""
    if image.format == "PSD":
        return False
    if image.format == "GIF":  # which is read on to find out
        with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as another:
            return bool(getattr(another, "is_animated", False))
        return False
    return bool(getattr(image, "is_animated", False))


def _to_pixels(image: Image.Image) -> Pixels:
    """Return uint8 or uint16, (rows, columns[, 2, 3 or 4]), of an image of any mode."""
    mode = image.mode
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if mode == "I":
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise UnreadableImageError(
                f"pixels from {wide.min()} to {wide.max()}; whole numbers from 0 to 65535 are taken"
                f"{tiff.OTHERS}"
            )
        return wide.astype(np.uint16)
    if mode == "F":
        raise UnreadableImageError(
            f"floating-point pixels; only 8- and 16-bit integers are taken{tiff.OTHERS}"
        )
    if mode in ("La", "PA") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    if mode in ("L", "RGB", "LA", "RGBA"):
        return np.asarray(image)
    return np.asarray(image.convert("L" if mode == "1" else "RGB"))


def _is_deep_png(data: bytes) -> bool:
    """Tell a PNG of 16 bits with colour or alpha; Pillow reads grey without transparency."""
    deep = data.startswith(PNG_SIGNATURE) and data[24:25] == b"\x10"
    return deep and (data[25:26] != b"\0" or b"tRNS" in data[:4096])
