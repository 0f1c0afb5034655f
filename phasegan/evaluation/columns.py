"""Columns of the tables of rows: where a value comes from, how it is written, what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from phasegan.evaluation.records import Row
from phasegan.metrics.image_metrics import SSIM_DESCRIPTION
from phasegan.progress import format_duration
from phasegan.training.setup.eta import Estimate

UNKNOWN = "–"

MSE_NOTE = (
    "mean over the scored images of the squared error of the clipped output on 0..255, nothing "
    "fitted; s.e.: its standard error over those images, which says nothing about other seeds."
)
FIT_NOTE = (
    "the same after the best a·x and a·x + b for each image and channel, unclipped: what remains "
    "when brightness, and contrast, are forgiven."
)
MEAN_NOTE = (
    "the clipped output's MSE when the mean of each image and channel is known besides the phase: "
    "one stored scalar, the spectrum at frequency 0."
)
PUBLISHED_NOTE = (
    "MSE by the published protocol: the image in 0..255 against the output in tanh units, −1..1, "
    "as in the published table; it hardly depends on the output and measures the images' mean "
    "square."
)
SAMPLES_NOTE = (
    "the first so many of a seeded shuffle of the training split, for training and for the "
    "statistics of the baselines alike."
)
SPLIT_NOTE = (
    "test: the held-out images; train: as many of the training split, the first of the shuffle "
    "that the samples are taken from."
)
SEEN_NOTE = "the average MSE over the images that the row learned from, and over the others."
EXACT_NOTE = "images of which every pixel is right after rounding."
TRAINING_NOTE = (
    "the time spent training, over all attempts; estimated: before it began, on the same machine; "
    "the interval after ± is meant to hold 9 of 10 durations."
)


@dataclass(frozen=True)
class Column:
    """A column by what it shows of a row."""

    value: Callable[[Row], Any]
    """A number, a text, or None where it is not known."""
    form: Callable[[Any], str] = str
    numeric: bool = True
    explanation: str = ""

    def text(self, row: Row) -> str:
        """Return the cell."""
        value = self.value(row)
        return UNKNOWN if value is None else self.form(value)


def squared_grey_levels(value: float) -> str:
    """Return whole squared grey levels, and two digits of what is below ten."""
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.2g}"


def _score(
    name: str, form: Callable[[Any], str] = squared_grey_levels, explanation: str = ""
) -> Column:
    return Column(lambda row: row.values.get(name), form, explanation=explanation)


def _field(name: str, form: Callable[[Any], str] = str, explanation: str = "") -> Column:
    return Column(lambda row: getattr(row, name), form, explanation=explanation)


def _cost(name: str, form: Callable[[Any], str], explanation: str = "") -> Column:
    def value(row: Row) -> Any:
        return None if row.cost is None else getattr(row.cost, name)

    return Column(value, form, explanation=explanation)


def _count(name: str) -> Column:
    def value(row: Row) -> Any:
        count = row.values.get(name)
        return None if count is None else _Share(count, row.values["test_images"])

    return Column(value, explanation=EXACT_NOTE if name == "exact" else "")


class _Share(int):
    """A count that is written with the number that it is a part of."""

    def __new__(cls, count: int, whole: int) -> _Share:
        made = super().__new__(cls, count)
        made.whole = whole
        return made

    whole: int

    def __str__(self) -> str:
        return f"{int(self)}/{self.whole}"


def _estimate(row: Row) -> _Seconds | None:
    return None if row.estimate is None else _Seconds(row.estimate)


class _Seconds(float):
    """An estimate that sorts by its seconds."""

    def __new__(cls, estimate: Estimate) -> _Seconds:
        made = super().__new__(cls, estimate.seconds)
        made.estimate = estimate
        return made

    estimate: Estimate

    def __str__(self) -> str:
        return self.estimate.brief()


def _plain(form: str) -> Callable[[Any], str]:
    return lambda value: format(value, form)


def _size(value: int) -> str:
    return f"{value / 2**20:,.0f} MiB"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"


def _error_of_estimate(row: Row) -> float | None:
    if row.estimate is None or not row.seconds or row.status != "ok":
        return None
    return row.estimate.seconds / row.seconds - 1


def _held(row: Row) -> str | None:
    if row.estimate is None or row.seconds is None or row.status != "ok":
        return None
    return "yes" if row.estimate.holds(row.seconds) else "no"


METHOD = Column(lambda row: row.method, numeric=False)

SCORE_COLUMNS: dict[str, Column] = {
    "method": METHOD,
    "MSE": _score("mse"),
    "± s.e.": _score("mse_stderr"),
    "scale fit": _score("mse_scale"),
    "affine fit": _score("mse_affine"),
    "mean known": _score("mse_mean"),
    "PSNR dB": _score("psnr", _plain(".2f")),
    "fitted dB": _score("psnr_scale", _plain(".2f")),
    "SSIM": _score("ssim", _plain(".3f")),
    "exact": _count("exact"),
    "certified": _count("certified"),
    "up to scale": _count("unique_up_to_scale"),
}
"""Of `evaluate`."""

BENCH_COLUMNS: dict[str, Column] = {
    "method": METHOD,
    "samples": _field("samples", _plain(","), SAMPLES_NOTE),
    "epochs": _field("epochs", _plain(",")),
    "seed": _field("seed"),
    "scored on": _field("split", explanation=SPLIT_NOTE),
    "average MSE": _score("mse", explanation=MSE_NOTE),
    "± s.e.": _score("mse_stderr", explanation=MSE_NOTE),
    "images seen": _score("mse_seen", explanation=SEEN_NOTE),
    "not seen": _score("mse_unseen", explanation=SEEN_NOTE),
    "published MSE": _score("mse_published", _plain(",.0f"), PUBLISHED_NOTE),
    "scale fit": _score("mse_scale", explanation=FIT_NOTE),
    "affine fit": _score("mse_affine", explanation=FIT_NOTE),
    "mean known": _score("mse_mean", explanation=MEAN_NOTE),
    "PSNR dB": _score("psnr", _plain(".2f"), "of the mean MSE."),
    "SSIM": _score("ssim", _plain(".3f"), f"{SSIM_DESCRIPTION}."),
    "exact": _count("exact"),
    "training": _field("seconds", format_duration, TRAINING_NOTE),
    "estimated": Column(_estimate, explanation=TRAINING_NOTE),
}
"""Of `bench`."""

COST_COLUMNS: dict[str, Column] = {
    **{name: BENCH_COLUMNS[name] for name in ("method", "samples", "epochs", "seed")},
    "training": _field("seconds", format_duration),
    "estimated": Column(_estimate),
    "estimate off": Column(
        _error_of_estimate,
        lambda value: f"{value:+.1%}",
        explanation="how much longer the estimate was than the training.",
    ),
    "held": Column(
        _held,
        numeric=False,
        explanation="whether the training's seconds lie in the interval of the estimate.",
    ),
    "whole row": _cost(
        "wall_seconds", format_duration, "training, reconstructing and scoring, by the clock."
    ),
    "device time": _cost(
        "device_seconds",
        format_duration,
        "on a CPU of all its cores together, on a GPU the time that the work was on it.",
    ),
    "peak memory": _cost(
        "peak_bytes", _size, "of the process on a CPU, of what torch held on a GPU."
    ),
    "trained /s": _cost("trained_per_second", _rate, "training images seen in a second."),
    "scored /s": _cost("scored_per_second", _rate, "images reconstructed and scored in a second."),
}
"""What rows of `bench` took."""

OF_METRICS: dict[str, tuple[str, ...]] = {
    "mse": ("average MSE", "± s.e."),
    "mse_scale": ("scale fit",),
    "mse_affine": ("affine fit",),
    "mse_mean": ("mean known",),
    "psnr": ("PSNR dB",),
    "ssim": ("SSIM",),
    "exact": ("exact",),
}
"""The columns of each metric of a case."""


def bench_columns(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, Column]:
    """Return the columns of a bench's main table: those that say something about its rows."""
    shown = {name for metric in metrics for name in OF_METRICS[metric]}
    wanted = ["method", "samples", "epochs"]
    if len({row.seed for row in rows if row.epochs is not None} - {None}) > 1:
        wanted.append("seed")
    if any(row.split != "test" for row in rows):
        wanted += ["scored on", "images seen", "not seen"]
    optional = ["published MSE"] if "mse" in metrics else []
    for name in (*optional, "training", "estimated"):
        if any(BENCH_COLUMNS[name].value(row) is not None for row in rows):
            wanted.append(name)
    return {name: c for name, c in BENCH_COLUMNS.items() if name in shown or name in wanted}


def cells(rows: Sequence[Row], columns: dict[str, Column]) -> list[list[str]]:
    """Return the text of every cell; runs of one label are told apart by their folders."""
    table = [[column.text(row) for column in columns.values()] for row in rows]
    if "samples" not in columns:
        labels = [row.method for row in rows]
        for line, row in zip(table, rows, strict=True):
            if row.run is not None and labels.count(row.method) > 1:
                line[0] = f"{line[0]} ({row.run})"
    return table
