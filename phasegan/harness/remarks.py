"""Sentences about rows: footnotes that tables share, and what the numbers are worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from phasegan.harness.columns import FIT_NOTE, MEAN_NOTE, MSE_NOTE
from phasegan.harness.rows import Row
from phasegan.metrics.ruler import SSIM_DESCRIPTION

SMOKE_NOTE = (
    "The builtin photographs are a few scenes cut into many crops: these scores are a smoke test, "
    "not a benchmark."
)


def is_smoke_test(attributes: dict[str, Any]) -> bool:
    """Tell from a prepared file's attributes whether it holds the builtin photographs."""
    return bool(attributes["recipe"]["source"].get("kind") == "scikit-image")


SCORE_NOTES = (
    f"MSE: {MSE_NOTE}",
    f"scale fit, affine fit: {FIT_NOTE} PSNR: of the mean MSE.",
    f"mean known: {MEAN_NOTE}",
    f"{SSIM_DESCRIPTION}. exact: images of which every pixel is right after rounding.",
)

CERTIFIED_NOTE = (
    "certified: images proved exact from the phase alone, by encoding them again, by nullity 1 and "
    "by excluding other integers; up to scale: images proved up to a factor, certified ones "
    "among them; "
    "fitted dB: the PSNR after the scale fit."
)


def remarks(rows: Sequence[Row]) -> list[str]:
    """Say in words which trained rows fall behind a baseline of the same samples."""
    behind: dict[tuple[str, int | None, int | None], list[tuple[Row, Row]]] = {}
    seeds: Counter[tuple[str, int | None, int | None]] = Counter()
    for row in rows:
        if row.epochs is None or row.status != "ok" or row.split != "test":
            continue
        key = (row.method, row.samples, row.epochs)
        seeds[key] += 1
        better = [
            other
            for other in rows
            if other.epochs is None
            and other.status == "ok"
            and other.split == "test"
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


def machine_line(machine: dict[str, Any]) -> str:
    """Return `2 cores of AMD EPYC, GPU none, torch 2.13.0, Python 3.11.7`."""
    return (
        f"Measured on {machine['cores']} cores ({machine['threads']} threads) of "
        f"{machine['processor']}, GPU {machine['gpu']}, torch {machine['torch']}, "
        f"Python {machine['python']}."
    )
