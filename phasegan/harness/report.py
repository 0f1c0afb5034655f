"""What a bench leaves behind: results.json, table.md, a figure, a contact sheet."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasegan._version import __version__
from phasegan.figures.curves import Point, error_curves
from phasegan.figures.sheet import contact_sheet, image_tile, phase_tile
from phasegan.files import atomic_file, write_json, write_text
from phasegan.harness.cases import Case
from phasegan.harness.evaluate import open_baseline, open_run
from phasegan.harness.rows import Row
from phasegan.harness.table import (
    BENCH_COLUMNS,
    BENCH_NOTES,
    SMOKE_NOTE,
    is_smoke_test,
    machine_line,
    markdown,
)
from phasegan.metrics.ruler import SSIM_DESCRIPTION, clipped_mse
from phasegan.reconstruction.loading import observe
from phasegan.reconstruction.protocol import Method
from phasegan.store.reader import PreparedFile

SHEET_ROWS = 5


def write_report(
    folder: Path, case: Case, rows: list[Row], file: PreparedFile, device: torch.device
) -> None:
    """Write everything into the folder; each file atomically."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
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
            "scale": "0..255, squared grey levels",
            "ssim_window": SSIM_DESCRIPTION,
            "rows": [row.as_json() for row in rows],
        },
    )
    heading = (
        f"{case.title or case.name}: {file.path.name}, {len(file.test)} test images, "
        f"{file.layout.size}×{file.layout.size} {file.layout.channels}"
    )
    machines = dict.fromkeys(machine_line(row.machine) for row in rows if row.machine)
    smoke = (SMOKE_NOTE,) if is_smoke_test(file.attributes) else ()
    notes = (*smoke, *BENCH_NOTES, *machines)
    write_text(folder / "table.md", markdown(rows, BENCH_COLUMNS, notes, heading))
    _write_figure(folder / "mse-samples.png", rows, file)
    _write_sheet(folder, rows, file, device)


def _write_figure(path: Path, rows: list[Row], file: PreparedFile) -> None:
    series: dict[str, list[Point]] = defaultdict(list)
    levels: dict[str, float] = {}
    for row in rows:
        if row.status != "ok":
            continue
        mse, spread = row.values["mse"], row.values["mse_stderr"] or 0.0
        if row.samples is None:
            levels[row.method] = mse
        else:
            seed = f", seed {row.seed}" if row.seed else ""
            series[f"{row.method}{seed}"].append((row.samples, mse, spread))
    error_curves(
        path,
        series,
        levels,
        title=f"{file.path.name}: {len(file.test)} test images, bars are standard errors",
        x_label="training samples",
        y_label="average MSE on 0..255, clipped output",
    )


def _write_sheet(folder: Path, rows: list[Row], file: PreparedFile, device: torch.device) -> None:
    count = min(SHEET_ROWS, len(file.test))
    picked = np.linspace(0, len(file.test) - 1, count).round().astype(int)
    images = file.test.images(picked)
    observation = observe(file.test, picked, file.layout)
    data_range = file.layout.data_range
    titles = ["phase"]
    columns: list[list[Any]] = [[phase_tile(p) for p in observation.phase]]
    captions: list[list[str]] = [[""] * count]
    for row in _shown(rows):
        estimates = _method(row, folder, file, device)(observation).estimate
        errors = clipped_mse(estimates, images, data_range=data_range)
        titles.append(row.method if row.epochs is None else f"{row.samples} × {row.epochs}")
        columns.append([image_tile(e, data_range) for e in estimates])
        captions.append([f"MSE {error:,.0f}" for error in errors])
    titles.append("original")
    columns.append([image_tile(x, data_range) for x in images])
    captions.append([""] * count)
    trained = sorted({row.method for row in rows if row.epochs is not None and row.status == "ok"})
    footer = (
        "Zero frequency in the middle of the phase; colours are cyclic. Columns N × M: "
        f"{', '.join(trained)} after M epochs on N samples. Baselines: with the most samples of "
        "the table."
    )
    sheet = contact_sheet(
        list(zip(*columns, strict=True)), titles, list(zip(*captions, strict=True)), footer
    )
    with atomic_file(folder / "contact-sheet.png") as temporary:
        sheet.save(temporary, format="PNG")


def _shown(rows: list[Row]) -> list[Row]:
    """Return one row a baseline, that with the most samples, then the trained rows."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.status == "ok" and row.epochs is None and row.method != "zero":
            held = best.get(row.method)
            if held is None or (row.samples or 0) > (held.samples or 0):
                best[row.method] = row
    return [*best.values(), *(r for r in rows if r.status == "ok" and r.epochs is not None)]


def _method(row: Row, folder: Path, file: PreparedFile, device: torch.device) -> Method:
    if row.run is not None:
        return open_run(folder / row.run, file, device)
    return open_baseline(row.method, file, row.samples, row.seed or 0)
