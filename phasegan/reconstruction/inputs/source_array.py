"""Arrays as files and callers hold them, before they are taken for phases."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError, printable

SEPARATOR = "::"
"""Between a file and the name of an array in it."""
MAX_SHOWN = 8
MASK_NAMES = ("mask", "valid", "trusted")
MATLAB_CLASSES = (
    "double", "single", "logical", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
"""MATLAB classes of variables that are arrays of numbers."""


@dataclass(frozen=True)
class SourceArray:
    """An array of phases, or of a mask, as its source holds it."""

    values: NDArray[Any]
    """Any layout, with the samples first."""
    dtype: np.dtype[Any]
    """Before anything was converted."""
    step: float | None = None
    """Step of integer codes, in the units of the values."""
    units: str | None = None
    """By an attribute: `rad`, `deg` or `turns`."""
    missing: NDArray[np.bool_] | None = None
    """True where `_FillValue` or `missing_value` marks a value."""
    samples: int | None = None
    """Samples of the source, of which `values` may be the first; None: no sample axis."""
    is_picture: bool = False
    """Pixels of a picture, whose white is 255 or 65535 where a mask of an array has 1."""
    mask_name: str | None = None
    """Of the array beside it that may say which phases to trust."""


def mask_beside(names: Iterable[str], name: str) -> str | None:
    """Return the name of the array beside another one that may be its mask.

    Parameters
    ----------
    names : iterable of str
        Arrays of a file, or of a group in it.
    name : str
        That of the phases.

    Returns
    -------
    str or None
        None where there is none, or more than one.
    """
    likely = [n for n in names if n != name and n.rsplit("/", 1)[-1].lower() in MASK_NAMES]
    return likely[0] if len(likely) == 1 else None


def first_samples(values: NDArray[Any], limit: int | None) -> SourceArray:
    """Keep the first samples of an array.

    Parameters
    ----------
    values : numpy.ndarray
        Samples come first where it has three axes or more.
    limit : int or None
        How many to keep; None: all.

    Returns
    -------
    SourceArray
        With the number of samples before the cut.
    """
    if values.ndim < 3:
        return SourceArray(values, values.dtype)
    return SourceArray(values[:limit], values.dtype, samples=len(values))


def channels_before_rows(array: SourceArray, axis: int, limit: int | None) -> SourceArray:
    """Move the axis of channels to its place before the rows.

    Parameters
    ----------
    array : SourceArray
        Of three axes, one sample; or of four, of which the first other one counts samples.
    axis : int
        Which one counts channels, from 0.
    limit : int or None
        How many samples to keep; None: all.

    Returns
    -------
    SourceArray
        (C, rows, columns) or (n, C, rows, columns); arrays are views.
    """

    def moved(values: NDArray[Any]) -> NDArray[Any]:
        values = np.moveaxis(values, axis, values.ndim - 3)
        return values[:limit] if values.ndim == 4 else values

    has_samples = array.values.ndim == 4
    count = array.values.shape[1 if axis == 0 else 0] if has_samples else None
    if has_samples and axis != 0:
        count = array.samples
    return replace(
        array,
        values=moved(array.values),
        missing=None if array.missing is None else moved(array.missing),
        samples=count,
    )


def choose_name(names: list[str], name: str | None, path: Path) -> str:
    """Choose the array to read from a file that holds several.

    Parameters
    ----------
    names : list of str
        Names of the arrays that can be read.
    name : str or None
        Name from the user; None takes the only array.
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    str
        One of `names`.

    Raises
    ------
    InputError
        If there is no such array, or no name and not exactly one array.
    """
    if name in names:
        return str(name)
    names = [name for name in names if name.isprintable()]  # others are damaged
    name = None if name is None else printable(name)
    shown = ", ".join(names[:MAX_SHOWN]) + (", …" if len(names) > MAX_SHOWN else "")
    if not names:
        raise InputError(f"{path}: holds no array of numbers")
    if name is None:
        if len(names) == 1:
            return names[0]
        raise InputError(
            f"{path}: holds {len(names)} arrays ({shown}); name one, such as "
            f"{path}{SEPARATOR}{names[0]}"
        )
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it holds {shown}"
    raise InputError(f"{path}: no array {name}; {hint}")


def samples_first(values: NDArray[Any]) -> NDArray[Any]:
    """Move MATLAB's sample axis, and channel axis, from the end to the front.

    Parameters
    ----------
    values : numpy.ndarray
        (M, M), (M, M, n) or (M, M, C, n), any dtype.

    Returns
    -------
    numpy.ndarray
        ([n, [C,]] M, M), a view.
    """
    return values.transpose(*range(values.ndim - 1, 1, -1), *range(min(values.ndim, 2)))
