"""Orders in which samples are read: as stored, shuffled, or shuffled in blocks.

An order is cut into windows, and a window into batches. A window's samples are
read together, in as few pieces as they lie in; then they are shuffled in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError

Rows = NDArray[np.int64]

_SUBSET = 0  # stream of a training's seed; the others are in `phasegan.training.data`

SHUFFLES = ("none", "samples", "blocks")
BLOCK_BYTES = 4 * 2**20
"""Of a block, unless its samples are counted: takes longer to read than to find."""
WINDOW = 32
"""Blocks that are mixed with one another."""
_SEQUENCE, _WITHIN = 0, 1  # streams of a seed


def choose_subset(total: int, samples: int, seed: int) -> Rows:
    """Return the first samples of a seeded shuffle.

    Subsets of the same seed are nested: 50 samples are the first 50 of 200.

    Parameters
    ----------
    total : int
        Samples to choose from.
    samples : int
        Samples to choose, at most `total`.
    seed : int
        Of the shuffle.

    Returns
    -------
    numpy.ndarray
        (samples,), int64, in 0..total−1.
    """
    return np.random.default_rng([seed, _SUBSET]).permutation(total)[:samples]


class Partition(NamedTuple):
    """One of several equal parts."""

    number: int
    """From 0."""
    total: int

    def select(self, items: Rows, unit: int = 1) -> Rows:
        """Select this part of a sequence.

        Parameters
        ----------
        items : numpy.ndarray
            int64, (n,).
        unit : int
            The sequence is cut between multiples of this position only.

        Returns
        -------
        numpy.ndarray
            A view of consecutive items.
        """
        units = -(-len(items) // unit)
        start, stop = (unit * (units * i // self.total) for i in (self.number, self.number + 1))
        return items[start:stop]


ALL = Partition(0, 1)


class Window(NamedTuple):
    """Samples that are read together."""

    rows: Rows
    """Where they are in the split, in the order of reading."""
    order: Rows | None
    """Positions in `rows`, in the order of the batches; None: as they are."""

    def batches(self, size: int) -> Iterator[slice | Rows]:
        """Yield the positions of each batch among the samples of the window.

        Parameters
        ----------
        size : int
            Samples of a batch.

        Yields
        ------
        slice or numpy.ndarray
            int64; the last may be shorter.
        """
        for start in range(0, len(self.rows), size):
            part = slice(start, start + size)
            yield part if self.order is None else self.order[part]


@dataclass(frozen=True)
class Sampling:
    """An order of samples, every one once in an epoch.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    count: int
    """Samples of the split."""
    size: int
    """Samples of a batch; the last of each share may be smaller."""
    shuffle: str = "none"
    """`none`, `samples`: every order is as likely as another, or `blocks`: consecutive
    samples stay together until they are read, and are mixed with those of the other
    blocks of a window."""
    block: int = 1
    """Samples of a block."""
    window: int = WINDOW
    """Blocks of a window; its samples are rounded up to whole batches."""
    seed: int = 0
    """With the epoch and the share it decides the order, and nothing else does."""
    drop_last: bool = False
    """Leave out batches that are not full, so that all shares have equally many."""

    def __post_init__(self) -> None:
        if self.shuffle not in SHUFFLES:
            raise InputError(f"shuffle {self.shuffle!r}: choose one of {', '.join(SHUFFLES)}")
        for name, least in (("size", 1), ("block", 1), ("window", 1), ("seed", 0)):
            check_integer(name, getattr(self, name), least)

    def bounds(self, share: Partition = ALL) -> tuple[int, int]:
        """Return where a share begins and ends in the sequence of the epoch.

        Parameters
        ----------
        share : Partition
            Share of a process.

        Returns
        -------
        (int, int)
            First position and the one after the last.
        """
        start, stop = (self.count * i // share.total for i in (share.number, share.number + 1))
        if self.drop_last:
            stop = start + self.count // (share.total * self.size) * self.size
        return start, stop

    def batches(self, share: Partition = ALL) -> int:
        """Return the number of batches of a share.

        Parameters
        ----------
        share : Partition
            Share of a process.

        Returns
        -------
        int
            In one epoch.
        """
        start, stop = self.bounds(share)
        return -(-(stop - start) // self.size)

    def windows(
        self, epoch: int = 0, share: Partition = ALL, part: Partition = ALL
    ) -> Iterator[Window]:
        """Yield the windows of an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        share : Partition
            A process's part of the sequence: the shares of all processes are all samples, and
            their sizes differ by one at most.
        part : Partition
            A worker's part of the share: every n-th window, so that the workers' batches are
            those of the share, whatever their number.

        Yields
        ------
        Window
            Rows that are read together, and their order.
        """
        check_integer("epoch", epoch, 0)
        start, stop = self.bounds(share)
        length = self.size
        if self.shuffle == "blocks":
            length *= -(-self.window * self.block // self.size)
        sequence = self._sequence(epoch)
        numbers = range(-(-(stop - start) // length))
        for number in numbers[part.number :: part.total]:
            first = start + number * length
            rows = sequence.rows(first, min(first + length, stop))
            order = None
            if self.shuffle == "blocks":
                key = [self.seed, _WITHIN, epoch, share.number, number]
                order = np.random.default_rng(key).permutation(len(rows))
            yield Window(rows, order)

    def _sequence(self, epoch: int) -> _Sequence:
        if self.shuffle == "none":
            return _Sequence(self.count, max(self.count, 1), np.zeros(1, np.int64), 0)
        rng = np.random.default_rng([self.seed, _SEQUENCE, epoch])
        block, shift = 1, 0
        if self.shuffle == "blocks":
            block, shift = self.block, int(rng.integers(max(self.count, 1)))
        return _Sequence(self.count, block, rng.permutation(-(-self.count // block)), shift)


class _Sequence:
    """Blocks one after the other in a given order; only the last block may be shorter.

    Blocks are of samples in a ring that begins at `shift`: so no sample is bound to
    the end of a block, where a window may cut it.
    """

    def __init__(self, count: int, block: int, order: Rows, shift: int) -> None:
        self._count, self._block, self._order, self._shift = count, block, order, shift
        self._short = len(order) * block - count
        last = np.flatnonzero(order == len(order) - 1)
        self._last = int(last[0]) if len(last) else 0

    def rows(self, start: int, stop: int) -> Rows:
        """Return the samples at places start to stop of the sequence."""
        places = np.arange(start, stop, dtype=np.int64)
        places[places >= (self._last + 1) * self._block - self._short] += self._short
        ring = self._order[places // self._block] * self._block + places % self._block
        return (ring + self._shift) % self._count


def check_integer(name: str, value: Any, least: int) -> None:
    """Refuse a value that is not an integer of at least `least`.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : Any
        Python or numpy integer.
    least : int
        Smallest value allowed.

    Raises
    ------
    InputError
        Naming the parameter.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} = {value!r}: must be a whole number, at least {least}")
