"""Scaling curves of a bench: MSE against samples, epochs or images seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phasegan.evaluation.records import ResultRow
from phasegan.metrics.scaling_laws import ScalingFit, fit_scaling

LEAST_POINTS = 3
"""Different places on an axis that are worth a drawing."""


@dataclass(frozen=True)
class ScalingCurve:
    """Rows of one method along one axis.

    Attributes
    ----------
    method : str
        The method.
    axis : {"samples", "epochs", "images seen"}
        What varies; images seen are samples × epochs.
    fixed : str
        What does not, `10 epochs`; empty where both vary.
    x, y : tuple of float
        A point a row: place and MSE.
    fit : ScalingFit or None
        The curve, where the points carry one.
    """

    method: str
    axis: str
    fixed: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    fit: ScalingFit | None

    @property
    def against(self) -> str:
        """`samples, 10 epochs`."""
        return f"{self.axis}, {self.fixed}" if self.fixed else self.axis

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "method": self.method,
            "axis": self.axis,
            "fixed": self.fixed or None,
            "x": list(self.x),
            "mse": list(self.y),
            "fit": None if self.fit is None else self.fit.as_json(),
        }


def scaling_curves(rows: Sequence[ResultRow]) -> list[ScalingCurve]:
    """Return the curves on which measured rows lie.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of a bench; several seeds are points of their own.

    Returns
    -------
    list of Curve
        For each method with at least `LEAST_POINTS` different places on an axis:
        MSE against samples for each number of epochs, against epochs for each
        number of samples, and against images seen where both vary.
    """
    measured = [row for row in rows if row.status == "ok" and row.split == "test" and row.samples]
    mixed = {
        row.method
        for row in measured
        if len({other.samples for other in measured if other.method == row.method}) > 1
        and len({other.epochs for other in measured if other.method == row.method}) > 1
    }
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in measured:
        mse, samples = float(row.values["mse"]), float(row.samples or 0)
        if row.epochs is None:
            groups[row.method, "samples", ""].append((samples, mse))
            continue
        groups[row.method, "samples", f"{row.epochs:,} epochs"].append((samples, mse))
        groups[row.method, "epochs", f"{row.samples:,} samples"].append((float(row.epochs), mse))
        if row.method in mixed:
            groups[row.method, "images seen", ""].append((samples * row.epochs, mse))
    return [
        ScalingCurve(method, axis, fixed, *_columns(points), _fit(points))
        for (method, axis, fixed), points in groups.items()
        if len({x for x, _ in points}) >= LEAST_POINTS
    ]


def _columns(points: list[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    x, y = zip(*sorted(points), strict=True)
    return x, y


def _fit(points: list[tuple[float, float]]) -> ScalingFit | None:
    x, y = _columns(points)
    return fit_scaling(x, y) if min(y) > 0 else None
