"""Prefetch the next batch while the device computes a step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from phasegan.training.data.micro_batches import Batch


class Prefetcher:
    """Load the batch of the next step in a thread.

    Parameters
    ----------
    load : callable
        From a step's number to its batch; equal steps give equal batches.
    steps : int
        Steps of the run: no batch is loaded beyond.
    active : bool
        False loads each batch when it is requested, without a thread.
    """

    def __init__(self, load: Callable[[int], Batch], steps: int, *, active: bool) -> None:
        self._load, self._steps = load, steps
        self._pool = ThreadPoolExecutor(1, "phasegan-ahead") if active else None
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """Return the batch of a step, numbered from 0 over the whole run."""
        if self._pool is None:
            return self._load(step)
        if self._next is not None and self._next[0] == step:
            batch = self._next[1].result()
        else:
            batch = self._load(step)
        self._next = None
        if step + 1 < self._steps:
            self._next = step + 1, self._pool.submit(self._load, step + 1)
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
