"""Progress reports: a bar with the time left on a terminal, plain lines elsewhere.

Work whose length is not known, such as an iteration, moves a task by fractions of its
units (`Portion`), as far as its end can be estimated (`IterationProgress`).
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, Protocol

from phasegan.errors import printable

PLAIN_INTERVAL_S = 10.0
"""Seconds between two plain progress lines, at least."""

PLAIN_SHARE = 0.1
"""Share of the time passed that goes by between two plain lines of a long task."""

PORTION_INTERVAL_S = 0.2
"""Seconds between two updates of a portion, at least."""

NOTE_AFTER_S = 2.0
"""Seconds of work on a portion after which its iterations are named."""

FIRST_ESTIMATE = 20
"""Steps from which the end of an iteration is estimated: the first ones do not tell."""

BLEND = 0.3
"""Weight of a new estimate of an iteration's end against those before."""

GRAIN = 2**20
"""Steps in a unit: sums of such fractions are exact in floating point."""


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
    """A piece of work whose progress is shown; threads may share it."""

    def advance(self, count: float = 1, note: str = "") -> None:
        """Report that more units are done.

        Parameters
        ----------
        count : float
            Units since the last call: less than 1 where a unit is done gradually, less
            than 0 where there is more to do than was thought.
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


class Portion:
    """Work that is done gradually and whose end is estimated; silent by itself.

    Parameters
    ----------
    parent : Portion, optional
        The work that this is a part of.
    low, high : float
        The part, as fractions of the parent.
    name : str
        Stands before the notes.
    """

    def __init__(
        self, parent: Portion | None = None, low: float = 0.0, high: float = 1.0, name: str = ""
    ) -> None:
        self.parent, self.low, self.high, self.name = parent, low, high, name

    def stage(self, low: float, high: float, name: str = "") -> Portion:
        """Return the part of this work from one fraction to another."""
        return Portion(self, low, high, name)

    def due(self) -> bool:
        """Return whether it is time for an update: a few times a second.

        Raises
        ------
        concurrent.futures.CancelledError
            If the work is no longer wanted.
        """
        return self.parent is not None and self.parent.due()

    def update(self, fraction: float, note: str = "") -> None:
        """Report what is done.

        Parameters
        ----------
        fraction : float
            0 to 1; it may fall.
        note : str
            Shown where the work takes long; empty keeps the last one.
        """
        if self.parent is not None:
            inside = min(max(fraction, 0.0), 1.0)
            named = note and self.name + note
            self.parent.update(self.low + (self.high - self.low) * inside, named)


SILENT = Portion()
"""Work that nobody follows."""


class TaskPortion(Portion):
    """Some units of a task.

    Parameters
    ----------
    task : ProgressTask
        Its progress is advanced by fractions of a unit.
    units : int
        So many units of it.
    cancelled : threading.Event
        Set when the work is no longer wanted.
    name : str
        Stands before the notes.
    """

    def __init__(
        self, task: ProgressTask, units: int, cancelled: threading.Event, name: str = ""
    ) -> None:
        super().__init__(name=name)
        self._task, self._units, self._cancelled = task, units, cancelled
        self._done = 0.0
        self._start = self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the last update was long enough ago."""
        if self._cancelled.is_set():
            raise CancelledError
        return time.monotonic() - self._last >= PORTION_INTERVAL_S

    def update(self, fraction: float, note: str = "") -> None:
        """Advance the task to a fraction of the units."""
        self._last = time.monotonic()
        done = math.floor(fraction * GRAIN) / GRAIN * self._units
        is_long = bool(note) and self._last - self._start >= NOTE_AFTER_S
        self._task.advance(done - self._done, self.name + note if is_long else "")
        self._done = done


class IterationProgress:
    """Progress of an iteration that ends at a number of steps, or where a level is reached.

    The level, such as a residual, is extrapolated as it fell over the latter half of the
    steps; where none is known a first guess holds.

    Parameters
    ----------
    portion : Portion
        The work that the iteration is.
    budget : int
        Steps, at most.
    guess : int, optional
        Steps that are expected at first; the budget by default.
    name : str
        What a step is called.
    """

    def __init__(
        self, portion: Portion, budget: int, guess: int | None = None, name: str = "iteration"
    ) -> None:
        self._portion, self._budget, self._name = portion, max(budget, 1), name
        self._expected = budget if guess is None else guess
        self._history: list[tuple[int, float]] = []
        self._fraction = 0.0
        self.due = portion.due

    def report(self, step: int, level: float | None = None, target: float = 1.0) -> None:
        """Report that a step is done; not more often than `due` says.

        Parameters
        ----------
        step : int
            From 1.
        level : float, optional
            What falls, > 0.
        target : float
            The level at which the iteration ends, > 0; else the budget counts.
        """
        if level is not None and 0.0 < level < math.inf and target > 0.0:
            self._extrapolate(step, math.log(level), math.log(target))
        expected = self._expected = min(max(self._expected, math.ceil(1.1 * step)), self._budget)
        self._fraction = max(self._fraction, step / max(expected, step, 1))
        goal = str(expected)
        if step < expected < self._budget:
            goal = f"about {float(f'{expected:.2g}'):.0f}"
        self._portion.update(self._fraction, f"{self._name} {step} of {goal}")

    def _extrapolate(self, step: int, level: float, target: float) -> None:
        self._history.append((step, level))
        half = [entry for entry in self._history if entry[0] <= step / 2] or self._history[:1]
        fall = half[-1][1] - level
        if step >= FIRST_ESTIMATE and fall > 0.0:
            remaining = max(level - target, 0.0) * (step - half[-1][0]) / fall
            expected = step + min(remaining, self._budget)
            self._expected = math.ceil(self._expected ** (1 - BLEND) * expected**BLEND)


class _Silent:
    def advance(self, count: float = 1, note: str = "") -> None:
        pass


class _PlainTask:
    def __init__(self, label: str, total: int, done: int, write: Any) -> None:
        self.label, self.total, self.write = label, total, write
        self.done: float = done
        self.first = done
        self.note = ""
        self.start = self.last = time.monotonic()
        self.lock = threading.Lock()

    def advance(self, count: float = 1, note: str = "") -> None:
        with self.lock:
            self.done += count
            self.note = note or self.note
            now = time.monotonic()
            interval = max(PLAIN_INTERVAL_S, PLAIN_SHARE * (self.last - self.start))
            if now - self.last < interval or self.done >= self.total:
                return
            self.last = now
            self._write_line(now - self.start)

    def _write_line(self, elapsed: float) -> None:
        gained = self.done - self.first
        left = ""
        if gained > 0:
            left = f", {format_duration(elapsed / gained * (self.total - self.done))} left"
        share = 100 * self.done / max(self.total, 1)
        note = f"  {self.note}" if self.note else ""
        self.write(f"{self.label}: {int(self.done)}/{self.total} ({share:.0f} %){left}{note}")


class _BarTask:
    def __init__(self, bar: Any, identifier: Any) -> None:
        self.bar, self.identifier = bar, identifier

    def advance(self, count: float = 1, note: str = "") -> None:
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
