"""A worker process: it gets batches, and returns results."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from typing import Any

from phasegan.data.prepare.encode import BatchResult, ImageBatch
from phasegan.data.prepare.shared_buffer import SharedBuffer
from phasegan.errors import RunError

_SERVE = "from phasegan.data.prepare.worker_main import serve; serve({})"
_PIPE_BYTES = 2**20
_F_SETPIPE_SZ = 1031
"""Of Linux: as many results as fit wait in the pipe."""


class WorkerCrashed(Exception):
    """The process ended before it answered."""


class WorkerProcess:
    """A Python process of its own that runs `phasegan.data.prepare.worker_main.serve`.

    Raises
    ------
    RunError
        If it cannot be started.
    """

    def __init__(self) -> None:
        self._ready = False
        self._memory = SharedBuffer()
        paths = [path or os.getcwd() for path in sys.path]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        shared = self._memory.descriptor
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _SERVE.format(shared)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=() if shared < 0 else (shared,),
            )
        except OSError as error:
            raise RunError(
                f"a process that decodes cannot be started ({error.strerror or error}); "
                "try --workers 1"
            ) from None
        finally:
            self._memory.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._results = self._process.stdin, self._process.stdout
        _widen(self._results)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send_work(self, work: bytes) -> None:
        """Send the function that the process shall call.

        Parameters
        ----------
        work : bytes
            A pickle.
        """
        with contextlib.suppress(OSError):  # who asks it finds out
            self._tasks.write(work)
            self._tasks.flush()

    def wait_ready(self) -> bool:
        """Wait until the process has started; tell whether it did."""
        if not self._ready:
            try:
                self._ready = bool(pickle.load(self._results))
            except (OSError, EOFError, pickle.UnpicklingError):
                return False
        return self._ready

    def run(self, task: ImageBatch) -> BatchResult:
        """Have a batch computed.

        Parameters
        ----------
        task : ImageBatch
            Its images.

        Returns
        -------
        BatchResult
            Result of the process.

        Raises
        ------
        WorkerCrashed
            If the process ended meanwhile.
        """
        slot = self._memory.acquire()
        try:
            pickle.dump((task, slot), self._tasks, protocol=5)
            self._tasks.flush()
            done: BatchResult = self._memory.receive(slot, self._results)
            return done
        except (OSError, EOFError, pickle.UnpicklingError, ValueError):
            raise WorkerCrashed from None

    def kill(self) -> None:
        """Stop it at once, whatever it does; `close` is still to be called."""
        self._process.kill()

    def close(self) -> None:
        """Close its pipes and stop it."""
        for stream in (self._tasks, self._results):
            with contextlib.suppress(OSError):
                stream.close()
        self._process.kill()
        self._process.wait()


def _widen(stream: Any) -> None:
    with contextlib.suppress(Exception):  # smaller pipes work too
        import fcntl

        fcntl.fcntl(stream, _F_SETPIPE_SZ, _PIPE_BYTES)
