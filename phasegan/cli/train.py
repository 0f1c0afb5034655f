"""`phasegan train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.train import TrainCommand
from phasegan.launcher import is_main
from phasegan.progress import format_duration

if TYPE_CHECKING:
    from phasegan.training.api import TrainReport


@option_command("train", TrainCommand, foreign=("gan_mode", "netG"))
@click.argument("data", metavar="[FILE.h5|FOLDER]", required=False)
def command(common: CommonOptions, data: str | None, output: str | None, **options: Any) -> None:
    """Train a CycleGAN from phase spectra to images, or between two domains of pictures.

    FILE.h5 is a prepared file; without it, builtin.h5, prepared first when it
    is not there. FOLDER holds trainA and trainB, perhaps testA and testB, of any
    pictures; or give --domain-a and --domain-b. Ctrl-C saves the run and stops;
    --resume continues it. Where the help of an option begins with a preset's name,
    only that preset has it; one-way has those of translation.
    """
    from phasegan.training.api import train

    common.spare_busy_cores()
    report = train(
        data,
        output,
        device=common.device,
        seed=common.seed or 0,
        progress=common.progress,
        **options,
    )
    if is_main():
        _say(common, report, options, data)


def _say(
    common: CommonOptions, report: TrainReport, options: dict[str, Any], data: str | None
) -> None:
    dry_run, resume = options["dry_run"], options["resume"]
    config, status = report.config, report.status
    what = f"{config.label}, {config.samples} samples × {config.epochs_text} epochs"
    if dry_run:
        assert report.estimate is not None
        estimate = report.estimate.after(common.progress.elapsed())
        common.say(f"would train {what} into {report.path}: {estimate.describe()} in all")
    elif not report.trained:
        common.say(f"{report.path} is finished already: {what}{_more(report, resume)}")
    else:
        if status is not None and status.epoch < config.epochs:
            what = f"{what}, stopped early after {status.epoch},"
        passed = common.progress.elapsed()
        took = format_duration(passed)
        if report.seconds > passed:
            took += f" ({format_duration(report.seconds)} over all attempts)"
        common.say(f"trained {what} in {took}: {report.path}")
        if status is not None and status.best is not None:
            best, measure = (
                status.best,
                "MSE" if status.best.swd is None else "Wasserstein distance",
            )
            common.say(
                f"best validation: {measure} {best.value:,.0f} after epoch {best.epoch}, whose "
                "weights are kept"
            )
        _say_next(common, report, data)


def _more(report: TrainReport, resume: bool) -> str:
    """Return how to go on with a finished run, where that was meant."""
    return f"; --epochs {2 * report.config.epochs} would go on with it" if resume else ""


def _say_next(common: CommonOptions, report: TrainReport, data: str | None) -> None:
    from phasegan.config.run import PhaseConfig

    config, path = report.config, report.path
    if not isinstance(config, PhaseConfig):
        common.say(f"look at {path}/gallery.html and training.png")
        direction = " --direction a2b" if "generator_ba" in config.network_names else ""
        common.say(f"use it: phasegan translate {path} PICTURES -o {path}/translated{direction}")
        if data is not None:
            common.say(f"score it: phasegan evaluate {data} --run {path}")
        return
    common.say(f"look at {path}/training.png and filmstrip.png")
    what, target = "score it: phasegan evaluate", ""
    if config.data.images_digest is not None:
        what, target = "use it: phasegan reconstruct", f" -o {path}/reconstructions"
    common.say(f"{what} {data or 'builtin.h5'} --run {path}{target}")
