"""Tables of result rows and of translation scores: their columns and explanations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from phasegan.config.translation import domain_labels
from phasegan.eta import Estimate
from phasegan.evaluation.records import ResultRow
from phasegan.metrics.image_metrics import SSIM_DESCRIPTION
from phasegan.progress import format_duration
from phasegan.tables import Column, Table

if TYPE_CHECKING:
    from phasegan.evaluation.translation import TranslationScores

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


SCORE_NOTES = (
    f"MSE: {MSE_NOTE}",
    f"scale fit, affine fit: {FIT_NOTE} PSNR: of the mean MSE.",
    f"mean known: {MEAN_NOTE}",
    f"{SSIM_DESCRIPTION}. exact: {EXACT_NOTE}",
)
CERTIFIED_NOTE = (
    "certified: images proved exact from the phase alone, by encoding them again, by nullity 1 and "
    "by excluding other integers; up to scale: images proved up to a factor, certified ones "
    "among them; "
    "fitted dB: the PSNR after the scale fit."
)


def squared_grey_levels(value: float) -> str:
    """Format squared grey levels: whole numbers, and two digits below ten.

    Parameters
    ----------
    value : float
        At least 0.

    Returns
    -------
    str
        `1,234` or `3.2`.
    """
    return f"{value:,.0f}" if value >= 9.95 or value == 0 else f"{value:.2g}"


def count_text(value: int) -> str:
    """Return an integer with commas between thousands.

    Parameters
    ----------
    value : int
        Any.

    Returns
    -------
    str
        `1,234`.
    """
    return f"{value:,}"


def _score(
    header: str, key: str, form: Callable[[Any], str] = squared_grey_levels, **more: Any
) -> Column:
    return Column(header, key, lambda row: row.values.get(key), form, **more)


def _cost(header: str, key: str, form: Callable[[Any], str], explanation: str = "") -> Column:
    def value(row: ResultRow) -> Any:
        return None if row.cost is None else getattr(row.cost, key)

    return Column(header, key, value, form, explanation=explanation)


def _share(header: str, key: str, **more: Any) -> Column:
    """Return a column of counts of images, `3/5`."""

    def value(row: ResultRow) -> tuple[int, int] | None:
        count = row.values.get(key)
        return None if count is None else (count, row.values["test_images"])

    return Column(
        header,
        key,
        value,
        lambda share: "{}/{}".format(*share),
        sort_key=lambda share: float(share[0]),
        **more,
    )


def _mebibytes(value: int) -> str:
    return f"{value / 2**20:,.0f} MiB"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"


def _estimate_error(row: ResultRow) -> float | None:
    if row.estimate is None or not row.seconds or row.status != "ok":
        return None
    return row.estimate.seconds / row.seconds - 1


def _interval_held(row: ResultRow) -> str | None:
    if row.estimate is None or row.seconds is None or row.status != "ok":
        return None
    return "yes" if row.estimate.holds(row.seconds) else "no"


def _estimate(explanation: str = "") -> Column:
    return Column(
        "estimated",
        "estimate",
        None,
        Estimate.brief,
        explanation=explanation,
        sort_key=lambda e: e.seconds,
    )


METHOD = Column("method", align="left")

SCORE_COLUMNS = (
    METHOD,
    _score("MSE", "mse"),
    _score("± s.e.", "mse_stderr", optional=4),
    _score("scale fit", "mse_scale"),
    _score("affine fit", "mse_affine"),
    _score("mean known", "mse_mean", optional=2),
    _score("PSNR dB", "psnr", "{:.2f}".format),
    _score("fitted dB", "psnr_scale", "{:.2f}".format, optional=3),
    _score("SSIM", "ssim", "{:.3f}".format, optional=5),
    _share("exact", "exact", optional=1),
    _share("certified", "certified"),
    _share("up to scale", "unique_up_to_scale"),
)
"""Columns of `evaluate`."""

BENCH_COLUMNS = (
    METHOD,
    Column("samples", format=count_text, explanation=SAMPLES_NOTE),
    Column("epochs", format=count_text),
    Column("seed"),
    Column("scored on", "split", explanation=SPLIT_NOTE),
    _score("average MSE", "mse", explanation=MSE_NOTE),
    _score("± s.e.", "mse_stderr", explanation=MSE_NOTE, optional=3),
    _score("images seen", "mse_seen", explanation=SEEN_NOTE, optional=1),
    _score("not seen", "mse_unseen", explanation=SEEN_NOTE, optional=2),
    _score(
        "published MSE", "mse_published", "{:,.0f}".format, explanation=PUBLISHED_NOTE, optional=4
    ),
    _score("scale fit", "mse_scale", explanation=FIT_NOTE),
    _score("affine fit", "mse_affine", explanation=FIT_NOTE),
    _score("mean known", "mse_mean", explanation=MEAN_NOTE),
    _score("PSNR dB", "psnr", "{:.2f}".format, explanation="of the mean MSE."),
    _score("SSIM", "ssim", "{:.3f}".format, explanation=f"{SSIM_DESCRIPTION}."),
    _share("exact", "exact", explanation=EXACT_NOTE),
    Column("training", "seconds", None, format_duration, explanation=TRAINING_NOTE),
    _estimate(TRAINING_NOTE),
)
"""Columns of `bench`."""

COST_COLUMNS = (
    *BENCH_COLUMNS[:4],
    Column("training", "seconds", None, format_duration),
    _estimate(),
    Column(
        "estimate off",
        value=_estimate_error,
        format="{:+.1%}".format,
        explanation="how much longer the estimate was than the training.",
    ),
    Column(
        "held",
        value=_interval_held,
        align="left",
        explanation="whether the training's seconds lie in the interval of the estimate.",
    ),
    _cost(
        "whole row",
        "wall_seconds",
        format_duration,
        "training, reconstructing and scoring, by the clock.",
    ),
    _cost(
        "device time",
        "device_seconds",
        format_duration,
        "on a CPU of all its cores together, on a GPU the time that the work was on it.",
    ),
    _cost(
        "peak memory",
        "peak_bytes",
        _mebibytes,
        "of the process on a CPU, of what torch held on a GPU.",
    ),
    _cost("trained /s", "trained_per_second", _rate, "training images seen in a second."),
    _cost("scored /s", "scored_per_second", _rate, "images reconstructed and scored in a second."),
)
"""Columns of what rows of `bench` took."""


def bench_columns(rows: Sequence[ResultRow], metrics: Sequence[str]) -> tuple[Column, ...]:
    """Choose the columns of a bench's main table: those that differ or are known in its rows.

    Parameters
    ----------
    rows : sequence of ResultRow
        Measured or not.
    metrics : sequence of str
        Scores to show, by the names of `phasegan.benchmark.cases.METRICS`.

    Returns
    -------
    tuple of Column
        Some of `BENCH_COLUMNS`, in their order.
    """
    names = {"method", "samples", "epochs", *metrics}
    if "mse" in metrics:
        names.add("mse_stderr")
    if len({row.seed for row in rows if row.epochs is not None} - {None}) > 1:
        names.add("seed")
    if any(row.split != "test" for row in rows):
        names |= {"split", "mse_seen", "mse_unseen"}
    optional = {"seconds", "estimate"} | ({"mse_published"} if "mse" in metrics else set())
    return tuple(
        column
        for column in BENCH_COLUMNS
        if column.name in names
        or (column.name in optional and any(column.read(row) is not None for row in rows))
    )


def evaluation_table(rows: Sequence[ResultRow]) -> Table:
    """Build the table of `evaluate`.

    Parameters
    ----------
    rows : sequence of ResultRow
        Measured; runs of one label are told apart by their folders.

    Returns
    -------
    Table
        Its notes explain the columns. Proofs have columns where there are any.
    """
    unique = any(
        row.values.get("unique_up_to_scale", 0) > row.values.get("certified", 0) for row in rows
    )
    proofs = unique or any(row.values.get("certified") for row in rows)
    count = Counter(row.method for row in rows)

    def name(row: ResultRow) -> str:
        return f"{row.method} ({row.run})" if row.run and count[row.method] > 1 else row.method

    columns = (Column("method", value=name, align="left"), *SCORE_COLUMNS[1:])
    notes = (*SCORE_NOTES, *((CERTIFIED_NOTE,) if proofs else ()))
    table = Table.from_records("Scores", columns, rows, identifier="scores", notes=notes)
    table = table if unique else table.without("unique_up_to_scale")
    return table if proofs else table.without("certified", "psnr_scale")


TRANSLATION_COLUMNS = (
    Column("pictures", "label", align="left"),
    Column("way", format=lambda way: " → ".join(way.upper()), align="left"),
    _score("Wasserstein", "swd", "{:.1f}".format),
    _score("taken for it", "taken", "{:.0%}".format),
    _score("MSE", "mse", "{:,.0f}".format),
    _score("SSIM", "ssim", "{:.3f}".format),
    _score("MSE there and back", "cycle_mse", "{:,.0f}".format),
    _score("FID", "fid", "{:.1f}".format),
    _score("KID × 1e3", "kid", "{:.1f}".format),
)
"""Columns of the scores of translations."""
_TRANSLATION_NOTES = {
    "swd": "Wasserstein: sliced distance × 1e3 between patches of the pictures and of the test "
    "pictures of the domain that they should be of; less is better, and real is what other "
    "pictures of that domain get.",
    "taken": "taken for it: share that a classifier, trained on the two training folders, takes "
    "for the domain that they should be of; of real, the test pictures themselves.",
    "mse": "MSE, SSIM: against the test picture of the same name in the other folder, on 0..255.",
    "cycle_mse": "MSE there and back: what is lost when a translation is translated back.",
    "fid": "FID, KID: by the given feature network; comparable only with the same network, "
    "number and size of pictures.",
}


def translation_table(scores: TranslationScores) -> Table:
    """Build the table of translations.

    Parameters
    ----------
    scores : TranslationScores
        Of `score_translations`.

    Returns
    -------
    Table
        With the scores that some row has; its notes explain them.
    """
    known = {name for row in scores.rows for name in row.values}
    names = dict(zip("ab", scores.domain_names, strict=True))
    a, b = domain_labels(scores.domain_names)
    notes = [
        f"{scores.counts[0]} test pictures of {a} and {scores.counts[1]} of {b}, middle squares at "
        f"{scores.size}×{scores.size}.",
        *(text for name, text in _TRANSLATION_NOTES.items() if name in known),
    ]
    if scores.accuracy is not None:
        notes.append(f"The classifier is right on {scores.accuracy:.0%} of the test pictures.")
    notes += [f"Note: {text}." for text in scores.remarks]
    columns = [
        replace(c, format=lambda way: " → ".join(names[x] for x in way)) if c.name == "way" else c
        for c in TRANSLATION_COLUMNS
    ]
    table = Table.from_records("Scores", columns, scores.rows, notes=tuple(notes))
    return table.only("label", "way", *known)
