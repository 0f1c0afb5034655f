"""Units of phases: radians, degrees, turns and phasors, told apart and converted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.encoding import TURN, UINT16_CODES

UNITS = ("rad", "deg", "turns", "phasor")
TURN_IN = {"rad": TURN, "deg": 360.0, "turns": 1.0}
_NAMES = {"rad": "radians", "deg": "degrees", "turns": "turns"}
_RANGES = {
    "rad": "[−π, π] or [0, 2π]",
    "deg": "[−180, 180] or [0, 360]",
    "turns": "[−0.5, 0.5] or [0, 1]",
}
_SLACK = 1e-6  # of a turn: the rounding of π
_MODULUS_SLACK = 1e-3


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
    values: NDArray[Any], units: str, valid: NDArray[np.bool_] | None, where: str
) -> tuple[NDArray[np.float64], list[str]]:
    """Return angles in radians, and warnings about their unit.

    Parameters
    ----------
    values : numpy.ndarray
        Any shape, real.
    units : {"rad", "deg", "turns"}
        Units of the values.
    valid : numpy.ndarray or None
        As `values`, bool; the others count as 0.
    where : str
        The source, for messages.

    Returns
    -------
    (numpy.ndarray, list of str)
        Radians in (−π, π], float64; and one line a doubt.

    Raises
    ------
    InputError
        If values are complex, integers in another unit than degrees, or out of range.
    """
    kind, turn = values.dtype.kind, TURN_IN[units]
    if kind == "c":
        raise InputError(
            f"{where}: complex values for --units {units}; phasors e^{{iφ}}? add --units phasor"
        )
    if kind in "iu" and units != "deg":
        raise InputError(
            f"{where}: dtype {values.dtype}, integer codes without their encoding: multiply by the "
            f"step (for phasegan's uint16 that is 2*pi/{UINT16_CODES}) and pass radians"
        )
    angles = values.astype(np.float64)
    if valid is not None:
        angles[~valid] = 0.0
    low, high = float(angles.min()), float(angles.max())
    if not _fits(low, high, units):
        raise InputError(f"{where}: {_out_of_range(low, high, units, kind != 'f')}")
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
    if fitting:
        hint = f"are these {_NAMES[fitting[0]]}? add --units {fitting[0]}"
    elif integers:
        hint = "integer codes? multiply them by their step first"
    else:
        period = "2 * numpy.pi" if units == "rad" else f"{turn:g}"
        hint = f"unwrapped? take it modulo one turn, numpy.mod(phase, {period})"
    return f"the phase {extent}: expected {_NAMES[units]} in {_RANGES[units]}; {hint}"


def dtype_resolution(dtype: np.dtype[Any], units: str) -> float:
    """Return by how much a dtype rounds phases.

    Parameters
    ----------
    dtype : numpy.dtype
        Dtype of the values as they came.
    units : {"rad", "deg", "turns", "phasor"}
        Units of the values.

    Returns
    -------
    float
        Radians; 0 for float64.
    """
    if dtype.kind in "iu":
        return 0.5 * TURN / TURN_IN[units]
    precision = float(np.finfo(dtype).eps)
    return 2.25 * precision if precision > np.finfo(np.float64).eps else 0.0  # at 360 degrees


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


def index_of_largest(array: NDArray[Any], shift: int = 0) -> str:
    """Return the index of the largest value as text; of booleans, the first that is true.

    Parameters
    ----------
    array : numpy.ndarray
        (…, rows, columns).
    shift : int
        Added to row and column, modulo the rows.

    Returns
    -------
    str
        Such as `[0, 3, 5]`.
    """
    place = [int(i) for i in np.unravel_index(int(array.argmax()), array.shape)]
    size = array.shape[-2]
    return str(place[:-2] + [(k + shift) % size if shift else k for k in place[-2:]])
