"""Counts of a preparation: samples, skipped images, and the files that were seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from phasegan.data.images.notices import NoticeCounter, ValueRange

_WIDTH = 2
"""Words of 8 bytes to an entry: half of a SHA-256."""
_SMALLEST = 1024


class FileHashes:
    """Halves of SHA-256 hashes, in a table with open addressing."""

    def __init__(self) -> None:
        self._count = 0
        self._make(_SMALLEST)

    def _make(self, slots: int) -> None:
        self._mask = slots - 1
        self._words = memoryview(bytearray(8 * _WIDTH * slots)).cast("Q")

    def __len__(self) -> int:
        return self._count

    def add(self, sha256: str) -> None:
        """Add a hash.

        Parameters
        ----------
        sha256 : str
            At least 32 hexadecimal digits.
        """
        first, second = _key(sha256)
        if self._put(first, second):
            self._count += 1
            if 3 * self._count > 2 * self._mask:
                self._grow()

    def __contains__(self, sha256: str) -> bool:
        first, second = _key(sha256)
        return self._words[_WIDTH * self._slot(first, second)] != 0

    def _slot(self, first: int, second: int) -> int:
        """Return where an entry is, or would be."""
        words, slot = self._words, first & self._mask
        while (word := words[_WIDTH * slot]) and (
            word != first or words[_WIDTH * slot + 1] != second
        ):
            slot = (slot + 1) & self._mask
        return slot

    def _put(self, first: int, second: int) -> bool:
        place = _WIDTH * self._slot(first, second)
        new = self._words[place] == 0
        self._words[place], self._words[place + 1] = first, second
        return new

    def _grow(self) -> None:
        old = self._words
        self._make(2 * (self._mask + 1))
        for place in range(0, len(old), _WIDTH):
            if old[place]:
                self._put(old[place], old[place + 1])


def _key(sha256: str) -> tuple[int, int]:
    """Return two words; the first is never 0, which marks free slots."""
    return int(sha256[:16], 16) or 1, int(sha256[16:32], 16)


@dataclass
class PrepareTally:
    """Counts of samples and skipped images."""

    counts: dict[str, int] = field(default_factory=lambda: {"train": 0, "test": 0})
    skipped: list[tuple[str, str]] = field(default_factory=list)
    resumed: int = 0
    """Images that an earlier process had done."""
    hashes: dict[str, FileHashes] = field(
        default_factory=lambda: {"train": FileHashes(), "test": FileHashes()}
    )
    shared: int = 0
    """Test samples whose file also stands in the training split."""
    notices: NoticeCounter = field(default_factory=NoticeCounter)
    """Notices on the images of samples."""
    value_ranges: list[ValueRange] = field(default_factory=list)
    """Where the values of samples of 16 bit lie; of the first ones."""
    _test: bytearray = field(default_factory=bytearray)
    """A line for each test sample."""
    _tested: bytearray = field(default_factory=bytearray)
    """The hash of each test sample's file, 64 digits."""
    _digest: Any = field(default_factory=hashlib.sha256)

    def add_sample(self, split: str, source: str, source_sha256: str) -> None:
        """Count a sample."""
        self.counts[split] += 1
        self.hashes[split].add(source_sha256)
        line = f"{split} {source} {source_sha256}\n".encode()
        if split == "test":
            self._test += line
            self._tested += source_sha256.encode()
        else:
            self._digest.update(line)

    def in_other_split(self, split: str, source_sha256: str) -> bool:
        """Tell whether the other split has a sample of the same file."""
        return source_sha256 in self.hashes["train" if split == "test" else "test"]

    def count_shared(self) -> None:
        """Count test samples whose file stands in the training split."""
        trained, tested = self.hashes["train"], self._tested.decode()
        self.shared = sum(tested[i : i + 64] in trained for i in range(0, len(tested), 64))

    def source_checksum(self) -> str:
        """Return the SHA-256 over split, name and hash of each sample, training samples first."""
        digest = self._digest.copy()
        digest.update(self._test)
        return f"sha256:{digest.hexdigest()}"
