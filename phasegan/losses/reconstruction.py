"""Losses between an estimated image and its target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def l1_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Return mean |estimate − target|: cycle and identity loss of Zhu et al. 2017.

    Parameters
    ----------
    estimate, target : torch.Tensor
        (batch, channel, row, column), images in [−1, 1].

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    return functional.l1_loss(estimate.float(), target.float())


UNCLIPPED_SHARE = 0.1
"""Share of the squared error without clipping: pixels beyond the range keep a gradient."""


def soft_clipped_mse(estimate: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error, nine tenths of it after clipping the estimate.

    (1 − s) mean (clip(x̂) − x)² + s mean (x̂ − x)² with s = 0.1: images are scored
    clipped, but a pixel that was clipped has no gradient.

    Parameters
    ----------
    estimate, target : torch.Tensor
        x̂ and x, (batch, channel, row, column), 0 black and 1 white; the estimate
        may leave that range.

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    estimate, target = estimate.float(), target.float()
    clipped = functional.mse_loss(estimate.clamp(0.0, 1.0), target)
    free = functional.mse_loss(estimate, target)
    return (1.0 - UNCLIPPED_SHARE) * clipped + UNCLIPPED_SHARE * free


VARIANCE_FLOOR = 1e-4
"""Added to the variances in `structure_loss`, of images in 0..1."""


def structure_loss(estimate: Tensor, target: Tensor, *, centred: bool = True) -> Tensor:
    """Return 1 − ρ², with ρ the correlation of an estimate's pixels with its target's.

    The share of the target's variance that no a·estimate + b explains, or with
    `centred` False that no a·estimate explains: without padding phases tell
    neither scale nor offset, with it they tell the offset. It asks
    for structure alone: brightness and contrast, which no phase determines,
    leave it as it is, and every image counts alike.

    Parameters
    ----------
    estimate, target : torch.Tensor
        (batch, channel, row, column), images in 0..1; channels are taken one by one.
    centred : bool
        Whether an offset is free.

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32; at most 1 if centred.
    """
    e, t = estimate.float(), target.float()
    variance = t.var((-2, -1), correction=0) + VARIANCE_FLOOR
    if centred:
        e = e - e.mean((-2, -1), keepdim=True)
        t = t - t.mean((-2, -1), keepdim=True)
    power_e = (e * e).mean((-2, -1)) + VARIANCE_FLOOR
    power_t = (t * t).mean((-2, -1)) + VARIANCE_FLOOR
    missing = power_t - (e * t).mean((-2, -1)) ** 2 / power_e
    return torch.mean(missing / variance)
