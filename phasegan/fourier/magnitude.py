"""Statistics of magnitude spectra.

Magnitudes |X| are half-planes (N₁, N₂ // 2 + 1), float64, in pixel units of the
unnormalised transform of `phasegan.fourier.convention`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

VARIED_BRIGHTNESS = 0.1
"""Spread of brightness, as a share of white, from which few images do not tell that of many."""

SMOOTHING_WIDTH = 1.5
"""Standard deviation over frequencies, samples of the spectrum, of `shrunk_magnitude`."""

MIN_MAGNITUDE = 4e-6
"""Share of white below which a magnitude counts as that much."""


class RunningMean:
    """Mean of arrays of one shape that come one at a time, summed in float64.

    The sum is taken in the order of arrival, so that equal input gives equal bits.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum: NDArray[np.float64] | None = None

    def add(self, value: NDArray[np.integer] | NDArray[np.floating]) -> None:
        """Add one array.

        Parameters
        ----------
        value : numpy.ndarray
            Array of the shape of those before, integer or float.
        """
        if self._sum is None:
            self._sum = np.zeros(value.shape, dtype=np.float64)
        self._sum += value
        self.count += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of what was added.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        if self._sum is None:
            raise ValueError("the mean of nothing is not defined")
        return self._sum / self.count


def shrunk_magnitude(
    mean: NDArray[np.float64], samples: int, frame: tuple[int, int], white: float, spread: float
) -> NDArray[np.float64]:
    """Return the mean magnitude of few images, nearer to what that of many would be.

    With n images it counts n parts of n + 10 against itself smoothed in the
    logarithm over neighbouring frequencies, and at frequency 0 n parts of n + 5
    against 0.45 of white; less is counted against it where the images are nearly
    equally bright, and the brightness is known from few of them. The coordinate axes,
    which carry the jump across the border, are smoothed along themselves, and the lowest
    frequencies not at all.

    Parameters
    ----------
    mean : numpy.ndarray
        (N₁, N₂ // 2 + 1), ≥ 0.
    samples : int
        n.
    frame : (int, int)
        (N₁, N₂).
    white : float
        The largest pixel of the images.
    spread : float
        Standard deviation of the images' means, in the unit of their pixels.

    Returns
    -------
    numpy.ndarray
        Same shape, float64.
    """
    rows, columns = frame
    safe = np.log(np.maximum(mean, MIN_MAGNITUDE * white))
    full = np.empty(frame)
    half = mean.shape[1]
    full[:, :half] = safe
    mirror = -np.arange(rows) % rows
    full[:, half:] = safe[mirror][:, columns - np.arange(half, columns)]
    full = np.fft.fftshift(full)
    smooth = gaussian_filter(full, SMOOTHING_WIDTH, mode="wrap")
    top, left = rows // 2, columns // 2
    smooth[top] = gaussian_filter(full[top], 2 * SMOOTHING_WIDTH, mode="wrap")
    smooth[:, left] = gaussian_filter(full[:, left], 2 * SMOOTHING_WIDTH, mode="wrap")
    lowest = (slice(top - 2, top + 3), slice(left - 2, left + 3))
    smooth[lowest] = full[lowest]
    smooth = np.exp(np.fft.ifftshift(smooth)[:, :half])
    share = samples / (samples + 10)
    steady = np.where(mean > 0, share * mean + (1 - share) * smooth, mean)
    grey = 0.45 * white * rows * columns
    part = 5 / (samples + 5) * min(1.0, (spread / (VARIED_BRIGHTNESS * white)) ** 2)
    steady[0, 0] = (1 - part) * mean[0, 0] + part * grey
    return np.asarray(steady)
