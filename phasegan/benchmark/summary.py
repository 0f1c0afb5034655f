"""Rows of several seeds taken together: mean and spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phasegan.evaluation.columns import UNKNOWN, squared_grey_levels
from phasegan.evaluation.records import Row

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
        if row.status == "ok" and row.split == "test":
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


@dataclass(frozen=True)
class SummaryColumn:
    """A column by what it shows of a summary."""

    value: Callable[[Summary], float | str | None]
    """What it sorts by."""
    form: Callable[[Summary], str]

    def text(self, summary: Summary) -> str:
        """Return the cell."""
        return UNKNOWN if self.value(summary) is None else self.form(summary)


def _count(name: str) -> SummaryColumn:
    return SummaryColumn(
        lambda summary: getattr(summary, name), lambda summary: format(getattr(summary, name), ",")
    )


def _mean(name: str, write: Callable[[float], str]) -> SummaryColumn:
    def value(summary: Summary) -> float | None:
        spread = summary.values.get(name)
        return None if spread is None else spread.mean

    return SummaryColumn(value, lambda summary: write(summary.values[name].mean))


def _spread(name: str, write: Callable[[float], str]) -> SummaryColumn:
    def value(summary: Summary) -> float | None:
        spread = summary.values.get(name)
        return None if spread is None or summary.seeds < 2 else spread.largest - spread.least

    def form(summary: Summary) -> str:
        spread = summary.values[name]
        text = f"{write(spread.least)}..{write(spread.largest)}"
        return text if spread.deviation is None else f"{text}, s.d. {write(spread.deviation)}"

    return SummaryColumn(value, form)


def _columns() -> dict[str, SummaryColumn]:
    columns = {
        "method": SummaryColumn(lambda summary: summary.method, lambda summary: summary.method),
        "samples": _count("samples"),
        "epochs": _count("epochs"),
        "seeds": _count("seeds"),
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
    return [[SUMMARY_COLUMNS[name].text(summary) for name in names] for summary in summaries]
