"""Sentences about rows: footnotes that tables share, and what the numbers are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from phasegan.evaluation.records import ResultRow

SMOKE_NOTE = (
    "The builtin photographs are a few scenes cut into many crops: these scores are a smoke test, "
    "not a benchmark."
)


def is_smoke_test(attributes: dict[str, Any]) -> bool:
    """Tell from a prepared file's attributes whether it holds the builtin photographs.

    Parameters
    ----------
    attributes : dict
        Of the prepared file.

    Returns
    -------
    bool
        True for the photographs of scikit-image.
    """
    return bool(attributes["recipe"]["source"].get("kind") == "scikit-image")


_Key = tuple[str, int | None, int | None]
_Pairs = dict[_Key, list[tuple[ResultRow, ResultRow]]]


def _beside_best(rows: Sequence[ResultRow]) -> _Pairs:
    """Return each training beside the best baseline of the same samples, by method and size."""
    pairs_by_key: _Pairs = {}
    scored = [row for row in rows if row.status == "ok" and row.split == "test"]
    for row in scored:
        others = [
            other
            for other in scored
            if other.epochs is None
            and other.samples in (None, row.samples)
            and other.seed in (None, row.seed)
        ]
        if row.epochs is not None and others:
            best = min(others, key=lambda other: other.values["mse"])
            pairs_by_key.setdefault((row.method, row.samples, row.epochs), []).append((row, best))
    return pairs_by_key


def _rounded(row: ResultRow) -> int:
    """Return the MSE as tables show it: what they show as equal is not called better or worse."""
    return round(row.values["mse"])


def better_than_baselines(rows: Sequence[ResultRow]) -> list[str]:
    """List the trainings that score at least as well as every baseline of their samples.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of a bench.

    Returns
    -------
    list of str
        A sentence each.
    """
    sentences = []
    for (method, samples, epochs), pairs in _beside_best(rows).items():
        row, best = pairs[0]
        if len(pairs) == 1 and _rounded(row) == _rounded(best):
            sentences.append(
                f"{method} at {samples} × {epochs} scores as {best.method} does "
                f"({row.values['mse']:,.0f}), the best that trains nothing."
            )
        elif all(_rounded(row) < _rounded(best) for row, best in pairs):
            scores = f"({row.values['mse']:,.0f}) than {best.method} ({best.values['mse']:,.0f})"
            seeds = "" if len(pairs) == 1 else f", with all {len(pairs)} seeds"
            sentences.append(
                f"{method} at {samples} × {epochs} scores better {scores}, the best that trains "
                f"nothing{seeds}."
            )
    return sentences


def worse_than_baselines(rows: Sequence[ResultRow]) -> list[str]:
    """List the trainings that score worse than a baseline of the same samples.

    Parameters
    ----------
    rows : sequence of ResultRow
        Of a bench.

    Returns
    -------
    list of str
        A sentence each.
    """
    every = _beside_best(rows)
    seeds = {key: len(pairs) for key, pairs in every.items()}
    behind = {
        key: [(row, best) for row, best in pairs if _rounded(best) < _rounded(row)]
        for key, pairs in every.items()
    }
    return [
        f"{method} at {samples} × {epochs} scores worse {_behind(pairs, seeds[key])}, "
        "which trains nothing: what it draws is not worth more than that."
        for key, pairs in behind.items()
        for method, samples, epochs in [key]
        if pairs
    ]


def _behind(pairs: Sequence[tuple[ResultRow, ResultRow]], seeds: int) -> str:
    row, best = pairs[0]
    if seeds == 1:
        return f"({row.values['mse']:,.0f}) than {best.method} ({best.values['mse']:,.0f})"
    names = " or ".join(dict.fromkeys(other.method for _, other in pairs))
    return f"with {len(pairs)} of {seeds} seeds than {names}"


def machine_line(machine: dict[str, Any]) -> str:
    """Describe the machine of a row in a sentence.

    Parameters
    ----------
    machine : dict
        As `phasegan.evaluation.provenance.provenance` returns it.

    Returns
    -------
    str
        Cores, GPU and versions.
    """
    return (
        f"Measured on {machine['cores']} cores ({machine['threads']} threads) of "
        f"{machine['processor']}, GPU {machine['gpu']}, torch {machine['torch']}, "
        f"Python {machine['python']}."
    )
