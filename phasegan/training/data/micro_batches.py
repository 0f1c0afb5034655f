"""Divide batches: into each process's share, and that into parts that fit into memory."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from phasegan.distributed import Processes


class BatchSlice(NamedTuple):
    """Rows `start` to `stop` − 1 of a batch of `total`."""

    start: int
    stop: int
    total: int

    @property
    def rows(self) -> slice:
        """The rows, as a slice."""
        return slice(self.start, self.stop)

    @property
    def share(self) -> float:
        """Weight of the part's means in those of the batch."""
        return (self.stop - self.start) / self.total


class MicroBatch(NamedTuple):
    """The data of a part of a batch, on the networks' device."""

    real_a: Any
    """Domain A; None in steps without it."""
    real_b: Any
    part: BatchSlice


class Batch(NamedTuple):
    """One process's share of a batch."""

    micro_batches: Sequence[MicroBatch]
    total: int
    """Images in the whole batch."""
    has_domain_a: bool = True
    """Whether the step uses domain A."""


class Batches(ABC):
    """Unpaired batches of two domains, in an order that the seed decides."""

    @property
    @abstractmethod
    def needs_prefetch(self) -> bool:
        """Whether every step copies its batch to a GPU."""

    @abstractmethod
    def count(self, step: int) -> int:
        """Return the number of images of each domain in a batch.

        Parameters
        ----------
        step : int
            Of an epoch, from 0; the last batch may be smaller.

        Returns
        -------
        int
            At least 1.
        """

    @abstractmethod
    def load(self, epoch: int, step: int, part: BatchSlice | None = None) -> tuple[Any, Any]:
        """Return the batch of a step.

        Parameters
        ----------
        epoch, step : int
            Both from 0.
        part : BatchSlice, optional
            Only these rows, each as in the whole batch.

        Returns
        -------
        (object, object)
            Domain A, None in steps without it, and domain B, on the device.
        """


def full_batch(total: int) -> BatchSlice:
    """Return the slice of all rows.

    Parameters
    ----------
    total : int
        Images in the batch.

    Returns
    -------
    BatchSlice
        From 0 to `total`.
    """
    return BatchSlice(0, total, total)


def split_batch(total: int, processes: Processes, most: int | None = None) -> list[BatchSlice]:
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
    list of BatchSlice
        Empty where there are more processes than images.
    """
    share = processes.share(total)
    count = share.stop - share.start
    parts = max(1, -(-count // most)) if most else 1
    bounds = [share.start + count * i // parts for i in range(parts + 1)]
    return [BatchSlice(a, b, total) for a, b in itertools.pairwise(bounds) if b > a]
