"""Append-only logs that survive a crash: JSON lines, each behind its own CRC-32.

A line that a crash cut short or left as garbage ends the file there. The first one is
the head, an object that describes the others.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from phasegan.io.output_paths import open_append

FORMAT = "phasegan journal 1"
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class AppendLog:
    """A file of JSON values that are appended, and read again from the start.

    Parameters
    ----------
    path : pathlib.Path
        The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = open_append(path)

    @classmethod
    def read_head(cls, path: Path) -> dict[str, Any] | None:
        """Read the head of a log.

        Parameters
        ----------
        path : pathlib.Path
            The file.

        Returns
        -------
        dict or None
            None if there is no file, or its first line is damaged.
        """
        try:
            with open(path, "rb") as stream:
                value = _read(stream.readline())
        except OSError:
            return None
        valid = isinstance(value, dict) and value.get("format") == FORMAT
        return value if valid else None

    def start(self, head: dict[str, Any]) -> None:
        """Empty the file and write its head.

        Parameters
        ----------
        head : dict
            For JSON; `format` is added.
        """
        os.ftruncate(self._descriptor, 0)
        self._write(_line({"format": FORMAT} | head))

    def append(self, values: Iterable[Any]) -> None:
        """Append values, all in one write.

        Parameters
        ----------
        values : iterable
            For JSON.
        """
        self._write(b"".join(map(_line, values)))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def values(self) -> Iterator[tuple[int, Any]]:
        """Yield each value with its offset in the file, up to the first damaged line."""
        with open(self.path, "rb") as stream:
            place = len(stream.readline())
            for line in stream:
                value = _read(line)
                if value is None:
                    return
                yield place, value
                place += len(line)

    def recover(self) -> Iterator[Any]:
        """Yield the values, then cut off damaged lines at the end."""
        for _, value in self.values():
            yield value
        self.truncate(None)

    def truncate(self, place: int | None) -> None:
        """Cut the file off.

        Parameters
        ----------
        place : int or None
            Offset in bytes; None: where the first damaged line begins.
        """
        if place is None:
            with open(self.path, "rb") as stream:
                place = 0
                for line in stream:
                    if _read(line) is None:
                        break
                    place += len(line)
        os.ftruncate(self._descriptor, place)

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _line(value: Any) -> bytes:
    text = _ENCODER.encode(value).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _read(line: bytes) -> Any:
    """Return the value of a line; None if it is damaged."""
    check, _, text = line.rstrip(b"\n").partition(b" ")
    try:
        if line.endswith(b"\n") and int(check, 16) == zlib.crc32(text):
            return json.loads(text.decode())
    except ValueError:
        pass
    return None
