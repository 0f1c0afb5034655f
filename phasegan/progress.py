"""Progress reports: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from phasegan.errors import printable

PLAIN_INTERVAL_S = 10.0
"""Seconds between two plain progress lines, at least."""

PLAIN_SHARE = 0.1
"""Share of the time passed that goes by between two plain lines of a long task."""


def format_duration(seconds: float) -> str:
    """Format a duration.

    Parameters
    ----------
    seconds : float
        Not negative.

    Returns
    -------
    str
        Such as `850 ms`, `12 s`, `3 min 20 s`, `2 h 05 min` or `4 d 3 h`.
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    if total < 86400:
        return f"{total // 3600} h {total % 3600 // 60:02d} min"
    return f"{total // 86400} d {total % 86400 // 3600} h"


class ProgressTask(Protocol):
    """A piece of work whose progress is shown."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Report that more units are done.

        Parameters
        ----------
        count : int
            Units since the last call.
        note : str
            Shown at the end of the line; empty keeps the last one.
        """


class Progress:
    """Silent progress, the default of library calls; base class of others.

    Parameters
    ----------
    passed : float
        Seconds that the command or the call has taken so far.
    """

    _start = time.monotonic()  # of subclasses that do not call `__init__`

    def __init__(self, passed: float = 0.0) -> None:
        self._start = time.monotonic() - passed

    def elapsed(self) -> float:
        """Return the seconds that the command or the call has taken so far."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """Report something the user should know.

        Parameters
        ----------
        text : str
            One line.
        """

    def warn(self, text: str) -> None:
        """Warn the user.

        Parameters
        ----------
        text : str
            One line.
        """

    def detail(self, text: str) -> None:
        """Report something for users who asked for details (`-v`).

        Parameters
        ----------
        text : str
            One line.
        """

    @contextlib.contextmanager
    def task(self, label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
        """Follow a piece of work.

        Parameters
        ----------
        label : str
            Its name.
        total : int
            Units of the work.
        done : int
            Units that were done before.

        Yields
        ------
        ProgressTask
            To be advanced.
        """
        yield _Silent()


class _Silent:
    def advance(self, count: int = 1, note: str = "") -> None:
        pass


class _PlainTask:
    def __init__(self, label: str, total: int, done: int, write: Any) -> None:
        self.label, self.total, self.done, self.write = label, total, done, write
        self.first = done
        self.note = ""
        self.start = self.last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        self.note = note or self.note
        now = time.monotonic()
        interval = max(PLAIN_INTERVAL_S, PLAIN_SHARE * (self.last - self.start))
        if now - self.last < interval or self.done >= self.total:
            return
        self.last = now
        remaining = (now - self.start) / max(self.done - self.first, 1) * (self.total - self.done)
        share = 100 * self.done / max(self.total, 1)
        self.write(
            f"{self.label}: {self.done}/{self.total} ({share:.0f} %), "
            f"{format_duration(remaining)} left{'  ' + self.note if self.note else ''}"
        )


class _BarTask:
    def __init__(self, bar: Any, identifier: Any) -> None:
        self.bar, self.identifier = bar, identifier

    def advance(self, count: int = 1, note: str = "") -> None:
        changes = {"note": note} if note else {}
        self.bar.update(self.identifier, advance=count, **changes)


class TerminalProgress(Progress):
    """Progress on standard error.

    Parameters
    ----------
    verbosity : int
        −1 only warnings, 0 normal, 1 details too.
    passed : float
        As in `Progress`.
    """

    def __init__(self, verbosity: int = 0, passed: float = 0.0) -> None:
        from rich.console import Console

        super().__init__(passed)
        self.verbosity = verbosity
        self.console = Console(stderr=True, highlight=False)

    def _write(self, text: str, style: str | None = None) -> None:
        text = printable(text)
        if self.console.is_terminal:
            self.console.print(text, style=style, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print unless quiet."""
        if self.verbosity >= 0:
            self._write(text)

    def warn(self, text: str) -> None:
        """Print always."""
        self._write(f"warning: {text}", "yellow")

    def detail(self, text: str) -> None:
        """Print when verbose."""
        if self.verbosity >= 1:
            self._write(text, "dim")

    @contextlib.contextmanager
    def task(self, label: str, total: int, done: int = 0) -> Iterator[ProgressTask]:
        """Show a bar on a terminal, a line every ten seconds elsewhere."""
        if self.verbosity < 0:
            yield _Silent()
            return
        if not self.console.is_terminal:
            yield _PlainTask(label, total, done, self._write)
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar
        from rich.table import Column

        fixed, flexible = Column(no_wrap=True), Column(no_wrap=True, ratio=1, overflow="ellipsis")
        columns = (
            TextColumn("{task.description}", table_column=fixed),
            BarColumn(bar_width=12, table_column=fixed),
            MofNCompleteColumn(table_column=fixed),
            TimeRemainingColumn(table_column=fixed),
            TextColumn("left  {task.fields[note]}", style="dim", table_column=flexible),
        )
        with Bar(*columns, console=self.console, transient=True, expand=True) as bar:
            yield _BarTask(bar, bar.add_task(label, total=total, completed=done, note=""))
