"""What all commands share: options and progress."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from phasegan.devices import DEVICES, check_address_space, choose_device, set_threads
from phasegan.errors import printable
from phasegan.launcher import read_launch
from phasegan.progress import TerminalProgress
from phasegan.resources import idle_cores


@dataclass(frozen=True)
class Manners:
    """The options that every command has."""

    device: str
    threads: int | None
    seed: int | None
    progress: TerminalProgress

    def say(self, text: str) -> None:
        """Print a line on standard output unless quiet."""
        if self.progress.verbosity >= 0:
            click.echo("\n".join(printable(line) for line in text.split("\n")))

    def note(self, text: str) -> None:
        """Print a paragraph, wrapped to the terminal where there is one."""
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


def common_options(*, heavy: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --device, --threads, --seed, -q, -v; pass them on as `manners`.

    Parameters
    ----------
    heavy : bool
        Whether the command needs torch.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return _with_options(function, heavy)

    return decorate


def _with_options(function: Callable[..., Any], heavy: bool) -> Callable[..., Any]:

    @click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="Where networks run; auto takes a GPU when there is one.",
    )
    @click.option(
        "--threads",
        type=click.IntRange(1, 4096),
        help="CPU threads.  [default: all cores; training: idle cores]",
    )
    @click.option(
        "--seed",
        type=click.IntRange(0, 2**32 - 1),
        help="Of everything that is random.  [default: 0]",
    )
    @click.option("-q", "--quiet", is_flag=True, help="Print warnings and results only.")
    @click.option("-v", "--verbose", is_flag=True, help="Print details, and tracebacks of errors.")
    @functools.wraps(function)
    def wrapper(
        device: str,
        threads: int | None,
        seed: int | None,
        quiet: bool,
        verbose: bool,
        **options: Any,
    ) -> Any:
        with deferred_signals():
            if heavy:
                check_address_space()
                import torch  # noqa: F401
            if device in ("cuda", "mps"):
                choose_device(device)
            set_threads(threads)
        verbosity = -1 if quiet else int(verbose)
        manners = Manners(device, threads, seed, TerminalProgress(verbosity))
        return function(manners=manners, **options)

    return wrapper


class NumberList(click.ParamType):
    """Integers with commas between them."""

    name = "32,64,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the integers, all at least 1."""
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = (0,)
        if min(numbers) < 1:
            self.fail(f"{value!r}: integers from 1 with commas between, such as 32,64,128")
        return numbers


class SeedList(click.ParamType):
    """Seeds with commas between them."""

    name = "0,1,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the seeds, each once."""
        try:
            seeds = tuple(int(part) for part in value.split(","))
        except ValueError:
            seeds = (-1,)
        if not all(0 <= seed < 2**32 for seed in seeds) or len(set(seeds)) < len(seeds):
            self.fail(f"{value!r}: different integers from 0 with commas between, such as 0,1,2")
        return seeds


_UNITS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(d|h|min|m|s)", re.ASCII)


class Duration(click.ParamType):
    """A time such as `2h`, `90min`, `1h30m` or `45s`."""

    name = "2h"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds, above 0."""
        if isinstance(value, float):
            return value
        text, seconds, end = str(value).strip().lower(), 0.0, 0
        while found := _PART.match(text, end):
            seconds += float(found[1]) * _UNITS[found[2]]
            end = found.end()
        if end < len(text) or not 0 < seconds < 1e9:
            self.fail(f"{value!r}: a time such as 2h, 90min, 1h30m or 45s")
        return seconds
