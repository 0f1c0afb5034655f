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
    """Return half the sum of the least-squares losses on real and on generated images.

    The half slows the discriminator down relative to the generator (Zhu et al. 2017,
    appendix 7.1).

    Parameters
    ----------
    real_scores, fake_scores : torch.Tensor
        (batch, 1, rows, columns), unbounded.

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    return 0.5 * (least_squares(real_scores, REAL) + least_squares(fake_scores, FAKE))


def logistic_generator(scores: Tensor) -> Tensor:
    """Return the mean of −log σ(score).

    The non-saturating loss of Goodfellow et al. 2014, section 3.

    Parameters
    ----------
    scores : torch.Tensor
        Of generated images, (batch, 1, rows, columns).

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    return functional.softplus(-scores.float()).mean()


def logistic_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return half the sum of −log σ(real) and −log(1 − σ(fake)), of the same paper, equation 1.

    Parameters
    ----------
    real_scores, fake_scores : torch.Tensor
        (batch, 1, rows, columns), unbounded.

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    real = functional.softplus(-real_scores.float()).mean()
    return 0.5 * (real + functional.softplus(fake_scores.float()).mean())


def hinge_generator(scores: Tensor) -> Tensor:
    """Return the mean of −score, the partner of `hinge_discriminator`; it has no lower bound.

    Parameters
    ----------
    scores : torch.Tensor
        Of generated images, (batch, 1, rows, columns).

    Returns
    -------
    torch.Tensor
        A scalar, float32.
    """
    return -scores.float().mean()


def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return half the sum of max(0, 1 − real) and max(0, 1 + fake).

    Lim & Ye 2017, "Geometric GAN", arXiv:1705.02894, equation 20.

    Parameters
    ----------
    real_scores, fake_scores : torch.Tensor
        (batch, 1, rows, columns), unbounded.

    Returns
    -------
    torch.Tensor
        A scalar ≥ 0, float32.
    """
    real = functional.relu(1.0 - real_scores.float()).mean()
    return 0.5 * (real + functional.relu(1.0 + fake_scores.float()).mean())


class AdversarialLoss(NamedTuple):
    """A generator's loss and the discriminator's to go with it."""

    generator: Callable[[Tensor], Tensor]
    """From the scores of generated images."""
    discriminator: Callable[[Tensor, Tensor], Tensor]
    """From the scores of real and of generated images."""


def _least_squares_generator(scores: Tensor) -> Tensor:
    return least_squares(scores, REAL)


ADVERSARIAL_LOSSES = {
    "least-squares": AdversarialLoss(_least_squares_generator, discriminator_loss),
    "logistic": AdversarialLoss(logistic_generator, logistic_discriminator),
    "hinge": AdversarialLoss(hinge_generator, hinge_discriminator),
}


def adversarial_loss(name: str) -> AdversarialLoss:
    """Return an adversarial loss by name.

    Parameters
    ----------
    name : str
        A key of `ADVERSARIAL_LOSSES`.

    Returns
    -------
    AdversarialLoss
        Both sides.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in ADVERSARIAL_LOSSES:
        raise InputError(
            f"adversarial loss {name!r}: choose one of {', '.join(ADVERSARIAL_LOSSES)}"
        )
    return ADVERSARIAL_LOSSES[name]
