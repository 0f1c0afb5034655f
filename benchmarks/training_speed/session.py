"""Rounds over all modes, and what is left when they are stopped."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from phasegan.errors import InputError
from phasegan.progress import format_duration
from training_speed.gauges import (
    Memory,
    Window,
    arithmetic,
    attainable,
    busy_seconds,
    count_flops,
    give_back,
    prime,
    seconds_of,
    time_steps,
)
from training_speed.modes import Mode, Runner, conditions
from training_speed.report import Row, matrix_key

PROBE = 1.0
"""Seconds of steps from which a mode's pace is known, where steps are short."""
LEAD = 0.5
"""Seconds of steps before a window that are not timed, where steps are short."""
MOST_LEAD = 10
"""Of those: more than the reference's workers have read ahead."""
STEADY_WINDOW = 10.0
LATE = "time was up"


class Session:
    """The modes, built one by one and measured in turn.

    Parameters
    ----------
    rows : list of Row
        Every mode; those that cannot be measured here say why.
    make : callable
        Builds what takes a mode's steps.
    device : torch.device
        Where everything runs.
    rounds : int
        Over all modes.
    seconds : float
        Of a window; one step at least.
    batches : sequence of int
        The last stands in where no batch was timed.
    deadline : float or None
        Time of `time.monotonic` after which nothing new is begun.
    """

    def __init__(
        self,
        rows: list[Row],
        make: Callable[[Mode], Runner],
        device: torch.device,
        rounds: int,
        seconds: float,
        batches: tuple[int, ...],
        deadline: float | None,
    ) -> None:
        self.rows, self.device, self.batches = rows, device, batches
        self._make, self._seconds, self._rounds = make, seconds, rounds
        self._deadline, self._begin = deadline, time.monotonic()
        self._runners: dict[str, Runner] = {}
        self._warming = list[float]()
        self.matrix: dict[str, list[float]] = {}
        self.stopped: str | None = None

    # --- what is said -------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write a line of progress."""
        print(text, file=sys.stderr, flush=True)

    def _left(self, turn: int, place: int) -> str:
        """Say how long the rest takes, from place `place` of a round on; round 0 warms up."""
        wanted = [row for row in self.rows if row.missing is None]
        known = [self._cost(row) for row in wanted if row.mode.name in self._runners]
        if not known:
            return ""
        middle = sum(known) / len(known)
        costs = [self._cost(r) if r.mode.name in self._runners else middle for r in wanted]
        rest = self._rounds * sum(costs)
        if turn == 0:
            rest += (len(wanted) - place) * sum(self._warming) / len(self._warming)
        else:
            rest -= (turn - 1) * sum(costs) + sum(costs[:place])
        return f"; rounds end in {format_duration(max(0.0, rest))}"

    def _cost(self, row: Row) -> float:
        return row.step_seconds * (self._count(row) + self._lead(row))

    def late(self, more: float = 0.0) -> bool:
        """Tell whether the limit is there, or would be after so many seconds more."""
        if self._deadline is not None and time.monotonic() + more > self._deadline:
            self.stopped = LATE
        return self.stopped is not None

    # --- the modes ----------------------------------------------------------------

    def warm_up(self) -> None:
        """Build every mode, count its operations and see how long its steps take."""
        wanted = [row for row in self.rows if row.missing is None]
        prime(self.device)
        for place, row in enumerate(wanted):
            ready = [r for r in wanted if r.mode.name in self._runners]
            if self.late(sum(self._cost(r) for r in ready)):
                row.missing, self.stopped = LATE, None
                continue
            begin = time.monotonic()
            if self._guarded(row, partial(self._warm, row)):
                self._warming.append(time.monotonic() - begin)
                self.say(
                    f"warm-up {place + 1}/{len(wanted)}  {row.mode.name}: "
                    f"{format_duration(row.step_seconds)} a step{self._left(0, place + 1)}"
                )

    def _warm(self, row: Row) -> None:
        if row.mode.batch is None:
            row.mode = replace(row.mode, batch=self._best_batch())
        mode, memory = row.mode, Memory(self.device)
        compiled = mode.execution is not None and mode.execution.compile != "off"
        with conditions(mode):
            runner = self._make(mode)

            def first() -> None:
                if compiled:
                    runner.step()
                else:
                    row.flops = count_flops(runner) / (mode.batch or 1)

            seconds = seconds_of(first, self.device)
            steps = 1 if compiled or runner.period == 1 else 2
            row.first_seconds, row.step_seconds = seconds / steps, seconds / steps
            probed = 10 if self.device.type == "cuda" else int(PROBE / row.step_seconds)
            probed = max(3, min(10, probed)) if compiled else min(10, probed)
            if probed:
                row.step_seconds = time_steps(runner, self.device, probed).seconds / probed
        row.peak_bytes = memory.peak()
        if compiled:
            plain = (r.flops for r in self.rows if r.flops and r.mode.name != "recompute")
            row.flops = next(plain, None)
        self._runners[mode.name] = runner

    def _best_batch(self) -> int:
        """Return the batch that went fastest so far."""
        names = {f"batch-{n}" for n in self.batches} | {"base"}
        timed = [row for row in self.rows if row.mode.name in names & set(self._runners)]
        if not any(row.mode.name != "base" for row in timed):
            return self.batches[-1]
        return max(timed, key=lambda row: (row.mode.batch or 1) / row.step_seconds).mode.batch or 1

    def _guarded(self, row: Row, work: Callable[[], None]) -> bool:
        """Do something with a mode; note why where it fails, and go on with the others."""
        try:
            work()
            return True
        except InputError as error:
            row.missing = str(error)
        except torch.OutOfMemoryError:
            row.missing = "not enough memory"
        except Exception as error:
            traceback.print_exc()
            head = next(iter(str(error).splitlines()), "")
            row.missing = f"failed, {type(error).__name__}: {head[:120]}"
        self._runners.pop(row.mode.name, None)
        self.say(f"{row.mode.name}: {row.missing}")
        give_back(self.device)
        return False

    # --- rounds -------------------------------------------------------------------

    def measure(self, after: Callable[[], None]) -> None:
        """Measure every mode once a round; `after` is called after each round."""
        for turn in range(1, self._rounds + 1):
            for place, row in enumerate(self._alive()):
                if self.late():
                    return
                if self._guarded(row, partial(self._window, row, turn)):
                    self.say(
                        f"round {turn}/{self._rounds}  {row.mode.name}: "
                        f"{row.windows[-1].rate:.3g} images/s{self._left(turn, place + 1)}"
                    )
            self._products()
            if turn == 1:
                self._profile()
            after()

    def _alive(self) -> list[Row]:
        return [row for row in self.rows if row.mode.name in self._runners]

    def _window(self, row: Row, turn: int) -> None:
        runner = self._runners[row.mode.name]
        with conditions(row.mode):
            for _ in range(self._lead(row)):
                runner.step()
            window = time_steps(runner, self.device, self._count(row), turn)
        row.windows.append(window)
        row.step_seconds = window.seconds / window.steps

    def _lead(self, row: Row) -> int:
        return min(MOST_LEAD, int(LEAD / row.step_seconds))

    def _count(self, row: Row) -> int:
        """Return the steps of a window: whole periods."""
        period = self._runners[row.mode.name].period
        return period * max(1, int(self._seconds / row.step_seconds / period))

    def _products(self) -> None:
        """Measure products of matrices in every arithmetic that the modes use."""
        for row in self._alive():
            key = matrix_key(row.mode, self.device)
            values = self.matrix.setdefault(key, [])
            if len(values) < max(len(r.windows) for r in self.rows):
                kind = arithmetic(row.mode, self.device)
                values.append(attainable(self.device, kind, row.mode.threads))

    def _profile(self) -> None:
        """See how long the GPU does anything, in a few steps of each mode."""
        for row in self._alive() if self.device.type == "cuda" else []:
            if self.late():
                return
            try:
                self._busy(row)
            except Exception as error:
                self.say(f"{row.mode.name}: not profiled, {type(error).__name__}: {error}"[:200])

    def _busy(self, row: Row) -> None:
        runner = self._runners[row.mode.name]
        with conditions(row.mode):
            row.busy = busy_seconds(runner, self.device, max(5, runner.period))

    def steady(self, row: Row, minutes: float) -> list[Window]:
        """Take steps of one mode for so long, in windows."""
        self.say(f"steady: {row.mode.name} for {format_duration(60 * minutes)}")
        runner, windows = self._runners[row.mode.name], list[Window]()
        wanted, pace = min(STEADY_WINDOW, 20 * minutes), row.step_seconds
        end = time.monotonic() + 60 * minutes
        with conditions(row.mode):
            while not windows or (time.monotonic() + pace < end and not self.late()):
                steps = runner.period * max(1, int(wanted / pace / runner.period))
                windows.append(time_steps(runner, self.device, steps, len(windows) + 1))
                pace = windows[-1].seconds / steps
        return windows
