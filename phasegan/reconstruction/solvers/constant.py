"""Methods that do not use the phase: the least that any other must beat."""

from __future__ import annotations

import numpy as np

from phasegan.reconstruction.protocol import Estimate, Method, Phase, Problem, Solution


def zero(phase: Phase, shape: tuple[int, int]) -> Estimate:
    """Return black images: their MSE is the mean squared pixel value of the data.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M₁, M₂ // 2 + 1); only its leading axes matter.
    shape : (int, int)
        (N₁, N₂).

    Returns
    -------
    numpy.ndarray
        (n[, C], N₁, N₂), float64 zeros.
    """
    return np.zeros((*phase.shape[:-2], *shape))


def mean_image(phase: Phase, image: Estimate) -> Estimate:
    """Return the same image for every phase.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M₁, M₂ // 2 + 1); only n matters.
    image : numpy.ndarray
        ([C,] N₁, N₂), pixel units: the mean of training images.

    Returns
    -------
    numpy.ndarray
        (n[, C], N₁, N₂), float64.
    """
    return np.broadcast_to(image, (len(phase), *image.shape)).copy()


def zero_method(problem: Problem) -> Method:
    """Make `zero` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Its shape is used.

    Returns
    -------
    callable
        The method.
    """
    return lambda observation: Solution(zero(observation.phase, problem.shape))


def mean_image_method(problem: Problem) -> Method:
    """Make `mean-image` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Its statistics are used.

    Returns
    -------
    callable
        The method.

    Raises
    ------
    InputError
        If there are no statistics.
    """
    image = problem.require_statistics("mean-image").mean_image
    return lambda observation: Solution(mean_image(observation.phase, image))
