"""Times as users write them."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(d|h|min|m|s)", re.ASCII)


def parse_duration(value: Any) -> float:
    """Return the seconds of a time such as `2h`, `90min`, `1h30m` or `45s`.

    Parameters
    ----------
    value : str or float
        A time, or seconds.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        If it is none, or not above 0.
    """
    if isinstance(value, int | float):
        return value
    text, seconds, end = str(value).strip().lower(), 0.0, 0
    while part := _PART.match(text, end):
        seconds += float(part[1]) * _UNITS[part[2]]
        end = part.end()
    if end < len(text) or not 0 < seconds < 1e9:
        raise ValueError(f"{value!r}: a time such as 2h, 90min, 1h30m or 45s")
    return seconds
