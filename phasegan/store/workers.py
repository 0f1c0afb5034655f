"""Work on all cores: processes that decode and transform, and nothing else.

They are programs of their own, not forks: safe beside threads, in notebooks and in
scripts without a main guard. One that dies, of a decoder that crashes or of too
little memory, is started again; the picture that did it is left out.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from phasegan.errors import RunError
from phasegan.store.encode import Done, Task

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Task], Done]
"""What processes do, for example an `Encoder`; it can be pickled. A task without a result
would be one that it died of: so it returns reasons, and raises nothing."""

_SERVE = "from phasegan.store.worker import serve; serve()"
_PIPE_BYTES = 2**20
_F_SETPIPE_SZ = 1031
"""Of Linux: as many results as fit wait in the pipe."""


class Here:
    """Does work at once, in this process."""

    ahead = 1

    def __init__(self, work: Work) -> None:
        self._work = work

    def submit(self, task: Task) -> Future[Done]:
        """Do a task."""
        future: Future[Done] = Future()
        future.set_result(self._work(task))
        return future


_spares: list[subprocess.Popen[bytes]] = []
"""Processes that were started ahead, and wait for what they are to do."""


@contextlib.contextmanager
def started_ahead(count: int) -> Iterator[None]:
    """Start processes for the next `Workers`, so that they are ready when they are needed.

    Those that nobody took are ended at the end of the block.

    Raises
    ------
    RunError
        If they cannot be started.
    """
    own = [_start_process() for _ in range(count)]
    _spares.extend(own)
    try:
        yield
    finally:
        for process in own:
            if process in _spares:
                _spares.remove(process)
                Workers.end(process)


def _take_spare() -> subprocess.Popen[bytes] | None:
    try:
        return _spares.pop()
    except IndexError:
        return None


def _start_process() -> subprocess.Popen[bytes]:
    paths = [path or os.getcwd() for path in sys.path]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    except OSError as error:
        raise RunError(
            f"a process that decodes cannot be started ({error.strerror or error}); try --workers 1"
        ) from None
    _widen(process.stdout)
    return process


class Workers:
    """Processes that work.

    Parameters
    ----------
    work : callable
        What they do.
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
        self._tasks: queue.SimpleQueue[tuple[Task, Future[Done]] | None] = queue.SimpleQueue()
        self._closing = False
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._ready = [False] * count
        self._threads = [
            threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(count)
        ]
        for i in range(count):
            self._processes[i] = self._start()
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> Future[Done]:
        """Hand a task to the next process that is free."""
        future: Future[Done] = Future()
        self._tasks.put((task, future))
        return future

    def _start(self) -> subprocess.Popen[bytes]:
        process = _take_spare() or _start_process()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # who asks it finds out
            process.stdin.write(self._work)
            process.stdin.flush()
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

    def _serve(self, number: int, task: Task) -> Done:
        """Have a task done; where the process dies of it, picture by picture."""
        done = self._ask(number, task)
        if done is not None:
            return done
        if self._closing:
            return Done(["stopped"] * len(task.tickets), None)
        if len(task.tickets) == 1:
            return Done(["the process that decoded it died of it"], None)
        parts = [
            self._serve(number, Task([ticket], [counted]))
            for ticket, counted in zip(task.tickets, task.counted, strict=True)
        ]
        totals = [part.total for part in parts if part.total is not None]
        total = np.stack(totals).sum(0) if totals else None
        return Done([part.results[0] for part in parts], total)

    def _ask(self, number: int, task: Task) -> Done | None:
        """Return None if the process died of it."""
        process = self._processes[number]
        if process is None:
            process = self._processes[number] = self._start()
            self._ready[number] = False
        assert process.stdin is not None
        assert process.stdout is not None
        if not self._ready[number]:
            self._ready[number] = self._greeted(process)
        try:
            pickle.dump(task, process.stdin, protocol=5)
            process.stdin.flush()
            done: Done = pickle.load(process.stdout)
            return done
        except (OSError, EOFError, pickle.UnpicklingError, ValueError):
            self.end(process)
            self._processes[number] = None
            return None

    def _greeted(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.stdout is not None
        try:
            return bool(pickle.load(process.stdout))
        except (OSError, EOFError, pickle.UnpicklingError):
            if self._closing:
                return False
            raise RunError(
                "a process that decodes ended as soon as it was started; try --workers 1"
            ) from None

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        """Close the pipes of a process and stop it."""
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        process.kill()
        process.wait()

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
                self.end(process)


def _widen(stream: Any) -> None:
    with contextlib.suppress(Exception):  # smaller pipes work too
        import fcntl

        fcntl.fcntl(stream, _F_SETPIPE_SZ, _PIPE_BYTES)


def in_order(
    submit: Callable[[T], Future[R]], items: Iterable[T], ahead: int
) -> Iterator[tuple[T, R]]:
    """Map in order with at most `ahead` results in memory; stops cleanly when closed."""
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
