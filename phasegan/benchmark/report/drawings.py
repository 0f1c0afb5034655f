"""The figures of a bench."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phasegan.benchmark.scaling import ScalingCurve, scaling_curves
from phasegan.benchmark.summary import Summary, summarise_seeds
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.evaluation.comparison import training_title
from phasegan.evaluation.records import ResultRow
from phasegan.plotting.curves import (
    FittedSeries,
    Point,
    error_curves,
    estimate_chart,
    fitted_curves,
)


@dataclass(frozen=True)
class Drawing:
    """A figure, the name of its files and what is said under it."""

    name: str
    title: str
    caption: str
    figure: Any


def draw(rows: Sequence[ResultRow], file: PreparedFile) -> list[Drawing]:
    """Draw what the rows allow.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of a bench.
    file : PreparedFile
        Its data.

    Returns
    -------
    list of Drawing
        MSE against samples; against one thing at a time, with fitted curves; the
        estimates of durations against what was measured.
    """
    return [*_errors(rows, file), *_scaling(scaling_curves(rows)), *_estimates(rows)]


def _errors(rows: Sequence[ResultRow], file: PreparedFile) -> list[Drawing]:
    summaries = summarise_seeds(rows)
    series: dict[str, list[Point]] = defaultdict(list)
    levels: dict[str, float] = {}
    for method, samples, mse, spread in (
        map(_of_summary, summaries) if summaries else map(_of_row, _scored(rows))
    ):
        if samples is None:
            levels[method] = mse
        else:
            series[method].append((samples, mse, spread))
    if not series and not levels:
        return []
    bars = "standard deviations over seeds" if summaries else "standard errors over the images"
    figure = error_curves(
        series,
        levels,
        title=f"{file.path.name}: {len(file.test)} test images",
        x_label="training samples",
        y_label="average MSE on 0..255, clipped output",
    )
    return [Drawing("mse-samples", "Average MSE against samples", f"Bars: {bars}.", figure)]


def _scored(rows: Sequence[ResultRow]) -> list[ResultRow]:
    return [row for row in rows if row.status == "ok" and row.split == "test"]


def _of_summary(summary: Summary) -> tuple[str, int | None, float, float]:
    mse = summary.values["mse"]
    return summary.method, summary.samples, mse.mean, mse.deviation or 0.0


def _of_row(row: ResultRow) -> tuple[str, int | None, float, float]:
    return row.method, row.samples, row.values["mse"], row.values["mse_stderr"] or 0.0


def _scaling(curves: Sequence[ScalingCurve]) -> list[Drawing]:
    groups: dict[tuple[str, str], list[ScalingCurve]] = defaultdict(list)
    for curve in curves:
        groups[curve.axis, curve.fixed if curve.axis != "samples" else ""].append(curve)
    drawings = []
    for (axis, fixed), members in groups.items():
        if not any(curve.fit for curve in members):
            continue
        series = [
            FittedSeries(
                f"{curve.method}, {curve.fixed}" if curve.fixed and not fixed else curve.method,
                curve.x,
                curve.y,
                curve.fit,
                None if curve.fit is None else curve.fit.band,
            )
            for curve in members
        ]
        title = f"MSE against {axis}" + (f", {fixed}" if fixed else "")
        figure = fitted_curves(series, title=title, x_label=_AXES[axis])
        name = "-".join(["scaling", *axis.split(), *fixed.replace(",", "").split()])
        drawings.append(Drawing(name, title, _SCALING, figure))
    return drawings


_AXES = {
    "samples": "training samples",
    "epochs": "epochs",
    "images seen": "training images seen, samples × epochs",
}
_SCALING = (
    "A point a row. Lines: fitted power laws, with the 95 % band of the curve; none where the "
    "points do not carry one."
)


def _estimates(rows: Sequence[ResultRow]) -> list[Drawing]:
    timed = [row for row in rows if row.status == "ok" and row.estimate and row.seconds]
    timed = [row for row in timed if row.split == "test"]
    if not timed:
        return []
    seeds = len({row.seed for row in timed}) > 1
    names = [training_title(row) + (f", seed {row.seed}" if seeds else "") for row in timed]
    actual, estimates = [], []
    for row in timed:
        assert row.estimate is not None
        assert row.seconds is not None
        actual.append(row.seconds)
        estimates.append((row.estimate.seconds, row.estimate.low, row.estimate.high))
    held = sum(low <= s <= high for s, (_, low, high) in zip(actual, estimates, strict=True))
    caption = (
        f"Each training's estimate from before it began, and its interval, over the seconds it "
        f"took: {held} of {len(timed)} intervals held them."
    )
    figure = estimate_chart(names, actual, estimates)
    return [Drawing("estimates", "Estimates of training time", caption, figure)]
