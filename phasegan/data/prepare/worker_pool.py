"""A pool of processes that decode and transform images on all cores.

They are processes of their own, not forks: safe beside threads, in notebooks and in
scripts without a main guard. One that dies, of a decoder that crashes or of too
little memory, is started again; the image that did it is left out.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from phasegan.data.prepare.encode import BatchResult, ImageBatch
from phasegan.data.prepare.worker_process import WorkerCrashed, WorkerProcess
from phasegan.errors import RunError

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[ImageBatch], BatchResult]
"""Function of the processes, for example an `Encoder`; it can be pickled. A task without a result
would be one that it died of: so it returns reasons, and raises nothing."""


MAX_STARTS = 3
"""How often a process is started anew that ends before it is ready."""


class InProcessPool:
    """A pool that computes at once, in this process."""

    ahead = 1

    def __init__(self, work: Work) -> None:
        self._work = work

    def submit(self, task: ImageBatch) -> Future[BatchResult]:
        """Compute a batch.

        Parameters
        ----------
        task : ImageBatch
            Its images.

        Returns
        -------
        concurrent.futures.Future
            Done.
        """
        future: Future[BatchResult] = Future()
        future.set_result(self._work(task))
        return future


_spares: list[WorkerProcess] = []
"""Processes that were started ahead and wait for a pool."""


@contextlib.contextmanager
def prestarted_workers(count: int) -> Iterator[None]:
    """Start processes for the next `WorkerPool`, so that they are ready when it needs them.

    Processes that no pool took are closed at the end of the block.

    Parameters
    ----------
    count : int
        Processes.

    Yields
    ------
    None
        While the processes start.

    Raises
    ------
    RunError
        If they cannot be started.
    """
    processes = [WorkerProcess() for _ in range(count)]
    _spares.extend(processes)
    try:
        yield
    finally:
        for process in processes:
            if process in _spares:
                _spares.remove(process)
                process.close()


def _take_spare() -> WorkerProcess | None:
    try:
        return _spares.pop()
    except IndexError:
        return None


class WorkerPool:
    """A pool of worker processes that restarts those that crash.

    Parameters
    ----------
    work : callable
        Function from a batch to its result; it can be pickled.
    count : int
        How many, at least 1.

    Raises
    ------
    RunError
        If they cannot be started.
    """

    def __init__(self, work: Work, count: int) -> None:
        self.ahead = 3 * count
        self._work = pickle.dumps(work, protocol=5)
        self._tasks: queue.SimpleQueue[tuple[ImageBatch, Future[BatchResult]] | None] = (
            queue.SimpleQueue()
        )
        self._closing = False
        self._processes: list[WorkerProcess | None] = [None] * count
        self._threads = [
            threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(count)
        ]
        for i in range(count):
            self._processes[i] = self._start()
        for thread in self._threads:
            thread.start()

    def submit(self, task: ImageBatch) -> Future[BatchResult]:
        """Queue a batch for the next process that is free.

        Parameters
        ----------
        task : ImageBatch
            Its images.

        Returns
        -------
        concurrent.futures.Future
            Future of a BatchResult.
        """
        future: Future[BatchResult] = Future()
        self._tasks.put((task, future))
        return future

    def _start(self) -> WorkerProcess:
        process = _take_spare() or WorkerProcess()
        process.send_work(self._work)
        return process

    def _run(self, number: int) -> None:
        while (entry := self._tasks.get()) is not None:
            task, future = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._serve(number, task))
            except BaseException as error:  # it belongs to whoever waits for the result
                future.set_exception(error)

    def _serve(self, number: int, task: ImageBatch) -> BatchResult:
        """Have a task done; where the process dies of it, image by image."""
        done = self._ask(number, task)
        if done is not None:
            return done
        if self._closing:
            return BatchResult(["stopped"] * len(task.jobs), None)
        if len(task.jobs) == 1:
            return BatchResult(["the process that decoded it died of it"], None)
        parts = [
            self._serve(number, ImageBatch([job], [counted]))
            for job, counted in zip(task.jobs, task.counted, strict=True)
        ]
        totals = [part.total for part in parts if part.total is not None]
        total = np.stack(totals).sum(0) if totals else None
        return BatchResult([part.results[0] for part in parts], total)

    def _ask(self, number: int, task: ImageBatch) -> BatchResult | None:
        """Return None if the process died of it."""
        for _ in range(MAX_STARTS):
            process = self._processes[number]
            if process is None:
                process = self._processes[number] = self._start()
            if process.wait_ready():
                break
            if self._closing:
                return None
            process.close()
            self._processes[number] = None
        else:
            raise RunError("processes that decode end as soon as they are started; try --workers 1")
        try:
            return process.run(task)
        except WorkerCrashed:
            process.close()
            self._processes[number] = None
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        for _ in self._threads:
            self._tasks.put(None)
        if error is not None:
            for process in self._processes:
                if process is not None:
                    process.kill()
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            if process is not None:
                process.close()


def map_in_order(
    submit: Callable[[T], Future[R]], items: Iterable[T], ahead: int
) -> Iterator[tuple[T, R]]:
    """Map items in order with at most `ahead` results in memory; stops cleanly when closed.

    Parameters
    ----------
    submit : callable
        From an item to a future.
    items : iterable
        Taken as results are consumed.
    ahead : int
        Most futures at once.

    Yields
    ------
    (Any, Any)
        Item and result.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            waiting.append((item, submit(item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
