"""Phases as a detector would measure them: with noise, and with few bits.

Phases are float64 radians in (−π, π], shape (…, M₁, M₂ // 2 + 1), zero
frequency at [0, 0]; what comes out is again the phase of a real image's
spectrum, φ(−k) = −φ(k) modulo one turn. Column 0 and, for even M₂, column
M₂ // 2 hold both k and −k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import half_plane, self_conjugate
from phasegan.fourier.encoding import TURN

MAX_PHASE_NOISE = np.pi
"""Radians; wrapped noise of this σ is uniform over the turn to within 2 %."""
MAX_PHASE_BITS = 16


def add_phase_noise(
    phase: NDArray[np.floating], sigma: float, rng: np.random.Generator, frame: tuple[int, int]
) -> NDArray[np.float64]:
    """Add Gaussian noise to phases: φ(k) + n(k), with n(−k) = −n(k).

    Parameters
    ----------
    phase : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), radians in (−π, π].
    sigma : float
        Standard deviation before wrapping, radians, 0 to π; 0 changes nothing.
    rng : numpy.random.Generator
        Gives one standard normal number a bin, whatever σ is: the noise of
        equal generators is equal but for its scale.
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    numpy.ndarray
        Same shape, float64, wrapped to (−π, π]. Self-conjugate bins carry no noise.

    Raises
    ------
    InputError
        If sigma is out of range, or the phases are not a half-plane of the frame.
    """
    if not 0 <= sigma <= MAX_PHASE_NOISE:
        raise InputError(f"phase noise = {sigma}: must be from 0 to π rad")
    clean = _half_plane(phase, frame)
    noise = sigma * rng.standard_normal(clean.shape)
    noise[..., self_conjugate(frame)] = 0.0
    _mirror(noise, frame)
    return _wrap(clean + noise)


def quantise_phase(
    phase: NDArray[np.floating], bits: int, frame: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Round phases to the nearest 2πk / 2^bits.

    Parameters
    ----------
    phase : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), radians in (−π, π]. Where both k and −k are held,
        one is rounded and the other is its negative: the transform leaves them
        apart by rounding errors, which could tip a tie either way.
    bits : int
        1 (0 and π alone) to 16.
    frame : (int, int), optional
        (M₁, M₂); M₁×M₁ by default.

    Returns
    -------
    numpy.ndarray
        Same shape, float64, one of 2^bits values in (−π, π], within π / 2^bits
        of the given phase on the circle. 0 and π are kept.

    Raises
    ------
    InputError
        If bits is out of range, or the phases are not a half-plane of the frame.
    """
    if bits not in range(1, MAX_PHASE_BITS + 1):
        raise InputError(f"phase bits = {bits}: must be an integer from 1 to {MAX_PHASE_BITS}")
    side = phase.shape[-2:][0]
    frame = frame or (side, side)
    levels = 2 ** int(bits)
    codes = np.rint(_half_plane(phase, frame) * (levels / TURN)).astype(np.int64)
    _mirror(codes, frame)
    codes %= levels
    codes[codes > levels // 2] -= levels
    return codes * (TURN / levels)


def _half_plane(phase: NDArray[np.floating], frame: tuple[int, int]) -> NDArray[np.float64]:
    if phase.shape[-2:] != half_plane(frame):
        raise InputError(
            f"phases of shape {phase.shape}: a frame of {frame[0]}×{frame[1]} has half-planes of "
            f"{half_plane(frame)}"
        )
    return np.asarray(phase, dtype=np.float64)


def _mirror(values: NDArray[Any], frame: tuple[int, int]) -> None:
    """Set the values at −k to the negative of those at k, where the half-plane holds both."""
    rows = np.arange(1, (frame[0] + 1) // 2)
    for column in {0, frame[1] // 2} if frame[1] % 2 == 0 else {0}:
        values[..., frame[0] - rows, column] = -values[..., rows, column]


def _wrap(phase: NDArray[np.float64]) -> NDArray[np.float64]:
    outside = (phase <= -np.pi) | (phase > np.pi)
    far = phase[outside]
    far -= TURN * np.ceil((far - np.pi) / TURN)
    far[(far <= -np.pi) | (far > np.pi)] = np.pi
    phase[outside] = far
    return phase
