"""Writes the results of a bench: tables, figures, a contact sheet and the report."""

from __future__ import annotations

from collections.abc import Sequence

from phasegan.benchmark.compare import Comparison
from phasegan.benchmark.report.compose import compose_page
from phasegan.benchmark.report.context import ReportContext, open_method
from phasegan.benchmark.report.drawings import draw
from phasegan.benchmark.report.render import render
from phasegan.benchmark.report.tables import (
    changes_table,
    cost_table,
    main_table,
    results_table,
    scaling_table,
    seeds_table,
)
from phasegan.benchmark.scaling import scaling_curves
from phasegan.evaluation.comparison import bench_sheet_columns, compare_methods
from phasegan.evaluation.notes import machine_line
from phasegan.evaluation.records import ResultRow
from phasegan.io.atomic import atomic_file, write_json, write_text
from phasegan.plotting.curves import save_figure
from phasegan.tables import Table, csv_text, latex_table, markdown_document


def _tables(
    context: ReportContext, rows: Sequence[ResultRow], compared: Comparison | None
) -> list[Table]:
    further = (
        seeds_table(rows),
        cost_table(rows),
        scaling_table(scaling_curves(rows)),
        None if compared is None else changes_table(compared, context.against),
    )
    main = main_table(rows, context.case.metrics)
    return [main, *(table for table in further if table is not None)]


def write_tables(
    context: ReportContext, rows: Sequence[ResultRow], compared: Comparison | None = None
) -> list[Table]:
    """Write results.json, results.csv, table.md and table.tex, each atomically.

    Parameters
    ----------
    context : ReportContext
        Case, data and folder.
    rows : sequence of ResultRow
        Measured or not.
    compared : Comparison, optional
        With another folder of results.

    Returns
    -------
    list of Table
        As written; the first is the main one.
    """
    document = context.document(rows)
    if compared is not None:
        document["against"] = compared.as_json()
    write_json(context.folder / "results.json", document)
    write_text(context.folder / "results.csv", csv_text(results_table(rows)))
    tables = _tables(context, rows, compared)
    notes = [*context.notes(rows), *_machines(rows)]
    write_text(context.folder / "table.md", markdown_document(context.heading, tables, notes))
    write_text(context.folder / "table.tex", latex_table(tables[0], context.heading, notes))
    return tables


def _machines(rows: Sequence[ResultRow]) -> list[str]:
    return list(dict.fromkeys(machine_line(row.machine) for row in rows if row.machine))


def write_report(
    context: ReportContext, rows: list[ResultRow], compared: Comparison | None = None
) -> None:
    """Write tables, figures, contact sheet and report into the folder, each file atomically.

    Parameters
    ----------
    context : ReportContext
        Case, data and folder.
    rows : list of ResultRow
        Measured or not.
    compared : Comparison, optional
        With another folder of results.
    """
    tables = write_tables(context, rows, compared)
    drawings = draw(rows, context.file)
    for drawing in drawings:
        save_figure(drawing.figure, context.folder / f"{drawing.name}.png")
    _write_sheet(context, rows)
    page = compose_page(context, rows, tables, drawings)
    write_text(context.folder / "report.html", render(page))


def _write_sheet(context: ReportContext, rows: list[ResultRow]) -> None:
    columns = bench_sheet_columns(rows)
    if not columns:
        return
    methods = [open_method(column.row, context) for column in columns]
    sheet = compare_methods(context.file, columns, methods).draw()
    with atomic_file(context.folder / "contact-sheet.png") as temporary:
        sheet.save(temporary, format="PNG")
