"""The tables of a bench: scores, costs, seeds, scaling, changes, estimates, and its CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from phasegan.benchmark.compare import CHANGE_COLUMNS, Comparison
from phasegan.benchmark.scaling import ScalingCurve
from phasegan.benchmark.summary import FIGURES, Spread, Summary, summarise_seeds
from phasegan.evaluation.records import Cost, ResultRow
from phasegan.evaluation.tables import (
    COST_COLUMNS,
    METHOD,
    bench_columns,
    count_text,
    squared_grey_levels,
)
from phasegan.progress import format_duration
from phasegan.tables import Column, Status, Table, TableRow, read_values

QUOTED_NOTE = "quoted: as published, not measured here."
SEEDS_NOTE = (
    "seeds: mean over so many seeds, each with its own samples, weights and shuffles; spread: "
    "least..largest of the seeds, and their standard deviation where there are three or more."
)
SCALING_NOTE = (
    "MSE = a·x^−b, or c + a·x^−b where the points carry a floor, fitted in log MSE; 95 % "
    "intervals; none is drawn where the points do not carry one."
)


def main_table(rows: Sequence[ResultRow], metrics: Sequence[str]) -> Table:
    """Build the table of all rows and their scores.

    Parameters
    ----------
    rows : sequence of ResultRow
        Measured or not.
    metrics : sequence of str
        Scores to show, by the names of `phasegan.benchmark.cases.METRICS`.

    Returns
    -------
    Table
        Rows without scores have their reason as a detail.
    """
    columns = bench_columns(rows, metrics)
    quoted = (QUOTED_NOTE,) if any(row.status == "quoted" for row in rows) else ()
    return Table("Scores", columns, _status_rows(columns, rows), "scores", quoted)


def _status_rows(columns: Sequence[Column], rows: Sequence[ResultRow]) -> tuple[TableRow, ...]:
    return tuple(
        TableRow(read_values(columns, row), _status(row), _badge(row), row.reason or "")
        for row in rows
    )


def _status(row: ResultRow) -> Status:
    if row.status in ("failed", "skipped", "estimated", "quoted"):
        return row.status
    return "baseline" if row.epochs is None else "ok"


def _badge(row: ResultRow) -> str:
    if row.status == "ok" and row.reason:
        return "fell back"
    return "unfinished" if row.status == "unfinished" else ""


def cost_table(rows: Sequence[ResultRow]) -> Table | None:
    """Build the table of time and memory.

    Parameters
    ----------
    rows : sequence of ResultRow
        Those without a cost are left out.

    Returns
    -------
    Table or None
        None if nothing was measured.
    """
    measured = [row for row in rows if row.cost is not None]
    if not measured:
        return None
    columns = [c for c in COST_COLUMNS if any(c.read(row) is not None for row in measured)]
    (held,) = (column for column in COST_COLUMNS if column.name == "held")
    verdicts = [verdict for verdict in map(held.read, measured) if verdict is not None]
    note = (
        f"The interval of the estimate held in {verdicts.count('yes')} of {len(verdicts)} "
        "trainings."
    )
    return Table(
        "Time and memory",
        tuple(columns),
        _status_rows(columns, measured),
        "cost",
        (note,) if verdicts else (),
    )


def _mean(header: str, key: str, form: Callable[[float], str], optional: int) -> Column:
    def value(summary: Summary) -> float | None:
        spread = summary.values.get(key)
        return None if spread is None else spread.mean

    return Column(header, key, value, form, optional=optional)


def _spread(header: str, key: str, form: Callable[[float], str]) -> Column:
    def value(summary: Summary) -> Spread | None:
        return summary.values.get(key) if summary.seeds > 1 else None

    def text(spread: Spread) -> str:
        ends = f"{form(spread.least)}..{form(spread.largest)}"
        return ends if spread.deviation is None else f"{ends}, s.d. {form(spread.deviation)}"

    return Column(
        header, f"{key}_spread", value, text, sort_key=lambda spread: spread.largest - spread.least
    )


_SEEDS_FIGURES = {
    **{key: (header, squared_grey_levels) for key, header in FIGURES.items()},
    "ssim": ("SSIM", "{:.3f}".format),
}
_SEEDS_OPTIONAL = {"ssim": 1, "mse_affine": 2, "mse_scale": 3}
SEEDS_COLUMNS = (
    METHOD,
    *(Column(name, format=count_text) for name in ("samples", "epochs", "seeds")),
    *(
        column
        for key, (header, form) in _SEEDS_FIGURES.items()
        for column in (
            _mean(header, key, form, _SEEDS_OPTIONAL.get(key, 0)),
            _spread(f"spread of {header}", key, form),
        )
    ),
)
"""Columns of a method over its seeds."""
WIDE_SPREADS = ("mse_scale_spread", "mse_affine_spread", "ssim_spread")
"""Columns that a terminal does without."""


def seeds_table(rows: Sequence[ResultRow]) -> Table | None:
    """Build the table of means and spreads over seeds.

    Parameters
    ----------
    rows : sequence of ResultRow
        Measured or not.

    Returns
    -------
    Table or None
        None if no method was measured with several seeds.
    """
    summaries = summarise_seeds(rows)
    if not summaries:
        return None
    return Table.from_records(
        "Over seeds", SEEDS_COLUMNS, summaries, identifier="seeds", notes=(SEEDS_NOTE,)
    )


def _of_fit(header: str, value: Callable[[Any], Any], form: Callable[[Any], str] = str) -> Column:
    return Column(header, value=lambda curve: value(curve.fit), format=form)


SCALING_COLUMNS = (
    METHOD,
    Column("against", align="left"),
    _of_fit("points", lambda fit: fit.points),
    _of_fit("exponent", lambda fit: fit.exponent, "{:.3f}".format),
    Column(
        "95 %",
        value=lambda curve: curve.fit.exponent_interval,
        format=lambda ends: "{:.3f} to {:.3f}".format(*ends),
        align="left",
        sort_key=lambda ends: ends[0],
    ),
    _of_fit(
        "floor", lambda fit: fit.floor if fit.form == "power+floor" else None, "{:,.0f}".format
    ),
    Column("curve", value=lambda curve: curve.fit.describe(), align="left"),
)
"""Columns of a curve with a fit."""


def scaling_table(curves: Sequence[ScalingCurve]) -> Table | None:
    """Build the table of fitted curves.

    Parameters
    ----------
    curves : sequence of ScalingCurve
        Those without a fit are left out.

    Returns
    -------
    Table or None
        None if no points carry a curve.
    """
    fitted = [curve for curve in curves if curve.fit is not None]
    if not fitted:
        return None
    return Table.from_records(
        "Scaling", SCALING_COLUMNS, fitted, identifier="scaling", notes=(SCALING_NOTE,)
    )


def changes_table(comparison: Comparison, name: str) -> Table:
    """Build the table of changes since another folder of results.

    Parameters
    ----------
    comparison : Comparison
        Of that folder with these results.
    name : str
        Of that folder.

    Returns
    -------
    Table
        A row a method on both sides.
    """
    return Table.from_records(
        f"Changes against {name}",
        CHANGE_COLUMNS,
        comparison.changes,
        identifier="against",
        notes=tuple(comparison.remarks),
    )


def _state(row: ResultRow) -> str:
    if row.status == "estimated":
        return "left out" if row.reason else "to do"
    return "measured" if row.status == "ok" else row.status


ESTIMATE_COLUMNS = (
    METHOD,
    Column("samples", format=count_text),
    Column("epochs", format=count_text),
    Column("seed", format=count_text, optional=2),
    Column("state", value=_state),
    Column("estimated", value=lambda row: "" if row.estimate is None else row.estimate.brief()),
    Column(
        "measured",
        value=lambda row: "" if row.seconds is None else format_duration(row.seconds),
        optional=1,
    ),
)
"""Columns of rows that were only estimated, or measured by an earlier call."""


def estimates_table(rows: Sequence[ResultRow]) -> Table:
    """Build the table of how long every row will take or took.

    Parameters
    ----------
    rows : sequence of ResultRow
        Estimated or measured.

    Returns
    -------
    Table
        Durations that do not apply are empty.
    """
    return Table.from_records("Estimates", ESTIMATE_COLUMNS, rows)


def results_table(rows: Sequence[ResultRow]) -> Table:
    """Build the table of `results.csv`: numbers as they are, without rounding.

    Parameters
    ----------
    rows : sequence of ResultRow
        Measured or not.

    Returns
    -------
    Table
        Columns: the row, every score, durations in seconds, costs, run folder and key.
    """

    def part(field: str, names: Sequence[str], prefix: str = "") -> list[Column]:
        def column(name: str) -> Column:
            def value(row: ResultRow) -> Any:
                return getattr(getattr(row, field), name, None)

            return Column(prefix + name, value=value)

        return [column(name) for name in names]

    def score(name: str) -> Column:
        return Column(name, value=lambda row: row.values.get(name))

    scores = dict.fromkeys(name for row in rows for name in row.values)
    heads = ("method", "status", "reason", "samples", "epochs", "seed", "split")
    columns = [
        *map(Column, heads),
        *map(score, scores),
        Column("training_seconds", value=lambda row: row.seconds),
        *part("estimate", ("seconds", "low", "high"), "estimated_"),
        *part("cost", tuple(Cost.__dataclass_fields__)),
        Column("run"),
        Column("key"),
    ]
    return Table.from_records("Results", columns, rows)
