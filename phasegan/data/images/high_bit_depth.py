"""Images of 16 bits a channel that Pillow reads only in part.

Pixels are uint8 or uint16 arrays, (rows, columns) or (rows, columns, channels).
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.errors import InputError
from phasegan.io.untrusted import MAX_IMAGE_BYTES

Pixels = NDArray[np.generic]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
PIXELS_VARIABLE = "PHASEGAN_MAX_PIXELS"
"""Of the environment: how many pixels an image may have, instead of Pillow's limit."""
_BLOCK = 1 << 20
_PNM_HEADER = re.compile(rb"P([56])(?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s+(\d+)\s")


class UnreadableImageError(InputError):
    """An image cannot be used; the message is the reason alone."""


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
    """Set Pillow's limit on pixels from the environment, where it stands there.

    Raises
    ------
    UnreadableImageError
        If it is not a number.
    """
    text = os.environ.get(PIXELS_VARIABLE, "")
    if not text:
        return
    if not (text.isdecimal() and int(text)):
        raise UnreadableImageError(f"{PIXELS_VARIABLE}={text}: must be a number of pixels")
    Image.MAX_IMAGE_PIXELS = int(text)


def too_many_pixels_error() -> UnreadableImageError:
    """Return the error for an image with more pixels than the limit."""
    return UnreadableImageError(
        f"larger than the limit of {Image.MAX_IMAGE_PIXELS} pixels; the environment variable "
        f"{PIXELS_VARIABLE} sets another one"
    )


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


def is_deep_png(data: bytes) -> bool:
    """Tell a PNG of 16 bits a channel with colour or alpha.

    Parameters
    ----------
    data : bytes
        A file; the first 4096 bytes are enough.

    Returns
    -------
    bool
        False for grey without transparency, which Pillow reads.
    """
    deep = data.startswith(PNG_SIGNATURE) and data[24:25] == b"\x10"
    return deep and (data[25:26] != b"\0" or b"tRNS" in data[:4096])


def decode_png(data: bytes) -> Pixels:
    """Decode a PNG with pypng.

    Parameters
    ----------
    data : bytes
        A file.

    Returns
    -------
    numpy.ndarray
        uint16, (rows, columns, 2, 3 or 4).

    Raises
    ------
    UnreadableImageError
        If it is too large or its data contradict its header.
    """
    import png

    reader = png.Reader(bytes=data)
    columns, rows, values, info = reader.asDirect()
    check_size(columns, rows, 8)
    least = rows * columns * reader.planes * reader.bitdepth // 8
    most = least + 2 * rows + 16  # a byte a row, or nearly two where it is interlaced
    if not least <= inflated_size(zlib.decompressobj(), _png_data(data), most) <= most:
        raise UnreadableImageError("damaged (its data are not as large as its header says)")
    pixels = np.empty((rows, columns * info["planes"]), np.uint16)
    scale = 65535 / (2 ** info["bitdepth"] - 1)  # an sBIT chunk narrows the values
    for position, row in enumerate(values):
        pixels[position] = row if scale == 1 else np.rint(np.asarray(row, np.float64) * scale)
    return pixels.reshape(rows, columns, info["planes"])


def _png_data(data: bytes) -> Iterator[bytes]:
    """Give the compressed pixels of a PNG."""
    place = len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"IDAT":
            yield data[place + 8 : end]
        place = end + 4


def inflated_size(decompressor: Any, blocks: Iterable[bytes], most: int) -> int:
    """Return the number of bytes that compressed blocks unpack to.

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
    for block in blocks:
        while size <= most and not decompressor.eof:
            output = decompressor.decompress(block, _BLOCK)
            size += len(output)
            block = getattr(decompressor, "unconsumed_tail", b"")
            if not block and len(output) < _BLOCK:
                break
    return size


def is_deep_pnm(data: bytes) -> bool:
    """Tell a binary PGM or PPM with a maximum above 255.

    Parameters
    ----------
    data : bytes
        A file; the first 1000 bytes are enough.

    Returns
    -------
    bool
        Whether it is one.
    """
    header = _PNM_HEADER.match(data[:1000])
    return header is not None and int(header[4]) > 255


def decode_pnm(data: bytes) -> Pixels:
    """Decode a binary PGM or PPM of more than 8 bits, scaled to the full range.

    Parameters
    ----------
    data : bytes
        A file that `is_deep_pnm` accepts.

    Returns
    -------
    numpy.ndarray
        uint16, (rows, columns[, 3]).

    Raises
    ------
    UnreadableImageError
        If it is too large or cut short.
    """
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
    return pixels.reshape((rows, columns, 3) if planes == 3 else (rows, columns))
