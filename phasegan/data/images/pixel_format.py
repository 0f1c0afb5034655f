"""Channels, dtype and range of images: as found, in common, and the conversion to them.

Pixels are arrays (rows, columns[, C]), planes (C, rows, columns), of uint8, uint16 or float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from phasegan.data.images.notices import HIDDEN, value_range
from phasegan.data.images.pixels import DecodedImage, Pixels, UnreadableImageError, white
from phasegan.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Planes = NDArray[np.generic]
Limits = tuple[float, float]

_BYTE_TO_WORD = 257
"""65535 / 255: how 8-bit pixels are lifted to 16 bit."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class PixelFormat(NamedTuple):
    """Common format of the images of a domain.

    Attributes
    ----------
    channels : int
        With alpha, where it is kept.
    dtype : str
        uint8, uint16 or float32.
    low, high : float
        Values that become −1 and 1.
    alpha : bool
        Whether the last channel is alpha.
    """

    channels: int
    dtype: str
    low: float
    high: float
    alpha: bool = False

    def describe(self) -> str:
        """Return `3 channels, uint8`, with alpha and, for floats, the limits named."""
        plural = "" if self.channels == 1 else "s"
        alpha = ", the last is alpha" if self.alpha else ""
        limits = f", {self.low:g} to {self.high:g}" if self.dtype == "float32" else ""
        return f"{self.channels} channel{plural}{alpha}, {self.dtype}{limits}"


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
    pixels, alpha = image.pixels, image.alpha
    rows, columns, channels = pixels.shape
    low, high = _black_and_white(pixels.dtype) or (float(pixels.min()), float(pixels.max()))
    transparent = alpha is not None and bool(alpha.min() < (white(alpha.dtype) or 1.0))
    return ImageInfo(
        *(rows, columns, channels, pixels.dtype.name, alpha is not None, low, high),
        *(value_range(pixels), transparent, image.notices),
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
    lowest, highest = min(info.low for info in infos), max(info.high for info in infos)
    low, high = limits or _black_and_white(np.dtype(dtype)) or (lowest, highest)
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


def to_planes(image: DecodedImage, pixel_format: PixelFormat) -> Planes:
    """Return an image as planes of a pixel format.

    Grey becomes RGB by repetition and RGB grey by its luma; 8 bit becomes 16 bit, full
    range to full range.

    Parameters
    ----------
    image : DecodedImage
        As decoded.
    pixel_format : PixelFormat
        Pixel format of the domain.

    Returns
    -------
    numpy.ndarray
        (C, rows, columns), in the channels and dtype of the format.

    Raises
    ------
    UnreadableImageError
        If it has another number of channels; the message is the reason alone.
    """
    colours, pixels = pixel_format.channels - pixel_format.alpha, image.pixels
    if pixels.shape[2] == 1 and colours == 3:
        image = image._replace(pixels=np.repeat(pixels, 3, axis=2))
    elif pixels.shape[2] == 3 and colours == 1:
        image = image._replace(pixels=luma(pixels)[..., None])
    elif pixels.shape[2] != colours:
        raise UnreadableImageError(f"{pixels.shape[2]} channels, the domain has {colours}")
    pixels = image.with_alpha() if pixel_format.alpha else image.pixels
    if pixel_format.dtype == "float32":
        pixels = pixels.astype(np.float32, copy=False)
    elif pixel_format.dtype == "uint16":
        pixels = to_depth(pixels, 16)
    if pixels.dtype.name != pixel_format.dtype:
        raise UnreadableImageError(f"{pixels.dtype} values, the domain has {pixel_format.dtype}")
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def luma(pixels: Pixels) -> Pixels:
    """Return the rec. 601 luma of RGB.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns, 3).

    Returns
    -------
    numpy.ndarray
        (rows, columns); of integers in the same dtype, at 8 and at 16 bit in the integer
        arithmetic of Pillow's mode L, (19595 R + 38470 G + 7471 B + 32768) >> 16; of
        others in float32.
    """
    if pixels.dtype.kind != "u":
        return pixels.astype(np.float32, copy=False) @ _LUMA
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).astype(pixels.dtype)


def to_channels(pixels: Pixels, channels: str) -> Pixels:
    """Convert between grey and RGB.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, (rows, columns) or (rows, columns, 3).
    channels : {"gray", "rgb"}
        Grey is the `luma`.

    Returns
    -------
    numpy.ndarray
        (rows, columns) for grey, (rows, columns, 3) for RGB, same dtype.
    """
    if channels == "gray" and pixels.ndim == 3:
        return luma(pixels)
    if channels == "rgb" and pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1)
    return pixels


def to_depth(pixels: Pixels, bits: int) -> Pixels:
    """Convert between 8 and 16 bit, full range to full range, rounding to nearest.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16, any shape.
    bits : {8, 16}
        Depth of the result.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, same shape.
    """
    if bits == 16 and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(_BYTE_TO_WORD)
    if bits == 8 and pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) + _BYTE_TO_WORD // 2) // _BYTE_TO_WORD).astype(np.uint8)
    return pixels


@overload
def to_unit_range(planes: Planes, pixel_format: PixelFormat) -> NDArray[np.float32]: ...
@overload
def to_unit_range(planes: Tensor, pixel_format: PixelFormat) -> Tensor: ...
def to_unit_range(planes: Any, pixel_format: PixelFormat) -> Any:
    """Scale planes to [−1, 1], clipped; arrays and tensors to the same bits.

    Parameters
    ----------
    planes : numpy.ndarray or torch.Tensor
        (…, C, rows, columns), in the format's values; a tensor in float32.
    pixel_format : PixelFormat
        `low` becomes −1, `high` becomes 1.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        float32, same shape.
    """
    values = planes.astype(np.float32) if isinstance(planes, np.ndarray) else planes
    low, high = float(pixel_format.low), float(pixel_format.high)
    return ((values - low) * (2.0 / (high - low)) - 1.0).clip(-1.0, 1.0)


def from_unit_range(unit_planes: NDArray[np.floating], pixel_format: PixelFormat) -> Planes:
    """Scale planes from [−1, 1] to the values of a pixel format, rounded and clipped.

    Parameters
    ----------
    unit_planes : numpy.ndarray
        (C, rows, columns), floats.
    pixel_format : PixelFormat
        −1 becomes `low`, 1 becomes `high`.

    Returns
    -------
    numpy.ndarray
        Same shape, in the dtype of the format.
    """
    low, high, dtype = pixel_format.low, pixel_format.high, pixel_format.dtype
    values = (np.asarray(unit_planes, np.float64) + 1.0) * ((high - low) / 2) + low
    values = np.clip(values, low, high)
    return (np.rint(values) if dtype != "float32" else values).astype(dtype)


def _black_and_white(dtype: np.dtype[Any]) -> Limits | None:
    """Return the limits of a dtype of integers."""
    top = white(dtype)
    return None if top is None else (0.0, top)
