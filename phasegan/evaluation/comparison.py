"""Methods side by side on the same test images: original | phase | estimates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.reader import PreparedFile
from phasegan.evaluation.records import ResultRow
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.plotting.sheet import SheetLayout, image_tile, phase_tile
from phasegan.reconstruction.inputs.problems import observe
from phasegan.reconstruction.protocol import Method

IMAGES = 6
MAX_LEARNED = 4
MEAN_MAGNITUDE = "mean-magnitude"
NOT_CLASSICAL = ("zero", "mean-image", "learned", "learned-coarse")
"""Methods that do not look at the phase, or were trained: never the best classical one."""


@dataclass(frozen=True)
class SheetColumn:
    """A method on a sheet, and the row with its scores."""

    title: str
    row: ResultRow

    @property
    def learned(self) -> bool:
        """Whether it is a training run."""
        return self.row.run is not None


def bench_sheet_columns(rows: Sequence[ResultRow]) -> list[SheetColumn]:
    """Choose the columns of a bench's contact sheet.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of the table; only measured ones are looked at.

    Returns
    -------
    list of SheetColumn
        The mean magnitude (with the most samples), the classical row of the
        lowest MSE, then at most `MAX_LEARNED` trainings: of each preset that of
        the most samples × epochs, then the next of each.
    """
    measured = [row for row in rows if row.status == "ok"]
    classical = [r for r in measured if r.epochs is None and r.method not in NOT_CLASSICAL]
    columns = []
    best = min(classical, key=lambda row: row.values["mse"], default=None)
    means = [row for row in classical if row.method == MEAN_MAGNITUDE]
    if means:
        mean = max(means, key=lambda row: row.samples or 0)
        if best is not None and best.method == MEAN_MAGNITUDE:
            mean, best = best, None
            columns.append(SheetColumn(f"mean magnitude, best classical{_of(mean)}", mean))
        else:
            columns.append(SheetColumn(f"mean magnitude{_of(mean)}", mean))
    if best is not None:
        columns.append(SheetColumn(f"best classical: {best.method}{_of(best)}", best))
    return columns + [
        SheetColumn(_training_title(row, measured), row) for row in _learned(measured)
    ]


def _of(row: ResultRow) -> str:
    return "" if row.samples is None else f", {row.samples:,} samples"


def _work(row: ResultRow) -> int:
    return (row.samples or 0) * (row.epochs or 0)


def _learned(rows: Sequence[ResultRow]) -> list[ResultRow]:
    presets: dict[str, dict[tuple[int, int], ResultRow]] = defaultdict(dict)
    for row in rows:
        if row.run is not None and row.samples is not None and row.epochs is not None:
            presets[row.method].setdefault((row.samples, row.epochs), row)  # the first seed
    ordered = [sorted(pairs.values(), key=_work, reverse=True) for pairs in presets.values()]
    ranks = max(map(len, ordered), default=0)
    mixed = [pairs[rank] for rank in range(ranks) for pairs in ordered if rank < len(pairs)]
    return mixed[:MAX_LEARNED]


def _training_title(row: ResultRow, rows: Sequence[ResultRow]) -> str:
    title = training_title(row)
    seeds = {r.seed for r in rows if training_title(r) == title}
    return f"{title}, seed {row.seed}" if len(seeds) > 1 else title


def training_title(row: ResultRow) -> str:
    """Return `paper-small, 200 × 50`: the method, samples × epochs.

    Parameters
    ----------
    row : ResultRow
        Of any method.

    Returns
    -------
    str
        The method alone where nothing was trained.
    """
    if not row.samples or not row.epochs:
        return row.method
    return f"{row.method}, {row.samples:,} × {row.epochs:,}"


def evaluation_sheet_columns(rows: Sequence[ResultRow]) -> list[SheetColumn]:
    """Return a column for each evaluated row, in order; equal titles get their run's folder.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of `evaluate`.

    Returns
    -------
    list of SheetColumn
        One a row.
    """
    titles = [row.method if row.run is None else training_title(row) for row in rows]
    return [
        SheetColumn(f"{title} ({row.run})" if row.run and titles.count(title) > 1 else title, row)
        for title, row in zip(titles, rows, strict=True)
    ]


def reference_column(columns: Sequence[SheetColumn]) -> SheetColumn:
    """Return the learned column of the lowest MSE, or of all columns where none is learned.

    Parameters
    ----------
    columns : sequence of SheetColumn
        At least one.

    Returns
    -------
    SheetColumn
        Its errors choose the images of the sheet.
    """
    learned = [column for column in columns if column.learned]
    return min(learned or columns, key=lambda column: column.row.values["mse"])


def images_at_quantiles(errors: Sequence[float], count: int = IMAGES) -> NDArray[np.int64]:
    """Choose images at even quantiles of their errors, from the smallest to the largest.

    Parameters
    ----------
    errors : sequence of float
        One an image.
    count : int
        How many; all where there are fewer.

    Returns
    -------
    numpy.ndarray
        (count,), int64: positions in `errors`.
    """
    order = np.argsort(np.asarray(errors), kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return order[places]


def compare_methods(
    file: PreparedFile, columns: Sequence[SheetColumn], methods: Sequence[Method]
) -> SheetLayout:
    """Reconstruct a few test images by every method, and lay out the cells.

    Parameters
    ----------
    file : PreparedFile
        The data; its test split has images.
    columns : sequence of SheetColumn
        Titles and scores, at least one.
    methods : sequence of callable
        Ready for the file, one a column.

    Returns
    -------
    SheetLayout
        Captions are mean squared errors of the clipped estimates on 0..255.
    """
    by = reference_column(columns)
    picked = images_at_quantiles(by.row.per_image["mse"])
    images, data_range = file.test.images(picked), file.layout.data_range
    observation = observe(file.test, picked, file.layout)
    cells = [
        [image_tile(x, data_range) for x in images],
        [phase_tile(p, file.layout.frame) for p in observation.phase],
    ]
    captions = [[""] * len(picked), [""] * len(picked)]
    for method in methods:
        estimates = method(observation).estimate
        errors = clipped_mse(estimates, images, data_range=data_range)
        cells.append([image_tile(x, data_range) for x in estimates])
        captions.append([_caption(error) for error in errors])
    return SheetLayout(
        [list(row) for row in zip(*cells, strict=True)],
        ["original", "phase", *(column.title for column in columns)],
        [list(row) for row in zip(*captions, strict=True)],
        _footer(columns, by, len(picked), len(file.test)),
    )


def _caption(error: float) -> str:
    return f"MSE {error:,.0f}" if error >= 9.95 or error == 0 else f"MSE {error:.2g}"


def _footer(columns: Sequence[SheetColumn], by: SheetColumn, shown: int, count: int) -> str:
    best = ", the best learned column," if by.learned else ""
    parts = [
        "MSE on 0..255 of the clipped estimate, nothing fitted. Zero frequency in the middle of "
        "the phase; colours are cyclic."
    ]
    if any(column.learned and column.row.samples for column in columns):
        parts.append("N × M: trained on N samples for M epochs.")
    parts.append(
        f"{shown} of {count} test images, at even quantiles of the error of {by.title}{best} "
        "from the least (top) to the largest (bottom)."
        if shown > 1
        else f"One of {count} test images."
    )
    return " ".join(parts)
