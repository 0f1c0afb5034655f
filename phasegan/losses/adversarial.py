"""Adversarial losses on a discriminator's map of patch scores."""

from __future__ import annotations

import torch
from torch import Tensor

REAL, FAKE = 1.0, 0.0


def least_squares(scores: Tensor, target: float) -> Tensor:
    """Return the mean of (score − target)² over all patches.

    Mao et al. 2017, "Least squares generative adversarial networks",
    doi:10.1109/ICCV.2017.304, with labels 1 for real and 0 for fake.

    Parameters
    ----------
    scores : torch.Tensor
        (batch, 1, rows, columns), unbounded.
    target : float
        `REAL` or `FAKE`.

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    return torch.mean((scores.float() - target) ** 2)


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return half the sum of the losses on real and on fake pictures.

    The half slows the discriminator down relative to the generator (Zhu et al.
    2017, appendix 7.1).
    """
    return 0.5 * (least_squares(real_scores, REAL) + least_squares(fake_scores, FAKE))
