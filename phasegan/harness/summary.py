"""Rows of several seeds taken together: mean and spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasegan.harness.rows import Row
from phasegan.harness.table import UNKNOWN, squared_grey_levels

FIGURES = {"mse": "average MSE", "mse_scale": "scale fit", "mse_affine": "affine fit"}
"""Squared grey levels that are summarised beside the SSIM, and their columns."""
LEAST_FOR_DEVIATION = 3

NOTE = (
    "seeds: mean over so many seeds, each with its own samples, weights and shuffles; spread: "
    "least..largest of the seeds, and their standard deviation where there are three or more."
)


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
    """By the names of `phasegan.metrics.ruler.summarise`; what is not known is missing."""

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


def summarise_seeds(rows: Sequence[Row]) -> list[Summary]:
    """Group measured rows by method, samples and epochs.

    Parameters
    ----------
    rows : sequence of Row
        Of a bench.

    Returns
    -------
    list of Summary
        In the order of the rows; empty where no group has several seeds.
    """
    groups: dict[tuple[str, int | None, int | None], list[Row]] = {}
    for row in rows:
        if row.status == "ok":
            groups.setdefault((row.method, row.samples, row.epochs), []).append(row)
    if max(map(len, groups.values()), default=0) < 2:
        return []
    return [Summary(*key, len(group), _spreads(group)) for key, group in groups.items()]


def _spreads(rows: Sequence[Row]) -> dict[str, Spread]:
    spreads = {}
    for name in (*FIGURES, "ssim"):
        found = [row.values.get(name) for row in rows]
        values = np.array([value for value in found if value is not None], dtype=np.float64)
        if len(values) == len(rows):
            many = len(values) >= LEAST_FOR_DEVIATION
            deviation = float(values.std(ddof=1)) if many else None
            spreads[name] = Spread(
                float(values.mean()), float(values.min()), float(values.max()), deviation
            )
    return spreads


Cell = Callable[[Summary], str]


def _known(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _mean(name: str, write: Callable[[float], str]) -> Cell:
    def cell(summary: Summary) -> str:
        spread = summary.values.get(name)
        return UNKNOWN if spread is None else write(spread.mean)

    return cell


def _spread(name: str, write: Callable[[float], str]) -> Cell:
    def cell(summary: Summary) -> str:
        spread = summary.values.get(name)
        if spread is None or summary.seeds < 2:
            return UNKNOWN
        text = f"{write(spread.least)}..{write(spread.largest)}"
        return text if spread.deviation is None else f"{text}, s.d. {write(spread.deviation)}"

    return cell


def _columns() -> dict[str, Cell]:
    columns: dict[str, Cell] = {
        "method": lambda summary: summary.method,
        "samples": lambda summary: _known(summary.samples),
        "epochs": lambda summary: _known(summary.epochs),
        "seeds": lambda summary: str(summary.seeds),
    }
    for name, title in FIGURES.items():
        columns[title] = _mean(name, squared_grey_levels)
        columns[f"spread of {title}"] = _spread(name, squared_grey_levels)
    columns["SSIM"] = _mean("ssim", "{:.3f}".format)
    columns["spread of SSIM"] = _spread("ssim", "{:.3f}".format)
    return columns


SUMMARY_COLUMNS = _columns()
COMPACT_SUMMARY = (
    *("method", "samples", "epochs", "seeds", "average MSE", "spread of average MSE"),
    *("scale fit", "affine fit", "SSIM"),
)
"""The columns that fit on a terminal."""


def summary_cells(
    summaries: Sequence[Summary], names: Sequence[str] = tuple(SUMMARY_COLUMNS)
) -> list[list[str]]:
    """Return the text of every cell of some columns."""
    return [[SUMMARY_COLUMNS[name](summary) for name in names] for summary in summaries]
