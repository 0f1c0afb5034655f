"""A compact set of files' hashes: 16 bytes each, at most two and a half times that in all."""

from __future__ import annotations

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
