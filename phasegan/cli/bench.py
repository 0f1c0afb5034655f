"""`phasegan bench`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from phasegan.cli.common import (
    Duration,
    Manners,
    NumberList,
    SeedList,
    common_options,
)
from phasegan.errors import RunError

if TYPE_CHECKING:
    from phasegan.benchmark.runner import BenchReport
    from phasegan.evaluation.records import Status


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
    help="A prepared file.  [default: the case's, or builtin.h5, prepared when it is not there]",
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
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="A method that is not trained, instead of the case's; repeat.",
)
@click.option("--seeds", type=SeedList(), help="Several seeds, instead of the case's.")
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
@click.option("--estimate-only", is_flag=True, help="Estimate every row's time, measure nothing.")
@click.option(
    "--budget",
    type=Duration(),
    help="Time for all; trainings that do not fit are left out, and stand as estimates.",
)
@click.option("--force", is_flag=True, help="Measure finished rows again, from the start.")
@click.option(
    "--allow-leak",
    is_flag=True,
    help="Score although test pictures stand in the training split; the tables say so.",
)
@click.option(
    "--against",
    type=click.Path(),
    help="A folder of earlier results: say what changed, by a paired test.",
)
@common_options(heavy=True)
def command(
    manners: Manners, samples: tuple[int, ...], epochs: tuple[int, ...], **options: Any
) -> None:
    """Tabulate samples and epochs against average MSE, beside the baselines.

    Each pair of --samples and --epochs is one training of each preset, scored
    on the test split; without any, the pairs of the published table: 5 × 5, 50 × 10,
    200 × 50, and 4500 × 50 where data and time allow. How long it will take is said
    first. Finished rows are reused, an interrupted training continues. The results
    folder has report.html, tables, figures and results.json.
    """
    from phasegan.benchmark.runner import bench

    manners.spare_busy_cores()
    options["seeds"] = options["seeds"] or ()
    report = bench(
        samples,
        epochs,
        seed=manners.seed,
        device=manners.device,
        command=("phasegan", *map(str, click.get_current_context().obj or ())),
        progress=manners.progress,
        **options,
    )
    manners.say(report.heading)
    if options["estimate_only"]:
        _print_estimates(manners, report)
        return
    _print_rows(manners, report)
    if report.reused:
        manners.say(f"{report.reused} rows were there already, in {report.path / 'rows'}")
    manners.say(
        f"wrote {report.path}: report.html (open it in a browser), table.md, table.tex, "
        "results.json, results.csv, contact-sheet.png"
    )
    if report.failed:
        raise RunError(
            f"{len(report.failed)} of {len(report.rows)} rows failed; the table says why, and the "
            "same command tries them again"
        )


def _print_rows(manners: Manners, report: BenchReport) -> None:
    from phasegan.benchmark.report.tables import (
        WIDE_SPREADS,
        changes_table,
        main_table,
        seeds_table,
    )
    from phasegan.evaluation.notes import better_than_baselines
    from phasegan.tables import print_table

    table = main_table(report.rows, report.metrics)
    print_table(table.without("mse_mean", "mse_scale", "mse_affine", "psnr", "ssim", "exact"))
    seeds = seeds_table(report.rows)
    if seeds is not None:
        click.echo("\nOver seeds:")
        print_table(seeds.without(*WIDE_SPREADS))
    if report.against is not None:
        changes = changes_table(report.against, "")
        click.echo("\nWhat changed:")
        print_table(changes)
        for text in changes.notes:
            manners.note(text)
    explained = table.only("samples", "mse", "mse_stderr", "mse_published").footnotes
    for text in (
        *report.remarks,
        *better_than_baselines(report.rows),
        *(f"{names}: {text}" for names, text in explained),
        *(() if seeds is None else seeds.notes),
    ):
        manners.note(text)


_UNDONE: dict[Status, str] = {
    "ok": "measured already",
    "estimated": "left out, as they take longer than the budget, or than optional ones may",
    "failed": "failed when they were tried",
    "skipped": "not possible with these data",
}


def _print_estimates(manners: Manners, report: BenchReport) -> None:
    from phasegan.benchmark.report.tables import estimates_table
    from phasegan.tables import print_table

    print_table(estimates_table(report.rows))
    counts = Counter(row.status for row in report.rows)
    if report.estimate is not None:
        manners.say(f"all that is to do: estimated {report.estimate.describe()}")
    elif set(counts) != {"ok"}:
        states = [f"{counts[name]} {text}" for name, text in _UNDONE.items() if counts[name]]
        manners.say(f"nothing would be measured; of {len(report.rows)} rows: {', '.join(states)}")
    else:
        manners.say("nothing to do: every row was measured already")
