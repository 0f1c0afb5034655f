"""Units of phases: radians, degrees, turns, phasors and integer codes, told apart and converted.

Codes are integers. `codes8` to `codes16` are those of modulators: φ = 2π k / 2^b, of b bits,
so that 2^b is 0 again. `grey8` and `grey16` are levels of a picture whose black is −π and whose
white is π: φ = 2π k / (2^b − 1) − π.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.encoding import TURN, UINT16_CODES, half_steps

CODE_BITS = {"codes8": 8, "codes10": 10, "codes12": 12, "codes16": 16}
GREY_BITS = {"grey8": 8, "grey16": 16}
INTEGER_UNITS = (*CODE_BITS, *GREY_BITS)
UNITS = ("rad", "deg", "turns", "phasor", *INTEGER_UNITS)
TURN_IN = {"rad": TURN, "deg": 360.0, "turns": 1.0}
_CODES_IN = {
    **{name: 2.0**bits for name, bits in CODE_BITS.items()},
    **{name: 2.0**bits - 1.0 for name, bits in GREY_BITS.items()},
}
"""Codes in a turn."""
_NAMES = {"rad": "radians", "deg": "degrees", "turns": "turns"}
_RANGES = {
    "rad": "[−π, π] or [0, 2π]",
    "deg": "[−180, 180] or [0, 360]",
    "turns": "[−0.5, 0.5] or [0, 1]",
}
_SLACK = 1e-6  # of a turn: the rounding of π
_MODULUS_SLACK = 1e-3


def radians_of(units: str) -> float:
    """Return one of a unit in radians; phasors have their angles in radians.

    Parameters
    ----------
    units : str
        One of `UNITS`.

    Returns
    -------
    float
        Radians.
    """
    return TURN / {**TURN_IN, **_CODES_IN, "phasor": TURN}[units]


def from_phasors(
    values: NDArray[Any], valid: NDArray[np.bool_] | None, where: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Return the angles of unit phasors.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape, complex, of modulus 1, or 0 where nothing is known.
    valid : numpy.ndarray or None
        As `values`, bool: the mask of the user.
    where : str
        The source, for messages.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray or None)
        Radians in (−π, π], float64; and the mask without phasors that are 0.

    Raises
    ------
    InputError
        If values are not complex, of another modulus, or all 0.
    """
    if values.dtype.kind != "c":
        raise InputError(
            f"{where}: dtype {values.dtype} for --units phasor; expected complex e^{{iφ}}, or say "
            "--units rad, deg or turns"
        )
    phasors = values if valid is None else np.where(valid, values, 1.0)
    modulus = np.abs(phasors).astype(np.float64)
    empty = modulus == 0.0
    other = ~empty & (np.abs(modulus - 1.0) > _MODULUS_SLACK)
    if other.any():
        raise InputError(
            f"{where}: {other.sum()} of {other.size} phasors have a modulus other than 1 or 0, "
            f"such as {modulus[other][0]:.4g} at {index_of_largest(other)}; a whole spectrum? pass "
            "numpy.angle of it as radians, or divide it by numpy.abs of it"
        )
    if empty.any():
        valid = ~empty if valid is None else valid & ~empty
        if not valid.any():
            raise InputError(f"{where}: all phasors are 0, which is no phase")
    plane = wrap(np.angle(phasors).astype(np.float64))
    return plane if valid is None else np.where(valid, plane, 0.0), valid


def from_angles(
    values: NDArray[Any],
    units: str,
    valid: NDArray[np.bool_] | None,
    where: str,
    unwrapped: bool = False,
    offset: float = 0.0,
) -> tuple[NDArray[np.float64], list[str]]:
    """Return angles in radians, and warnings about their unit.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape, real.
    units : str
        One of `UNITS` but `phasor`.
    valid : numpy.ndarray or None
        As `values`, bool; the others count as 0.
    where : str
        The source, for messages.
    unwrapped : bool
        Take values of any size modulo one turn.
    offset : float
        What was added to all values, which may lie in their unit's range without it.

    Returns
    -------
    (numpy.ndarray, list of str)
        Radians in (−π, π], float64, the offset still in them; and one line a doubt.

    Raises
    ------
    InputError
        If values are complex, integers in another unit than degrees or codes, no integers
        where the unit is one of codes, or out of range.
    """
    if values.dtype.kind == "c":
        raise InputError(
            f"{where}: complex values for --units {units}; phasors e^{{iφ}}? add --units phasor"
        )
    angles = values.astype(np.float64)
    if valid is not None:
        angles[~valid] = 0.0
    if units in INTEGER_UNITS:
        return _from_codes(angles, units, where, unwrapped), []
    turn = TURN_IN[units]
    if values.dtype.kind in "iu" and units != "deg":
        raise InputError(
            f"{where}: dtype {values.dtype}, integer codes without their encoding; "
            f"{_codes_advice(values)}, or multiply by the step (for phasegan's uint16 that is "
            f"2*pi/{UINT16_CODES}) and pass radians"
        )
    low, high = float(angles.min()), float(angles.max())
    fits = _fits(low, high, units) or _fits(low - offset, high - offset, units)
    if not (unwrapped or fits):
        raise InputError(f"{where}: {_out_of_range(low, high, units, values.dtype.kind != 'f')}")
    peak, warnings = max(-low, high), []
    for other in ("rad", "turns"):
        if TURN_IN[other] < min(turn, 4 * peak) and _fits(low, high, other):
            warnings.append(
                f"phases reach {peak:.4g} {_NAMES[units]}, little for an image; if they are "
                f"{_NAMES[other]}, add --units {other}"
            )
    angles *= TURN / turn
    if _is_signed(low, high, turn):
        np.clip(angles, -np.pi, np.pi, out=angles)  # π rounded up stays π
    return wrap(angles), warnings


def _from_codes(
    codes: NDArray[np.float64], units: str, where: str, unwrapped: bool
) -> NDArray[np.float64]:
    """Return integer codes in radians in (−π, π]."""
    if not (codes == np.rint(codes)).all():
        place = index_of_largest(codes != np.rint(codes))
        raise InputError(
            f"{where}: {codes[codes != np.rint(codes)][0]:.6g} at {place} is no integer, for "
            f"--units {units}; radians, degrees or turns? --units rad|deg|turns"
        )
    count = _CODES_IN[units]
    is_grey = units in GREY_BITS
    low, high = (0.0, count) if is_grey else (-count / 2, count)
    if not (unwrapped or (codes.min() >= low and codes.max() <= high)):
        raise InputError(
            f"{where}: codes run from {codes.min():g} to {codes.max():g}, for --units {units} "
            f"expected 0 to {count - (0 if is_grey else 1):g}; {_codes_advice(codes)}"
        )
    if is_grey:
        return wrap((codes - count / 2) * (TURN / count))
    angles = (codes + count / 2) % count - count / 2
    angles[angles == -count / 2] = count / 2
    return angles * (TURN / count)


def _codes_advice(codes: NDArray[Any]) -> str:
    """Return the units of integers by their range."""
    high, low = int(codes.max()), int(codes.min())
    fitting = [name for name, bits in CODE_BITS.items() if -(2 ** (bits - 1)) <= low]
    name = next((name for name in fitting if high <= 2 ** CODE_BITS[name]), None)
    if name is None:
        return "take them modulo one turn"
    grey = name.replace("codes", "grey")
    also = f" (of a picture whose black is −π and white π, --units {grey})" * (grey in GREY_BITS)
    return f"are they 0 to {2 ** CODE_BITS[name] - 1} for 0 to 2π? add --units {name}{also}"


def to_codes(phase: NDArray[np.floating], units: str) -> NDArray[np.unsignedinteger]:
    """Round phases to the nearest codes: what `from_angles` undoes but for the rounding.

    Parameters
    ----------
    phase : numpy.ndarray
        Radians, any shape.
    units : str
        One of `INTEGER_UNITS`.

    Returns
    -------
    numpy.ndarray
        As `phase`, uint8 or uint16.
    """
    bits = {**CODE_BITS, **GREY_BITS}[units]
    turns = wrap(np.asarray(phase, np.float64)) / TURN
    if units in GREY_BITS:
        codes = np.rint((turns + 0.5) * (2**bits - 1)).astype(np.int64)
    else:
        codes = np.rint(turns * 2**bits).astype(np.int64) % 2**bits
    return codes.astype(np.uint8 if bits == 8 else np.uint16)


def _fits(low: float, high: float, units: str) -> bool:
    turn = TURN_IN[units]
    return _is_signed(low, high, turn) or _is_signed(low - turn / 2, high - turn / 2, turn)


def _is_signed(low: float, high: float, turn: float) -> bool:
    return max(-low, high) <= turn * (0.5 + _SLACK)


def _out_of_range(low: float, high: float, units: str, integers: bool) -> str:
    turn = TURN_IN[units]
    peak = high if high >= -low else low
    extent = f"reaches {peak:.4g}" if abs(peak) > turn else f"runs from {low:.4g} to {high:.4g}"
    fitting = [u for u in TURN_IN if _fits(low, high, u) and 4 * abs(peak) >= TURN_IN[u]]
    hints = [f"are these {_NAMES[fitting[0]]}? add --units {fitting[0]}"] if fitting else []
    if integers and not fitting:
        hints.append("integer codes? --units codes8|codes10|codes12|codes16")
    elif not integers:
        period = "2 * numpy.pi" if units == "rad" else f"{turn:g}"
        hints.append(f"unwrapped? --unwrapped takes it as numpy.mod(phase, {period}) does")
    return f"the phase {extent}: expected {_NAMES[units]} in {_RANGES[units]}; {'; '.join(hints)}"


def dtype_resolution(dtype: np.dtype[Any], units: str) -> float:
    """Return by how much a dtype rounds phases of one turn.

    Parameters
    ----------
    dtype : numpy.dtype
        Dtype of the values as they came.
    units : str
        One of `UNITS`.

    Returns
    -------
    float
        Radians; 0 for float64.
    """
    if units in INTEGER_UNITS or dtype.kind in "iu":
        return 0.5 * radians_of(units)
    precision = float(np.finfo(dtype).eps)
    return 2.25 * precision if precision > np.finfo(np.float64).eps else 0.0  # at 360 degrees


def source_half_steps(values: NDArray[Any], units: str) -> NDArray[np.float64] | float:
    """Return how far a phase may lie from the one that its source keeps, by its dtype.

    Parameters
    ----------
    values : numpy.ndarray
        As they came, any shape.
    units : str
        One of `UNITS`.

    Returns
    -------
    float or numpy.ndarray
        Radians: half a step of integers; of float16 and float32 radians as
        `phasegan.fourier.encoding.half_steps`; one number for other floats, 0 for float64 of
        one turn, the spacing of float64 beyond.
    """
    resolution = dtype_resolution(values.dtype, units)
    if values.dtype.kind != "f" or units in INTEGER_UNITS:
        return resolution
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    native = np.where(np.isfinite(native), native, native.dtype.type(0))
    if resolution and units == "rad":
        return half_steps(native)
    beyond = np.abs(native) > TURN_IN[units] * (1.0 + _SLACK)
    if not beyond.any():
        return resolution
    spacing = np.spacing(np.abs(native)).astype(np.float64) * radians_of(units)
    return np.where(beyond, spacing, resolution)


def wrap(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles modulo one turn.

    Parameters
    ----------
    angles : numpy.ndarray
        Radians, any shape, float64.

    Returns
    -------
    numpy.ndarray
        Radians in (−π, π].
    """
    return angles - TURN * np.ceil((angles - np.pi) / TURN)


def index_of_largest(
    array: NDArray[Any], shift: tuple[int, int] = (0, 0), frame: tuple[int, int] | None = None
) -> str:
    """Return the index of the largest value as text; of booleans, the first that is true.

    Parameters
    ----------
    array : numpy.ndarray
        (…, rows, columns).
    shift : (int, int)
        Added to row and column.
    frame : (int, int), optional
        Rows and columns modulo which they are added.

    Returns
    -------
    str
        Such as `[0, 3, 5]`.
    """
    place = [int(i) for i in np.unravel_index(int(array.argmax()), array.shape)]
    if frame is not None:
        place[-2:] = [(k + s) % m for k, s, m in zip(place[-2:], shift, frame, strict=True)]
    return str(place)
