"""Estimated durations: intervals and their sums, linear costs, runs with some timed steps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from phasegan.progress import format_duration

_QUANTILE = 1.645
"""Standard deviations on each side of a normal distribution's middle 90 %."""

_OUTLIER = 4.0
"""Steps are counted as at most this many times the median one."""

_FLOOR_DEVIATION = 0.04
"""Relative error that no number of timed steps removes: no minute is like the one before."""
_WINDOW_DEVIATION = 0.065
"""Relative error of a few seconds of timed steps; that of several such windows is less."""
_PREPARING_DEVIATION = 0.15
_SAVING_DEVIATION = 0.25
_CLOSING_DEVIATION = 0.5
"""Relative error of what is known in units of the interpreter alone."""
_SINGLE_DEVIATION = 0.2
"""Relative error of one timed step alone."""
BUSY = 0.15
"""Share of the cores that others use from which on the estimate warns."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that something will take, with an interval meant to hold 9 of 10 durations.

    Attributes
    ----------
    seconds : float
        The most likely duration.
    low, high : float
        The interval, seconds.
    parts : dict
        What the seconds are spent on, by name.
    """

    seconds: float
    low: float
    high: float
    parts: dict[str, float] = field(default_factory=dict)

    @classmethod
    def around(cls, seconds: float, deviation: float, parts: dict[str, float]) -> Self:
        """Return the estimate whose logarithm has a standard deviation.

        Parameters
        ----------
        seconds : float
            At least 0.
        deviation : float
            Of the natural logarithm, so about a relative error.
        parts : dict
            As the attribute.
        """
        factor = math.exp(_QUANTILE * deviation)
        return cls(seconds, seconds / factor, seconds * factor, parts)

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate of a multiple of the duration.

        Parameters
        ----------
        factor : float
            At least 0.

        Returns
        -------
        Estimate
            All durations times the factor.
        """
        parts = {name: factor * value for name, value in self.parts.items()}
        return Estimate(factor * self.seconds, factor * self.low, factor * self.high, parts)

    def after(self, seconds: float) -> Estimate:
        """Return the estimate of a duration of which some seconds, already over, are a part.

        Parameters
        ----------
        seconds : float
            Those that are over, at least 0.

        Returns
        -------
        Estimate
            The sum, with the part `start`.
        """
        middle, low, high = (seconds + value for value in (self.seconds, self.low, self.high))
        return Estimate(middle, low, high, {"start": seconds, **self.parts})

    def holds(self, seconds: float) -> bool:
        """Return whether a duration lies in the interval.

        Parameters
        ----------
        seconds : float
            The duration.

        Returns
        -------
        bool
            True at its ends.
        """
        return self.low <= seconds <= self.high

    def describe(self) -> str:
        """Return `3 min 08 s (2 min 50 s to 3 min 27 s)`."""
        low, high = format_duration(self.low), format_duration(self.high)
        middle = format_duration(self.seconds)
        return middle if low == high else f"{middle} ({low} to {high})"

    def brief(self) -> str:
        """Return `3 min 08 s ± 10 %`."""
        if self.low <= 0 or self.high <= self.low:
            return format_duration(self.seconds)
        around = math.sqrt(self.high / self.low) - 1
        return f"{format_duration(self.seconds)} ± {100 * around:.0f} %"

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, in seconds."""
        numbers = {name: getattr(self, name) for name in ("seconds", "low", "high")}
        return {**numbers, "parts": dict(self.parts)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read the values of `as_json`.

        Parameters
        ----------
        document : dict
            From `as_json`.

        Returns
        -------
        Estimate
            The same.

        Raises
        ------
        ValueError
            If the durations are not in order.
        """
        seconds, low, high = (float(document[name]) for name in ("seconds", "low", "high"))
        if not 0 <= low <= seconds <= high < math.inf:
            raise ValueError(f"{low} to {high} s around {seconds} s")
        return cls(seconds, low, high, dict(document.get("parts", {})))


def sum_estimates(estimates: Iterable[Estimate]) -> Estimate:
    """Return the estimate of several durations together.

    Errors are taken to be fully correlated, for the durations were timed on one machine in
    one go: the ends of the intervals are added too.

    Parameters
    ----------
    estimates : iterable of Estimate
        Any number.

    Returns
    -------
    Estimate
        With the sums of equally named parts.
    """
    terms = list(estimates)
    parts: dict[str, float] = {}
    for estimate in terms:
        for name, value in estimate.parts.items():
            parts[name] = parts.get(name, 0.0) + value
    seconds, low, high = (
        math.fsum(getattr(estimate, name) for estimate in terms)
        for name in ("seconds", "low", "high")
    )
    return Estimate(seconds, low, high, parts)


@dataclass(frozen=True)
class LinearCost:
    """Seconds that are linear in a count.

    Attributes
    ----------
    count, seconds : float
        One point of the line.
    each : float
        Seconds of one more.
    """

    count: float
    seconds: float
    each: float

    @classmethod
    def measure(
        cls,
        timed: Callable[[int], float],
        few: int,
        more: int,
        weight: Callable[[int], float] = float,
        first: int | None = None,
    ) -> Self:
        """Time two counts, after a run that is not counted.

        Parameters
        ----------
        timed : callable
            Does the work for a count and returns its seconds.
        few, more : int
            Counts, `few` at least 1 and no more than `more`. If they are equal, the cost is
            taken to be proportional.
        weight : callable
            What the cost is linear in, by the count.
        first : int, optional
            Count of the run that is not counted, `few` by default.

        Returns
        -------
        LinearCost
            Through both points; never falling.
        """
        timed(first or few)
        seconds = timed(few)
        if more == few:
            return cls(weight(few), seconds, seconds / weight(few))
        each = max(0.0, timed(more) - seconds) / (weight(more) - weight(few))
        return cls(weight(few), seconds, each)

    def at(self, count: float) -> float:
        """Return the seconds of a count.

        Parameters
        ----------
        count : float
            At least 0.

        Returns
        -------
        float
            On the line.
        """
        return self.seconds + self.each * (count - self.count)


class StepKind(NamedTuple):
    """Steps that cost the same."""

    both: bool
    """Whether the step uses domain A."""
    size: int
    """Images in the batch."""


@dataclass(frozen=True)
class RunTiming:
    """Timings of a run before it starts.

    Attributes
    ----------
    cost_key : tuple
        Equal for runs whose steps cost the same.
    counts : dict
        Number of steps of each kind in the run.
    times : dict
        Seconds of the timed ones.
    parts : dict
        Seconds of the rest of the run: `warm-up`, `preparing`, `saving`, `pictures`,
        `validation`, `closing`.
    other_load : float
        Share of the machine's cores that other processes used meanwhile.
    """

    cost_key: tuple[Hashable, ...]
    counts: dict[StepKind, int]
    times: dict[StepKind, list[float]]
    parts: dict[str, float]
    other_load: float


def estimate_timings(timings: Sequence[RunTiming]) -> list[Estimate]:
    """Estimate the durations of runs; steps that cost the same are pooled.

    The interval comes from the scatter of the timed steps and from the error of such
    estimates in general; it is wider while other processes keep the machine busy.

    Parameters
    ----------
    timings : sequence of RunTiming
        One a run.

    Returns
    -------
    list of Estimate
        With the part `steps` and those of the timings.
    """
    pool: dict[Hashable, list[list[float]]] = defaultdict(list)
    for timing in timings:
        for kind, times in timing.times.items():
            pool[timing.cost_key, kind].append(times)
    busy = max((timing.other_load for timing in timings), default=0.0)
    return [_estimate(timing, pool, busy) for timing in timings]


def _estimate(timing: RunTiming, pool: dict[Hashable, list[list[float]]], busy: float) -> Estimate:
    learning = variance = 0.0
    for kind, count in timing.counts.items():
        windows = pool[timing.cost_key, kind]
        mean, error = _mean([seconds for window in windows for seconds in window])
        learning += count * mean
        variance += (count * error) ** 2 + (count * mean * _WINDOW_DEVIATION) ** 2 / len(windows)
    parts = {"steps": learning, **timing.parts}
    errors = (
        math.sqrt(variance),
        _FLOOR_DEVIATION * learning,
        _PREPARING_DEVIATION * parts["preparing"],
        _SAVING_DEVIATION * (parts["saving"] + parts["pictures"]),
        _CLOSING_DEVIATION * parts["closing"],
        _PREPARING_DEVIATION * parts["validation"],
        0.5 * parts["warm-up"],
    )
    seconds = math.fsum(parts.values())
    if not seconds:  # no step is left of a run that ended before it was marked as finished
        return Estimate.around(0.0, 0.0, parts)
    return Estimate.around(
        seconds, math.hypot(*errors, busy * (busy > BUSY) * seconds) / seconds, parts
    )


def _mean(times: Sequence[float]) -> tuple[float, float]:
    """Return the mean of some times and its standard error; outliers count for less."""
    if len(times) == 1:
        return times[0], _SINGLE_DEVIATION * times[0]
    bounded = np.minimum(times, _OUTLIER * np.median(times))
    return float(bounded.mean()), float(bounded.std(ddof=1) / math.sqrt(len(times)))
