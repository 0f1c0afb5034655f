"""Conventions of other programs, and the exact operations that turn their phases into ours.

Ours is that of `phasegan.fourier.convention`: e^{−i…} forward, the object in the top left corner
of the frame. Let φ be the phases of an object whose top left pixel stands at (p₁, p₂) of an
M₁×M₂ frame, transformed with e^{+i…}. Then

    φ'(k₁, k₂) = −φ(k₁, k₂) + 2π (k₁ p₁ / M₁ + k₂ p₂ / M₂)

are those of ours. Both operations keep differences of angles, so that what is known of the
rounding of φ holds for φ' as it stands: a candidate has the codes of φ where its phases are
within half a step of φ'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import half_plane, self_conjugate
from phasegan.fourier.encoding import TURN
from phasegan.fourier.units import wrap

Pair = tuple[int, int]
SIGNS = ("-", "+")
ORIGINS = ("corner", "centre", "ifftshift")
_PLACE = re.compile(r"\s*(-?\d{1,9})\s*,\s*(-?\d{1,9})\s*", re.ASCII)


@dataclass(frozen=True)
class PhaseConvention:
    """How the phases of an array were made."""

    layout: str = "half"
    """One of `phasegan.fourier.layouts.LAYOUTS`."""
    units: str = "rad"
    """One of `phasegan.fourier.units.UNITS`."""
    sign: str = "-"
    """Of the exponent of their transform: `-`, as numpy's fft2, or `+`, as ifft2."""
    origin: str | Pair = "corner"
    """Where the object stands in the frame: one of `ORIGINS`, or row and column of its top left
    pixel."""
    frame: Pair | None = None
    """(M₁, M₂), where the shape of a half-plane leaves it open."""
    zero: Pair | None = None
    """Where frequency 0 stands; None: where the layout has it."""
    offset: float = 0.0
    """What was added to every phase, in their units."""
    unwrapped: bool = False
    """Phases may be many turns."""
    mean_removed: bool = False
    """The mean of the image was subtracted: its phase at frequency 0 says nothing."""


def parse_place(value: Any, option: str) -> Pair:
    """Return a place such as `12,20`.

    Parameters
    ----------
    value : str or sequence of two int
        Row and column.
    option : str
        Name of the option, for the message.

    Returns
    -------
    (int, int)
        Row and column.

    Raises
    ------
    InputError
        If it is none.
    """
    if isinstance(value, str) and (match := _PLACE.fullmatch(value)):
        return int(match[1]), int(match[2])
    is_pair = isinstance(value, list | tuple | np.ndarray) and len(value) == 2
    if is_pair and all(isinstance(v, int | np.integer) and v is not True for v in value):
        return int(value[0]), int(value[1])
    raise InputError(
        f"{option} {value}: expected ROW,COLUMN, two integers such as 12,20 (in Python (12, 20))"
    )


def named_position(origin: str, frame: Pair, shape: Pair) -> Pair:
    """Return where the top left pixel of an object stands by a named convention.

    Parameters
    ----------
    origin : {"corner", "centre", "ifftshift"}
        `centre`: zeros on all sides, of an odd number one more behind. `ifftshift`: the pixel
        (N₁ // 2, N₂ // 2) stands at [0, 0], what `numpy.fft.ifftshift` makes of an
        object in the middle.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).

    Returns
    -------
    (int, int)
        Row and column, from 0 to below M.
    """
    if origin == "centre":
        rows, columns = ((m - n) // 2 for m, n in zip(frame, shape, strict=True))
    elif origin == "ifftshift":
        rows, columns = (-(n // 2) % m for m, n in zip(frame, shape, strict=True))
    else:
        rows = columns = 0
    return rows, columns


def object_position(origin: str | Pair, frame: Pair, shape: Pair) -> Pair:
    """Return where the top left pixel of an object stands in its frame.

    Parameters
    ----------
    origin : str or (int, int)
        One of `ORIGINS`, `ROW,COLUMN`, or the pair; negative numbers count from the end.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).

    Returns
    -------
    (int, int)
        Row and column, from 0 to below M.

    Raises
    ------
    InputError
        If it is no such name and no pair, or outside the frame.
    """
    if isinstance(origin, str) and origin in ORIGINS:
        return named_position(origin, frame, shape)
    try:
        row, column = parse_place(origin, "--origin")
    except InputError:
        raise InputError(
            f"--origin {origin}: choose one of {', '.join(ORIGINS)}, or ROW,COLUMN of the object's "
            "top left pixel in the frame, such as 12,20"
        ) from None
    if not (-frame[0] < row < frame[0] and -frame[1] < column < frame[1]):
        raise InputError(f"--origin {row},{column} is not in the frame of {frame[0]}×{frame[1]}")
    return row % frame[0], column % frame[1]


def origin_name(position: Pair, frame: Pair, shape: Pair) -> str:
    """Return the value of `--origin` for a position.

    Parameters
    ----------
    position : (int, int)
        Row and column of the object's top left pixel.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).

    Returns
    -------
    str
        A name, or `ROW,COLUMN`.
    """
    for name in ORIGINS:
        if named_position(name, frame, shape) == position:
            return name
    return f"{position[0]},{position[1]}"


def to_corner(
    phase: NDArray[np.float64],
    trusted: NDArray[np.bool_] | None,
    frame: Pair,
    position: Pair,
    sign: str = "-",
) -> NDArray[np.float64]:
    """Return the phases of our convention for an object elsewhere or the conjugate transform.

    Parameters
    ----------
    phase : numpy.ndarray
        (…, M₁, M₂ // 2 + 1), radians in (−π, π].
    trusted : numpy.ndarray or None
        As `phase`, bool; elsewhere the result is 0.
    frame : (int, int)
        (M₁, M₂).
    position : (int, int)
        Where the top left pixel of the object stands.
    sign : {"-", "+"}
        Of the exponent of the transform.

    Returns
    -------
    numpy.ndarray
        As `phase`, within 1e-15 rad of the exact phases; 0 or π in self-conjugate bins.
    """
    if position == (0, 0) and sign == "-":
        return phase
    rows, columns = frame[0], half_plane(frame)[1]
    turns = (np.arange(rows) * position[0] % rows / rows)[:, None]
    turns = turns + np.arange(columns) * position[1] % frame[1] / frame[1]
    moved = wrap((phase if sign == "-" else -phase) + TURN * (turns - np.rint(turns)))
    bins = self_conjugate(frame)
    moved[..., bins] = np.where(np.abs(moved[..., bins]) <= np.pi / 2.0, 0.0, np.pi)
    if trusted is not None:
        moved[~trusted] = 0.0
    return moved
