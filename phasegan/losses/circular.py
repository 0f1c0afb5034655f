"""The circular distance of phases: the loss of a phase's cycle through an image."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 0.01
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
        (C, M, M // 2 + 1), ≥ 0, in any unit.
    columns : int
        M: the half-plane's shape does not tell odd from even.

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
        X, (n, C, M, M // 2 + 1), complex64.
    phase : torch.Tensor
        φ, same shape, radians, float32.
    mean_magnitude : torch.Tensor
        m, (C, M, M // 2 + 1), ≥ 0, in the unit of X.
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
    floor = FLOOR * torch.maximum(mean_magnitude, least.clamp(min=_LEAST_WEIGHT))
    along = spectrum.real * torch.cos(phase) + spectrum.imag * torch.sin(phase)
    distance = 1.0 - along / torch.maximum(spectrum.abs(), floor)
    weighted = distance * weights
    if trusted is not None:
        weighted = torch.where(trusted, weighted, torch.zeros_like(weighted))
    return weighted.sum((-2, -1)).mean()
