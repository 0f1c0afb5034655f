"""PNG of 16 bits with colour, alpha or a transparent colour, which Pillow reads in 8 bits."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from phasegan.data.images.pixels import Pixels, UnreadableImageError, check_size, inflated_size

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PLANES = {0: 1, 2: 3, 4: 2, 6: 4}
"""Channels of a PNG by its colour type, without palettes, which have no 16 bits."""
_PNG_HALVES = {3: ("RGB;16B", "RGB;16L"), 4: ("RGBA;16B", "RGBA;16L")}
"""Pillow's modes that keep the high and the low byte of 16 bits, by channels."""
_ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
"""First column and row, and steps, of the passes of an interlaced PNG."""


def decode_png(data: bytes) -> Pixels:
    """Decode a PNG of 16 bits with colour or alpha; Pillow gives the high and the low bytes.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    numpy.ndarray
        (rows, columns, C), uint16.

    Raises
    ------
    UnreadableImageError
        If it is damaged or too large.
    """
    columns, rows, _, colour, *methods, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    check_size(columns, rows, 8)
    chunks, parts = _png_chunks(data)
    if any(methods) or interlaced > 1:
        raise UnreadableImageError(
            "damaged (a compression, filter or interlacing that PNG has not)"
        )
    planes = _PNG_PLANES[colour]
    size = 0
    for x, y, x_step, y_step in _ADAM7 if interlaced else [(0, 0, 1, 1)]:
        width, height = -((x - columns) // x_step), -((y - rows) // y_step)
        size += height * (1 + 2 * planes * width) if width > 0 else 0
    if inflated_size(zlib.decompressobj(), parts, size) != size:
        raise UnreadableImageError("damaged (its data are not as large as its header says)")
    packed = b"".join(parts)

    def unpacked(mode: str, raw_mode: str) -> Any:
        return np.asarray(
            Image.frombytes(mode, (columns, rows), packed, "zip", raw_mode, interlaced)
        )

    if planes in _PNG_HALVES:
        high, low = (unpacked(raw_mode[:-4], raw_mode) for raw_mode in _PNG_HALVES[planes])
        pixels = high.astype(np.uint16) << 8 | low
    else:  # the bytes of a pixel are those of one of 8 bits
        bytes_as = {1: "LA", 2: "RGBA"}[planes]
        pixels = unpacked(bytes_as, bytes_as).view(">u2").astype(np.uint16)
    return _with_key_and_bits(pixels, chunks, planes)


def _with_key_and_bits(pixels: Any, chunks: dict[bytes, bytes], planes: int) -> Pixels:
    """Apply tRNS, the colour that is transparent, and sBIT, the number of bits that count."""
    alpha, bits = None, 16
    if b"tRNS" in chunks:
        if planes not in (1, 3) or len(chunks[b"tRNS"]) != 2 * planes:
            raise UnreadableImageError("damaged (a tRNS chunk of another length)")
        key = np.frombuffer(chunks[b"tRNS"], ">u2")
        alpha = np.where((pixels == key).all(axis=2, keepdims=True), 0, 65535).astype(np.uint16)
    if b"sBIT" in chunks:
        counts, bits = chunks[b"sBIT"], max(chunks[b"sBIT"], default=0)
        if len(counts) != planes or min(counts) < 1 or bits > 16:
            raise UnreadableImageError("damaged (an sBIT chunk that does not fit)")
    if bits < 16:
        scale = 65535 / (2**bits - 1)
        pixels = np.rint((pixels >> (16 - bits)) * scale).astype(np.uint16)
    return pixels if alpha is None else np.concatenate([pixels, alpha], axis=2)


def _png_chunks(data: bytes) -> tuple[dict[bytes, bytes], list[bytes]]:
    """Return the chunks before the compressed pixels of a PNG, and the parts of these."""
    before: dict[bytes, bytes] = {}
    place, parts = len(PNG_SIGNATURE), list[bytes]()
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        kind, body = data[place + 4 : place + 8], data[place + 8 : end]
        if zlib.crc32(kind + body) != int.from_bytes(data[end : end + 4], "big"):
            raise UnreadableImageError("damaged (a chunk is cut or differs from its checksum)")
        if kind == b"IEND":
            return before, parts
        if kind == b"IDAT":
            parts.append(body)
        elif not parts:
            before[kind] = body
        place = end + 4
    raise UnreadableImageError("damaged (its last chunk is missing)")
