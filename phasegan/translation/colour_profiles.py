"""Colours of an ICC profile as sRGB, for results that cannot hold the profile."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image

from phasegan.data.images.notices import matches_channels
from phasegan.data.images.pixels import DecodedImage, Pixels
from phasegan.translation.image_writer import PLAIN_SUFFIXES

CONVERTED = "a colour profile that the result cannot hold; colours are converted to sRGB"


def without_lost_profile(picture: DecodedImage, suffix: str, channels: int) -> DecodedImage:
    """Convert colours to sRGB where the result will not hold their profile.

    Parameters
    ----------
    picture : DecodedImage
        Before it is translated.
    suffix : str
        Of the result, lower case.
    channels : int
        Of the result, without alpha.

    Returns
    -------
    DecodedImage
        With the notice `CONVERTED`; the picture itself where the profile can be kept or
        its colours cannot be converted.
    """
    kept = suffix not in PLAIN_SUFFIXES
    if picture.profile is None or (kept and matches_channels(picture.profile, channels)):
        return picture
    pixels = to_srgb(picture.pixels, picture.profile)
    if pixels is None:
        return picture
    notices = (*picture.notices, CONVERTED)
    return picture._replace(pixels=pixels, profile=None, notices=notices)


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels | None:
    """Convert colours from an ICC profile to sRGB, with its own rendering intent.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns, 1 or 3), uint8.
    profile : bytes
        An ICC profile for grey or RGB.

    Returns
    -------
    numpy.ndarray or None
        Same shape and dtype; None for other dtypes, which Pillow does not convert, and
        where the profile is not for such pixels.
    """
    mode = {1: "L", 3: "RGB"}.get(pixels.shape[2])
    if mode is None or pixels.dtype != np.uint8:
        return None
    transform = _transform(profile, mode)
    if transform is None:
        return None
    plain = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if mode == "L" else pixels))
    from PIL import ImageCms

    converted = np.asarray(ImageCms.applyTransform(plain, transform))
    return converted[..., :1] if mode == "L" else converted


@functools.lru_cache(8)
def _transform(profile: bytes, mode: str) -> Any:
    try:
        from PIL import ImageCms
    except ImportError:  # a Pillow without LittleCMS
        return None
    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, srgb, mode, "RGB", intent)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
