"""The table of `phasegan evaluate` for translations."""

from __future__ import annotations

from collections.abc import Sequence

from phasegan.cli.common import CommonOptions


def say_translation_scores(
    common: CommonOptions,
    data: str | None,
    domain_a: str | None,
    domain_b: str | None,
    runs: Sequence[str],
    size: int | None,
    features: str | None,
    json_path: str | None,
) -> None:
    """Score runs, print the table, write it as JSON."""
    from phasegan.evaluation.tables import translation_table
    from phasegan.evaluation.translation import score_translations
    from phasegan.io.atomic import write_json
    from phasegan.tables import print_table

    found = score_translations(
        data,
        runs,
        domain_a=domain_a,
        domain_b=domain_b,
        size=size,
        seed=common.seed or 0,
        device=common.device,
        features=features,
        progress=common.progress,
    )
    if json_path is not None:
        write_json(json_path, found.as_json())
    table = translation_table(found)
    print_table(table)
    for note in table.notes:
        common.note(note)
    if json_path is not None:
        common.say(f"wrote {json_path}")
