"""`phasegan train`."""

from __future__ import annotations

from typing import Any

import click

from phasegan.cli.common import Manners, common_options
from phasegan.progress import format_duration


@click.command("train")
@click.argument("data", metavar="[FILE.h5]", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="The run folder.  [default: runs/<name of FILE>-<preset>-<variant>]",
)
@click.option(
    "--preset",
    type=click.Choice(["paper"]),
    default="paper",
    show_default=True,
    help="paper: the CycleGAN as published.",
)
@click.option(
    "--variant",
    type=click.Choice(["full", "small"]),
    help="full: as published; small: 8 channels, 3 blocks.  [default: small on a CPU, else full]",
)
@click.option("--samples", type=click.IntRange(1), help="Training samples.  [default: all]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over them.  [default: 10]")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Samples of each domain in a step.",
)
@click.option("--base-channels", type=click.IntRange(1, 1024), help="Width of the networks.")
@click.option("--blocks", type=click.IntRange(0, 64), help="Residual blocks.")
@click.option(
    "--discriminator-channels",
    type=click.IntRange(1, 1024),
    help="Width of the discriminators.  [default: --base-channels]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="Adam's, in the first half of the run.  [default: 2e-4]",
)
@click.option("--cycle-a", type=click.FloatRange(0), help="Weight, phase cycle.  [default: 10]")
@click.option("--cycle-b", type=click.FloatRange(0), help="Weight, image cycle.  [default: 10]")
@click.option(
    "--identity",
    type=click.FloatRange(0),
    help="Share of the cycle weights; 0 switches it off.  [default: 0.5]",
)
@click.option(
    "--pool-size", type=click.IntRange(0), help="Pictures in each image pool.  [default: 50]"
)
@click.option(
    "--precision",
    type=click.Choice(["32", "bf16", "fp16"]),
    default="32",
    show_default=True,
    help="Of the convolutions; phases stay in 32 bit. fp16 needs a GPU.",
)
@click.option("--resume", is_flag=True, help="Continue; start if there is nothing to continue.")
@click.option("--dry-run", is_flag=True, help="Estimate the time, write nothing.")
@common_options(heavy=True)
def command(
    manners: Manners, data: str | None, output: str | None, dry_run: bool, **options: Any
) -> None:
    """Train a CycleGAN from phase spectra to images.

    FILE.h5 is a prepared file; without it, builtin.h5, prepared first when it
    is not there. Ctrl-C saves the run and stops; --resume continues it.
    """
    from phasegan.training.api import train

    report = train(
        data,
        output,
        dry_run=dry_run,
        device=manners.device,
        seed=manners.seed or 0,
        progress=manners.progress,
        **options,
    )
    config = report.config
    what = f"{config.label}, {config.data.samples} samples × {config.epochs} epochs"
    if dry_run:
        assert report.estimated_seconds is not None
        estimate = format_duration(report.estimated_seconds)
        manners.say(f"would train {what} into {report.path}: about {estimate}")
    elif not report.trained:
        manners.say(f"{report.path} is finished already: {what}")
    else:
        manners.say(f"trained {what} in {format_duration(report.seconds)}: {report.path}")
        manners.say(f"score it: phasegan evaluate {data or 'builtin.h5'} --run {report.path}")
