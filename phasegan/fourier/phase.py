"""Phase spectra: the reference encoder, and the full plane for pictures.

Phases are float64 radians in (−π, π], shape (…, M₁, M₂ // 2 + 1), zero
frequency at [0, 0].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.fourier.convention import forward, real_bins

UNDEFINED_BELOW = 1e-12
"""Share of an image's largest magnitude below which a phase is rounding noise."""


_TINY = np.nextafter(0.0, 1.0)


class PolarSpectrum(NamedTuple):
    """Phase and magnitude of spectra; every array has shape (…, M₁, M₂ // 2 + 1)."""

    phase: NDArray[np.float64]
    """Radians in (−π, π]; 0 where it is undefined."""
    magnitude: NDArray[np.float64]
    """|X| ≥ 0, in pixel units of the unnormalised transform."""
    undefined: NDArray[np.bool_]
    """True where the magnitude is too small for the phase to mean anything."""


def analyse(image: NDArray[np.generic], frame: tuple[int, int]) -> PolarSpectrum:
    """Split the spectrum of images into phase and magnitude, in float64.

    This is the reference encoder: stored phases and exactness are defined by it.

    Parameters
    ----------
    image : numpy.ndarray
        (…, N₁, N₂), real, any dtype; each image of a stack is taken by itself.
    frame : (int, int)
        (M₁, M₂), the zero-padded size.

    Returns
    -------
    PolarSpectrum
        Phase, magnitude and where the phase is undefined: where |X| is below
        1e-12 of the image's largest. Self-conjugate bins hold exactly 0 or π,
        and −π never occurs.
    """
    spectrum = forward(np.asarray(image, dtype=np.float64), frame)
    rows, columns = real_bins(frame)
    for row in rows:
        for column in columns:
            spectrum.imag[..., row, column] = 0.0
    magnitude = np.abs(spectrum)
    smallest = UNDEFINED_BELOW * magnitude.max(axis=(-2, -1), keepdims=True)
    undefined = magnitude < np.maximum(smallest, _TINY)
    # The angle; of parts that lie in one piece, which takes half the time.
    phase = np.arctan2(np.ascontiguousarray(spectrum.imag), np.ascontiguousarray(spectrum.real))
    np.copyto(phase, np.pi, where=phase == -np.pi)
    if undefined.any():
        phase[undefined] = 0.0
    return PolarSpectrum(phase, magnitude, undefined)


def full_plane(phase: NDArray[np.floating], frame: tuple[int, int]) -> NDArray[np.floating]:
    """Complete half-plane phases by φ(−k) = −φ(k).

    Parameters
    ----------
    phase : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), radians in (−π, π].
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    numpy.ndarray
        (…, M₁, M₂), radians in (−π, π], zero frequency at [0, 0].
    """
    rows = -np.arange(frame[0]) % frame[0]
    columns = frame[1] - np.arange(frame[1] // 2 + 1, frame[1])
    mirrored = -phase[..., rows, :][..., columns]
    mirrored[mirrored <= -np.pi] = np.pi
    return np.concatenate([phase, mirrored.astype(phase.dtype, copy=False)], axis=-1)


def centred(phase: NDArray[np.floating], frame: tuple[int, int]) -> NDArray[np.floating]:
    """Return the full plane with the zero frequency in the middle, at [M₁ // 2, M₂ // 2].

    Parameters
    ----------
    phase : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), radians in (−π, π].
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    numpy.ndarray
        (…, M₁, M₂), radians in (−π, π].
    """
    return np.fft.fftshift(full_plane(phase, frame), axes=(-2, -1))


def mirrored(
    phase: NDArray[np.floating], frame: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the phases of images mirrored left to right within their support.

    φ'(k₁, k₂) = −φ(−k₁, k₂) − 2π k₂ (N₂ − 1) / M₂, wrapped.

    Parameters
    ----------
    phase : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), radians in (−π, π].
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).

    Returns
    -------
    numpy.ndarray
        As `phase`, float64; self-conjugate bins stay exactly 0 or π.
    """
    columns = np.arange(frame[1] // 2 + 1)
    turns = columns * (shape[1] - 1) % frame[1] / frame[1]
    turned = -mirrored_bins(phase, frame).astype(np.float64) - 2.0 * np.pi * turns
    turned -= 2.0 * np.pi * np.ceil((turned - np.pi) / (2.0 * np.pi))
    wrapped: NDArray[np.float64] = np.where(turned <= -np.pi, np.pi, turned)
    return wrapped


def mirrored_bins(values: NDArray[Any], frame: tuple[int, int]) -> NDArray[Any]:
    """Return the values at (−k₁, k₂), where a mirrored image's bins come from.

    Parameters
    ----------
    values : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), any dtype.
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    numpy.ndarray
        As `values`.
    """
    return values[..., -np.arange(frame[0]) % frame[0], :]
