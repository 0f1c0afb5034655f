"""What a bench leaves behind: results.json, table.md, a figure, a contact sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from phasegan._version import __version__
from phasegan.figures.curves import Point, error_curves
from phasegan.files import atomic_file, write_json, write_text
from phasegan.harness.cases import Case
from phasegan.harness.comparison import bench_columns, compare
from phasegan.harness.evaluate import open_baseline, open_run
from phasegan.harness.rows import Row
from phasegan.harness.summary import NOTE as SEEDS_NOTE
from phasegan.harness.summary import SUMMARY_COLUMNS, Summary, summarise_seeds, summary_cells
from phasegan.harness.table import (
    BENCH_COLUMNS,
    BENCH_NOTES,
    SMOKE_NOTE,
    is_smoke_test,
    machine_line,
    markdown,
)
from phasegan.metrics.ruler import SSIM_DESCRIPTION
from phasegan.reconstruction.protocol import Method
from phasegan.store.reader import PreparedFile


def write_report(
    folder: Path,
    case: Case,
    rows: list[Row],
    file: PreparedFile,
    device: torch.device,
    skipped: Sequence[str] = (),
) -> None:
    """Write everything into the folder; each file atomically. `skipped` says what is missing."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    summaries = summarise_seeds(rows)
    write_json(
        folder / "results.json",
        {
            "format": 1,
            "phasegan_version": __version__,
            "case": {"name": case.name, "title": case.title},
            "data": {
                "name": file.path.name,
                "digest": file.digest,
                "description": file.layout.describe(),
                "train": len(file.train),
                "test": len(file.test),
            },
            **({"seeds": [summary.as_json() for summary in summaries]} if summaries else {}),
            "scale": "0..255, squared grey levels",
            "ssim_window": SSIM_DESCRIPTION,
            "rows": [row.as_json() for row in rows],
        },
    )
    machines = dict.fromkeys(machine_line(row.machine) for row in rows if row.machine)
    smoke = (SMOKE_NOTE,) if is_smoke_test(file.attributes) else ()
    many = (SEEDS_NOTE,) if summaries else ()
    notes = (*skipped, *smoke, *BENCH_NOTES, *many, *machines)
    more = ("Over seeds", list(SUMMARY_COLUMNS), summary_cells(summaries)) if summaries else None
    table = markdown(rows, BENCH_COLUMNS, notes, heading(case, file), more)
    write_text(folder / "table.md", table)
    _write_figure(folder / "mse-samples.png", rows, summaries, file)
    _write_sheet(folder, rows, file, device)


def heading(case: Case, file: PreparedFile) -> str:
    """Return what a bench measures, on which data: size, oversampling, noise."""
    return (
        f"{case.title or case.name}: {file.path.name}, {len(file.test)} test images, "
        f"{file.layout.describe()}"
    )


def _write_figure(
    path: Path, rows: list[Row], summaries: Sequence[Summary], file: PreparedFile
) -> None:
    series: dict[str, list[Point]] = defaultdict(list)
    levels: dict[str, float] = {}
    for summary in summaries:
        mse = summary.values["mse"]
        if summary.samples is None:
            levels[summary.method] = mse.mean
        else:
            point = (summary.samples, mse.mean, mse.deviation or 0.0)
            series[summary.method].append(point)
    for row in [] if summaries else rows:
        if row.status != "ok":
            continue
        mse, spread = row.values["mse"], row.values["mse_stderr"] or 0.0
        if row.samples is None:
            levels[row.method] = mse
        else:
            series[row.method].append((row.samples, mse, spread))
    bars = "means and standard deviations over seeds" if summaries else "bars are standard errors"
    error_curves(
        path,
        series,
        levels,
        title=f"{file.path.name}: {len(file.test)} test images, {bars}",
        x_label="training samples",
        y_label="average MSE on 0..255, clipped output",
    )


def _write_sheet(folder: Path, rows: list[Row], file: PreparedFile, device: torch.device) -> None:
    columns = bench_columns(rows)
    if not columns:
        return
    methods = [_method(column.row, folder, file, device) for column in columns]
    sheet = compare(file, columns, methods).draw()
    with atomic_file(folder / "contact-sheet.png") as temporary:
        sheet.save(temporary, format="PNG")


def _method(row: Row, folder: Path, file: PreparedFile, device: torch.device) -> Method:
    if row.run is not None:
        return open_run(folder / row.run, file, device)
    return open_baseline(row.method, file, row.samples, row.seed or 0)
