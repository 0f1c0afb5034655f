"""The learning rate over a run."""

from __future__ import annotations


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
