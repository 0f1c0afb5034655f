"""The samples of each training step: an order for each domain, and each process's share."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.distributed import SINGLE_PROCESS, Processes

_ORDER = 1  # stream of a seed; 0 chooses the samples, 2 changes them


class Permutations:
    """Random permutations of 0..count−1 by key, drawn when the key changes.

    A permutation of a whole set takes longer than a training step: 0.4 s of 10⁷ samples.
    So the last one is kept, in int32 where that is enough.

    Parameters
    ----------
    count : int
        Items that are permuted.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._key: tuple[int, ...] | None = None
        self._order = np.arange(0)

    def take(self, key: tuple[int, ...], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the items at some places of a permutation.

        Parameters
        ----------
        key : tuple of int
            Decides the permutation, as `numpy.random.default_rng(key).permutation(count)`.
        places : numpy.ndarray
            int64, in 0..count−1.

        Returns
        -------
        numpy.ndarray
            int64, same shape.
        """
        if key != self._key:
            self._key = None
            self._order = np.arange(self.count, dtype=np.min_scalar_type(-max(self.count, 2**16)))
            np.random.default_rng(key).shuffle(self._order)
            self._key = key
        return self._order[places].astype(np.int64)


class BatchSlice(NamedTuple):
    """Rows `start` to `stop` − 1 of a batch of `total`."""

    start: int
    stop: int
    total: int

    @classmethod
    def full(cls, total: int) -> BatchSlice:
        """Return the slice of all rows.

        Parameters
        ----------
        total : int
            Images in the batch.
        """
        return cls(0, total, total)

    @property
    def rows(self) -> slice:
        """The rows, as a slice."""
        return slice(self.start, self.stop)

    def within(self, outer: BatchSlice) -> slice:
        """Return the rows as a slice of those of a larger part.

        Parameters
        ----------
        outer : BatchSlice
            A part of the same batch that holds this one.

        Returns
        -------
        slice
            Counted from the first row of `outer`.
        """
        return slice(self.start - outer.start, self.stop - outer.start)

    def split(self, most: int | None = None) -> list[BatchSlice]:
        """Divide the rows into parts that fit into memory.

        Parameters
        ----------
        most : int, optional
            Rows of a part; by default all are one part.

        Returns
        -------
        list of BatchSlice
            Of nearly equal sizes; empty if there are no rows.
        """
        count = self.stop - self.start
        parts = max(1, -(-count // most)) if most else 1
        bounds = [self.start + count * i // parts for i in range(parts + 1)]
        return [BatchSlice(a, b, self.total) for a, b in itertools.pairwise(bounds) if b > a]

    @property
    def share(self) -> float:
        """Weight of the part's means in those of the batch."""
        return (self.stop - self.start) / self.total


class StepIndices(NamedTuple):
    """The samples of one process in one step."""

    epoch: int
    """From 0."""
    step: int
    """Of the epoch, from 0."""
    part: BatchSlice
    """The process's share of the batch."""
    rows_a: NDArray[np.int64] | None
    """Samples of domain A; None in steps without it."""
    rows_b: NDArray[np.int64]


class UnpairedSampler:
    """Samples of two domains, shuffled independently of each other, for every step of a run.

    What a step takes follows from its number alone: a resumed run, and any number of processes
    and workers, take the same samples.

    Parameters
    ----------
    lengths : (int, int)
        Samples of domain A and of domain B.
    samples : int
        Samples of each domain in an epoch; a shorter domain begins again.
    batch_size : int
        Samples of each domain in a batch; the last of an epoch may be smaller.
    seed : int
        Of the orders.
    period : int
        One in so many steps takes domain A; 0: none.
    reshuffle : bool
        A domain that begins again within an epoch takes another order.
    processes : Processes
        Of which this one takes its share.
    """

    def __init__(
        self,
        lengths: tuple[int, int],
        samples: int,
        batch_size: int,
        seed: int,
        *,
        period: int = 1,
        reshuffle: bool = False,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.samples, self.batch_size, self.period = samples, batch_size, period
        self._seed, self._reshuffle, self.processes = seed, reshuffle, processes
        self._orders = [Permutations(length) for length in lengths]

    def __len__(self) -> int:
        """Return the number of steps in an epoch."""
        return -(-self.samples // self.batch_size)

    def __getitem__(self, number: int) -> StepIndices:
        """Return the samples of a step, numbered from 0 over the whole run."""
        epoch, step = divmod(number, len(self))
        first = step * self.batch_size
        total = min(self.batch_size, self.samples - first)
        share = self.processes.share(total)
        places = np.arange(first + share.start, first + share.stop)
        both = self.period > 0 and number % self.period == 0
        return StepIndices(
            epoch,
            step,
            BatchSlice(share.start, share.stop, total),
            self.rows(epoch, 0, places) if both else None,
            self.rows(epoch, 1, places),
        )

    def rows(self, epoch: int, domain: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the samples at some places of an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        domain : {0, 1}
            A or B.
        places : numpy.ndarray
            (n,), int64, ascending.

        Returns
        -------
        numpy.ndarray
            (n,), int64, indices into the domain.
        """
        order, key = self._orders[domain], (self._seed, _ORDER, epoch, domain)
        rounds, places = np.divmod(places, order.count)
        if not self._reshuffle:
            return order.take(key, places)
        parts = [order.take((*key, int(n)), places[rounds == n]) for n in np.unique(rounds)]
        return np.concatenate(parts) if parts else places
