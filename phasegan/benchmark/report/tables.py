"""The tables of a bench, as data: Markdown, LaTeX and the report write the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from phasegan.benchmark.compare import Comparison
from phasegan.benchmark.report import contents
from phasegan.benchmark.report.contents import BADGES, Line, Table
from phasegan.benchmark.scaling import Curve
from phasegan.benchmark.summary import NOTE as SEEDS_NOTE
from phasegan.benchmark.summary import SUMMARY_COLUMNS, summarise_seeds
from phasegan.evaluation.columns import COST_COLUMNS, UNKNOWN, Column, bench_columns
from phasegan.evaluation.records import Row
from phasegan.metrics.scaling_laws import ScalingFit

QUOTED_NOTE = "quoted: as published, not measured here."


def main_table(rows: Sequence[Row], metrics: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """Return the table of all rows and their scores.

    Parameters
    ----------
    rows : sequence of Row
        Measured or not.
    metrics : sequence of str
        The scores to show, by the names of `phasegan.benchmark.cases.METRICS`.
    notes : sequence of str
        Further footnotes.
    """
    quoted = (QUOTED_NOTE,) if any(row.status == "quoted" for row in rows) else ()
    columns = bench_columns(rows, metrics)
    return _table("Scores", "scores", rows, columns, (*quoted, *notes))


def cost_table(rows: Sequence[Row]) -> Table | None:
    """Return what the rows took, if anything was measured."""
    measured = [row for row in rows if row.cost is not None]
    if not measured:
        return None
    columns = {
        name: column
        for name, column in COST_COLUMNS.items()
        if any(column.value(row) is not None for row in measured)
    }
    tried = [COST_COLUMNS["held"].value(row) for row in measured]
    known = [held for held in tried if held is not None]
    notes = (
        f"The interval of the estimate held in {known.count('yes')} of {len(known)} trainings.",
    )
    return _table("Time and memory", "cost", measured, columns, notes if known else ())


def seeds_table(rows: Sequence[Row]) -> Table | None:
    """Return means and spreads over seeds, where there are several."""
    summaries = summarise_seeds(rows)
    if not summaries:
        return None
    lines = tuple(
        Line(
            tuple(column.text(summary) for column in SUMMARY_COLUMNS.values()),
            tuple(column.value(summary) for column in SUMMARY_COLUMNS.values()),
        )
        for summary in summaries
    )
    columns = tuple(contents.Column(name, name != "method") for name in SUMMARY_COLUMNS)
    return Table("Over seeds", columns, lines, "seeds", (SEEDS_NOTE,))


def scaling_table(curves: Sequence[Curve]) -> Table | None:
    """Return the fitted curves, where points carry one."""
    lines = tuple(_fitted(curve, curve.fit) for curve in curves if curve.fit is not None)
    if not lines:
        return None
    columns = tuple(
        contents.Column(name, name in ("points", "exponent", "floor"))
        for name in ("method", "against", "points", "exponent", "95 %", "floor", "curve")
    )
    note = (
        "MSE = a·x^−b, or c + a·x^−b where the points carry a floor, fitted in log MSE; 95 % "
        "intervals; none is drawn where the points do not carry one."
    )
    return Table("Scaling", columns, lines, "scaling", (note,))


def _fitted(curve: Curve, fit: ScalingFit) -> Line:
    low, high = fit.exponent_interval
    floor = fit.floor if fit.form == "power+floor" else None
    texts = (
        curve.method,
        curve.against,
        str(fit.points),
        f"{fit.exponent:.3f}",
        f"{low:.3f} to {high:.3f}",
        UNKNOWN if floor is None else f"{floor:,.0f}",
        fit.describe(),
    )
    return Line(
        texts, (curve.method, curve.against, fit.points, fit.exponent, low, floor, texts[-1])
    )


def against_table(compared: Comparison, name: str) -> Table:
    """Return what changed since another folder of results."""
    headings, lines = compared.table()
    columns = tuple(contents.Column(heading, i > 0) for i, heading in enumerate(headings))
    return Table(
        f"Changes against {name}",
        columns,
        tuple(Line(tuple(texts), tuple(keys)) for texts, keys in lines),
        "against",
        tuple(compared.remarks),
    )


def _table(
    title: str,
    identifier: str,
    rows: Sequence[Row],
    columns: dict[str, Column],
    notes: Sequence[str],
) -> Table:
    made = tuple(
        contents.Column(name, column.numeric, column.explanation)
        for name, column in columns.items()
    )
    return Table(title, made, tuple(_line(row, columns) for row in rows), identifier, tuple(notes))


def _line(row: Row, columns: dict[str, Column]) -> Line:
    status: contents.Status = "ok"
    if row.status in ("failed", "skipped", "estimated", "quoted"):
        status = row.status
    elif row.epochs is None:
        status = "baseline"
    badge = "unfinished" if row.status == "unfinished" else ""
    badge = "fell back" if row.status == "ok" and row.reason else badge
    keys = []
    for column in columns.values():
        value = column.value(row)
        keys.append(float(value) if isinstance(value, int | float) else value)
    texts = tuple(column.text(row) for column in columns.values())
    return Line(texts, tuple(keys), status, badge, row.reason or "")


def named_by_status(table: Table) -> Table:
    """Return a table whose lines say their status behind their names, for plain text."""
    lines = tuple(
        replace(line, cells=(f"{line.cells[0]} ({_mark(line)})", *line.cells[1:]))
        if _mark(line)
        else line
        for line in table.lines
    )
    return replace(table, lines=lines)


def _mark(line: Line) -> str:
    return line.badge or PLAIN.get(line.status, BADGES[line.status])


PLAIN = {"quoted": "quoted", "estimated": "not run, estimate"}
"""Shorter than the badges of a page."""
