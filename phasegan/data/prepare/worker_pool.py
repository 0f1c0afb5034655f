"""A pool of processes that decode and transform images on all cores.

They are processes of their own, not forks: safe beside threads, in notebooks and in
scripts without a main guard. Tasks and results are pickles in pipes. A process that dies,
of a decoder that crashes or of too little memory, is started again; the image that did
it is left out.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.prepare.encode import BatchResult, ImageBatch
from phasegan.errors import RunError

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[ImageBatch], BatchResult]
"""Function of the processes, for example an `Encoder`; it can be pickled. A task without a result
would be one that it died of: so it returns reasons, and raises nothing."""

MAX_STARTS = 3
"""How often a process is started that ends before it is ready."""
_SERVE = "from phasegan.data.prepare.worker_pool import serve; serve()"
_PIPE_BYTES = 2**20
_F_SETPIPE_SZ = 1031
"""Of Linux: a whole result waits in the pipe."""


def serve() -> None:
    """Serve batches from the standard input, until it ends: what a process of a pool runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that writes
    source = sys.stdin.buffer
    # Output of decoders must not get between the results.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    work, answer = pickle.load(source), True  # ready
    with quiet_decoders(), contextlib.suppress(EOFError):
        while True:
            pickle.dump(answer, target, protocol=5)
            target.flush()
            answer = work(pickle.load(source))


class _DiedError(Exception):
    """A process ended before it answered."""


class _Process:
    """A Python process that runs `serve`."""

    def __init__(self) -> None:
        paths = [path or os.getcwd() for path in sys.path]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            raise RunError(
                f"a process that decodes cannot be started ({error.strerror or error}); "
                "try --workers 1"
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._results = self._process.stdin, self._process.stdout
        self._ready = False
        with contextlib.suppress(Exception):  # smaller pipes work too
            import fcntl

            fcntl.fcntl(self._results, _F_SETPIPE_SZ, _PIPE_BYTES)

    def send(self, data: bytes) -> None:
        """Send a pickle; where it does not arrive, there is no answer."""
        with contextlib.suppress(OSError, ValueError):
            self._tasks.write(data)
            self._tasks.flush()

    def receive(self) -> Any:
        """Return the next answer; raise `_DiedError` if there is none."""
        try:
            return pickle.load(self._results)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            raise _DiedError from None

    def wait_ready(self) -> None:
        """Wait until it has received the work; raise `_DiedError` if it did not."""
        if not self._ready:
            self._ready = self.receive()

    def kill(self) -> None:
        """Stop it at once, whatever it does; `close` is still to be called."""
        self._process.kill()

    def close(self) -> None:
        """Stop it, which ends what a thread waits for, and close its pipes."""
        self._process.kill()
        for stream in (self._tasks, self._results):
            with contextlib.suppress(OSError):
                stream.close()
        self._process.wait()


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


_spares: list[_Process] = []
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
    started: list[_Process] = []
    try:
        for _ in range(count):
            started.append(_Process())
            _spares.append(started[-1])
        yield
    finally:
        for process in started:
            if process in _spares:
                _spares.remove(process)
                process.close()


class WorkerPool:
    """A pool of worker processes that starts those that die again.

    Parameters
    ----------
    work : callable
        Function from a batch to its result; it can be pickled.
    count : int
        How many, at least 1.

    Attributes
    ----------
    ahead : int
        Batches that keep all of them busy.

    Raises
    ------
    RunError
        If they cannot be started.
    """

    def __init__(self, work: Work, count: int) -> None:
        self.ahead = 3 * count
        self._work = pickle.dumps(work, protocol=5)
        self._lock, self._closing = threading.Lock(), False
        self._processes: list[_Process] = []
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count)
        """Each of them waits for the answer of one process."""
        try:
            for _ in range(count):
                self._idle.put(self._start())
        except BaseException:
            self._close(kill=True)
            raise

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
        return self._threads.submit(self._encode, task)

    def _encode(self, task: ImageBatch) -> BatchResult:
        """Have a batch done; where the process dies of it, image by image."""
        try:
            return self._ask(task)
        except _DiedError:
            if len(task.jobs) == 1:
                return BatchResult(["the process that decoded it died of it"], None)
        parts = [
            self._encode(ImageBatch([job], [counted]))
            for job, counted in zip(task.jobs, task.counted, strict=True)
        ]
        totals = [part.total for part in parts if part.total is not None]
        total = np.stack(totals).sum(0) if totals else None
        return BatchResult([part.results[0] for part in parts], total)

    def _ask(self, task: ImageBatch) -> BatchResult:
        process = self._idle.get()
        try:
            for _ in range(MAX_STARTS):
                try:
                    process.wait_ready()
                    break
                except _DiedError:
                    process = self._restart(process)
            else:
                raise RunError(
                    "processes that decode end as soon as they are started; try --workers 1"
                )
            process.send(pickle.dumps(task, protocol=5))
            try:
                result: BatchResult = process.receive()
                return result
            except _DiedError:
                process = self._restart(process)
                raise
        finally:
            self._idle.put(process)

    def _start(self) -> _Process:
        with self._lock:
            if self._closing:
                raise RunError("the pool is closed")
            process = _spares.pop() if _spares else _Process()
            self._processes.append(process)
        process.send(self._work)
        return process

    def _restart(self, process: _Process) -> _Process:
        process.close()
        return self._start()

    def _close(self, *, kill: bool) -> None:
        with self._lock:
            self._closing = True
        if kill:
            for process in self._processes:
                process.kill()
        try:
            self._threads.shutdown(cancel_futures=True)
        finally:
            for process in self._processes:
                process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(kill=error is not None)


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
