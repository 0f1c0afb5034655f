"""Rows of several seeds taken together: mean and spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasegan.evaluation.records import ResultRow

FIGURES = {"mse": "average MSE", "mse_scale": "scale fit", "mse_affine": "affine fit"}
"""Squared grey levels that are summarised beside the SSIM, and their columns."""
LEAST_FOR_DEVIATION = 3


@dataclass(frozen=True)
class Spread:
    """One figure over seeds."""

    mean: float
    least: float
    largest: float
    deviation: float | None
    """Sample standard deviation; None for fewer than three seeds."""


@dataclass(frozen=True)
class Summary:
    """A method at some samples and epochs over its seeds."""

    method: str
    samples: int | None
    epochs: int | None
    seeds: int
    values: dict[str, Spread]
    """By the names of `phasegan.metrics.image_metrics.summarise`; what is not known is missing."""

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        head = {"method": self.method, "samples": self.samples, "epochs": self.epochs}
        figures = {
            name: {
                "mean": spread.mean,
                "min": spread.least,
                "max": spread.largest,
                "standard_deviation": spread.deviation,
            }
            for name, spread in self.values.items()
        }
        return {**head, "seeds": self.seeds, **figures}


def summarise_seeds(rows: Sequence[ResultRow]) -> list[Summary]:
    """Group measured rows by method, samples and epochs.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of a bench.

    Returns
    -------
    list of Summary
        In the order of the rows; empty where no group has several seeds.
    """
    groups: dict[tuple[str, int | None, int | None], list[ResultRow]] = {}
    for row in rows:
        if row.status == "ok" and row.split == "test":
            groups.setdefault((row.method, row.samples, row.epochs), []).append(row)
    if max(map(len, groups.values()), default=0) < 2:
        return []
    return [Summary(*key, len(group), _spreads(group)) for key, group in groups.items()]


def _spreads(rows: Sequence[ResultRow]) -> dict[str, Spread]:
    spreads = {}
    for name in (*FIGURES, "ssim"):
        scores = [row.values.get(name) for row in rows]
        values = np.array([value for value in scores if value is not None], dtype=np.float64)
        if len(values) == len(rows):
            many = len(values) >= LEAST_FOR_DEVIATION
            deviation = float(values.std(ddof=1)) if many else None
            spreads[name] = Spread(
                float(values.mean()), float(values.min()), float(values.max()), deviation
            )
    return spreads
