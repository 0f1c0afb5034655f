"""Small damage to files: what disks, networks, editors and attackers do to bytes."""

from __future__ import annotations

import gzip
import io
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence

MOST_AT_ONCE = 3
HEAD = 1024
"""Bytes at the beginning, and at the end, in which half of all damage is done."""
_EXTREMES = (0, 1, -1, 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000, 2**63 - 1, 2**63)
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_NUMBERS = (b"0", b"-1", b"1", b"7", b"99999999999", b"1e308", b"nan", b"1e-400", b"9" * 5000)
_WORDS = (b"null", b"{}", b"[]", b'"', b"\xff\xfe", b"\0", b"[" * 3000, b"true", b"../../x", b"\n")


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return damaged bytes.

    Parameters
    ----------
    data : bytes
        A whole file.
    others : sequence of bytes
        Files from which pieces may come; in one case of fifty a whole one.
    rng : random.Random
        Decides everything.
    """
    chance = rng.random()
    if chance < 0.02:
        return rng.choice(others)
    if chance < 0.4:
        inside = _inside(data, others, rng)
        if inside is not None:
            return inside
    found, kinds = bytearray(data), _KINDS
    if data.isascii():
        kinds, others = _TEXT_KINDS, [data]
    for _ in range(rng.randint(1, MOST_AT_ONCE)):
        found = rng.choice(kinds)(found, others, rng)
    return bytes(found)


def _inside(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes | None:
    """Damage what is in a container, and make its checksums right again; None for others."""
    if data.startswith(b"\x89PNG"):
        return _chunk(data, others, rng)
    if data.startswith(b"\x1f\x8b"):
        return gzip.compress(mutate(gzip.decompress(data), others, rng), 1)
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
        chosen, buffer = rng.randrange(len(members)), io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            warnings.simplefilter("ignore")
            for i, (name, content) in enumerate(members):
                made.writestr(name, mutate(content, [data], rng) if i == chosen else content)
        return buffer.getvalue()
    return None


def _chunk(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    chunks, place = [], 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append(data[place + 4 : place + 8 + length])
        place += 12 + length
    chosen = rng.randrange(len(chunks))
    body = chunks[chosen]
    if body.startswith(b"IDAT") and rng.random() < 0.5:
        body = b"IDAT" + zlib.compress(mutate(zlib.decompress(body[4:]), others, rng), 1)
    else:
        body = body[:4] + mutate(body[4:], others, rng)
    chunks[chosen] = body
    return data[:8] + b"".join(
        (len(c) - 4).to_bytes(4, "big") + c + zlib.crc32(c).to_bytes(4, "big") for c in chunks
    )


def _place(data: bytearray, rng: random.Random) -> int:
    """Return where: often near the ends, where headers and directories are."""
    size = len(data)
    if not size:
        return 0
    chance = rng.random()
    if chance < 0.4:
        return rng.randrange(min(size, HEAD))
    if chance < 0.5:
        return rng.randrange(max(size - HEAD, 0), size)
    return rng.randrange(size)


def _flip(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _overwrite(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    place, count = _place(data, rng), rng.choice((1, 2, 4, 16, 64, 512))
    count = min(count, len(data) - place)
    data[place : place + count] = rng.choice((rng.randbytes(count), bytes(count), b"\xff" * count))
    return data


def _cut(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    return data[: rng.choice((_place(data, rng), len(data) - min(len(data), rng.randint(1, 16))))]


def _insert(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    place, count = _place(data, rng), rng.choice((1, 2, 3, 4, 16, 1000))
    data[place:place] = rng.choice((rng.randbytes(count), bytes(count)))
    return data


def _remove(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    place = _place(data, rng)
    del data[place : place + rng.choice((1, 2, 4, 16, 1000))]
    return data


def _splice(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    source = rng.choice((bytes(data), rng.choice(others)))
    start, place = rng.randrange(max(len(source), 1)), _place(data, rng)
    piece = source[start : start + rng.choice((4, 32, 256, 4096))]
    data[place : place + rng.choice((0, len(piece)))] = piece
    return data


def _field(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    """Set a number of 1 to 8 bytes to an extreme value, in either order of bytes."""
    form = rng.choice("BHIQ")
    size = struct.calcsize(form)
    value = rng.choice(_EXTREMES) % 2 ** (8 * size)
    place = _place(data, rng)
    place -= place % rng.choice((1, size))
    data[place : place + size] = struct.pack(rng.choice("<>") + form, value)
    return data


def _text(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    """Replace a decimal number, or put in a word."""
    start = _place(data, rng)
    match = _NUMBER.search(data, start, start + 4 * HEAD)
    if match and rng.random() < 0.7:
        data[match.start() : match.end()] = rng.choice(_NUMBERS)
    else:
        data[start:start] = rng.choice(_WORDS)
    return data


def _letters(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    """Write other printable characters over some."""
    place = _place(data, rng)
    count = min(rng.choice((1, 1, 2, 8)), len(data) - place)
    data[place : place + count] = bytes(rng.randrange(32, 127) for _ in range(count))
    return data


def _lines(data: bytearray, others: Sequence[bytes], rng: random.Random) -> bytearray:
    """Drop, repeat or move a line."""
    lines = bytes(data).splitlines(keepends=True)
    if lines:
        line = lines.pop(rng.randrange(len(lines)))
        for _ in range(rng.choice((0, 1, 2))):
            lines.insert(rng.randint(0, len(lines)), line)
    return bytearray(b"".join(lines))


_TEXT_KINDS = (
    _text,
    _text,
    _text,
    _letters,
    _letters,
    _lines,
    _lines,
    _cut,
    _remove,
    _splice,
    _flip,
)
_KINDS = (_flip, _flip, _flip, _overwrite, _cut, _insert, _remove, _splice, _field, _field, _text)
