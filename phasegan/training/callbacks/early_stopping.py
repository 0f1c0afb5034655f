"""Advice on when to stop, from the validations of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phasegan.config.translation import TranslationConfig

TREND = 0.25
"""Share of the validations, the last ones and at least three, that tells the trend."""
NOTICEABLE = 0.03
"""Least relative change of a distance that counts as more than noise."""


def stopping_advice(records: Sequence[Mapping[str, Any]], config: TranslationConfig) -> str:
    """Return a paragraph on whether more training is likely to help.

    Parameters
    ----------
    records : sequence of mapping
        The lines of `losses.jsonl`.
    config : TranslationConfig
        The run.

    Returns
    -------
    str
        Plain text.
    """
    validations = [
        (int(record["epoch"]), float(record["validation"]["swd"]))
        for record in records
        if "swd" in record.get("validation", {})
    ]
    if not config.validation.samples:
        return (
            "Adversarial losses do not tell when to stop. Train with --validation 50: then "
            "translated pictures that were not trained on are compared with the other domain, "
            "the best weights are kept, and this paragraph says whether more epochs are worth it."
        )
    if len(validations) < 4:
        return "Too few validations yet to say when to stop."
    start, first = validations[0]
    epoch, best = min(validations, key=lambda pair: pair[1])
    count = max(3, round(TREND * len(validations)))
    before = min(value for _, value in validations[:-count])
    late = min(value for _, value in validations[-count:])
    gain = (before - late) / before
    summary = (
        f"Of {len(validations)} validations the distance to the other domain was least after epoch "
        f"{epoch} ({best:.1f}, from {first:.1f} after epoch {start}); its weights are "
        "kept. "
    )
    if gain > NOTICEABLE:
        return summary + (
            f"The last {count} still lowered it by {gain:.0%}: more epochs are likely to help."
        )
    if late > best * (1 + NOTICEABLE):
        return summary + (
            f"The last {count} were worse by {late / best - 1:.0%} or more: stop there, or train "
            "on more pictures; longer training on this pair makes it worse."
        )
    return summary + (
        f"The last {count} changed it by less than {NOTICEABLE:.0%}: more epochs of the same "
        "are unlikely to help."
    )
