"""Prior of photographs: the mean magnitude of their spectra, at any size.

Frequencies f are in cycles a pixel, angles θ = atan2(row, column frequency).
An image is taken as the sum of a stationary process of spectral density

    S(f, θ) = exp(r(f) + h(f) cos 2θ + d(f) cos 4θ + a cos³² 2θ),

of one that changes with the row alone and one that changes with the column alone,
as skies, horizons and walls do, of densities exp(v(f)) and exp(w(f)), and of a
constant brightness. The five curves are piecewise linear in ln f. The numbers are in
`phasegan/pretrained/magnitude-prior`, fitted by `benchmarks/fit_magnitude_prior.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRIOR_FILE = Path(__file__).parents[1] / "pretrained" / "magnitude-prior" / "photographs.json"
RAYLEIGH_MEAN = np.sqrt(np.pi) / 2
"""Mean of a Rayleigh distributed magnitude over its root mean square."""

MIN_FREQUENCY = 1 / 512
"""Cycles a pixel below which the curves are what they are there."""

RIDGE = 32


@dataclass(frozen=True)
class MagnitudePrior:
    """A stationary model of the magnitudes of images whose white is 1."""

    version: int
    frequency: tuple[float, ...]
    """Knots of the curves, cycles a pixel, ascending."""
    radial: tuple[float, ...]
    """r at the knots."""
    horizontal: tuple[float, ...]
    """h at the knots: positive where frequencies along columns are the stronger."""
    diagonal: tuple[float, ...]
    """d at the knots: positive where both axes are stronger than the diagonals."""
    axial: float
    """a: height of ridges some 6° wide along both axes."""
    rows: tuple[float, ...]
    """v at the knots: of the process that is constant along a row."""
    columns: tuple[float, ...]
    """w at the knots: of the process that is constant along a column."""
    brightness: float
    """Mean pixel."""
    spread: float
    """Standard deviation of ln |X| about the prior's, over images and frequencies."""
    images: int
    """How many it was fitted to."""

    @classmethod
    def load(cls, path: Path = PRIOR_FILE) -> MagnitudePrior:
        """Read a prior from its JSON file.

        Parameters
        ----------
        path : pathlib.Path
            The file; by default that of photographs.

        Returns
        -------
        MagnitudePrior
            With the numbers of the file.
        """
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        del document["fitted_to"]
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in document.items()
        }
        return cls(**fields)

    def density(
        self, rows: NDArray[np.floating], columns: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """Return the spectral density S(f, θ) of images whose white is 1.

        Parameters
        ----------
        rows, columns : numpy.ndarray
            Frequencies, cycles a pixel; both broadcast to one shape.

        Returns
        -------
        numpy.ndarray
            Density of that shape, > 0; squared pixels.
        """
        # what is slower than the grid counts as if in the middle of its lowest sample
        steps = [abs(f).ravel()[1] if f.size > 1 else 1.0 for f in (rows, columns)]
        radius = np.maximum(np.hypot(rows, columns), min(steps) / 2)
        angle = np.arctan2(rows, columns)
        return (
            self._curve(radius, self.radial)
            * self._curve(radius, self.horizontal) ** np.cos(2 * angle)
            * self._curve(radius, self.diagonal) ** np.cos(4 * angle)
            * np.exp(self.axial * np.cos(2 * angle) ** RIDGE)
        )

    def _curve(
        self, radius: NDArray[np.floating], values: tuple[float, ...]
    ) -> NDArray[np.floating]:
        return np.exp(hat_functions(radius, np.array(self.frequency)) @ np.array(values))

    def _axis_covariance(self, values: tuple[float, ...], size: int) -> NDArray[np.floating]:
        frequency = np.maximum(np.fft.rfftfreq(size), 0.5 / size)
        return np.fft.irfft(self._curve(frequency, values), size)

    def magnitude(
        self, frame: tuple[int, int], shape: tuple[int, int], white: float
    ) -> NDArray[np.floating]:
        """Return the mean magnitude of images of a size in a frame.

        E|X|² is the transform of the autocovariance times the triangles
        (N₁ − |l₁|)₊ (N₂ − |l₂|)₊: zero-padding and the jump across the border,
        which makes the axes bright, are in it.

        Parameters
        ----------
        frame, shape : (int, int)
            (M₁, M₂) and (N₁, N₂).
        white : float
            The largest pixel of the images.

        Returns
        -------
        numpy.ndarray
            (M₁, M₂ // 2 + 1), float64, > 0, in units of the pixels.
        """
        times = [-(-2 * n // m) for n, m in zip(shape, frame, strict=True)]
        grid = [q * m for q, m in zip(times, frame, strict=True)]
        rows, columns = np.fft.fftfreq(grid[0])[:, None], np.fft.rfftfreq(grid[1])[None]
        covariance = np.fft.irfft2(self.density(rows, columns), s=grid) + self.brightness**2
        covariance += self._axis_covariance(self.rows, grid[0])[:, None]
        covariance += self._axis_covariance(self.columns, grid[1])
        lags = [np.minimum(np.arange(g), g - np.arange(g)) for g in grid]
        first, second = (np.maximum(n - lag, 0) for n, lag in zip(shape, lags, strict=True))
        power = np.fft.rfft2(covariance * first[:, None] * second)[:: times[0], :: times[1]].real
        rms = np.sqrt(np.maximum(power, 1e-12 * power.max()))
        mean = RAYLEIGH_MEAN * rms
        mean[0, 0] = self.brightness * shape[0] * shape[1]
        return np.asarray(white * mean)


def hat_functions(
    radius: NDArray[np.floating], knots: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return the piecewise linear basis in ln f, straight on beyond the last knots.

    Parameters
    ----------
    radius : numpy.ndarray
        (…), f in cycles a pixel, at least 1/512 is used.
    knots : numpy.ndarray
        (k,), ascending, cycles a pixel.

    Returns
    -------
    numpy.ndarray
        (…, k), float64; the k values sum to 1.
    """
    x = np.log(np.maximum(radius, MIN_FREQUENCY))
    k = np.log(knots)
    i = np.clip(np.searchsorted(k, x) - 1, 0, len(k) - 2)
    t = (x - k[i]) / (k[i + 1] - k[i])
    basis = np.zeros((*np.shape(radius), len(k)))
    np.put_along_axis(basis, i[..., None], (1 - t)[..., None], -1)
    np.put_along_axis(basis, i[..., None] + 1, t[..., None], -1)
    return basis


@cache
def photograph_prior() -> MagnitudePrior:
    """Return the prior that comes with phasegan."""
    return MagnitudePrior.load()
