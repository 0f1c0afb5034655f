"""Curves with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from phasegan.files import atomic_file

Point = tuple[float, float, float]
"""x, y and the standard error of y."""


def error_curves(
    path: Path,
    series: Mapping[str, Sequence[Point]],
    levels: Mapping[str, float],
    *,
    title: str,
    x_label: str,
    y_label: str,
) -> None:
    """Draw errors against a count, both on logarithmic axes, as PNG.

    Parameters
    ----------
    path : pathlib.Path
        Where to write, atomically.
    series : mapping
        Points by name, drawn with standard errors.
    levels : mapping
        Values by name that do not depend on x, drawn as horizontal lines.
    title, x_label, y_label : str
        Texts.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    ticks: set[float] = set()
    markers = "osD^vP*X"
    for i, (name, points) in enumerate(series.items()):
        x, y, spread = zip(*sorted(points), strict=True)
        ticks |= set(x)
        axes.errorbar(
            x,
            y,
            yerr=spread,
            marker=markers[i % len(markers)],
            capsize=3,
            label=name,
            color=f"C{i}",
        )
    for i, (name, value) in enumerate(levels.items()):
        style = (0, (4, 2 + i))
        axes.axhline(value, color="0.45", linestyle=style, linewidth=1, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain = FuncFormatter(lambda value, _: f"{value:,.0f}")
    axes.set_xticks(sorted(ticks))
    axes.xaxis.set_major_formatter(plain)
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    candidates = [m * 10**e for e in range(-2, 7) for m in (1, 2, 5)]
    axes.set_yticks([v for v in candidates if low <= v <= high])
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=140)
