"""Adversarial losses on a discriminator's map of patch scores.

Scores are (batch, 1, rows, columns), unbounded; every loss is a scalar, float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from phasegan.errors import InputError

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


def logistic_generator(scores: Tensor) -> Tensor:
    """Return −log σ(score): the non-saturating loss of Goodfellow et al. 2014, section 3."""
    return functional.softplus(-scores.float()).mean()


def logistic_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return half the sum of −log σ(real) and −log(1 − σ(fake)), of the same paper, equation 1."""
    real = functional.softplus(-real_scores.float()).mean()
    return 0.5 * (real + functional.softplus(fake_scores.float()).mean())


def hinge_generator(scores: Tensor) -> Tensor:
    """Return −score, the partner of `hinge_discriminator`; it has no lower bound."""
    return -scores.float().mean()


def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return half the sum of max(0, 1 − real) and max(0, 1 + fake).

    Lim & Ye 2017, "Geometric GAN", arXiv:1705.02894, equation 20.
    """
    real = functional.relu(1.0 - real_scores.float()).mean()
    return 0.5 * (real + functional.relu(1.0 + fake_scores.float()).mean())


class Adversary(NamedTuple):
    """Both sides of an adversarial loss."""

    generator: Callable[[Tensor], Tensor]
    """Of the scores of generated pictures."""
    discriminator: Callable[[Tensor, Tensor], Tensor]
    """Of the scores of real and of generated pictures."""


def _fooling(scores: Tensor) -> Tensor:
    return least_squares(scores, REAL)


ADVERSARIES = {
    "least-squares": Adversary(_fooling, discriminator_loss),
    "logistic": Adversary(logistic_generator, logistic_discriminator),
    "hinge": Adversary(hinge_generator, hinge_discriminator),
}


def adversary(name: str) -> Adversary:
    """Return the adversarial loss of a name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in ADVERSARIES:
        raise InputError(f"adversarial loss {name!r}: choose one of {', '.join(ADVERSARIES)}")
    return ADVERSARIES[name]
