"""Curves of errors and durations with matplotlib, as PNG and as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.io.atomic import atomic_file, write_text
from phasegan.plotting.style import COLOURS, GREY, INK, styled
from phasegan.progress import format_duration

MARKERS = "osD^vP*X"
MAX_LEGEND = 14
"""Series of a legend, at most; further ones are drawn without a name."""

Point = tuple[float, float, float]
"""x, y and the standard error, or deviation, of y."""
_Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class FittedSeries:
    """Points of one method, and the curve through them where there is one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    curve: _Curve | None = None
    band: Callable[[NDArray[np.float64]], tuple[Any, Any]] | None = None
    """Lower and upper ends of the curve's confidence band."""


def _figure(
    width: float, height: float, title: str, x_label: str, y_label: str = ""
) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot(title=title, xlabel=x_label, ylabel=y_label)


def _legend(axes: Any) -> None:
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles[:MAX_LEGEND],
        names[:MAX_LEGEND],
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )


def _plain_ticks(axis: Any, ticks: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_ticks(list(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _round_ticks(low: float, high: float, least: int = 3) -> list[float]:
    """Return round numbers in a range of a logarithmic axis: few, but not too few."""
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [m * 10.0**e for e in range(-2, 8) for m in factors if low <= m * 10.0**e <= high]
        if len(ticks) >= least:
            return ticks
    return ticks


@styled()
def error_curves(
    series: Mapping[str, Sequence[Point]],
    levels: Mapping[str, float],
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> Any:
    """Draw errors against a count, both on logarithmic axes.

    Parameters
    ----------
    series : mapping
        Points by name, drawn with error bars.
    levels : mapping
        Values by name that do not depend on x, drawn as horizontal lines.
    title, x_label, y_label : str
        Texts.

    Returns
    -------
    matplotlib.figure.Figure
        See `save_figure` and `svg_text`.
    """
    figure, axes = _figure(7.6, 4.4, title, x_label, y_label)
    ticks: set[float] = set()
    for i, (name, points) in enumerate(series.items()):
        x, y, spread = zip(*sorted(points), strict=True)
        ticks |= set(x)
        axes.errorbar(
            x,
            y,
            yerr=spread,
            marker=MARKERS[i % len(MARKERS)],
            label=name,
            color=COLOURS[i % len(COLOURS)],
        )
    for i, (name, value) in enumerate(levels.items()):
        style = (0, (4, 2 + i))
        axes.axhline(value, color=GREY, linestyle=style, linewidth=1, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes.xaxis, sorted(ticks))
    _plain_ticks(axes.yaxis, _round_ticks(*axes.get_ylim()))
    _legend(axes)
    return figure


@styled()
def fitted_curves(series: Sequence[FittedSeries], *, title: str, x_label: str) -> Any:
    """Draw points, their fitted curves and the curves' 95 % bands, on logarithmic axes.

    Parameters
    ----------
    series : sequence of FittedSeries
        A method each.
    title, x_label : str
        Texts.

    Returns
    -------
    matplotlib.figure.Figure
        See `save_figure` and `svg_text`.
    """
    figure, axes = _figure(7.6, 4.2, title, x_label, "average MSE on 0..255")
    for i, one in enumerate(series):
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(
            one.x,
            one.y,
            linestyle="none",
            marker=MARKERS[i % len(MARKERS)],
            color=colour,
            label=one.name,
        )
        if one.curve is not None:
            x = np.geomspace(min(one.x), max(one.x), 100)
            axes.plot(x, one.curve(x), color=colour, linewidth=1.3)
            if one.band is not None:
                axes.fill_between(x, *one.band(x), color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    places = sorted({x for one in series for x in one.x})
    _plain_ticks(axes.xaxis, places if len(places) < 9 else _round_ticks(*axes.get_xlim()))
    _plain_ticks(axes.yaxis, _round_ticks(*axes.get_ylim()))
    _legend(axes)
    return figure


@styled()
def estimate_chart(
    names: Sequence[str], actual: Sequence[float], estimates: Sequence[tuple[float, float, float]]
) -> Any:
    """Draw each estimate over the duration that it was for, with its interval.

    Parameters
    ----------
    names : sequence of str
        One a row.
    actual : sequence of float
        Seconds that were measured.
    estimates : sequence of (float, float, float)
        Seconds, low and high of each.

    Returns
    -------
    matplotlib.figure.Figure
        See `save_figure` and `svg_text`.
    """
    figure, axes = _figure(
        7.6,
        1.2 + 0.26 * len(names),
        "Estimate over measured training time",
        "estimated ÷ measured; the band is ±10 %",
    )
    places = np.arange(len(names))[::-1]
    for place, seconds, (middle, low, high) in zip(places, actual, estimates, strict=True):
        inside = low <= seconds <= high
        colour = COLOURS[0] if inside else COLOURS[7]
        axes.plot([low / seconds, high / seconds], [place, place], color=colour, linewidth=2)
        axes.plot([middle / seconds], [place], marker="o", color=colour)
    axes.axvline(1.0, color=INK, linewidth=1)
    axes.axvspan(0.9, 1.1, color=GREY, alpha=0.15, linewidth=0)
    axes.set_yticks(
        places,
        [f"{name}: {format_duration(s)}" for name, s in zip(names, actual, strict=True)],
    )
    axes.set_ylim(-0.7, len(names) - 0.3)
    return figure


@styled()
def svg_text(figure: Any, *, transparent: bool = True) -> str:
    """Return a figure as SVG, equal for equal figures; texts are paths.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    transparent : bool
        Whether nothing is drawn behind the axes.

    Returns
    -------
    str
        An SVG document.
    """
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None}
    )
    return stream.getvalue()


@styled()
def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG and as SVG, on white.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : pathlib.Path
        The PNG; the SVG stands beside it. Both are written atomically.
    """
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")
    write_text(path.with_suffix(".svg"), svg_text(figure, transparent=False))
