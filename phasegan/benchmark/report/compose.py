"""Composes the report page of a bench from its rows, tables and figures."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence

import numpy as np
from PIL import Image

from phasegan.benchmark.report.contents import Figure, ImagePair, MethodGallery, Page
from phasegan.benchmark.report.context import ReportContext, open_method
from phasegan.benchmark.report.drawings import Drawing
from phasegan.config.options.size import option_text, parse_size
from phasegan.evaluation.comparison import training_title
from phasegan.evaluation.records import ResultRow
from phasegan.evaluation.tables import squared_grey_levels
from phasegan.plotting.curves import svg_text
from phasegan.plotting.page import Fact
from phasegan.plotting.sheet import image_tile
from phasegan.reconstruction.inputs.problems import observe
from phasegan.tables import Table

PLACES = (("best", 0.0), ("median", 0.5), ("worst", 1.0))
"""Quantiles of the errors at which a method's test images are shown."""

_FACTS = {
    "processor": "Processor",
    "cores": "Cores",
    "threads": "Threads",
    "gpu": "GPU",
    "system": "System",
    "python": "Python",
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "h5py": "h5py",
    "phasegan": "phasegan",
    "commit": "Commit",
}


def compose_page(
    context: ReportContext,
    rows: Sequence[ResultRow],
    tables: Sequence[Table],
    drawings: Sequence[Drawing],
) -> Page:
    """Put a report together.

    Parameters
    ----------
    context : Context
        Case, data, folder.
    rows : sequence of ResultRow
        Measured or not.
    tables : sequence of Table
        The first is the main one.
    drawings : sequence of Drawing
        The figures; their files lie beside the report.

    Returns
    -------
    Page
        With the best, the median and the worst test image of each method, by its
        own errors.
    """
    case, file = context.case, context.file
    warnings = context.warnings(rows)
    notes = [text for text in context.notes(rows) if text not in warnings]
    return Page(
        title=case.title or case.name,
        subtitle=f"{file.path.name}: {len(file.test):,} test images, {file.layout.describe()}",
        summary=_summary(rows),
        warnings=warnings,
        tables=tuple(tables),
        figures=tuple(
            Figure(
                drawing.title,
                svg_text(drawing.figure),
                drawing.caption,
                (f"{drawing.name}.svg", f"{drawing.name}.png"),
            )
            for drawing in drawings
        ),
        galleries=tuple(_gallery(row, context) for row in representative_rows(rows)),
        machine=_facts(rows, context),
        commands=_commands(context),
        notes=tuple(notes),
        footer="Made by phasegan. results.json and results.csv beside this file hold every number.",
    )


def representative_rows(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Choose a row of each method: that of the most samples × epochs, of the first seed.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of a bench.

    Returns
    -------
    list of ResultRow
        Measured on the test split, by ascending MSE.
    """
    chosen: dict[str, ResultRow] = {}
    for row in rows:
        if row.status != "ok" or row.split != "test":
            continue
        known = chosen.get(row.method)
        if known is None or _work(row) > _work(known):
            chosen[row.method] = row
    return sorted(chosen.values(), key=lambda row: float(row.values["mse"]))


def _work(row: ResultRow) -> int:
    return (row.samples or 0) * (row.epochs or 1)


def _summary(rows: Sequence[ResultRow]) -> tuple[str, ...]:
    measured = [row for row in rows if row.status == "ok" and row.split == "test"]
    trained = [row for row in measured if row.epochs is not None]
    others = [row for row in measured if row.epochs is None]
    sentences = []
    if trained:
        best = min(trained, key=lambda row: float(row.values["mse"]))
        sentences.append(f"Lowest average MSE of a training: {_figure(best)}.")
    if others:
        best = min(others, key=lambda row: float(row.values["mse"]))
        sentences.append(f"Lowest without training: {_figure(best)}.")
    missing = [row for row in rows if row.status in ("estimated", "failed", "skipped")]
    if missing:
        verb = "row has" if len(missing) == 1 else "rows have"
        sentences.append(f"{len(missing)} {verb} no scores; the table says why.")
    return tuple(sentences)


def _figure(row: ResultRow) -> str:
    error = row.values["mse_stderr"]
    spread = "" if error is None else f" ± {squared_grey_levels(error)} (s.e. over the images)"
    title = training_title(row).replace(" × ", "\u00a0×\u00a0")
    samples = f", {row.samples:,} samples" if row.samples and not row.epochs else ""
    return f"{squared_grey_levels(row.values['mse'])}{spread}, {title}{samples}"


def _gallery(row: ResultRow, context: ReportContext) -> MethodGallery:
    file, errors = context.file, row.per_image["mse"]
    order = np.argsort(errors, kind="stable")
    places = {name: int(order[round(q * (len(order) - 1))]) for name, q in PLACES}
    indices = list(places.values())
    references = file.test.images(indices)
    estimates = open_method(row, context)(observe(file.test, indices, file.layout)).estimate
    sources = file.test.sources(indices)
    specimens = tuple(
        ImagePair(
            name,
            _png(references[i], file.layout.data_range),
            _png(estimates[i], file.layout.data_range),
            sources[i],
            _caption(row, index),
        )
        for i, (name, index) in enumerate(places.items())
    )
    samples = f", {row.samples:,} samples" if row.samples and not row.epochs else ""
    seed = f"seed {row.seed}, " if row.seed is not None else ""
    count = len(errors)
    return MethodGallery(
        training_title(row) + samples,
        f"{seed}average MSE {squared_grey_levels(row.values['mse'])} over {count:,} test images",
        specimens,
    )


def _caption(row: ResultRow, index: int) -> str:
    error, ssim = row.per_image["mse"][index], row.per_image["ssim"][index]
    likeness = "" if ssim is None else f" · SSIM {ssim:.2f}"
    return f"MSE {squared_grey_levels(error)}{likeness}"


def _png(image: np.ndarray, data_range: int) -> bytes:
    stream = io.BytesIO()
    tile = Image.fromarray(np.ascontiguousarray(image_tile(image, data_range)))
    tile.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _facts(rows: Sequence[ResultRow], context: ReportContext) -> tuple[Fact, ...]:
    machines = {tuple(sorted((row.machine or {}).items(), key=str)) for row in rows if row.machine}
    found: dict[str, list[str]] = {}
    for machine in sorted(machines, key=str):
        for name, value in machine:
            values = found.setdefault(name, [])
            if str(value) not in values:
                values.append(str(value))
    facts = [Fact(title, ", ".join(found[name])) for name, title in _FACTS.items() if name in found]
    return (
        *facts,
        Fact("Device", str(context.device)),
        Fact("Data", f"{context.file.path.name}, digest {context.file.digest[:16]}"),
    )


def _commands(context: ReportContext) -> tuple[str, ...]:
    recipe = context.file.attributes["recipe"]
    source, made, split = recipe["source"], recipe["preprocessing"], recipe["split"]
    words = ["phasegan", "prepare", source.get("path") or recipe["name"]]
    words += ["-o", context.file.path.name]
    for name in ("size", "channels", "fit", "oversample", "phase_noise", "phase_bits"):
        if made.get(name) not in (None, 0, 0.0):
            value = parse_size(made[name]) if name == "size" else made[name]
            text = option_text(value) if name == "size" else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    words += ["--samples", str(len(context.file.train)), "--test", str(len(context.file.test))]
    words += ["--seed", str(split["seed"])]
    bench = (shlex.join(context.command),) if context.command else ()
    return (shlex.join(words), *bench)
