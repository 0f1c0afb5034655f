"""Phases of any origin: planes and units that instruments and other programs use.

Frames are M₁×M₂, rows × columns. A plane is laid out as `half`, (…, M₁, M₂ // 2 + 1), what
`numpy.fft.rfft2` keeps; `half-rows`, (…, M₁ // 2 + 1, M₂), what `numpy.fft.rfft2(x, axes=(1, 0))`
keeps; `full`, (…, M₁, M₂), what `numpy.fft.fft2` gives, zero frequency at [0, 0]; or `centred`,
the full plane after `numpy.fft.fftshift`. Values are in one of the units of
`phasegan.fourier.units`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import half_plane, self_conjugate
from phasegan.fourier.phase import centred, full_plane
from phasegan.fourier.symmetry import explain_asymmetry
from phasegan.fourier.units import (
    INTEGER_UNITS,
    UNITS,
    dtype_resolution,
    from_angles,
    from_phasors,
    index_of_largest,
    radians_of,
    source_half_steps,
    to_codes,
    wrap,
)

LAYOUTS = ("half", "full", "centred", "half-rows")
TOLERANCE = 1e-3
"""Radians by which φ(−k) may differ from −φ(k)."""

Frame = tuple[int, int]


@dataclass(frozen=True)
class HalfPlane:
    """Half-plane phases and what was noticed; every array has shape ([n, [C,]] M₁, M₂ // 2 + 1)."""

    phase: NDArray[np.float64]
    """Radians in (−π, π]; 0 where it is not trusted, 0 or π in self-conjugate bins."""
    trusted: NDArray[np.bool_] | None
    """False where the phase says nothing; None where every phase counts."""
    frame: Frame
    """(M₁, M₂)."""
    half_step: NDArray[np.float64] | float
    """Radians by which a phase may have been rounded, by the dtype and the units of the source:
    a number, or an array as `phase`."""
    resolution: float
    """A bound of `half_step` for phases of one turn; 0 for float64."""
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
    frame: Frame | None = None,
    zero: Frame | None = None,
    offset: float = 0.0,
    unwrapped: bool = False,
) -> HalfPlane:
    """Turn a plane of phases into half-plane radians.

    A real image has φ(−k) = −φ(k). A plane that keeps both copies is checked:
    the whole of `full` and `centred`, columns 0 and, for even M₂, M₂ / 2 of `half`.
    The copy in the half-plane is taken; where only one copy is trusted, that
    one; a phase is trusted if either copy is. Self-conjugate bins become 0 or π,
    whichever is nearer. For even sizes a shift by half the frame keeps the symmetry,
    so that `full` taken for `centred` shows only in a zero frequency of π, which
    is a doubt.

    Parameters
    ----------
    array : array
        ([n, [C,]] M₁, M₂); for `half` ([n, [C,]] M₁, M₂ // 2 + 1), for `half-rows`
        ([n, [C,]] M₁ // 2 + 1, M₂). Floats, or integers in degrees or codes: radians in
        [−π, π] or [0, 2π], degrees in [−180, 180] or [0, 360], turns in [−0.5, 0.5] or
        [0, 1]. Phasors are complex with modulus 1, or 0 where nothing is known.
    layout : {"half", "full", "centred", "half-rows"}
        How the plane is laid out.
    units : str
        One of `phasegan.fourier.units.UNITS`.
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
    frame : (int, int), optional
        (M₁, M₂). By default that of the shape; a half-plane that fits a square frame is
        that of one, of others M₂ (`half-rows`: M₁) is even.
    zero : (int, int), optional
        Where frequency 0 stands, by default where the layout has it: row and column, of
        `half` and `half-rows` 0 along the axis that is halved.
    offset : float
        What was added to every phase, in its units; it is subtracted.
    unwrapped : bool
        Values may be many turns: they are taken modulo one.

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
    frame, warnings = _frame_of(values.shape, layout, frame, where)
    valid = None if mask is None else _check_mask(np.asarray(mask), values.shape, where)
    _check_finite(values, valid, where)
    if units == "phasor":
        plane, valid = from_phasors(values, valid, where)
    else:
        plane, doubts = from_angles(values, units, valid, where, unwrapped, offset)
        warnings += doubts
    rounding = dtype_resolution(values.dtype, units) if resolution is None else resolution
    steps = source_half_steps(values, units) if resolution is None else resolution
    if unwrapped:
        rounding = max(rounding, float(np.max(steps)))
    if offset:
        constant = offset * radians_of(units)
        plane = wrap(plane - constant)
        steps = np.asarray(steps) + rounding * abs(constant)  # the constant is rounded as they are
    shift = _zero_shift(layout, zero, frame, where)
    plane, valid, steps = (_rolled(part, shift) for part in (plane, valid, steps))
    if layout == "half-rows":
        plane, valid, steps = (
            wrap(_completed(plane, frame, -1.0)),
            None if valid is None else _completed(valid, frame),
            steps if np.ndim(steps) == 0 else _completed(np.asarray(steps), frame),
        )

    columns = half_plane(frame)[1]
    phase = plane[..., :columns].copy()
    bins = self_conjugate(frame)
    both = layout != "half"
    mirrored = _opposite(plane, frame, both, -1.0)
    mirrored[..., bins] = phase[..., bins]
    compared, trusted = np.broadcast_to(_pairs(frame, both), phase.shape), None
    half_step = steps if np.ndim(steps) == 0 else np.asarray(steps)[..., :columns]
    if valid is not None:
        valid_here, valid_mirrored = valid[..., :columns], _opposite(valid, frame, both)
        here = valid_here | ~valid_mirrored
        phase = wrap(np.where(here, phase, mirrored))
        mirrored = np.where(valid_mirrored | ~valid_here, mirrored, phase)
        compared, trusted = compared & valid_here & valid_mirrored, valid_here | valid_mirrored
        if np.ndim(half_step):
            half_step = np.where(here, half_step, _opposite(np.asarray(steps), frame, both))

    difference = wrap(phase - mirrored)
    error = np.where(compared, np.abs(difference), 0.0)
    allowed = tolerance + 2.0 * rounding
    inconsistent = int((error > allowed).sum())
    pairs, worst = int(compared.sum()), float(error.max())
    if inconsistent and not symmetrise:
        place = index_of_largest(error, (-shift[0], -shift[1]), frame)
        advice = explain_asymmetry(plane, valid, frame, layout, shift, units, offset, allowed)
        if advice is None:
            advice = (
                "is the layout right? --layout half|full|centred; or average the copies of noisy "
                "measurements, --symmetrise (symmetrise=True)"
            )
        raise InputError(
            f"{where}: not the phase of a real image: φ(−k) = −φ(k) fails in {inconsistent} of "
            f"{pairs} pairs, worst by {worst:.2g} rad at {place}; {advice}"
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
        half_turn = f"{np.pi / radians_of(units):g}"
        warnings.append(
            f"the phase at frequency 0 is π in {negative.sum()} of {negative.size} planes, as if "
            f"pixels summed to less than 0; is --layout {layout} right? are they half a turn off, "
            f"--offset {half_turn}?"
        )
    counts = pairs, worst, inconsistent, int(not_real_mask.sum())
    return HalfPlane(phase, trusted, frame, half_step, rounding, *counts, tuple(warnings))


def from_half_plane(
    phase: ArrayLike, *, layout: str, units: str, frame: Frame | None = None
) -> NDArray[Any]:
    """Lay half-plane radians out in another way: what `to_half_plane` undoes.

    Parameters
    ----------
    phase : array
        (…, M₁, M₂ // 2 + 1), radians in (−π, π].
    layout : {"half", "full", "centred", "half-rows"}
        How to lay the plane out.
    units : str
        Units of the result, one of `phasegan.fourier.units.UNITS`.
    frame : (int, int), optional
        (M₁, M₂); (M₁, M₁) by default.

    Returns
    -------
    numpy.ndarray
        (…, M₁, M₂), (…, M₁, M₂ // 2 + 1) for `half` or (…, M₁ // 2 + 1, M₂) for
        `half-rows`: float64 in (−π, π], (−180, 180] or (−0.5, 0.5], complex128 phasors, or
        uint8 or uint16 codes.

    Raises
    ------
    InputError
        If the layout or the units are unknown, or the shape is no half-plane.
    """
    _check_names(layout, units)
    plane: NDArray[np.floating] = np.asarray(phase, dtype=np.float64)
    frame = frame or (plane.shape[-2:-1] * 2 if plane.ndim > 1 else (0, 0))
    if plane.ndim < 2 or plane.shape[-2:] != half_plane(frame):
        raise InputError(f"a phase of shape {plane.shape}: expected (…, M, M // 2 + 1)")
    if layout != "half":
        plane = centred(plane, frame) if layout == "centred" else full_plane(plane, frame)
    if layout == "half-rows":
        plane = plane[..., : frame[0] // 2 + 1, :]
    if units in INTEGER_UNITS:
        return to_codes(plane, units)
    return np.exp(1j * plane) if units == "phasor" else plane / radians_of(units)


def _check_names(layout: str, units: str) -> None:
    for kind, name, valid in (("layout", layout, LAYOUTS), ("units", units, UNITS)):
        if name not in valid:
            raise InputError(f"--{kind} {name}: choose one of {', '.join(valid)}")


def _check_finite(values: NDArray[Any], valid: NDArray[np.bool_] | None, where: str) -> None:
    non_finite = ~np.isfinite(values) if valid is None else ~np.isfinite(values) & valid
    if non_finite.any():
        raise InputError(
            f"{where}: {non_finite.sum()} of {non_finite.size} phases are NaN or infinite, the "
            f"first at {index_of_largest(non_finite)}; say which samples to trust, --mask FILE "
            "(mask=…)"
        )


def _plane_shape(frame: Frame, layout: str) -> Frame:
    if layout == "half-rows":
        return frame[0] // 2 + 1, frame[1]
    return half_plane(frame) if layout == "half" else frame


def _frame_of(
    shape: tuple[int, ...], layout: str, frame: Frame | None, where: str
) -> tuple[Frame, list[str]]:
    """Return the frame of planes, and a line where their shape leaves it open."""
    plane = {"half": "M₁, M₂ // 2 + 1", "half-rows": "M₁ // 2 + 1, M₂"}.get(layout, "M₁, M₂")
    if len(shape) not in (2, 3, 4) or 0 in shape:
        hint = "one plane, n planes, or n planes of C channels"
    elif frame is not None:
        if shape[-2:] == _plane_shape(frame, layout):
            return frame, []
        rows, columns = _plane_shape(frame, layout)
        hint = f"--frame {frame[0]}x{frame[1]} has planes of {rows}×{columns}"
    elif len(shape) > 2 and shape[-3] > 4 and shape[-1] in (1, 3, 4):
        hint = "channels come before rows: --channel-axis -1"
    elif layout in ("full", "centred"):
        square = shape[-2], shape[-2]
        if shape[-2:] != half_plane(square) or shape[-2:] == square:
            return (shape[-2], shape[-1]), []
        hint = "a half-plane? add --layout half"
    else:
        halved, other = (-1, -2) if layout == "half" else (-2, -1)
        even, side = max(2 * (shape[halved] - 1), 1), shape[other]
        if side // 2 + 1 == shape[halved]:
            return (side, side), []
        if shape[-1] != shape[-2]:
            return _rectangle(layout, even, side)
        hint = "a full plane? add --layout full, or --layout centred after fftshift"
    raise InputError(
        f"{where}: a phase of shape {shape}: expected ([n, [C,]] {plane}) for --layout {layout}; "
        f"{hint}"
    )


def _rectangle(layout: str, even: int, other: int) -> tuple[Frame, list[str]]:
    def oriented(halved: int) -> Frame:
        return (other, halved) if layout == "half" else (halved, other)

    (rows, columns), odd = oriented(even), oriented(even + 1)
    return (rows, columns), [
        f"the frame is taken to be {rows}×{columns} (rows × columns); if it is "
        f"{odd[0]}×{odd[1]}, add --frame {odd[0]}x{odd[1]}"
    ]


def _zero_shift(layout: str, zero: Frame | None, frame: Frame, where: str) -> Frame:
    """Return by how much a plane is rolled to have frequency 0 at [0, 0]."""
    if zero is None:
        zero = (frame[0] // 2, frame[1] // 2) if layout == "centred" else (0, 0)
    if not (0 <= zero[0] < frame[0] and 0 <= zero[1] < frame[1]):
        raise InputError(
            f"{where}: --zero {zero[0]},{zero[1]} is not in the frame of {frame[0]}×{frame[1]}"
        )
    axis = {"half": 1, "half-rows": 0}.get(layout)
    if axis is not None and zero[axis]:
        raise InputError(
            f"{where}: --zero {zero[0]},{zero[1]}: of --layout {layout} the "
            f"{('row', 'column')[axis]} must be 0"
        )
    return -zero[0], -zero[1]


def _rolled(part: Any, shift: Frame) -> Any:
    if np.ndim(part) < 2 or not any(shift):
        return part
    return np.roll(part, shift, axis=(-2, -1))


def _completed(part: NDArray[Any], frame: Frame, sign: Any = True) -> NDArray[Any]:
    """Complete the upper half of the rows by φ(−k) = −φ(k)."""
    rows = frame[0] - np.arange(frame[0] // 2 + 1, frame[0])
    lower = part[..., rows, :][..., -np.arange(frame[1]) % frame[1]] * sign
    return np.concatenate([part, lower], axis=-2)


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


def _opposite(plane: NDArray[Any], frame: Frame, both: bool, sign: Any = True) -> NDArray[Any]:
    """Return `sign` times what is at −k; in a half-plane without that copy, what is at k."""
    rows = -np.arange(frame[0]) % frame[0]
    if not both:
        paired = self_conjugate((1, frame[1]))[0]
        return np.where(paired, plane[..., rows, :] * sign, plane)
    return plane[..., rows, :][..., -np.arange(half_plane(frame)[1]) % frame[1]] * sign


def _pairs(frame: Frame, both: bool) -> NDArray[np.bool_]:
    """Return the bins of the half-plane that stand for a pair, each pair once."""
    pairs = np.full(half_plane(frame), both)
    paired = self_conjugate((1, frame[1]))[0]
    pairs[:, paired] = False
    pairs[1 : (frame[0] + 1) // 2, paired] = True
    return pairs
