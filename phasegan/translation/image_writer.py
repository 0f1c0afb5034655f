"""Pixels into files of the format that a suffix names.

Pixels are uint8, uint16 or float32 arrays (rows, columns, channels); alpha is
(rows, columns) of the same dtype.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from phasegan.data.images.pixels import Pixels
from phasegan.errors import InputError
from phasegan.io.atomic import atomic_file

FALLBACK_SUFFIXES = (".png", ".tif", ".npy")
"""Suffixes that a result may get instead of its picture's."""

_JPEG_QUALITY = 95
_TIFF = (".tif", ".tiff")
_EIGHT_BIT = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".ppm": "PPM",
    ".pgm": "PPM",
}
_PROFILE_SUFFIXES = {*_TIFF, ".png", ".jpg", ".jpeg", ".webp"}
_CHANNELS = {".ppm": (3,), ".pgm": (1,), ".webp": (3,)}


def can_hold(suffix: str, pixels: Pixels, alpha: Pixels | None) -> bool:
    """Return whether a format can hold pixels without loss of depth, channels or alpha.

    Parameters
    ----------
    suffix : str
        Lower case, with the dot.
    pixels : numpy.ndarray
        (rows, columns, channels), uint8, uint16 or float32.
    alpha : numpy.ndarray or None
        (rows, columns), of the same dtype.

    Returns
    -------
    bool
        False for unknown suffixes.
    """
    channels = pixels.shape[2]
    if suffix in _TIFF:  # the last of 2 or 4 integer channels is taken for alpha
        return pixels.dtype.kind == "f" or channels not in (2, 4)
    if suffix == ".npy":
        return True
    if suffix == ".png":
        return pixels.dtype.kind == "u" and channels in (1, 3)
    if suffix not in _EIGHT_BIT or pixels.dtype != np.uint8:
        return False
    return channels in _CHANNELS.get(suffix, (1, 3)) and (alpha is None or suffix == ".webp")


def choose_suffix(suffix: str, pixels: Pixels, alpha: Pixels | None) -> str:
    """Return a suffix, or that of a format that can hold the pixels.

    Parameters
    ----------
    suffix : str
        The one to keep if it can be kept.
    pixels, alpha : numpy.ndarray
        Pixels as in `can_hold`.

    Returns
    -------
    str
        `suffix`, or one of `FALLBACK_SUFFIXES`.
    """
    if can_hold(suffix.lower(), pixels, alpha):
        return suffix
    return next(suffix for suffix in FALLBACK_SUFFIXES if can_hold(suffix, pixels, alpha))


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
    path: Path, pixels: Pixels, alpha: Pixels | None = None, profile: bytes | None = None
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

    Raises
    ------
    InputError
        If the format cannot hold the pixels.
    """
    suffix = path.suffix.lower()
    if not can_hold(suffix, pixels, alpha):
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
                np.save(stream, channels_and_alpha)
        elif suffix in _TIFF:
            _write_tiff(temporary, channels_and_alpha, alpha is not None, profile)
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


def _write_tiff(path: Path, channels_and_alpha: Pixels, alpha: bool, profile: bytes | None) -> None:
    import tifffile

    colours = channels_and_alpha.shape[2] - alpha
    extra = channels_and_alpha.shape[2] - (3 if colours == 3 else 1)
    tifffile.imwrite(
        path,
        channels_and_alpha[..., 0] if channels_and_alpha.shape[2] == 1 else channels_and_alpha,
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig=None if channels_and_alpha.shape[2] == 1 else "contig",
        extrasamples=[("unassalpha" if alpha else "unspecified")] * extra or None,
        compression="zlib",
        iccprofile=profile,
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
