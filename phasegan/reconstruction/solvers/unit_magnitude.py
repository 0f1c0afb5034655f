"""Unit magnitude: the phase-only image."""

from __future__ import annotations

import numpy as np

from phasegan.fourier.convention import inverse
from phasegan.reconstruction.protocol import Estimate, Method, Phase, Problem, Solution


def unit_magnitude(
    phase: Phase, frame: tuple[int, int], shape: tuple[int, int], level: float
) -> Estimate:
    """Return F⁻¹(c · e^{iφ}), cropped to the support.

    Oppenheim & Lim 1981, "The importance of phase in signals",
    doi:10.1109/PROC.1981.12022: edges survive, and nothing else.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M₁, M₂ // 2 + 1), radians.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).
    level : float
        The constant magnitude c, in pixel units of the unnormalised transform.

    Returns
    -------
    numpy.ndarray
        (n[, C], N₁, N₂), float64.
    """
    return inverse(level * np.exp(1j * np.asarray(phase, np.float64)), frame, shape)


def neutral_level(frame: tuple[int, int], data_range: int) -> float:
    """Return the c that gives a phase-only image a root mean square of half the range.

    By Parseval's theorem F⁻¹(c · e^{iφ}) has root mean square c / √(M₁M₂). Used
    where no training images say how bright an image is, which the phase does not.

    Parameters
    ----------
    frame : (int, int)
        (M₁, M₂).
    data_range : int
        White, 255 or 65535.

    Returns
    -------
    float
        c, in pixel units of the unnormalised transform.
    """
    return 0.5 * data_range * float(np.sqrt(frame[0] * frame[1]))


def method(problem: Problem) -> Method:
    """Make `unit-magnitude` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Sizes and data range; c is the mean magnitude of its statistics, if it has them.

    Returns
    -------
    callable
        The method.
    """
    if problem.statistics is None:
        level = neutral_level(problem.frame, problem.data_range)
    else:
        level = float(problem.statistics.mean_magnitude.mean())
    return lambda observation: Solution(
        unit_magnitude(observation.phase, problem.frame, problem.shape, level)
    )
