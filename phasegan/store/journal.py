"""The journal of an unfinished file: what became of each picture, in order.

A line a picture, JSON behind its own CRC-32: a line that a crash cut short or
left as garbage ends the journal there.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.store.encode import Encoded

FORMAT = "phasegan journal 1"


class Entry(NamedTuple):
    """What became of a picture: a sample of a split, or skipped."""

    split: str | None
    """None: skipped."""
    source: str
    source_sha256: str
    """Where it was skipped, the reason."""
    digests: dict[str, bytes]
    """SHA-256 of each of the values."""
    undefined: NDArray[np.bool_] | None
    """Where the phase is undefined, flat; None: nowhere."""

    @property
    def reason(self) -> str:
        """Why a picture was skipped."""
        return self.source_sha256


def accepted(split: str, encoded: Encoded) -> Entry:
    """Return the entry of a sample."""
    return Entry(split, encoded.source, encoded.source_sha256, encoded.digests, encoded.undefined)


def skipped(name: str, reason: str) -> Entry:
    """Return the entry of a picture that is left out."""
    return Entry(None, name, reason, {}, None)


def _line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _to_json(entry: Entry) -> list[Any]:
    values: list[Any] = [entry.split, entry.source, entry.source_sha256]
    if entry.digests:
        values.append({name: digest.hex() for name, digest in entry.digests.items()})
    if entry.undefined is not None:
        packed = zlib.compress(np.packbits(entry.undefined).tobytes())
        values.append(base64.b85encode(packed).decode())
    return values


def _from_json(values: list[Any], elements: int) -> Entry:
    split, source, second = values[:3]
    digests = {n: bytes.fromhex(d) for n, d in values[3].items()} if len(values) > 3 else {}
    undefined = None
    if len(values) > 4:
        bits = np.frombuffer(zlib.decompress(base64.b85decode(values[4])), np.uint8)
        undefined = np.unpackbits(bits, count=elements).astype(bool)
    return Entry(split, source, second, digests, undefined)


class Journal:
    """Lines that are appended and read again from the start.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    elements : int
        Phases of a sample.
    """

    def __init__(self, path: Path, elements: int) -> None:
        self.path, self._elements = path, elements
        self._descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
        )

    @classmethod
    def head(cls, path: Path) -> dict[str, Any] | None:
        """Return what `begin` wrote; None if there is no journal, or no whole first line."""
        try:
            with open(path, "rb") as stream:
                value = _read(stream.readline())
        except OSError:
            return None
        known = isinstance(value, dict) and value.get("format") == FORMAT
        return value if known else None

    def begin(self, head: dict[str, Any]) -> None:
        """Start anew with a first line."""
        os.ftruncate(self._descriptor, 0)
        self._write(_line({"format": FORMAT} | head))

    def append(self, entries: list[Entry]) -> None:
        """Append entries, all in one write."""
        self._write(b"".join(_line(_to_json(entry)) for entry in entries))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield each entry with the place where it begins, up to the first damaged line."""
        with open(self.path, "rb") as stream:
            place = len(stream.readline())
            for line in stream:
                value = _read(line)
                if not isinstance(value, list):
                    return
                yield place, _from_json(value, self._elements)
                place += len(line)

    def cut(self, place: int | None) -> None:
        """Drop what begins at a place; None: what is damaged at the end."""
        if place is None:
            with open(self.path, "rb") as stream:
                place = 0
                for line in stream:
                    if _read(line) is None:
                        break
                    place += len(line)
        os.ftruncate(self._descriptor, place)

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _read(line: bytes) -> Any:
    """Return what a line says; None if it is damaged."""
    check, _, text = line.rstrip(b"\n").partition(b" ")
    try:
        if line.endswith(b"\n") and int(check, 16) == zlib.crc32(text):
            return json.loads(text)
    except ValueError:
        pass
    return None
