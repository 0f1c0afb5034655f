"""Power law: the true phase with the magnitude that pictures have in general."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phasegan.reconstruction.protocol import Estimate, Phase
from phasegan.spectra.fourier import inverse

EXPONENT = 1.2
"""Of photographs: between the 1.0 of Field 1987 for frequencies that count the
same in all pictures, and the steeper fall of pictures with few edges."""


def power_law_magnitude(
    frame: tuple[int, int], shape: tuple[int, int], brightness: float, exponent: float = EXPONENT
) -> NDArray[np.float64]:
    """Return |X| ∝ 1 / (1 + f)^a with f in cycles per image.

    Field 1987, "Relations between the statistics of natural images and the
    response properties of cortical cells", doi:10.1364/JOSAA.4.002379: the
    magnitudes of natural images fall as 1/f.

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
    law = (1.0 + np.hypot(rows, columns)) ** -exponent
    return brightness * shape[0] * shape[1] * law


def power_law(
    phase: Phase, shape: tuple[int, int], brightness: float, exponent: float = EXPONENT
) -> Estimate:
    """Return F⁻¹(|X| e^{iφ}) with |X| of `power_law_magnitude`, cropped to the support.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1), radians.
    shape : (int, int)
        (N, N).
    brightness : float
        Mean pixel assumed.
    exponent : float
        a.

    Returns
    -------
    numpy.ndarray
        (n[, C], N, N), float64.
    """
    size = phase.shape[-2]
    magnitude = power_law_magnitude((size, size), shape, brightness, exponent)
    spectrum = magnitude * np.exp(1j * np.asarray(phase, np.float64))
    return inverse(spectrum, (size, size), shape)
