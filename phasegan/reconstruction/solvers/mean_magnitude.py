"""Mean magnitude: the true phase with an average magnitude."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phasegan.fourier.convention import inverse
from phasegan.reconstruction.protocol import Estimate, Method, Phase, Problem, Solution


def mean_magnitude(
    phase: Phase, shape: tuple[int, int], magnitude: NDArray[np.float64]
) -> Estimate:
    """Return F⁻¹(m̄ · e^{iφ}), cropped to the support.

    Oppenheim & Lim 1981, doi:10.1109/PROC.1981.12022: the phase of
    one image with the magnitude of an ensemble.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1), radians.
    shape : (int, int)
        (N, N).
    magnitude : numpy.ndarray
        ([C,] M, M // 2 + 1), mean |X| of training images, pixel units of the
        unnormalised transform.

    Returns
    -------
    numpy.ndarray
        (n[, C], N, N), float64.
    """
    size = phase.shape[-2]
    return inverse(magnitude * np.exp(1j * np.asarray(phase, np.float64)), (size, size), shape)


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
    return lambda observation: Solution(mean_magnitude(observation.phase, problem.shape, magnitude))
