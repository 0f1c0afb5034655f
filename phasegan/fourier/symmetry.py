"""Planes of phases that lack the symmetry of real images: what gives it back to them.

Phases of a real image have φ(z + k) = −φ(z − k), with z the place of frequency 0. A constant c
that was added gives φ(z + k) + φ(z − k) = 2c. Then the circular convolution of e^{iφ} with itself,
Σ_k e^{iφ(k)} e^{iφ(a − k)}, has at a = 2z all its terms at the angle 2c.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.fourier.units import radians_of, wrap

Frame = tuple[int, int]
_BOTH_COPIES = {"half": np.s_[:, :1], "half-rows": np.s_[:1, :]}
"""Where half a plane has both copies, for every size."""


def explain_asymmetry(
    plane: NDArray[np.float64],
    valid: NDArray[np.bool_] | None,
    frame: Frame,
    layout: str,
    shift: Frame,
    units: str,
    offset: float,
    allowed: float,
) -> str | None:
    """Name the options with which a plane has the phases of a real image.

    Parameters
    ----------
    plane : numpy.ndarray
        (…, M₁, M₂) or, for `half`, (…, M₁, M₂ // 2 + 1), radians, frequency 0 expected at [0, 0].
    valid : numpy.ndarray or None
        As `plane`, bool: which phases count.
    frame : (int, int)
        (M₁, M₂).
    layout : str
        That of the user; `half-rows` has been completed to a full plane.
    shift : (int, int)
        By which the plane of the user was rolled.
    units : str
        Of the offset.
    offset : float
        What was subtracted already.
    allowed : float
        Radians by which a pair may differ.

    Returns
    -------
    str or None
        Such as `explained with --offset 0.7`; None where nothing makes every pair fit.
    """
    first = plane.reshape(-1, *plane.shape[-2:])[0]
    usable = np.ones(first.shape, bool) if valid is None else valid.reshape(-1, *first.shape)[0]
    middles = [(0, 0), (first.shape[0] // 2, first.shape[1] // 2)]  # of even sizes both fit
    if layout == "half" and any(_is_symmetric(first, usable, m, 0.0, allowed) for m in middles):
        return "it is a whole plane: --layout full, or --layout centred after fftshift"
    if layout in _BOTH_COPIES:
        first, usable = first[_BOTH_COPIES[layout]], usable[_BOTH_COPIES[layout]]
    phasors = np.exp(1j * first) * usable
    convolved = np.fft.ifft2(np.fft.fft2(phasors) ** 2)
    peak = np.unravel_index(int(np.abs(convolved).argmax()), convolved.shape)
    rows, columns = (_halves(int(a), m) for a, m in zip(peak, convolved.shape, strict=True))
    for place in _by_name(list(itertools.product(rows, columns)), layout, shift, frame):
        constant = float(first[place])
        if _is_symmetric(first, usable, place, constant, allowed):
            return _advice(place, constant, layout, shift, frame, units, offset, allowed)
    return None


def _halves(total: int, size: int) -> list[int]:
    """Return all z with 2z = total, modulo the size."""
    return [z for z in range(size) if 2 * z % size == total]


def _by_name(places: list[Frame], layout: str, shift: Frame, frame: Frame) -> list[Frame]:
    """Sort places of frequency 0: where it was expected, then where another layout has it."""
    known = [(0, 0), (shift[0] % frame[0], shift[1] % frame[1])]
    known.append(((shift[0] + frame[0] // 2) % frame[0], (shift[1] + frame[1] // 2) % frame[1]))
    return sorted(places, key=lambda place: known.index(place) if place in known else len(known))


def _is_symmetric(
    phase: NDArray[np.float64],
    usable: NDArray[np.bool_],
    place: Frame,
    constant: float,
    allowed: float,
) -> bool:
    def opposite(part: NDArray[Any]) -> NDArray[Any]:
        rows, columns = ((2 * z - np.arange(m)) % m for z, m in zip(place, part.shape, strict=True))
        return part[rows][:, columns]

    compared = usable & opposite(usable)
    error = np.abs(wrap(phase + opposite(phase) - 2.0 * constant))
    return bool(compared.sum() > 4) and bool((error[compared] <= 2.0 * allowed).all())


def _advice(
    place: Frame,
    constant: float,
    layout: str,
    shift: Frame,
    frame: Frame,
    units: str,
    offset: float,
    allowed: float,
) -> str | None:
    zero = tuple((z - s) % m for z, s, m in zip(place, shift, frame, strict=True))
    options = []
    if place != (0, 0):
        if layout not in _BOTH_COPIES and zero == (0, 0):
            options.append("--layout full")
        elif layout not in _BOTH_COPIES and zero == (frame[0] // 2, frame[1] // 2):
            options.append("--layout centred")
        else:
            options.append(f"--zero {zero[0]},{zero[1]}")
    if min(abs(constant), np.pi - abs(constant)) > allowed:
        total = offset + constant / radians_of(units)
        options.append(f"--offset {total:.15g}")
    if not options:
        return None
    said = "a constant was added to all phases" if place == (0, 0) else "frequency 0 is elsewhere"
    return f"{said}, explained with {' '.join(options)}"
