"""`phasegan evaluate`."""

from __future__ import annotations

from typing import Literal

import click

from phasegan.cli.common import Manners, common_options, print_table


@click.command("evaluate")
@click.argument("data", metavar="FILE.h5")
@click.option("--method", "methods", multiple=True, help="A method; repeat for more.")
@click.option("--run", "runs", multiple=True, type=click.Path(), help="A run; repeat for more.")
@click.option("--json", "json_path", type=click.Path(), help="Write the rows here too.")
@click.option(
    "--sheet",
    type=click.Path(),
    metavar="FILE.png",
    help="Draw six test images, reconstructed by each method and run.",
)
@click.option(
    "--dtype", type=click.Choice(["float64", "float32"]), default="float64", show_default=True,
    help="Of iterative methods.",
)  # fmt: skip
@common_options(heavy=True)
def command(
    manners: Manners,
    data: str,
    methods: tuple[str, ...],
    runs: tuple[str, ...],
    json_path: str | None,
    sheet: str | None,
    dtype: Literal["float64", "float32"],
) -> None:
    """Score methods and runs over the test split of a prepared file.

    Without --method and --run: zero, mean-image, unit-magnitude, mean-magnitude
    and auto. Others: power-law, shrinkage, learned, hlo, pocs,
    pocs-accelerated, cg, fista, map, pnp.
    """
    from phasegan.files import check_json_target, write_json
    from phasegan.harness.columns import SCORE_COLUMNS, cells
    from phasegan.harness.evaluate import evaluate
    from phasegan.harness.remarks import CERTIFIED_NOTE, SCORE_NOTES, SMOKE_NOTE

    if json_path is not None:
        check_json_target(json_path)
    result = evaluate(
        data,
        methods,
        runs,
        device=manners.device,
        dtype=dtype,
        sheet=sheet,
        progress=manners.progress,
    )
    proved = any(row.values.get("certified") for row in result.rows)
    unasked = () if proved else ("certified", "fitted dB")
    columns = {name: cell for name, cell in SCORE_COLUMNS.items() if name not in unasked}
    print_table(
        list(columns),
        cells(result.rows, columns),
        optional=("exact", "mean known", "fitted dB", "± s.e.", "SSIM"),
    )
    smoke = (SMOKE_NOTE,) if result.smoke_test else ()
    for note in (*smoke, *SCORE_NOTES, *((CERTIFIED_NOTE,) if proved else ())):
        manners.note(note)
    if json_path is not None:
        write_json(json_path, result.as_json())
        manners.say(f"wrote {json_path}")
    if sheet is not None:
        manners.say(f"look at {sheet}")
