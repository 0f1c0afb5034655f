"""Options and messages that commands share."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import click

from phasegan.devices import choose_device, set_threads
from phasegan.errors import printable
from phasegan.launcher import read_launch
from phasegan.progress import TerminalProgress
from phasegan.resources import idle_cores

_command_start: float | None = None


def start_command(passed: float) -> None:
    """Set when the running command began.

    Parameters
    ----------
    passed : float
        Seconds ago.
    """
    global _command_start
    _command_start = time.monotonic() - passed


def command_seconds() -> float:
    """Return the seconds since the running command began; 0 if none was started."""
    return 0.0 if _command_start is None else time.monotonic() - _command_start


@dataclass(frozen=True)
class CommonOptions:
    """Options that several commands have, and where they report."""

    device: str
    threads: int | None
    seed: int | None
    progress: TerminalProgress

    def say(self, text: str) -> None:
        """Print on standard output unless quiet.

        Parameters
        ----------
        text : str
            A line, or several.
        """
        if self.progress.verbosity >= 0:
            click.echo("\n".join(printable(line) for line in text.split("\n")))

    def note(self, text: str) -> None:
        """Print a paragraph, wrapped to the terminal where there is one.

        Parameters
        ----------
        text : str
            The paragraph, one line.
        """
        import shutil
        import sys
        import textwrap

        if sys.stdout is not None and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
            text = textwrap.fill(text, width, subsequent_indent="  ", break_on_hyphens=False)
        self.say(text)

    def spare_busy_cores(self) -> None:
        """Train with a thread for each idle core, unless the user named a number of threads.

        Threads meet at the end of every layer: one that other work keeps from its core holds
        all of them up. Processes of one training are left alone: to each, the others are work.
        """
        import torch

        if read_launch(os.environ) is not None:
            return
        named = self.threads or {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys()
        cores = torch.get_num_threads()
        if named or cores == 1 or choose_device(self.device).type != "cpu":
            return
        idle = idle_cores()
        if idle < cores:
            set_threads(idle)
            self.progress.say(
                f"other work keeps {cores - idle} of {cores} cores busy: training with {idle} "
                f"thread{'s' * (idle > 1)} (--threads {cores} takes all)"
            )


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back: an exception in the middle of torch's import aborts Python."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
