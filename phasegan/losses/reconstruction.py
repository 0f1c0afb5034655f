"""Losses between a picture and what it should be."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def absolute(estimate: Tensor, target: Tensor) -> Tensor:
    """Return mean |estimate − target|: cycle and identity loss of Zhu et al. 2017.

    Parameters
    ----------
    estimate, target : torch.Tensor
        (batch, channel, row, column), pictures in [−1, 1].

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    return functional.l1_loss(estimate.float(), target.float())
