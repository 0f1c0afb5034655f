"""`phasegan bench`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.benchmark import BenchCommand
from phasegan.errors import RunError
from phasegan.progress import format_duration

if TYPE_CHECKING:
    from phasegan.benchmark.runner import BenchReport
    from phasegan.evaluation.records import Status


@option_command("bench", BenchCommand)
def command(
    common: CommonOptions, samples: tuple[int, ...], epochs: tuple[int, ...], **options: Any
) -> None:
    """Tabulate samples and epochs against average MSE, beside the baselines.

    Each pair of --samples and --epochs is one training of each preset, scored
    on the test split; without any, the pairs of the published table: 5 × 5, 50 × 10,
    200 × 50, and 4500 × 50 where data and time allow. How long it will take is said
    first. Finished rows are reused, an interrupted training continues. The results
    folder has report.html, tables, figures and results.json.
    """
    from phasegan.benchmark.runner import bench

    common.spare_busy_cores()
    report = bench(
        samples,
        epochs,
        seed=common.seed,
        device=common.device,
        command=("phasegan", *map(str, click.get_current_context().obj or ())),
        progress=common.progress,
        **options,
    )
    common.say(report.heading)
    if options["estimate_only"]:
        _print_estimates(common, report)
        return
    _print_rows(common, report)
    if report.reused:
        common.say(f"{report.reused} rows were there already, in {report.path / 'rows'}")
    common.say(
        f"wrote {report.path}: report.html (open it in a browser), table.md, table.tex, "
        "results.json, results.csv, contact-sheet.png, in "
        f"{format_duration(common.progress.elapsed())}"
    )
    if report.failed:
        raise RunError(
            f"{len(report.failed)} of {len(report.rows)} rows failed; the table says why, and the "
            "same command tries them again"
        )


def _print_rows(common: CommonOptions, report: BenchReport) -> None:
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
            common.note(text)
    explained = table.only("samples", "mse", "mse_stderr", "mse_published").footnotes
    for text in (
        *report.remarks,
        *better_than_baselines(report.rows),
        *(f"{names}: {text}" for names, text in explained),
        *(() if seeds is None else seeds.notes),
    ):
        common.note(text)


_UNDONE: dict[Status, str] = {
    "ok": "measured already",
    "estimated": "left out, as they take longer than the budget, or than optional ones may",
    "failed": "failed when they were tried",
    "skipped": "not possible with these data",
}


def _print_estimates(common: CommonOptions, report: BenchReport) -> None:
    from phasegan.benchmark.report.tables import estimates_table
    from phasegan.tables import print_table

    print_table(estimates_table(report.rows))
    counts = Counter(row.status for row in report.rows)
    if report.estimate is not None:
        whole = report.estimate.after(common.progress.elapsed())
        common.say(f"all that is to do: estimated {whole.describe()} in all")
    elif set(counts) != {"ok"}:
        states = [f"{counts[name]} {text}" for name, text in _UNDONE.items() if counts[name]]
        common.say(f"nothing would be measured; of {len(report.rows)} rows: {', '.join(states)}")
    else:
        common.say("nothing to do: every row was measured already")
