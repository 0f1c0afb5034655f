"""One attempt of a command in a process of its own, which may be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from survival.outputs import Broken

LONGEST = 300.0
"""Seconds that one attempt may take on the slowest machine."""
ORPHANS = 10.0
"""Seconds after which no process of a killed command may be left."""
POLL = 0.002


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    status: int
    """The exit status; negative for a signal that nothing caught."""
    said: str
    """What it wrote to standard error."""
    seconds: float
    killed: bool
    """Whether a signal was sent while it was running."""


class Attempt:
    """A running command.

    Parameters
    ----------
    arguments : list of str
        Of phasegan.
    folder : pathlib.Path
        The working folder; `tmp` beside it takes temporary files.
    environment : mapping, optional
        What differs from this process's.
    prepare : callable, optional
        Called in the new process before the command.
    """

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        temporary = folder.with_name("tmp")
        for path in (folder, temporary):
            path.mkdir(exist_ok=True, parents=True)
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "phasegan", *arguments],
            cwd=folder,
            env={**surroundings, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=prepare,
        )

    def until(self, moment: Callable[[float], bool]) -> bool:
        """Wait until `moment`, given the seconds since the start, is true; False if it ended."""
        while self._process.poll() is None:
            seconds = time.monotonic() - self._start
            if moment(seconds):
                return True
            if seconds > LONGEST:
                self._end()
                raise Broken(f"hangs: not finished after {LONGEST:.0f} s")
            time.sleep(POLL)
        return False

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it ended."""
        end = time.monotonic() + seconds
        self.until(lambda _: time.monotonic() >= end)

    def send(self, number: int) -> None:
        """Send a signal to the command, where it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def children(self) -> list[int]:
        """Return the numbers of the processes that it started and that run, on Linux."""
        found: list[int] = []
        for path in Path(f"/proc/{self._process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, path.read_text().split())
        return found

    def ended(self, number: int | None = None) -> Ended:
        """Wait for the end, after sending a signal to it if one is given.

        Raises
        ------
        Broken
            If it does not end, or processes that it started go on without it.
        """
        killed = number is not None and self._process.poll() is None
        if killed and number is not None:
            self._process.send_signal(number)
        try:
            said = self._process.communicate(timeout=LONGEST)[1]
        except subprocess.TimeoutExpired:
            self._end()
            raise Broken(f"hangs: not finished after {LONGEST:.0f} s") from None
        seconds = time.monotonic() - self._start
        deadline = time.monotonic() + ORPHANS
        while self._group_lives():
            if time.monotonic() > deadline:
                self._end()
                raise Broken("a process that it started goes on without it")
            time.sleep(POLL)
        return Ended(self._process.returncode, said, seconds, killed)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def run(arguments: list[str], folder: Path) -> Ended:
    """Run a command to its end.

    Raises
    ------
    Broken
        If it fails.
    """
    ended = Attempt(arguments, folder).ended()
    if ended.status:
        raise Broken(f"refused: exit status {ended.status}: {ended.said.strip()[-300:]}")
    return ended
