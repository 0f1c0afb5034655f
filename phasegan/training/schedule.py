"""Schedules of a run: learning rates, sample sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence

MAX_SAMPLE_SHEETS = 20


def linear_decay(epoch: int, epochs: int) -> float:
    """Return the published learning rate of an epoch, relative to the initial one.

    Constant for the first half of the run, then falling linearly towards zero
    (Zhu et al. 2017, section 4: 100 epochs and 100 epochs).

    Parameters
    ----------
    epoch : int
        From 0.
    epochs : int
        Length of the run.

    Returns
    -------
    float
        In (0, 1].
    """
    falling = epochs // 2
    return min(1.0, (epochs - epoch) / (falling + 1))


def sample_epochs(epochs: int, extended_at: Sequence[int] = ()) -> set[int]:
    """Return the epochs after which sample sheets are written.

    Parameters
    ----------
    epochs : int
        Length of the run.
    extended_at : sequence of int
        Its former lengths, ascending, where it was extended.

    Returns
    -------
    set of int
        Evenly spaced, at most 20, and the last; from 1. Where a run was extended, those of its
        former length, then those of the new one.
    """
    every = -(-epochs // MAX_SAMPLE_SHEETS)
    *before, last = (0, *extended_at)
    kept = sample_epochs(last, before[1:]) if before else set()
    return kept | {e for e in (*range(every, epochs + 1, every), epochs) if e > last}


WARM_UP_STEPS = 100
WARM_UP_SHARE = 0.1
LAST_SHARE = 0.01


def warmup_cosine(step: int, steps: int) -> float:
    """Return the learning rate at a step, relative to the largest one.

    Rising linearly for 100 steps or a tenth of the run, whichever is shorter,
    then falling as half a cosine to 1 % (Loshchilov & Hutter 2017,
    arXiv:1608.03983).

    Parameters
    ----------
    step : int
        From 0.
    steps : int
        Length of the run.

    Returns
    -------
    float
        In (0, 1].
    """
    rising = min(WARM_UP_STEPS, int(WARM_UP_SHARE * steps))
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(1, steps - 1 - rising)
    return LAST_SHARE + (1.0 - LAST_SHARE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
