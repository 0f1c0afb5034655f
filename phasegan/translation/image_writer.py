"""Pixels into files of the format that a suffix names.

Pixels are uint8, uint16 or float32 arrays (rows, columns, channels); alpha is
(rows, columns) of the same dtype.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phasegan.data.images.pixels import DecodedImage, Pixels
from phasegan.errors import InputError
from phasegan.io.atomic import atomic_file

FALLBACK_SUFFIXES = (".png", ".tif", ".npy")
"""Suffixes that a result may get instead of its picture's."""

_JPEG_QUALITY = 95
TIFF_SUFFIXES = (".tif", ".tiff")
"""Suffixes of files that hold stacks."""
_EIGHT_BIT = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
}
_PROFILE_SUFFIXES = {*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".webp"}
PLAIN_SUFFIXES = {*_EIGHT_BIT, ".npy"} - _PROFILE_SUFFIXES
"""Suffixes of results that hold no ICC profile."""
_CHANNELS = {".ppm": (3,), ".pgm": (1,), ".webp": (3,)}


def can_hold(suffix: str, pixels: Pixels, alpha: Pixels | None, *, planar: bool = False) -> bool:
    """Return whether a format can hold pixels without loss of depth, channels or alpha.

    Parameters
    ----------
    suffix : str
        Lower case, with the dot.
    pixels : numpy.ndarray
        (rows, columns, channels), uint8, uint16 or float32.
    alpha : numpy.ndarray or None
        (rows, columns), of the same dtype.
    planar : bool
        Channels are pages of their own.

    Returns
    -------
    bool
        False for unknown suffixes.
    """
    channels = pixels.shape[2]
    if suffix in TIFF_SUFFIXES:  # the last of 2 or 4 integer channels is taken for alpha
        return planar or pixels.dtype.kind == "f" or channels not in (2, 4)
    if suffix == ".npy":
        return True
    if suffix == ".png":
        return pixels.dtype.kind == "u" and channels in (1, 3)
    if suffix not in _EIGHT_BIT or pixels.dtype != np.uint8:
        return False
    return channels in _CHANNELS.get(suffix, (1, 3)) and (alpha is None or suffix == ".webp")


def choose_suffix(
    suffix: str, pixels: Pixels, alpha: Pixels | None, *, planar: bool = False
) -> str:
    """Return a suffix, or that of a format that can hold the pixels.

    Parameters
    ----------
    suffix : str
        The one to keep if it can be kept.
    pixels, alpha, planar
        As of `can_hold`.

    Returns
    -------
    str
        `suffix`, or one of `FALLBACK_SUFFIXES`.
    """
    for candidate in (suffix, *FALLBACK_SUFFIXES):
        if can_hold(candidate.lower(), pixels, alpha, planar=planar):
            return candidate
    raise AssertionError("arrays hold everything")


def can_hold_profile(suffix: str) -> bool:
    """Return whether files with a suffix hold an ICC profile.

    Parameters
    ----------
    suffix : str
        Lower case, with the dot.

    Returns
    -------
    bool
        True for TIFF, PNG, JPEG and WebP.
    """
    return suffix in _PROFILE_SUFFIXES


def write_pixels(
    path: Path,
    pixels: Pixels,
    alpha: Pixels | None = None,
    profile: bytes | None = None,
    *,
    axis: str | None = None,
    mark: float | None = None,
) -> None:
    """Write a picture atomically.

    Parameters
    ----------
    path : pathlib.Path
        Its suffix names the format: PNG, TIFF, npy, and for 8 bit JPEG, WebP, BMP, PNM.
        In an array, alpha is the last channel.
    pixels, alpha : numpy.ndarray
        The picture.
    profile : bytes, optional
        Its ICC profile; formats that hold none leave it out, see `can_hold_profile`.
    axis : {"pages", "first", "last", "none"} or None
        Where the channels of the input stood, as `DecodedImage.axis` says: they stand there in
        an array, and on pages of a TIFF, too.
    mark : float, optional
        Value of missing pixels, which a TIFF names.

    Raises
    ------
    InputError
        If the format cannot hold the pixels.
    """
    suffix = path.suffix.lower()
    planar = axis == "pages"
    if not can_hold(suffix, pixels, alpha, planar=planar):
        kind = f"{pixels.shape[2]} channels of {pixels.dtype}"
        raise InputError(
            f"{path}: {suffix or 'a file without suffix'} cannot hold {kind}"
            f"{' and alpha' if alpha is not None else ''}; name it "
            f"{path.stem}{choose_suffix('', pixels, alpha)}"
        )
    channels_and_alpha = (
        pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], axis=2)
    )
    with atomic_file(path) as temporary:
        if suffix == ".npy":
            with open(temporary, "wb") as stream:
                np.save(stream, _with_axis(channels_and_alpha, axis))
        elif suffix in TIFF_SUFFIXES:
            with _tiff_writer(temporary) as writer:
                _write_page(writer, channels_and_alpha, alpha is not None, planar, profile, mark)
        elif channels_and_alpha.dtype == np.uint16:
            _write_png16(temporary, channels_and_alpha, profile)
        else:
            plain = (
                channels_and_alpha[..., 0]
                if channels_and_alpha.shape[2] == 1
                else channels_and_alpha
            )
            image = Image.fromarray(np.ascontiguousarray(plain))
            encoded = io.BytesIO()  # Pillow itself does not notice a full disk in every format
            options = {"icc_profile": profile} if profile and can_hold_profile(suffix) else {}
            image.save(
                encoded, format=_EIGHT_BIT.get(suffix, "PNG"), quality=_JPEG_QUALITY, **options
            )
            temporary.write_bytes(encoded.getbuffer())


def _with_axis(pixels: Pixels, axis: str | None) -> Pixels:
    """Return (rows, columns, C) with its channels where those of the input stood."""
    if axis == "none" and pixels.shape[2] == 1:
        return pixels[..., 0]
    return np.moveaxis(pixels, -1, 0) if axis in ("first", "pages") else pixels


def restore_missing(pixels: Pixels, picture: DecodedImage, dtype: np.dtype[Any]) -> Pixels:
    """Mark the pixels of a result that are missing in its picture.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns, C), the result.
    picture : DecodedImage
        With `missing` where some are.
    dtype : numpy.dtype
        Of the result. Floats are NaN, or the picture's own mark; integers can only have a
        mark within their range.

    Returns
    -------
    numpy.ndarray
        Same shape and dtype.
    """
    missing, mark = picture.missing, picture.mark
    if missing is None:
        return pixels
    pixels = pixels.copy()
    if dtype.kind == "f":
        pixels[missing] = np.nan if mark is None else mark
    elif mark is not None and 0 <= mark <= np.iinfo(dtype.name).max:
        pixels[missing] = round(mark)
    return pixels


class StackWriter:
    """A TIFF of many pages, written one by one; there when it is whole.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    large : bool
        It may take more than 4 GB: a BigTIFF.
    """

    def __init__(self, path: Path, large: bool = False) -> None:
        self._path, self._large, self._stack = path, large, contextlib.ExitStack()

    def __enter__(self) -> StackWriter:
        """Open the file under another name."""
        temporary = self._stack.enter_context(atomic_file(self._path))
        self._writer = self._stack.enter_context(_tiff_writer(temporary, self._large))
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        """Close the file and, without an exception, give it its name."""
        return self._stack.__exit__(*exception)

    def write(
        self,
        pixels: Pixels,
        alpha: Pixels | None,
        *,
        planar: bool,
        mark: float | None,
        profile: bytes | None = None,
    ) -> None:
        """Write a picture.

        Parameters
        ----------
        pixels, alpha : numpy.ndarray
            As of `write_pixels`.
        planar : bool
            Each channel is a page.
        mark : float or None
            Value of missing pixels.
        profile : bytes, optional
            ICC profile of the page.
        """
        both = pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], axis=2)
        _write_page(self._writer, both, alpha is not None, planar, profile, mark)


def _tiff_writer(path: Path, large: bool = False) -> Any:
    import tifffile

    return tifffile.TiffWriter(path, bigtiff=large)


def _write_page(
    writer: Any,
    pixels: Pixels,
    alpha: bool,
    planar: bool,
    profile: bytes | None,
    mark: float | None,
) -> None:
    """Write a picture as a page of a TIFF, or each of its channels as one."""
    options: dict[str, Any] = {"compression": "zlib", "iccprofile": profile}
    if mark is not None:  # the tag GDAL_NODATA
        options["extratags"] = [(42113, "s", 0, f"{mark:.17g}", True)]
    if planar and not alpha:
        axes = {"axes": "CYX"} if pixels.shape[2] > 1 else None
        planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        writer.write(planes, photometric="minisblack", metadata=axes, **options)
        return
    colours = pixels.shape[2] - alpha
    extra = pixels.shape[2] - (3 if colours == 3 else 1)
    single = pixels.shape[2] == 1
    writer.write(
        pixels[..., 0] if single else pixels,
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig=None if single else "contig",
        extrasamples=[("unassalpha" if alpha else "unspecified")] * extra or None,
        **options,
    )


def _write_png16(path: Path, channels_and_alpha: Pixels, profile: bytes | None) -> None:
    import png

    rows, columns, planes = channels_and_alpha.shape
    writer = png.Writer(
        width=columns,
        height=rows,
        bitdepth=16,
        greyscale=planes < 3,
        alpha=planes in (2, 4),
        compression=6,
    )
    encoded = io.BytesIO()
    writer.write_packed(encoded, (row.astype(">u2").tobytes() for row in channels_and_alpha))
    if profile is None:
        path.write_bytes(encoded.getbuffer())
        return
    header, *rest = png.Reader(bytes=encoded.getvalue()).chunks()
    coded = b"ICC profile\0\0" + zlib.compress(profile)
    with open(path, "wb") as stream:
        png.write_chunks(stream, [header, (b"iCCP", coded), *rest])
