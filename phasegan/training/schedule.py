"""What happens when in a run: the learning rate, sample pictures."""

from __future__ import annotations

MAX_SAMPLE_SHEETS = 20


def rate_factor(epoch: int, epochs: int) -> float:
    """Return the share of the initial learning rate in an epoch.

    Constant for the first half of the run, then falling linearly towards zero
    (Zhu et al. 2017, section 4: 100 epochs and 100 epochs).

    Parameters
    ----------
    epoch : int
        0 for the first.
    epochs : int
        Length of the run.

    Returns
    -------
    float
        In (0, 1].
    """
    falling = epochs // 2
    return min(1.0, (epochs - epoch) / (falling + 1))


def picture_epochs(epochs: int) -> set[int]:
    """Return after which epochs sample pictures are written: evenly, at most 20, and the last."""
    every = -(-epochs // MAX_SAMPLE_SHEETS)
    return {*range(every, epochs + 1, every), epochs}
