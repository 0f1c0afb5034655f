"""Scanned properties of images, and their common pixel format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from phasegan.data.images.conversion import PixelFormat, to_planes
from phasegan.data.images.full_depth import DecodedImage, white
from phasegan.data.images.high_bit_depth import UnreadableImageError
from phasegan.data.images.notices import HIDDEN, value_range
from phasegan.errors import InputError

Limits = tuple[float, float]


class ImageInfo(NamedTuple):
    """Size, channels and range of an image."""

    rows: int
    columns: int
    channels: int
    """Without alpha."""
    dtype: str
    alpha: bool
    low: float
    high: float
    """Black and white of integers, least and largest value of floats."""
    value_range: Sequence[float] | None = None
    """Where its values lie, see `phasegan.data.images.notices.value_range`."""
    transparent: bool = False
    """Whether alpha is anywhere less than opaque."""
    notices: Sequence[str] = ()
    """Notices of the decoder."""


def image_info(image: DecodedImage) -> ImageInfo:
    """Return size, channels and range of an image.

    Parameters
    ----------
    image : DecodedImage
        At full depth.

    Returns
    -------
    ImageInfo
        For `common_format`.
    """
    pixels, low, high = image.pixels, 0.0, white(image.pixels.dtype)
    if high is None:
        low, high = float(pixels.min()), float(pixels.max())
    rows, columns, channels = pixels.shape
    alpha = image.alpha
    return ImageInfo(
        rows,
        columns,
        channels,
        pixels.dtype.name,
        alpha is not None,
        low,
        high,
        value_range(pixels),
        alpha is not None and bool(alpha.min() < (white(alpha.dtype) or 1.0)),
        image.notices,
    )


def notices_for(info: ImageInfo, pixel_format: PixelFormat) -> list[str]:
    """Return the notices on an image that is converted to a pixel format.

    Parameters
    ----------
    info : ImageInfo
        Properties of the image.
    pixel_format : PixelFormat
        Pixel format of the domain.

    Returns
    -------
    list of str
        Those of the decoder, and whether transparency is dropped.
    """
    return [*info.notices, *([HIDDEN] if info.transparent and not pixel_format.alpha else [])]


def common_format(
    infos: Sequence[ImageInfo], label: str, *, alpha: bool = False, limits: Limits | None = None
) -> PixelFormat:
    """Return the common pixel format of a domain's images.

    Parameters
    ----------
    infos : sequence of ImageInfo
        At least one.
    label : str
        The domain, for messages.
    alpha : bool
        Keep alpha as the last channel, where any image has it.
    limits : (float, float), optional
        Values that become −1 and 1; black and white of integers, least and largest value of floats
        by default.

    Returns
    -------
    PixelFormat
        The largest number of channels and the deepest dtype.

    Raises
    ------
    InputError
        If their channels differ otherwise than grey and RGB, if integers and floats
        meet, or if all values are equal.
    """
    counts = sorted({info.channels for info in infos})
    if len(counts) > 1 and counts != [1, 3]:
        raise InputError(
            f"{label}: pictures of {', '.join(map(str, counts))} channels; they must be alike "
            "(grey among RGB is taken)"
        )
    types = {info.dtype for info in infos}
    if "float32" in types and len(types) > 1:
        raise InputError(f"{label}: integers and floating-point numbers; they must be alike")
    dtype = max(types, key=lambda name: np.dtype(name).itemsize)
    low, high = 0.0, white(np.dtype(dtype))
    if high is None:
        low, high = min(info.low for info in infos), max(info.high for info in infos)
    if limits is not None:
        low, high = limits
    if not high > low:
        raise InputError(f"{label}: every value is {low:g}; there is nothing to learn")
    has_alpha = alpha and any(info.alpha for info in infos)
    return PixelFormat(counts[-1] + has_alpha, dtype, low, high, has_alpha)


def incompatibility(info: ImageInfo, pixel_format: PixelFormat) -> str | None:
    """Return why an image cannot be converted to a pixel format.

    Parameters
    ----------
    info : ImageInfo
        Properties of the image.
    pixel_format : PixelFormat
        Pixel format of the domain.

    Returns
    -------
    str or None
        The reason; None if it can be converted.
    """
    try:
        to_planes(DecodedImage(np.zeros((1, 1, info.channels), info.dtype), None), pixel_format)
    except UnreadableImageError as error:
        return str(error)
    return None
