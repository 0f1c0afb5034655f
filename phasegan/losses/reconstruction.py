"""Losses of cycles: between images, and between phases on the circle."""

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


MAGNITUDE_FLOOR = 0.01
"""Magnitudes below this share of the mean magnitude count as that much: the
gradient of a phase goes as 1/|X|."""
_LEAST_WEIGHT = 1e-6


def phase_weights(mean_magnitude: Tensor, columns: int) -> Tensor:
    """Return the fixed weight of each frequency.

    w(k) = c(k) m(k) / Σ c m, with the mean magnitude m and c = 2 where the
    half-plane stands for both k and −k, 1 elsewhere. The weights do not depend
    on an output: with those of its own magnitude a flat image would have none.

    Parameters
    ----------
    mean_magnitude : torch.Tensor
        (C, M₁, M₂ // 2 + 1), ≥ 0, in any unit.
    columns : int
        M₂: the half-plane's shape does not tell odd from even.

    Returns
    -------
    torch.Tensor
        Same shape, ≥ 0; the sum over each channel's plane is 1, 0 where the mean
        magnitude vanishes altogether.
    """
    weights = mean_magnitude.clone()
    both = slice(1, (columns + 1) // 2)
    weights[..., both] *= 2.0
    total = weights.sum((-2, -1), keepdim=True)
    return weights / torch.where(total > 0, total, torch.ones_like(total))


def circular_distance(
    spectrum: Tensor,
    phase: Tensor,
    mean_magnitude: Tensor,
    weights: Tensor,
    trusted: Tensor | None = None,
) -> Tensor:
    """Return Σ w(k) (1 − cos(arg X(k) − φ(k))), averaged over images and channels.

    The cosine is Re(e^{−iφ} X) / max(|X|, m/100), with the mean magnitude m: its
    gradient stays finite where X is 0.

    Parameters
    ----------
    spectrum : torch.Tensor
        X, (n, C, M₁, M₂ // 2 + 1), complex64.
    phase : torch.Tensor
        φ, same shape, radians, float32.
    mean_magnitude : torch.Tensor
        m, (C, M₁, M₂ // 2 + 1), ≥ 0, in the unit of X.
    weights : torch.Tensor
        w, same shape, from `phase_weights`.
    trusted : torch.Tensor, optional
        As φ, bool: False where a phase counts for nothing.

    Returns
    -------
    torch.Tensor
        A scalar in 0..2, float32: 0 for equal phases, 2 for opposite ones.
    """
    least = mean_magnitude.amax((-2, -1), keepdim=True) * _LEAST_WEIGHT
    floor = MAGNITUDE_FLOOR * torch.maximum(mean_magnitude, least.clamp(min=_LEAST_WEIGHT))
    along = spectrum.real * torch.cos(phase) + spectrum.imag * torch.sin(phase)
    distance = 1.0 - along / torch.maximum(spectrum.abs(), floor)
    weighted = distance * weights
    if trusted is not None:
        weighted = torch.where(trusted, weighted, torch.zeros_like(weighted))
    return weighted.sum((-2, -1)).mean()
