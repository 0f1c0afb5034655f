"""`phasegan evaluate`."""

from __future__ import annotations

import click

from phasegan.cli.common import Manners, common_options, print_table


@click.command("evaluate")
@click.argument("data", metavar="FILE.h5")
@click.option("--method", "methods", multiple=True, help="A method; repeat for more.")
@click.option("--run", "runs", multiple=True, type=click.Path(), help="A run; repeat for more.")
@click.option("--json", "json_path", type=click.Path(), help="Write the rows here too.")
@common_options(heavy=True)
def command(
    manners: Manners,
    data: str,
    methods: tuple[str, ...],
    runs: tuple[str, ...],
    json_path: str | None,
) -> None:
    """Score methods and runs over the test split of a prepared file.

    Without --method and --run, all methods: zero, mean-image, unit-magnitude,
    mean-magnitude.
    """
    from phasegan.files import check_json_target, write_json
    from phasegan.harness.evaluate import evaluate
    from phasegan.harness.table import SCORE_COLUMNS, SCORE_NOTES, SMOKE_NOTE, cells

    if json_path is not None:
        check_json_target(json_path)
    result = evaluate(data, methods, runs, device=manners.device, progress=manners.progress)
    print_table(
        list(SCORE_COLUMNS), cells(result.rows, SCORE_COLUMNS), optional=("exact", "± s.e.")
    )
    for note in (*((SMOKE_NOTE,) if result.smoke_test else ()), *SCORE_NOTES):
        manners.note(note)
    if json_path is not None:
        write_json(json_path, result.as_json())
        manners.say(f"wrote {json_path}")
