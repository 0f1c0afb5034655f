"""Parts of a figure of stacked panels over steps: frames, axes, curves and their labels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.plotting.style import INK, SOFT

LABEL_INCHES = 0.19
"""From one label to the next."""
MANY = 48
"""Points from which on a curve is smoothed."""
_MOST_POINTS = 1500
_MOST_EVENTS = 8

Floats = NDArray[np.float64]


@dataclass
class Trace:
    """One value over the steps; only the lines that have it."""

    name: str
    steps: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def segments(self) -> list[tuple[Floats, Floats]]:
        """Return steps and values, cut where the steps go back."""
        steps, values = np.array(self.steps, float), np.array(self.values, float)
        cuts = np.flatnonzero(np.diff(steps) <= 0) + 1
        return list(zip(np.split(steps, cuts), np.split(values, cuts), strict=True))


@dataclass(frozen=True)
class Label:
    """Label at the right of a curve: the value of its end, a text, and its line style."""

    value: float
    text: str
    colour: str
    stroke: Any = "-"
    marker: str = ""


def draw_frame(axes: Any, title: str, note: str = "") -> None:
    """Prepare the axes of a panel, with a title at its left and a note at its right.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel.
    title, note : str
        The note is written only beside a title.
    """
    axes.tick_params(axis="x", labelbottom=False)
    if title:
        axes.set_title(title, pad=5)
        axes.set_title(note, fontsize=8.5, color=SOFT, loc="right", pad=5)


def short_number(value: float) -> str:
    """Format a number with three digits: 1,234, 12.3, 0.0123, 1.23e-05.

    Parameters
    ----------
    value : float
        Any.

    Returns
    -------
    str
        With commas from 1,000 on.
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def value_axis(
    axes: Any, low: float, high: float, *, log: bool, floor: float | None = None
) -> None:
    """Set the range and the ticks of the values; a range of nothing is widened.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    low, high : float
        Of the values.
    log : bool
        Logarithmic; they are positive then.
    floor : float, optional
        Where the axis begins, whatever the values.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    axis = axes.yaxis
    if log:
        wide = max(1.0, np.sqrt(1.25 * low / high)) * (high / low) ** 0.06
        low, high = low / wide, high * wide
        axes.set_yscale("log")
        axis.set_major_locator(FixedLocator(_log_ticks(low, high)))
        axis.set_minor_locator(NullLocator())
    else:
        margin = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
        low, high = (low - margin if floor is None else floor), high + margin
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.set_ylim(low, high)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _log_ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator

    if high / low > 4:
        powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
            ticks = [m * 10.0**e for e in powers for m in factors if low <= m * 10.0**e <= high]
            if len(ticks) >= 3:
                return ticks[:: -(-len(ticks) // 6)]
    found = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in found if low <= tick <= high]


def draw_trace(
    axes: Any, trace: Trace, colour: str, stroke: Any, *, smooth: bool
) -> tuple[float, float]:
    """Draw a curve; one of many points is thin, with a smoothed curve over it.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel.
    trace : Trace
        Steps and values.
    colour : str
        Of both curves.
    stroke : str or tuple
        A line style of matplotlib.
    smooth : bool
        Whether to smooth from `MANY` points on.

    Returns
    -------
    (float, float)
        Where what is drawn begins and ends.
    """
    ends = []
    for steps, values in trace.segments():
        shown = values
        if smooth and len(values) >= MANY:
            axes.plot(*_thinned(steps, values), color=colour, alpha=0.35, linewidth=0.7, zorder=2)
            shown = _smoothed(values, log=axes.get_yscale() == "log")
        kept = slice(None, None, max(1, len(shown) // _MOST_POINTS))
        style = {"color": colour, "linestyle": stroke, "linewidth": 1.6, "zorder": 3}
        axes.plot(steps[kept], shown[kept], **style)
        if len(shown) == 1:
            axes.plot(steps, shown, color=colour, marker="o", markersize=5, clip_on=False)
        ends += [float(shown[0]), float(shown[-1])]
    return ends[0], ends[-1]


def _thinned(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Keep the least and the largest of each run of neighbours where points are many."""
    size = 2 * len(values) // _MOST_POINTS
    if size < 3:
        return steps, values
    starts = range(0, len(values), size)
    ends = [
        {s + int(pick(values[s : s + size])) for pick in (np.argmin, np.argmax)} for s in starts
    ]
    kept = sorted({0, len(values) - 1}.union(*ends))
    return steps[kept], values[kept]


def _smoothed(values: Floats, *, log: bool) -> Floats:
    """Weigh neighbours by a Gaussian, with σ a fiftieth of the curve."""
    sigma = len(values) / 50
    reach = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    scaled = np.log(values) if log else values
    weights = np.convolve(np.ones(len(values)), kernel, "same")
    means = np.convolve(scaled, kernel, "same") / weights
    return np.exp(means) if log else means


def label_ends(axes: Any, labels: Sequence[Label], height: float) -> None:
    """Label curves at the right of a panel, in the order of their ends.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The panel, with its range set.
    labels : sequence of Label
        One a curve.
    height : float
        Of the panel, inches.
    """
    to_share = axes.transScale + axes.transLimits
    shares = [float(to_share.transform((0.0, label.value))[1]) for label in labels]
    for label, place in zip(labels, _apart(shares, LABEL_INCHES / height), strict=True):
        axes.plot(
            [1.012, 1.042] if not label.marker else [1.027],
            [place, place] if not label.marker else [place],
            transform=axes.transAxes,
            clip_on=False,
            color=label.colour,
            linestyle=label.stroke,
            linewidth=1.6,
            marker=label.marker,
            markersize=8,
        )
        axes.text(
            1.05,
            place,
            label.text,
            transform=axes.transAxes,
            color=label.colour,
            fontsize=8.5,
            va="center",
        )


def _apart(shares: Sequence[float], gap: float) -> list[float]:
    """Move places apart by a gap at least, up first, then down from the upper end."""
    order = np.argsort(shares, kind="stable")
    places = np.clip(np.asarray(shares, float)[order], gap / 4, 1.0)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], 1.0 - gap * (len(places) - 1 - i))
    found = np.empty(len(places))
    found[order] = places
    return found.tolist()


def step_axis(panels: Sequence[Any], end: int, per_epoch: float | None) -> None:
    """Label the last panel with steps, and with epochs where their length is known.

    Parameters
    ----------
    panels : sequence of matplotlib.axes.Axes
        From the top.
    end : int
        The last step.
    per_epoch : float or None
        Steps in an epoch.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = panels[-1]
    rows = [("step", axes, INK, 3.5, 7)]
    if per_epoch:
        functions = (lambda x: x / per_epoch, lambda x: x * per_epoch)
        rows.append(("epoch", axes.secondary_xaxis(0, functions=functions), SOFT, 20, 20))
    axes.set_xlim(0, end)
    for name, one, colour, pad, down in rows:
        one.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
        one.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        one.tick_params(axis="x", labelbottom=True, colors=colour, labelsize=8.5, pad=pad)
        axes.annotate(
            name,
            (0, 0),
            xycoords="axes fraction",
            xytext=(-12, -down),
            textcoords="offset points",
            ha="right",
            va="top",
            color=colour,
            fontsize=8.5,
        )
    if per_epoch:
        rows[1][1].tick_params(axis="x", length=0)
        rows[1][1].spines[:].set_visible(False)


def event_rows(events: Sequence[tuple[int, str]], end: int) -> list[tuple[int, str, bool]]:
    """Wrap the texts of events to the room beside their steps.

    Parameters
    ----------
    events : sequence of (int, str)
        Steps and texts, ascending.
    end : int
        The last step of the axis.

    Returns
    -------
    list of (int, str, bool)
        Step, text, and whether the text is at the right of the step.
    """
    rows = []
    for step, text in events[:_MOST_EVENTS]:
        right = step < 0.62 * end
        room = int(88 * (1 - step / end) + 20 if right else 88 * step / end)
        lines = textwrap.wrap(text, room, max_lines=2, placeholder=" …")
        rows.append((step, "\n".join(lines), right))
    if len(events) > _MOST_EVENTS:
        rows.append((events[_MOST_EVENTS][0], f"and {len(events) - _MOST_EVENTS} more", False))
    return rows


def events_height(rows: Sequence[tuple[int, str, bool]]) -> float:
    """Return how many inches the rows of events take.

    Parameters
    ----------
    rows : sequence of (int, str, bool)
        From `event_rows`.

    Returns
    -------
    float
        Inches.
    """
    return sum(0.06 + 0.15 * (text.count("\n") + 1) for _, text, _ in rows)


def write_events(axes: Any, rows: Sequence[tuple[int, str, bool]], end: int, colour: str) -> None:
    """Write events, one a row, at the upper ends of the lines that cross the panels.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Above the panels.
    rows : sequence of (int, str, bool)
        From `event_rows`.
    end : int
        The last step of the axis.
    colour : str
        Of texts and lines.
    """
    height = events_height(rows)
    axes.set_axis_off()
    axes.set_xlim(0, end)
    axes.set_ylim(height, 0)
    top = 0.0
    for row in rows:
        step, text, right = row
        own = events_height([row])
        middle, top = top + own / 2, top + own
        axes.plot([step, step], [middle, height], color=colour, linewidth=0.7, clip_on=False)
        axes.plot(step, middle, marker="o", markersize=4, color=colour, clip_on=False)
        axes.annotate(
            text,
            (step, middle),
            xytext=(6 if right else -6, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            color=colour,
            fontsize=8.5,
            linespacing=1.05,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        ).set_in_layout(False)
