"""Journal of a partial file: an entry for each image, in order.

A line for each image, see `phasegan.io.append_log`.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.data.prepare.encode import EncodedSample
from phasegan.io.append_log import AppendLog


class JournalEntry(NamedTuple):
    """Result for an image: a sample of a split, or skipped."""

    split: str | None
    """None: skipped."""
    source: str
    source_sha256: str
    """Where it was skipped, the reason."""
    digests: dict[str, bytes]
    """SHA-256 of each of the values."""
    undefined: NDArray[np.bool_] | None
    """Where the phase is undefined, flat; None: nowhere."""
    notices: tuple[str, ...] = ()
    """Notices of the decoder."""

    @property
    def reason(self) -> str:
        """Why an image was skipped."""
        return self.source_sha256


def sample_entry(split: str, encoded: EncodedSample) -> JournalEntry:
    """Return the entry of a sample.

    Parameters
    ----------
    split : {"train", "test"}
        The split.
    encoded : EncodedSample
        The sample.

    Returns
    -------
    JournalEntry
        With its checksums.
    """
    return JournalEntry(
        split,
        encoded.source,
        encoded.source_sha256,
        encoded.digests,
        encoded.undefined,
        encoded.notices,
    )


def skip_entry(name: str, reason: str) -> JournalEntry:
    """Return the entry of an image that is skipped.

    Parameters
    ----------
    name : str
        Name of the image.
    reason : str
        Why.

    Returns
    -------
    JournalEntry
        Without checksums.
    """
    return JournalEntry(None, name, reason, {}, None)


def _to_json(entry: JournalEntry) -> list[Any]:
    values: list[Any] = [entry.split, entry.source, entry.source_sha256]
    if entry.digests:
        values.append({name: digest.hex() for name, digest in entry.digests.items()})
    if entry.undefined is not None:
        packed = zlib.compress(np.packbits(entry.undefined).tobytes())
        values.append(base64.b85encode(packed).decode())
    elif entry.notices:
        values.append(None)
    if entry.notices:
        values.append(entry.notices)
    return values


def _from_json(values: list[Any], elements: int) -> JournalEntry:
    split, source, second = values[:3]
    digests = {n: bytes.fromhex(d) for n, d in values[3].items()} if len(values) > 3 else {}
    undefined = None
    if len(values) > 4 and values[4] is not None:
        bits = np.frombuffer(zlib.decompress(base64.b85decode(values[4])), np.uint8)
        undefined = np.unpackbits(bits, count=elements).astype(bool)
    notices = tuple(values[5]) if len(values) > 5 else ()
    return JournalEntry(split, source, second, digests, undefined, notices)


class Journal(AppendLog):
    """Entries that are appended and read again from the start.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    elements : int
        Phases of a sample.
    """

    def __init__(self, path: Path, elements: int) -> None:
        super().__init__(path)
        self._elements = elements

    def append_entries(self, entries: list[JournalEntry]) -> None:
        """Append entries, all in one write.

        Parameters
        ----------
        entries : list of JournalEntry
            In the order of the images.
        """
        self.append(map(_to_json, entries))

    def entries(self) -> Iterator[tuple[int, JournalEntry]]:
        """Yield each entry with the place where it begins, up to the first damaged line."""
        for place, value in self.values():
            yield place, _from_json(value, self._elements)
