"""Sizes in pixels: a number for a square, (rows, columns) for a rectangle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import CoreSchema, core_schema

Size = int | tuple[int, int]
"""Pixels along both sides of a square, or (rows, columns) of a rectangle."""

SIZE_METAVAR = "ROWSxCOLUMNS"
_TEXT = re.compile(r"\s*(\d{1,9})\s*(?:[x×X*,]\s*(\d{1,9})\s*)?", re.ASCII)


def rows_columns(size: Size) -> tuple[int, int]:
    """Return (rows, columns) of a size."""
    return (size, size) if isinstance(size, int) else size


def as_size(shape: Sequence[int]) -> Size:
    """Return a shape as configurations keep it: a number where it is a square.

    Parameters
    ----------
    shape : sequence of int
        (rows, columns).

    Returns
    -------
    int or (int, int)
        The size.
    """
    rows, columns = shape
    return rows if rows == columns else (rows, columns)


def format_size(size: Size) -> str:
    """Return `128×128`, or `192×128` for 192 rows of 128 columns."""
    rows, columns = rows_columns(size)
    return f"{rows}×{columns}"


def format_side(size: Size) -> str:
    """Return `128` for a square, `192×128` for a rectangle."""
    return str(size) if isinstance(size, int) else format_size(size)


def option_text(size: Size) -> str:
    """Return a size as the command line takes it, `128` or `192x128`."""
    return format_side(size).replace("×", "x")


def parse_size(value: Any) -> Size:
    """Return the size that a number, a pair or a text such as `192x128` stands for.

    Parameters
    ----------
    value : int, sequence of two int, or str
        Rows before columns.

    Returns
    -------
    int or (int, int)
        A number where it is a square.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        return as_size([int(match[1]), int(match[2] or match[1])])
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, list | tuple) and [type(side) for side in value] == [int, int]:
        return as_size(value)
    raise ValueError('give a whole number, or rows and columns: 128, "192x128" or (192, 128)')


@dataclass(frozen=True)
class SizeRange:
    """Annotation of a `Size` in settings: both of its sides lie in a range.

    Attributes
    ----------
    ge, le : int
        Least and largest side, pixels.
    """

    ge: int = 1
    le: int = 2**31

    def check(self, value: Any) -> Size:
        """Return the size; a `ValueError` says what is wrong with it."""
        size = parse_size(value)
        if min(rows_columns(size)) < self.ge:
            raise ValueError(f"must be at least {self.ge}")
        if max(rows_columns(size)) > self.le:
            raise ValueError(f"must be at most {self.le}")
        return size

    def __get_pydantic_core_schema__(self, annotation: Any, handler: Any) -> CoreSchema:
        """Check with `check`."""
        return core_schema.no_info_plain_validator_function(self.check)
