"""Estimates of the durations of runs, from timings of some of their steps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from phasegan.eta import Estimate

_OUTLIER = 4.0
"""Steps are counted as at most this many times the median one."""

_FLOOR_DEVIATION = 0.05
"""Relative error that no number of timed steps removes: no minute is like the one before."""
_WINDOW_DEVIATION = 0.08
"""Relative error of a few seconds of timed steps; that of several such windows is less."""
_PREPARING_DEVIATION = 0.15
_SAVING_DEVIATION = 0.4
BUSY = 0.15
"""Share of the cores that others use from which on the estimate warns."""


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
        Seconds of the rest of the run: `warm-up`, `preparing`, `saving`, `pictures`.
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
        With the parts `steps`, `warm-up`, `preparing`, `saving` and `pictures`.
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
    bounded = np.minimum(times, _OUTLIER * np.median(times))
    return float(bounded.mean()), float(bounded.std(ddof=1) / math.sqrt(len(times)))
