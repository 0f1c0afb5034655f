"""Bad pictures of every kind, made here: what they are called, what is in them."""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

HUGE = 60_000
"""Rows and columns of a bomb: 3.6 thousand million pixels in a few hundred bytes."""


def picture(form: str, side: int = 32, **options: object) -> bytes:
    """Return a valid picture of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(columns: int, rows: int, depth: int, colour: int, data: bytes) -> bytes:
    """Return a PNG with any header, and compressed data that need not fit."""
    header = struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(tags: dict[int, tuple[int, int]], *, big: bool = False, after: int = 0) -> bytes:
    """Return a TIFF of one directory: tags by number, of (type, value), and where the next is."""
    if big:
        entries = [struct.pack("<HHQQ", t, kind, 1, v) for t, (kind, v) in sorted(tags.items())]
        head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(entries))
        return head + b"".join(entries) + struct.pack("<Q", after)
    entries = [struct.pack("<HHII", t, kind, 1, v) for t, (kind, v) in sorted(tags.items())]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    return head + b"".join(entries) + struct.pack("<I", after)


_SHORT, _LONG = 3, 4


def grey_tiff(columns: int, rows: int, **more: int) -> dict[int, tuple[int, int]]:
    """Return tags of 16-bit grey; `more` by name."""
    numbers = {"samples": 277, "form": 339, "bits": 258, "tile_columns": 322, "tile_rows": 323,
               "tile_place": 324, "tile_count": 325}  # fmt: skip
    tags = {256: (_LONG, columns), 257: (_LONG, rows), 258: (_SHORT, 16), 259: (_SHORT, 1),
            262: (_SHORT, 1), 273: (_LONG, 300), 277: (_SHORT, 1), 278: (_LONG, rows),
            279: (_LONG, 64)}  # fmt: skip
    return tags | {numbers[name]: (_LONG, value) for name, value in more.items()}


def npy(header: bytes, data: bytes = b"", version: int = 1) -> bytes:
    """Return an array's file with any header."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def literal(descr: str, shape: str) -> bytes:
    """Return a header as numpy writes it."""
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def _webp() -> bytes:
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\x00" + b"\xfe\x3f\x00"
    body = b"WEBP" + extended + picture("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _jpeg() -> bytes:
    data = bytearray(picture("JPEG"))
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def _gif() -> bytes:
    data = bytearray(picture("GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)


def _bmp() -> bytes:
    data = bytearray(picture("BMP"))
    data[18:26] = struct.pack("<ii", HUGE, HUGE)
    return bytes(data)


def bad_pictures() -> dict[str, bytes]:
    """Return files that are named as pictures and are none, or not ones that can be used."""
    whole = {form: picture(form) for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")}
    few = zlib.compress(bytes(1000))
    deep = np.zeros((4, 4, 3), np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, deep, photometric="rgb")
    found = {
        "empty.png": b"",
        "empty.npy": b"",
        "one-byte.jpg": b"\xff",
        "text.jpg": b"not a picture\n",
        "page.png": b"<!DOCTYPE html><html><body>404</body></html>",
        "program.png": b"\x7fELF" + bytes(200),
        "document.png": b"%PDF-1.7\n" + bytes(200),
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n{} loop\n",
        "archive.png": b"PK\x03\x04" + bytes(100),
        "hdf5.png": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "bomb.png": png(HUGE, HUGE, 8, 2, few),
        "bomb-16.png": png(HUGE, HUGE, 16, 2, few),
        "fewer-16.png": png(9000, 9000, 16, 2, few),
        "more-16.png": png(1, 1, 16, 2, zlib.compress(bytes(20_000_000), 9)),
        "none.png": png(0, 0, 8, 2, few),
        "bomb.tif": tiff(grey_tiff(HUGE, HUGE)),
        "bomb-float.tif": tiff(grey_tiff(HUGE, HUGE, bits=32, form=3)),
        "bomb-big.tif": tiff(grey_tiff(HUGE, HUGE), big=True),
        "bomb-channels.tif": tiff(grey_tiff(9000, 9000, samples=65_535, bits=32, form=3)),
        "bomb-tile.tif": tiff(grey_tiff(16, 16, bits=32, form=3, tile_columns=HUGE,
                                        tile_rows=HUGE, tile_place=300, tile_count=64)),
        "loop.tif": tiff({}, after=8),
        "nothing.tif": tiff({}),
        "cut-16.tif": stream.getvalue()[:60],
        "bomb.ppm": b"P6 %d %d 255\n" % (HUGE, HUGE) + bytes(100),
        "bomb-16.pgm": b"P5 %d %d 65535\n" % (HUGE, HUGE) + bytes(100),
        "none-16.pgm": b"P5 0 0 65535\n" + bytes(100),
        "bomb.bmp": _bmp(),
        "bomb.gif": _gif(),
        "bomb.jpg": _jpeg(),
        "bomb.webp": _webp(),
        "bomb.qoi": b"qoif" + struct.pack(">IIBB", HUGE, HUGE, 3, 0) + bytes(8),
        "bomb.tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65535, 65535, 24, 0),
        "bomb.npy": npy(literal("<f4", f"({HUGE}, {HUGE})")),
        "claims-more.npy": npy(literal("<f4", "(64, 64)"), bytes(100)),
        "long-header.npy": npy(literal("<f4", "(8, 8)").ljust(1_000_000), bytes(256), 2),
        "nested-header.npy": npy(b"(" * 9000),
        "negative.npy": npy(literal("<f4", "(-8, -8)"), bytes(256)),
        "text.npy": npy(literal("<U4", "(8, 8)"), bytes(1024)),
        "pickled.npy": npy(literal("|O", "(1,)"), pickle.dumps([1])),
        "many-channels.npy": npy(literal("<u1", "(600, 700, 600)")),
        "numbers.npy": npy(literal("<f8", "(8, 8)"), np.full((8, 8), np.nan).tobytes()),
    }  # fmt: skip
    for form, data in whole.items():
        suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(form, form.lower())
        found[f"half.{suffix}"] = data[: len(data) // 2]
        found[f"start.{suffix}"] = data[:20]
    torn = bytearray(whole["PNG"])
    torn[len(torn) // 2 : len(torn) // 2 + 8] = bytes(8)
    found["torn.png"] = bytes(torn)
    return found


def mislabelled() -> dict[str, bytes]:
    """Return pictures under names of another format: they are read all the same."""
    return {
        "jpeg.png": picture("JPEG"),
        "png.jpg": picture("PNG"),
        "tiff.gif": picture("TIFF"),
        "webp.bmp": picture("WEBP"),
    }


def odd_names() -> list[bytes]:
    """Return names that file systems allow and programs trip over, of valid pictures."""
    return [
        "ünïcode-漢字-🙂.png".encode(),
        b"space and 'quotes' \"double\".png",
        b"line\nbreak.png",
        b"\x1b[31mred.png",
        b"latin1-\xe9\xff.png",
        b"-o.png",
        b"percent-%s-{0}.png",
        b"long-" + b"x" * 220 + b".png",
        "right‮gnp.png".encode(),
    ]


def odd_things(folder: Path) -> list[str]:
    """Make what is named as a picture and is no file; return the names."""
    os.mkfifo(folder / "pipe.png")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    try:
        os.chdir(folder)  # names of sockets are short
        listener.bind("socket.png")
    finally:
        os.chdir(here)
        listener.close()
    (folder / "folder.png").mkdir()
    (folder / "to-nothing.png").symlink_to(folder / "missing")
    (folder / "to-itself.png").symlink_to(folder / "to-itself.png")
    (folder / "one.png").symlink_to(folder / "two.png")
    (folder / "two.png").symlink_to(folder / "one.png")
    (folder / "endless.png").symlink_to("/dev/zero")
    (folder / "around").symlink_to(folder, target_is_directory=True)
    return ["pipe.png", "socket.png", "to-nothing.png", "to-itself.png", "one.png", "two.png",
            "endless.png"]  # fmt: skip
