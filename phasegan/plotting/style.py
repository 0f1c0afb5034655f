"""The style of every figure: colours, and matplotlib's settings of fonts, axes and files.

Axes and texts are drawn in `INK`, a colour that a page can replace by its own; the
other colours are readable on white and on black.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

INK = "#1f2328"
SOFT = "#5f6770"
"""The colour of notes: `GREY` is too light for small letters."""
GREY = "#8b939c"
COLOURS = (
    "#2f7fc1",
    "#d9711c",
    "#3f9b52",
    "#c2508f",
    "#8a6cc4",
    "#a3792f",
    "#2a9d9d",
    "#c9453b",
)
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "errorbar.capsize": 3,
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.markersize": 5,
    "savefig.dpi": 140,
    "svg.fonttype": "path",
    "svg.hashsalt": "phasegan",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 9,
}
"""Settings by their names in `matplotlib.rcParams`."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(
    changes: Mapping[str, Any] | None = None,
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Decorate a function that draws or saves a figure: it runs with `STYLE`.

    matplotlib reads settings when it makes an artist, ticks as late as when a figure is saved.

    Parameters
    ----------
    changes : mapping, optional
        Settings in the place of those of `STYLE`.

    Returns
    -------
    callable
        The decorator.
    """
    settings: Any = {**STYLE, **(changes or {})}

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            import matplotlib

            with matplotlib.rc_context(settings):
                return function(*args, **kwargs)

        return run

    return decorate
