"""Unit magnitude: the phase-only image."""

from __future__ import annotations

import numpy as np

from phasegan.fourier.convention import inverse
from phasegan.reconstruction.protocol import Estimate, Phase


def unit_magnitude(phase: Phase, shape: tuple[int, int], level: float) -> Estimate:
    """Return F⁻¹(c · e^{iφ}), cropped to the support.

    Oppenheim & Lim 1981, "The importance of phase in signals",
    doi:10.1109/PROC.1981.12022: edges survive, and nothing else.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1), radians.
    shape : (int, int)
        (N, N).
    level : float
        The constant magnitude c, in pixel units of the unnormalised transform.

    Returns
    -------
    numpy.ndarray
        (n[, C], N, N), float64.
    """
    size = phase.shape[-2]
    return inverse(level * np.exp(1j * np.asarray(phase, np.float64)), (size, size), shape)


def neutral_level(frame: tuple[int, int], data_range: int) -> float:
    """Return the c that gives a phase-only image a root mean square of half the range.

    By Parseval's theorem F⁻¹(c · e^{iφ}) has root mean square c / √(M₁M₂). Used
    where no training images say how bright a picture is, which the phase does
    not.
    """
    return 0.5 * data_range * float(np.sqrt(frame[0] * frame[1]))
