"""`phasegan bench`."""

from __future__ import annotations

from typing import Any

import click

from phasegan.cli.common import Manners, NumberList, common_options, print_table


@click.command("bench")
@click.option(
    "--samples", multiple=True, type=click.IntRange(1), help="Training samples of a row; repeat."
)
@click.option(
    "--epochs", multiple=True, type=click.IntRange(1), help="Epochs of a row; pairs with --samples."
)
@click.option("--case", type=click.Path(), help="A case file, or the name of a shipped one.")
@click.option(
    "--data",
    type=click.Path(),
    help="A prepared file.  [default: builtin.h5, prepared when it is not there]",
)
@click.option(
    "-o", "--output", type=click.Path(), help="Results folder.  [default: bench/<name of --data>]"
)
@click.option(
    "--preset",
    type=click.Choice(["physics", "paper"]),
    help="This one alone.  [default: the case's, both for the published table]",
)
@click.option(
    "--variant",
    type=click.Choice(["full", "small"]),
    help="Sizes of the networks.  [default: small on a CPU, else full]",
)
@click.option("--base-channels", type=click.IntRange(1, 1024), help="paper: width of the networks.")
@click.option("--blocks", type=click.IntRange(0, 64), help="paper: residual blocks.")
@click.option("--widths", type=NumberList(), help="physics: channels at each resolution.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Of the convolutions, in training.",
)
@common_options(heavy=True)
def command(
    manners: Manners, samples: tuple[int, ...], epochs: tuple[int, ...], **options: Any
) -> None:
    """Tabulate samples and epochs against average MSE, beside the baselines.

    Each pair of --samples and --epochs is one training of each preset, scored
    on the test split; without any, the pairs of the published table: 5 × 5, 50 × 10,
    200 × 50. Finished rows are reused, an interrupted training continues.
    """
    from phasegan.harness.runner import bench
    from phasegan.harness.summary import COMPACT_SUMMARY, NOTE, summarise_seeds, summary_cells
    from phasegan.harness.table import (
        BENCH_COLUMNS,
        BENCH_NOTES,
        COMPACT_BENCH,
        SMOKE_NOTE,
        cells,
        remarks,
    )

    report = bench(
        samples,
        epochs,
        seed=manners.seed,
        device=manners.device,
        progress=manners.progress,
        **options,
    )
    manners.say(report.heading)
    names = list(COMPACT_BENCH)
    if len({row.seed for row in report.rows if row.epochs is not None} - {None}) > 1:
        names.insert(3, "seed")
    columns = {name: BENCH_COLUMNS[name] for name in names}
    narrow = ("estimated", "± s.e.", "published MSE¹")
    print_table(list(columns), cells(report.rows, columns), optional=narrow)
    summaries = summarise_seeds(report.rows)
    if summaries:
        manners.say("\nOver seeds:")
        dropped = ("SSIM", "affine fit", "scale fit")
        print_table(COMPACT_SUMMARY, summary_cells(summaries, COMPACT_SUMMARY), optional=dropped)
    smoke = (SMOKE_NOTE,) if report.smoke_test else ()
    many = (NOTE,) if summaries else ()
    general = (BENCH_NOTES[0], *BENCH_NOTES[-2:])
    for text in (*report.skipped, *remarks(report.rows), *smoke, *general, *many):
        manners.note(text)
    if report.reused:
        manners.say(f"{report.reused} rows were there already, in {report.path / 'rows'}")
    manners.say(
        f"wrote {report.path}: table.md (all columns), results.json, mse-samples.png, "
        "contact-sheet.png"
    )
