"""Power law: the true phase with the magnitude that pictures have in general."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phasegan.fourier.convention import inverse
from phasegan.reconstruction.protocol import Estimate, Method, Phase, Problem, Solution

EXPONENT = 1.2
CONTRAST = 0.11
"""|X| at one cycle per image, over |X| at frequency 0. Both constants fit the mean
magnitudes of two sets: photographs of the benchmark, and those in scikit-image."""


def power_law_magnitude(
    frame: tuple[int, int], shape: tuple[int, int], brightness: float, exponent: float = EXPONENT
) -> NDArray[np.float64]:
    """Return √(S² + (0.11 / fᵃ)²), f ≥ 1 in cycles per image, S that of a uniform image.

    Field 1987, "Relations between the statistics of natural images and the
    response properties of cortical cells", doi:10.1364/JOSAA.4.002379: the
    magnitudes of natural images fall as 1/f. Below one cycle per image, which
    only padded frames have, the law is that at one.

    Parameters
    ----------
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).
    brightness : float
        Mean pixel; |X| at frequency 0 is N₁N₂ times that.
    exponent : float
        a.

    Returns
    -------
    numpy.ndarray
        (M₁, M₂ // 2 + 1), float64.
    """
    rows = np.fft.fftfreq(frame[0])[:, None] * shape[0]
    columns = np.arange(frame[1] // 2 + 1) / frame[1] * shape[1]
    frequency = np.hypot(rows, columns)
    law = CONTRAST * np.maximum(frequency, 1.0) ** -exponent
    law[0, 0] = 0.0
    uniform = np.abs(np.sinc(rows) * np.sinc(columns))
    return brightness * shape[0] * shape[1] * np.hypot(uniform, law)


def power_law(
    phase: Phase,
    frame: tuple[int, int],
    shape: tuple[int, int],
    brightness: float,
    exponent: float = EXPONENT,
) -> Estimate:
    """Return F⁻¹(|X| e^{iφ}) with |X| of `power_law_magnitude`, cropped to the support.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M₁, M₂ // 2 + 1), radians.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).
    brightness : float
        Mean pixel assumed.
    exponent : float
        a.

    Returns
    -------
    numpy.ndarray
        (n[, C], N₁, N₂), float64.
    """
    magnitude = power_law_magnitude(frame, shape, brightness, exponent)
    spectrum = magnitude * np.exp(1j * np.asarray(phase, np.float64))
    return inverse(spectrum, frame, shape)


def method(problem: Problem) -> Method:
    """Make `power-law` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Sizes and data range; the brightness is that of its statistics, if it has them.

    Returns
    -------
    callable
        The method.
    """
    if problem.statistics is None:
        brightness = problem.data_range / 2
    else:
        brightness = float(problem.statistics.mean_image.mean())
    return lambda observation: Solution(
        power_law(observation.phase, problem.frame, problem.shape, brightness)
    )
