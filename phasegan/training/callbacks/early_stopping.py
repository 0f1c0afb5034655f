"""When to stop: what the validations of a run say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phasegan.config.translation import TranslationConfig

TREND = 0.25
"""The last share of the validations, at least three, that tells whether it still improves."""
NOTICEABLE = 0.03
"""Relative change of a distance that is taken for more than noise."""


def advise(records: Sequence[Mapping[str, Any]], config: TranslationConfig) -> str:
    """Return a paragraph that says whether more training is likely to help.

    Parameters
    ----------
    records : sequence of mapping
        The lines of `losses.jsonl`.
    config : TranslationConfig
        The run.
    """
    found = [
        (int(record["epoch"]), float(record["validation"]["swd"]))
        for record in records
        if "swd" in record.get("validation", {})
    ]
    if not config.validation.samples:
        return (
            "Losses of adversaries do not say when to stop. Train with --validation 50: then "
            "translated pictures that were not trained on are compared with the other domain, "
            "the best weights are kept, and this place says whether more epochs are worth it."
        )
    if len(found) < 4:
        return "Too few validations yet to say when to stop."
    epoch, best = min(found, key=lambda pair: pair[1])
    count = max(3, round(TREND * len(found)))
    before = min(value for _, value in found[:-count])
    late = min(value for _, value in found[-count:])
    gain = (before - late) / before
    said = (
        f"Of {len(found)} validations the distance to the other domain was least after epoch "
        f"{epoch} ({best:.1f}, from {found[0][1]:.1f} after epoch {found[0][0]}); its weights are "
        "kept. "
    )
    if gain > NOTICEABLE:
        return said + (
            f"The last {count} still lowered it by {gain:.0%}: more epochs are likely to help."
        )
    if late > best * (1 + NOTICEABLE):
        return said + (
            f"The last {count} were worse by {late / best - 1:.0%} or more: stop there, or train "
            "on more pictures; longer training wears this pair out."
        )
    return said + (
        f"The last {count} changed it by less than {NOTICEABLE:.0%}: more epochs of the same "
        "are unlikely to help."
    )
