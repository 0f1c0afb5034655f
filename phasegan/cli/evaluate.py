"""`phasegan evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.networks import EvaluateCommand


@option_command("evaluate", EvaluateCommand)
@click.argument("data", metavar="FILE.h5|FOLDER", required=False)
def command(
    common: CommonOptions,
    data: str | None,
    domain_a: str | None,
    domain_b: str | None,
    methods: tuple[str, ...],
    runs: tuple[str, ...],
    json_path: str | None,
    sheet: str | None,
    size: int | None,
    features: str | None,
    dtype: Literal["float64", "float32"],
) -> None:
    """Score methods and runs over the test split of a prepared file.

    Given a folder with two domains of pictures (trainA, trainB, testA, testB), or
    --domain-a and --domain-b, score --run translations beside the untranslated
    pictures.

    Without --method and --run: zero, mean-image, unit-magnitude, mean-magnitude
    and auto. Others: power-law, shrinkage, learned, learned-coarse, hlo, pocs,
    pocs-accelerated, cg, fista, map, pnp.
    """
    from phasegan.data.domain_folders import is_pair_folder
    from phasegan.data.hdf5.pair_reader import is_pair_file
    from phasegan.errors import InputError
    from phasegan.evaluation.evaluate import evaluate
    from phasegan.evaluation.notes import SMOKE_NOTE
    from phasegan.evaluation.tables import evaluation_table
    from phasegan.io.atomic import check_json_target, write_json
    from phasegan.io.output_paths import check_different
    from phasegan.tables import print_table

    check_different(json_path, sheet)
    if json_path is not None:
        check_json_target(json_path)
    if domain_a is not None or domain_b is not None or is_pair_folder(data) or is_pair_file(data):
        if methods or sheet:
            raise InputError("--method and --sheet are for phases; translations have --run")
        _score_translations(common, data, domain_a, domain_b, runs, size, features, json_path)
        return
    if data is None:
        raise InputError("give a prepared file, or a folder with two domains of pictures")
    for name, value in (("size", size), ("features", features)):
        if value is not None:
            raise InputError(f"--{name} is for translations between domains of pictures")
    result = evaluate(
        data,
        methods,
        runs,
        device=common.device,
        dtype=dtype,
        sheet=sheet,
        progress=common.progress,
    )
    table = evaluation_table(result.rows)
    print_table(table)
    for note in (*((SMOKE_NOTE,) if result.smoke_test else ()), *table.notes):
        common.note(note)
    if json_path is not None:
        write_json(json_path, result.as_json())
        common.say(f"wrote {json_path}")
    if sheet is not None:
        common.say(f"look at {sheet}")


def _score_translations(
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

    scores = score_translations(
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
        write_json(json_path, scores.as_json())
    table = translation_table(scores)
    print_table(table)
    for note in table.notes:
        common.note(note)
    if json_path is not None:
        common.say(f"wrote {json_path}")
