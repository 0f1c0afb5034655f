"""Mean magnitude: the true phase with an average magnitude."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phasegan.fourier.convention import inverse
from phasegan.reconstruction.protocol import Estimate, Method, Phase, Problem, Solution


def mean_magnitude(
    phase: Phase, frame: tuple[int, int], shape: tuple[int, int], magnitude: NDArray[np.float64]
) -> Estimate:
    """Return F⁻¹(m̄ · e^{iφ}), cropped to the support.

    Oppenheim & Lim 1981, doi:10.1109/PROC.1981.12022: the phase of
    one image with the magnitude of an ensemble.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M₁, M₂ // 2 + 1), radians.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).
    magnitude : numpy.ndarray
        ([C,] M₁, M₂ // 2 + 1), mean |X| of training images, pixel units of the
        unnormalised transform.

    Returns
    -------
    numpy.ndarray
        (n[, C], N₁, N₂), float64.
    """
    return inverse(magnitude * np.exp(1j * np.asarray(phase, np.float64)), frame, shape)


def method(problem: Problem) -> Method:
    """Make `mean-magnitude` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Its shape and statistics are used.

    Returns
    -------
    callable
        The method.

    Raises
    ------
    InputError
        If there are no statistics.
    """
    magnitude = problem.require_statistics("mean-magnitude").mean_magnitude
    return lambda observation: Solution(
        mean_magnitude(observation.phase, problem.frame, problem.shape, magnitude)
    )
