"""Decoded images, limits on their size, and the error of those that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.errors import InputError
from phasegan.io.untrusted import MAX_IMAGE_BYTES

Pixels = NDArray[np.generic]

MAX_CHANNELS = 512
PIXELS_VARIABLE = "PHASEGAN_MAX_PIXELS"
"""Of the environment: how many pixels an image may have, instead of Pillow's limit."""
ORIENTATION = 0x0112
"""Number of the tag in EXIF and TIFF."""
_BLOCK = 1 << 20
_WHITE = {"uint8": 255.0, "uint16": 65535.0}


class UnreadableImageError(InputError):
    """An image cannot be used; the message is the reason alone."""


class DecodedImage(NamedTuple):
    """A decoded image.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8, uint16 or float32, (rows, columns, C), without alpha.
    alpha : numpy.ndarray or None
        Same dtype, (rows, columns), where the image has one.
    notices : tuple of str
        Constants of `phasegan.data.images.notices`: parts that are left out.
    profile : bytes or None
        Its ICC profile, unless that is sRGB.
    missing : numpy.ndarray or None
        bool, (rows, columns): pixels that are not there, which were filled.
    mark : float or None
        Value of missing pixels in the file.
    axis : {"pages", "first", "last", "none"} or None
        Where the channels stood: on pages, on an axis of an array, on none; None in a picture.
    """

    pixels: Pixels
    alpha: Pixels | None
    notices: tuple[str, ...] = ()
    profile: bytes | None = None
    missing: NDArray[np.bool_] | None = None
    mark: float | None = None
    axis: str | None = None

    def with_alpha(self) -> Pixels:
        """Return (rows, columns, C + 1); opaque where there is no alpha."""
        alpha = self.alpha
        if alpha is None:
            top = white(self.pixels.dtype) or 1.0
            alpha = np.full(self.pixels.shape[:2], top, self.pixels.dtype)
        return np.concatenate([self.pixels, alpha[..., None]], axis=2)


def white(dtype: np.dtype[np.generic] | type) -> float | None:
    """Return the largest value of a dtype of pixels.

    Parameters
    ----------
    dtype : numpy.dtype or type
        Dtype of pixels.

    Returns
    -------
    float or None
        255 or 65535; None for floats.
    """
    return _WHITE.get(np.dtype(dtype).name)


def check_size(columns: int, rows: int, bytes_each: int = 1) -> None:
    """Refuse an image by its header, before memory is taken for it.

    Parameters
    ----------
    columns, rows : int
        As the header claims.
    bytes_each : int
        Bytes of all channels of a pixel.

    Raises
    ------
    UnreadableImageError
        If it has no pixels, more than `PIL.Image.MAX_IMAGE_PIXELS`, or more bytes
        than `phasegan.io.untrusted.MAX_IMAGE_BYTES`.
    """
    set_pixel_limit()
    if columns < 1 or rows < 1:
        raise UnreadableImageError(f"{columns}×{rows} pixels")
    if Image.MAX_IMAGE_PIXELS and columns * rows > Image.MAX_IMAGE_PIXELS:
        raise too_many_pixels_error()
    if columns * rows * bytes_each > MAX_IMAGE_BYTES:
        raise UnreadableImageError(f"larger than the limit of {MAX_IMAGE_BYTES:,} bytes")


def set_pixel_limit() -> None:
    """Set Pillow's limit on pixels from the environment, where it stands there."""
    text = os.environ.get(PIXELS_VARIABLE, "")
    if not text:
        return
    if not (text.isdecimal() and int(text)):
        raise UnreadableImageError(f"{PIXELS_VARIABLE}={text}: must be a number of pixels")
    Image.MAX_IMAGE_PIXELS = int(text)


def too_many_pixels_error() -> UnreadableImageError:
    """Return the error for an image with more pixels than the limit."""
    return UnreadableImageError(
        f"larger than the limit of {Image.MAX_IMAGE_PIXELS} pixels; --max-pixels or the "
        f"environment variable {PIXELS_VARIABLE} sets another one"
    )


def inflated_size(decompressor: Any, blocks: Iterable[bytes], most: int) -> int:
    """Return the number of bytes that compressed blocks unpack to, without keeping them.

    Parameters
    ----------
    decompressor : Any
        Decompressor of zlib or lzma.
    blocks : iterable of bytes
        Compressed, in order.
    most : int
        Where counting ends.

    Returns
    -------
    int
        Bytes; any number above `most` if it is exceeded.
    """
    size = 0
    for whole in blocks:
        for start in range(0, len(whole), _BLOCK):  # what is not consumed is copied each time
            block = whole[start : start + _BLOCK]
            while size <= most and not decompressor.eof:
                output = decompressor.decompress(block, _BLOCK)
                size += len(output)
                block = getattr(decompressor, "unconsumed_tail", b"")
                if not block and len(output) < _BLOCK:
                    break
    return size


def apply_orientation(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns[, channels]).
    orientation : int
        1 to 8; others count as 1.

    Returns
    -------
    numpy.ndarray
        Contiguous, flipped and turned.
    """
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))
