"""Parts of a batch: what a process computes of it, and how much of that at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from phasegan.distributed import Processes


class Part(NamedTuple):
    """Rows `start` to `stop` − 1 of a batch of `total`."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> slice:
        """The rows."""
        return slice(self.start, self.stop)

    @property
    def share(self) -> float:
        """Of the batch: what the part's means count for in the batch's."""
        return (self.stop - self.start) / self.total


class Piece(NamedTuple):
    """The data of a part of a batch, on the device of the networks."""

    real_a: Any
    """Of domain A; None in steps that leave it out."""
    real_b: Any
    part: Part


class Batch(NamedTuple):
    """One process's share of a batch."""

    pieces: Sequence[Piece]
    total: int
    """Images of the whole batch."""
    both: bool = True
    """Whether domain A takes part in the step."""


def whole(total: int) -> Part:
    """Return the part that is the batch itself."""
    return Part(0, total, total)


def divide(total: int, processes: Processes, most: int | None = None) -> list[Part]:
    """Divide a batch among the processes, and each share into parts.

    Parameters
    ----------
    total : int
        Images in the batch.
    processes : Processes
        Of which this one's share is returned.
    most : int, optional
        Images of a part; by default the share is one part.

    Returns
    -------
    list of Part
        Empty where there are more processes than images.
    """
    share = processes.share(total)
    count = share.stop - share.start
    parts = max(1, -(-count // most)) if most else 1
    bounds = [share.start + count * i // parts for i in range(parts + 1)]
    return [Part(a, b, total) for a, b in itertools.pairwise(bounds) if b > a]
