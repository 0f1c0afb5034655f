"""Rows as tables for people: columns, number formats, footnotes, Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from phasegan.harness.rows import Row
from phasegan.metrics.ruler import SSIM_DESCRIPTION
from phasegan.progress import format_duration

Cell = Callable[[Row], str]
UNKNOWN = "–"


def _number(name: str, form: str) -> Cell:
    def cell(row: Row) -> str:
        value = row.values.get(name)
        return UNKNOWN if value is None else format(value, form)

    return cell


def squared_grey_levels(value: float) -> str:
    """Return whole squared grey levels, and two digits of what is below ten."""
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.2g}"


def _error(name: str) -> Cell:
    def cell(row: Row) -> str:
        value = row.values.get(name)
        return UNKNOWN if value is None else squared_grey_levels(value)

    return cell


def _field(name: str) -> Cell:
    def cell(row: Row) -> str:
        value = getattr(row, name)
        return UNKNOWN if value is None else str(value)

    return cell


def _duration(name: str) -> Cell:
    def cell(row: Row) -> str:
        value = getattr(row, name)
        return UNKNOWN if value is None else format_duration(value)

    return cell


def _method(row: Row) -> str:
    if row.status == "quoted":
        return f"{row.method} (quoted)"
    return row.method


def _count(name: str) -> Cell:
    def cell(row: Row) -> str:
        value = row.values.get(name)
        return UNKNOWN if value is None else f"{value}/{row.values['test_images']}"

    return cell


SCORE_COLUMNS: dict[str, Cell] = {
    "method": _method,
    "MSE": _error("mse"),
    "± s.e.": _error("mse_stderr"),
    "scale fit": _error("mse_scale"),
    "affine fit": _error("mse_affine"),
    "mean known": _error("mse_mean"),
    "PSNR dB": _number("psnr", ".2f"),
    "fitted dB": _number("psnr_scale", ".2f"),
    "SSIM": _number("ssim", ".3f"),
    "exact": _count("exact"),
    "certified": _count("certified"),
}

BENCH_COLUMNS: dict[str, Cell] = {
    "method": _method,
    "samples": _field("samples"),
    "epochs": _field("epochs"),
    "seed": _field("seed"),
    "average MSE": _error("mse"),
    "± s.e.": _error("mse_stderr"),
    "published MSE¹": _number("mse_published", ",.0f"),
    "scale fit": _error("mse_scale"),
    "affine fit": _error("mse_affine"),
    "mean known": _error("mse_mean"),
    "PSNR dB": _number("psnr", ".2f"),
    "SSIM": _number("ssim", ".3f"),
    "exact": _count("exact"),
    "training": _duration("seconds"),
    "estimated": _duration("estimated_seconds"),
}

SMOKE_NOTE = (
    "The builtin photographs are a few scenes cut into many crops: these scores are a smoke test, "
    "not a benchmark."
)


def is_smoke_test(attributes: dict[str, Any]) -> bool:
    """Tell from a prepared file's attributes whether it holds the builtin photographs."""
    return bool(attributes["recipe"]["source"].get("kind") == "scikit-image")


COMPACT_BENCH = (
    "method",
    "samples",
    "epochs",
    "average MSE",
    "± s.e.",
    "published MSE¹",
    "training",
    "estimated",
)
"""The columns of a bench table that fit on a terminal."""

SCORE_NOTES = (
    "MSE: mean over the test images of the squared error of the clipped output on 0..255, "
    "nothing fitted; s.e.: its standard error.",
    "scale fit, affine fit: the same after the best a·x and a·x + b for each image and channel, "
    "unclipped: what remains when brightness, and contrast, are forgiven. PSNR: of the mean MSE.",
    "mean known: the clipped output's MSE when the mean of each image and channel is known "
    "besides the phase: one stored scalar, the spectrum at frequency 0.",
    f"{SSIM_DESCRIPTION}. exact: images of which every pixel is right after rounding.",
)

CERTIFIED_NOTE = (
    "certified: images proved exact from the phase alone, by encoding them again and by nullity 1; "
    "fitted dB: the PSNR after the scale fit."
)

BENCH_NOTES = (
    *SCORE_NOTES,
    "¹ MSE by the published protocol: the image in 0..255 against the output in tanh units, "
    "−1..1, as in the published table; it hardly depends on the output and measures the images' "
    "mean square.",
    "samples: the first so many of a seeded shuffle of the training split, for training and for "
    "the statistics of the baselines alike. quoted: as published, not measured here.",
)


def cells(rows: Sequence[Row], columns: dict[str, Cell]) -> list[list[str]]:
    """Return the text of every cell; runs of one label are told apart by their folders."""
    table = [[cell(row) for cell in columns.values()] for row in rows]
    if "samples" not in columns:
        labels = [row.method for row in rows]
        for line, row in zip(table, rows, strict=True):
            if row.run is not None and labels.count(row.method) > 1:
                line[0] = f"{line[0]} ({row.run})"
    return table


def remarks(rows: Sequence[Row]) -> list[str]:
    """Say in words which trained rows fall behind a baseline of the same samples."""
    behind: dict[tuple[str, int | None, int | None], list[tuple[Row, Row]]] = {}
    seeds: Counter[tuple[str, int | None, int | None]] = Counter()
    for row in rows:
        if row.epochs is None or row.status != "ok":
            continue
        key = (row.method, row.samples, row.epochs)
        seeds[key] += 1
        better = [
            other
            for other in rows
            if other.epochs is None
            and other.status == "ok"
            and other.samples in (None, row.samples)
            and other.seed in (None, row.seed)
            and other.values["mse"] < row.values["mse"]
        ]
        if better:
            best = min(better, key=lambda other: other.values["mse"])
            behind.setdefault(key, []).append((row, best))
    return [
        f"{method} at {samples} × {epochs} scores worse {_behind(pairs, seeds[key])}, "
        "which trains nothing: what it draws is not worth more than that."
        for key, pairs in behind.items()
        for method, samples, epochs in [key]
    ]


def _behind(pairs: Sequence[tuple[Row, Row]], seeds: int) -> str:
    row, best = pairs[0]
    if seeds == 1:
        return f"({row.values['mse']:,.0f}) than {best.method} ({best.values['mse']:,.0f})"
    names = " or ".join(dict.fromkeys(other.method for _, other in pairs))
    return f"with {len(pairs)} of {seeds} seeds than {names}"


def markdown(
    rows: Sequence[Row],
    columns: dict[str, Cell],
    notes: Sequence[str],
    heading: str,
    more: tuple[str, Sequence[str], Sequence[Sequence[str]]] | None = None,
) -> str:
    """Return a Markdown document with the table, another one, remarks and footnotes.

    Parameters
    ----------
    rows : sequence of Row
        Of the table.
    columns : dict
        Its columns.
    notes : sequence of str
        Footnotes.
    heading : str
        The document's.
    more : (str, sequence of str, sequence of sequences of str), optional
        Heading, column names and cells of a second table.
    """
    lines = [f"# {heading}", "", *_markdown_table(list(columns), cells(rows, columns))]
    if more is not None:
        title, names, texts = more
        lines += ["", f"## {title}", "", *_markdown_table(names, texts)]
    for block in (remarks(rows), notes):
        if block:
            lines += ["", *(f"- {text}" for text in block)]
    return "\n".join(lines) + "\n"


def _markdown_table(names: Sequence[str], texts: Sequence[Sequence[str]]) -> list[str]:
    rule = "|" + "|".join(" --- " if i == 0 else " ---: " for i in range(len(names))) + "|"
    return [
        "| " + " | ".join(names) + " |",
        rule,
        *("| " + " | ".join(line) + " |" for line in texts),
    ]


def machine_line(machine: dict[str, Any]) -> str:
    """Return `2 cores of AMD EPYC, GPU none, torch 2.13.0, Python 3.11.7`."""
    return (
        f"Measured on {machine['cores']} cores ({machine['threads']} threads) of "
        f"{machine['processor']}, GPU {machine['gpu']}, torch {machine['torch']}, "
        f"Python {machine['python']}."
    )
