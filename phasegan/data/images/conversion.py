"""Conversion of images to the pixel format and size of their domain.

Planes are uint8, uint16 or float32 arrays (channels, rows, columns).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.data.images.full_depth import DecodedImage
from phasegan.data.images.high_bit_depth import UnreadableImageError
from phasegan.data.images.resizing import BYTE_TO_WORD, to_channels

if TYPE_CHECKING:
    from torch import Tensor

Planes = NDArray[np.generic]

FITS = ("stretch", "short-side", "none")


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
        image = image._replace(pixels=_grey(pixels))
    elif pixels.shape[2] != colours:
        raise UnreadableImageError(f"{pixels.shape[2]} channels, the domain has {colours}")
    pixels = image.with_alpha() if pixel_format.alpha else image.pixels
    planes = np.moveaxis(_to_dtype(pixels, pixel_format.dtype), -1, 0)
    return np.ascontiguousarray(planes)


def _grey(pixels: Planes) -> Planes:
    if pixels.dtype.kind == "u":
        return to_channels(pixels, "gray")[..., None]
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return (pixels.astype(np.float32) @ weights)[..., None]


def _to_dtype(pixels: Planes, dtype: str) -> Planes:
    if pixels.dtype.name == dtype:
        return pixels
    if dtype == "float32":
        return pixels.astype(np.float32)
    if dtype == "uint16" and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * np.uint16(BYTE_TO_WORD)
    raise UnreadableImageError(f"{pixels.dtype} values, the domain has {dtype}")


def resize(planes: Planes, rows: int, columns: int) -> Planes:
    """Resize by antialiased bicubic interpolation, rounded and clipped to the dtype.

    Parameters
    ----------
    planes : numpy.ndarray
        (C, rows, columns), uint8, uint16 or float32.
    rows, columns : int
        Size of the result.

    Returns
    -------
    numpy.ndarray
        (C, rows, columns), same dtype.
    """
    if planes.shape[1:] == (rows, columns):
        return planes
    resized = np.stack(
        [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(
                    (columns, rows), Image.Resampling.BICUBIC
                )
            )
            for plane in planes
        ]
    )
    if planes.dtype.kind == "u":
        return np.clip(np.rint(resized), 0, np.iinfo(planes.dtype.name).max).astype(planes.dtype)
    return np.clip(resized, planes.min(), planes.max())


def resize_to_load(planes: Planes, load: int, fit: str) -> Planes:
    """Resize planes to the size that crops are taken from.

    Parameters
    ----------
    planes : numpy.ndarray
        (C, rows, columns).
    load : int
        The size.
    fit : {"stretch", "short-side", "none"}
        Both sides become `load`, as published; the short one does; or neither.

    Returns
    -------
    numpy.ndarray
        (C, rows, columns), same dtype.
    """
    rows, columns = planes.shape[1:]
    return resize(planes, *load_size(rows, columns, load, fit))


def load_size(rows: int, columns: int, load: int, fit: str) -> tuple[int, int]:
    """Return rows and columns of the result of `resize_to_load`.

    Parameters
    ----------
    rows, columns : int
        Size of the image.
    load : int
        Pixels.
    fit : {"stretch", "short-side", "none"}
        As of `resize_to_load`.

    Returns
    -------
    (int, int)
        Rows and columns.
    """
    if fit == "none":
        return rows, columns
    if fit == "stretch":
        return load, load
    scale = load / min(rows, columns)
    return max(load, round(rows * scale)), max(load, round(columns * scale))


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
    values = (np.asarray(unit_planes, np.float64) + 1.0) * (
        (pixel_format.high - pixel_format.low) / 2
    ) + pixel_format.low
    values = np.clip(values, pixel_format.low, pixel_format.high)
    return (np.rint(values) if pixel_format.dtype != "float32" else values).astype(
        pixel_format.dtype
    )
