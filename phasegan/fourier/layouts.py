"""Phases of any origin: planes and units that instruments and other programs use.

A plane is laid out as `half`, (…, M, M // 2 + 1), what `numpy.fft.rfft2` keeps;
`full`, (…, M, M), what `numpy.fft.fft2` gives, zero frequency at [0, 0]; or
`centred`, the full plane after `numpy.fft.fftshift`. Frames are square. Values
are radians (`rad`), degrees (`deg`), `turns`, or unit phasors e^{iφ} (`phasor`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import half_plane, self_conjugate
from phasegan.fourier.encoding import TURN
from phasegan.fourier.phase import centred, full_plane
from phasegan.fourier.units import (
    TURN_IN,
    UNITS,
    dtype_resolution,
    from_angles,
    from_phasors,
    index_of_largest,
    wrap,
)

LAYOUTS = ("half", "full", "centred")
TOLERANCE = 1e-3
"""Radians by which φ(−k) may differ from −φ(k)."""


@dataclass(frozen=True)
class HalfPlane:
    """Half-plane phases and what was noticed; every array has shape ([n, [C,]] M, M // 2 + 1)."""

    phase: NDArray[np.float64]
    """Radians in (−π, π]; 0 where it is not trusted, 0 or π in self-conjugate bins."""
    trusted: NDArray[np.bool_] | None
    """False where the phase says nothing; None where every phase counts."""
    resolution: float
    """Radians by which the source's dtype may have rounded a phase; 0 for float64."""
    pairs: int
    """How many pairs (k, −k) could be compared: both copies given and trusted."""
    consistent_error: float
    """The largest |φ(k) + φ(−k)| over those pairs, in radians, modulo one turn."""
    inconsistent: int
    """How many of the pairs were beyond the tolerance; only `symmetrise` lets any pass."""
    not_real: int
    """How many trusted self-conjugate bins were neither 0 nor π: the source was not real."""
    warnings: tuple[str, ...]
    """Lines about values that are allowed but look like another unit or layout."""


def to_half_plane(
    array: ArrayLike,
    *,
    layout: str,
    units: str,
    where: str,
    mask: ArrayLike | None = None,
    symmetrise: bool = False,
    tolerance: float = TOLERANCE,
    resolution: float | None = None,
) -> HalfPlane:
    """Turn a plane of phases into half-plane radians.

    A real image has φ(−k) = −φ(k). A plane that keeps both copies is checked:
    the whole of `full` and `centred`, columns 0 and, for even M, M / 2 of `half`.
    The copy in the half-plane is taken; where only one copy is trusted, that
    one; a phase is trusted if either copy is. Self-conjugate bins become 0 or π,
    whichever is nearer. For even M a shift by half the frame keeps the symmetry,
    so that `full` taken for `centred` shows only in a zero frequency of π, which
    is a doubt.

    Parameters
    ----------
    array : array
        ([n, [C,]] M, M) or, for `half`, ([n, [C,]] M, M // 2 + 1). Floats, or
        integers in degrees: radians in [−π, π] or [0, 2π], degrees in
        [−180, 180] or [0, 360], turns in [−0.5, 0.5] or [0, 1]. Phasors are
        complex with modulus 1, or 0 where nothing is known.
    layout : {"half", "full", "centred"}
        How the plane is laid out.
    units : {"rad", "deg", "turns", "phasor"}
        Units of the values.
    where : str
        The source, for messages.
    mask : array, optional
        True or 1 where a sample is trusted, in the layout of `array`; fewer
        leading axes are broadcast as numpy does.
    symmetrise : bool
        Replace φ(k) by the phase of e^{iφ(k)} + e^{−iφ(−k)} instead of refusing
        planes that are not consistent. Copies half a turn apart cancel: such a
        phase is not trusted.
    tolerance : float
        Radians by which copies may differ, and self-conjugate bins from 0 or π,
        on top of what the resolution explains.
    resolution : float, optional
        Radians by which values were rounded, where their dtype does not say so.

    Returns
    -------
    HalfPlane
        The phase, what of it is trusted, and what was noticed.

    Raises
    ------
    InputError
        If the shape does not fit the layout or the values the units, trusted
        values are not finite, the mask does not fit or trusts nothing, or the
        phase is not that of a real image.
    """
    _check_names(layout, units)
    if not 0.0 <= tolerance < np.pi:
        raise InputError(f"tolerance = {tolerance}: must be from 0 to π, in radians")
    values = np.asarray(array)
    if values.dtype.kind not in "fciu":
        raise InputError(f"{where}: dtype {values.dtype} is no phase; expected floats")
    size = _frame_size(values.shape, layout, where)
    valid = None if mask is None else _check_mask(np.asarray(mask), values.shape, where)
    non_finite = ~np.isfinite(values) if valid is None else ~np.isfinite(values) & valid
    if non_finite.any():
        raise InputError(
            f"{where}: {non_finite.sum()} of {non_finite.size} phases are NaN or infinite, the "
            f"first at {index_of_largest(non_finite)}; say which samples to trust, --mask FILE "
            "(mask=…)"
        )
    if units == "phasor":
        plane, valid = from_phasors(values, valid, where)
        warnings: list[str] = []
    else:
        plane, warnings = from_angles(values, units, valid, where)
    rounding = dtype_resolution(values.dtype, units) if resolution is None else resolution
    if layout == "centred":
        plane = np.fft.ifftshift(plane, axes=(-2, -1))
        valid = None if valid is None else np.fft.ifftshift(valid, axes=(-2, -1))

    columns = half_plane((size, size))[1]
    phase = plane[..., :columns].copy()
    bins = self_conjugate((size, size))
    mirrored = _opposite(plane, size, layout, -1.0)
    mirrored[..., bins] = phase[..., bins]
    compared, trusted = np.broadcast_to(_pairs(size, layout), phase.shape), None
    if valid is not None:
        valid_here, valid_mirrored = valid[..., :columns], _opposite(valid, size, layout)
        phase = wrap(np.where(valid_here | ~valid_mirrored, phase, mirrored))
        mirrored = np.where(valid_mirrored | ~valid_here, mirrored, phase)
        compared, trusted = compared & valid_here & valid_mirrored, valid_here | valid_mirrored

    difference = wrap(phase - mirrored)
    error = np.where(compared, np.abs(difference), 0.0)
    inconsistent = int((error > tolerance + 2.0 * rounding).sum())
    pairs, worst = int(compared.sum()), float(error.max())
    if inconsistent and not symmetrise:
        place = index_of_largest(error, size // 2 if layout == "centred" else 0)
        raise InputError(
            f"{where}: not the phase of a real image: φ(−k) = −φ(k) fails in {inconsistent} of "
            f"{pairs} pairs, worst by {worst:.2g} rad at {place}; is the layout right? --layout "
            "half|full|centred; or average the copies of noisy measurements, --symmetrise "
            "(symmetrise=True)"
        )
    if symmetrise:
        phase = wrap(phase - difference / 2.0)
        cancelled = np.abs(difference) > np.pi - 1e-9
        if cancelled.any():
            trusted = ~cancelled if trusted is None else trusted & ~cancelled

    real_values = phase[..., bins]
    not_real_mask = (
        np.minimum(np.abs(real_values), np.pi - np.abs(real_values)) > tolerance + rounding
    )
    if trusted is not None:
        not_real_mask &= trusted[..., bins]
    phase[..., bins] = np.where(np.abs(real_values) <= np.pi / 2.0, 0.0, np.pi)
    if trusted is not None:
        phase[~trusted] = 0.0
        trusted = None if mask is None and trusted.all() else trusted
    negative = phase[..., 0, 0] == np.pi
    if negative.any():
        warnings.append(
            f"the phase at frequency 0 is π in {negative.sum()} of {negative.size} planes, as if "
            f"pixels summed to less than 0; is --layout {layout} right? are they half a turn off?"
        )
    counts = pairs, worst, inconsistent, int(not_real_mask.sum())
    return HalfPlane(phase, trusted, rounding, *counts, tuple(warnings))


def from_half_plane(phase: ArrayLike, *, layout: str, units: str) -> NDArray[np.inexact]:
    """Lay half-plane radians out in another way: what `to_half_plane` undoes.

    Parameters
    ----------
    phase : array
        (…, M, M // 2 + 1), radians in (−π, π].
    layout : {"half", "full", "centred"}
        How to lay the plane out.
    units : {"rad", "deg", "turns", "phasor"}
        Units of the result.

    Returns
    -------
    numpy.ndarray
        (…, M, M), or (…, M, M // 2 + 1) for `half`: float64 in (−π, π],
        (−180, 180] or (−0.5, 0.5], or complex128 phasors.

    Raises
    ------
    InputError
        If the layout or the units are unknown, or the shape is no half-plane.
    """
    _check_names(layout, units)
    plane: NDArray[np.floating] = np.asarray(phase, dtype=np.float64)
    if plane.ndim < 2 or plane.shape[-2:] != half_plane((plane.shape[-2],) * 2):
        raise InputError(f"a phase of shape {plane.shape}: expected (…, M, M // 2 + 1)")
    if layout != "half":
        unfold = full_plane if layout == "full" else centred
        plane = unfold(plane, (plane.shape[-2],) * 2)
    return np.exp(1j * plane) if units == "phasor" else plane * (TURN_IN[units] / TURN)


def _check_names(layout: str, units: str) -> None:
    for kind, name, valid in (("layout", layout, LAYOUTS), ("units", units, UNITS)):
        if name not in valid:
            raise InputError(f"--{kind} {name}: choose one of {', '.join(valid)}")


def _frame_size(shape: tuple[int, ...], layout: str, where: str) -> int:
    expected = "([n, [C,]] M, M // 2 + 1)" if layout == "half" else "([n, [C,]] M, M)"
    if len(shape) in (2, 3, 4) and 0 not in shape:
        size = shape[-2]
        half = shape[-1] == half_plane((size, size))[1]
        if half if layout == "half" else shape[-1] == size:
            return size
        if layout == "half" and shape[-1] == size:
            hint = "a full plane? add --layout full, or --layout centred after fftshift"
        elif layout != "half" and half:
            hint = "a half-plane? add --layout half"
        elif len(shape) > 2 and shape[-3] > 4 and shape[-1] in (1, 3, 4):
            hint = "channels come before rows: numpy.moveaxis(array, -1, -3)"
        else:
            hint = "frames must be square"
    else:
        hint = "one plane, n planes, or n planes of C channels"
    raise InputError(
        f"{where}: a phase of shape {shape}: expected {expected} for --layout {layout}; {hint}"
    )


def _check_mask(mask: NDArray[Any], shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    try:
        fits = mask.shape[-2:] == shape[-2:] and np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            f"{where}: a mask of shape {mask.shape} for a phase of shape {shape}; give one of "
            f"{shape[-2:]} or of the phase's shape, in the same layout"
        )
    if mask.dtype.kind not in "biuf":
        raise InputError(f"{where}: a mask of dtype {mask.dtype}; expected true/false or 0 and 1")
    other = (mask != 0) & (mask != 1)
    if other.any():
        raise InputError(
            f"{where}: the mask holds {mask[other][0]} at {index_of_largest(other)}; expected "
            "true/false or 0 and 1, true where a phase is trusted, such as mask > 0"
        )
    if not mask.any():
        raise InputError(f"{where}: the mask trusts no sample; it must be true where phases count")
    return np.broadcast_to(mask.astype(bool), shape)


def _opposite(plane: NDArray[Any], size: int, layout: str, sign: Any = True) -> NDArray[Any]:
    """Return `sign` times what is at −k; in a half-plane without that copy, what is at k."""
    rows = -np.arange(size) % size
    if layout == "half":
        both = self_conjugate((size, size))[0]
        return np.where(both, plane[..., rows, :] * sign, plane)
    return plane[..., rows, :][..., -np.arange(size // 2 + 1) % size] * sign


def _pairs(size: int, layout: str) -> NDArray[np.bool_]:
    """Return the bins of the half-plane that stand for a pair, each pair once."""
    pairs = np.full(half_plane((size, size)), layout != "half")
    both = self_conjugate((size, size))[0]
    pairs[:, both] = False
    pairs[1 : (size + 1) // 2, both] = True
    return pairs
