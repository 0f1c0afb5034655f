"""`phasegan train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from phasegan.cli.common import Manners, NumberList, common_options
from phasegan.cli.translation_options import translation_options
from phasegan.launcher import is_main
from phasegan.progress import format_duration

if TYPE_CHECKING:
    from phasegan.training.api import TrainReport


@click.command("train")
@click.argument("data", metavar="[FILE.h5|FOLDER]", required=False)
@click.option("--domain-a", type=click.Path(), metavar="DIR", help="Pictures of domain A.")
@click.option("--domain-b", type=click.Path(), metavar="DIR", help="Pictures of domain B.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="The run folder.  [default: runs/<name of the data>-<preset>-<variant>]",
)
@click.option(
    "--preset",
    type=click.Choice(["physics", "paper", "translation", "one-way"]),
    help="On phases: physics, the exact transform inside the cycle (default), or paper, the "
    "CycleGAN as published. On pictures: translation, the same in both directions (default), or "
    "one-way, for study.",
)
@click.option(
    "--variant",
    type=click.Choice(["full", "small"]),
    help="Sizes of the networks.  [default: small on a CPU, else full]",
)
@click.option("--samples", type=click.IntRange(1), help="Training samples.  [default: all]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over them.  [default: 10]")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Samples of each domain in a step.  [default: 1, physics 8]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="The generator's largest.  [default: 2e-4, physics 1e-3]",
)
@click.option(
    "--cycle-b",
    type=click.FloatRange(0),
    help="Weight of the cycle B → A → B.  [default: 10, physics and U-Nets 1]",
)
@click.option(
    "--cycle-a",
    type=click.FloatRange(0),
    help="Weight of the cycle A → B → A.  [default: 10, U-Nets 1, physics 0.01; "
    "one-way: 0 for no way back]",
)
@click.option(
    "--pool-size", type=click.IntRange(0), help="Pictures in each image pool.  [default: 50]"
)
@click.option(
    "--discriminator-channels",
    type=click.IntRange(1, 1024),
    help="Width of the discriminators.  [default: the variant's, or --base-channels]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Of the convolutions; phases stay in 32 bit. auto: bf16 where the processor has it, "
    "for a ResNet from 32 channels on. fp16 needs a GPU.",
)
@click.option(
    "--structure",
    type=click.FloatRange(0),
    help="physics: weight, 1 − ρ² between an image and what comes back of it.  [default: 0.2]",
)
@click.option(
    "--adversarial",
    type=click.FloatRange(0),
    help="physics: weight; 0 for no discriminator.  [default: 0.001]",
)
@click.option(
    "--adversarial-every",
    type=click.IntRange(1),
    help="physics: steps from one to the next that takes domain A.  [default: 16]",
)
@click.option(
    "--projection",
    type=click.Choice(["sign", "magnitude", "off"]),
    help="physics: how estimates are given the measured phase.  [default: sign]",
)
@click.option(
    "--unrolled",
    type=click.IntRange(1, 16),
    help="physics: estimates and projections in a row.  [default: 1]",
)
@click.option(
    "--widths", type=NumberList(), help="physics: channels at each resolution, finest first."
)
@click.option(
    "--encodings",
    metavar="NAME,…",
    help="physics: pictures of the phase that the network sees.  [default: cascade,mean; "
    "posterior,mean where phases are padded or noisy]",
)
@click.option(
    "--crop",
    type=click.FloatRange(0, 1, min_open=True),
    help="physics: least share of a side that crops keep; 1 for none.  [default: 0.75]",
)
@click.option(
    "--contrast",
    type=click.FloatRange(0),
    help="physics: spread of a factor on contrast, as σ of its logarithm.  [default: 0]",
)
@click.option(
    "--brightness",
    type=click.FloatRange(0),
    help="physics: σ of a shift, as a share of white.  [default: 0]",
)
@click.option(
    "--gamma",
    type=click.FloatRange(0),
    help="physics: spread of an exponent, as σ of its logarithm.  [default: 0]",
)
@click.option("--no-augmentation", is_flag=True, help="physics: images as they are.")
@click.option(
    "--average",
    type=click.FloatRange(0, 1, max_open=True),
    help="physics, translation: decay of the average of the weights; 0 for none.  [default: 0.999]",
)
@click.option(
    "--clip-norm",
    type=click.FloatRange(0),
    help="physics: largest norm of a gradient; 0 for any.  [default: 1]",
)
@click.option("--disjoint", is_flag=True, help="physics: phases and images of different samples.")
@click.option(
    "--images",
    type=click.Path(),
    help="physics: another prepared file that the images come from.",
)
@click.option(
    "--base-channels", type=click.IntRange(1, 1024), help="paper, translation: width of networks."
)
@click.option("--blocks", type=click.IntRange(0, 64), help="paper, translation: residual blocks.")
@click.option(
    "--identity",
    type=click.FloatRange(0),
    help="paper, translation: share of the cycle weights; 0 switches it off.  [default: 0.5]",
)
@translation_options
@click.option(
    "--validation",
    type=click.IntRange(1),
    help="Score so many samples that are not trained on, and keep the best weights.",
)
@click.option(
    "--validate-every", type=click.IntRange(1), help="Epochs between validations.  [default: 1]"
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after so many validations without a better one.  [default: never]",
)
@click.option(
    "--micro-batch",
    type=click.IntRange(1),
    help="Images of a batch that are computed at once: less memory, the same result.",
)
@click.option(
    "--recompute", is_flag=True, help="Less memory, a sixth slower: gradient checkpointing."
)
@click.option(
    "--compile",
    type=click.Choice(["off", "default", "reduce-overhead", "max-autotune"]),
    help="torch.compile of the convolutional networks.  [default: off]",
)
@click.option(
    "--channels-last",
    is_flag=True,
    help="paper, translation: channels innermost in memory. Slower on a CPU.",
)
@click.option(
    "--batched/--one-by-one",
    default=None,
    help="paper, translation: one pass for pictures that go through one network.  [default: on "
    "a CPU]",
)
@click.option(
    "--resident",
    type=click.Choice(["device", "memory", "disk"]),
    help="Where the data are between steps.  [default: by their size]",
)
@click.option("--deterministic", is_flag=True, help="The same bits every time on a GPU too.")
@click.option("--resume", is_flag=True, help="Continue; start if there is nothing to continue.")
@click.option("--dry-run", is_flag=True, help="Estimate the time, write nothing.")
@common_options(heavy=True)
def command(
    manners: Manners,
    data: str | None,
    output: str | None,
    dry_run: bool,
    encodings: str | None,
    no_augmentation: bool,
    disjoint: bool,
    recompute: bool,
    deterministic: bool,
    no_flip: bool,
    dropout: bool,
    spectral_norm: bool,
    **options: Any,
) -> None:
    """Train a CycleGAN from phase spectra to images, or between two domains of pictures.

    FILE.h5 is a prepared file; without it, builtin.h5, prepared first when it
    is not there. FOLDER holds trainA and trainB, perhaps testA and testB, of any
    pictures; or give --domain-a and --domain-b. Ctrl-C saves the run and stops;
    --resume continues it. Options that begin with a preset's name belong to that
    preset alone; one-way has those of translation.
    """
    from phasegan.training.api import train

    manners.spare_busy_cores()
    report = train(
        data,
        output,
        dry_run=dry_run,
        device=manners.device,
        seed=manners.seed or 0,
        progress=manners.progress,
        encodings=None if encodings is None else tuple(encodings.split(",")),
        augmentation=False if no_augmentation else None,
        disjoint=True if disjoint else None,
        flip=False if no_flip else None,
        dropout=True if dropout else None,
        spectral_norm=True if spectral_norm else None,
        recompute=recompute,
        deterministic=deterministic,
        **options,
    )
    if is_main():
        _say(manners, report, dry_run, data)


def _say(manners: Manners, report: TrainReport, dry_run: bool, data: str | None) -> None:
    config, status = report.config, report.status
    what = f"{config.label}, {config.samples} samples × {config.epochs} epochs"
    if dry_run:
        assert report.estimate is not None
        manners.say(f"would train {what} into {report.path}: {report.estimate.describe()}")
    elif not report.trained:
        manners.say(f"{report.path} is finished already: {what}")
    else:
        if status is not None and status.epoch < config.epochs:
            what = f"{what}, stopped early after {status.epoch},"
        manners.say(f"trained {what} in {format_duration(report.seconds)}: {report.path}")
        if status is not None and status.best is not None:
            best, measure = (
                status.best,
                "MSE" if status.best.swd is None else "Wasserstein distance",
            )
            manners.say(
                f"best validation: {measure} {best.value:,.0f} after epoch {best.epoch}, whose "
                "weights are kept"
            )
        _say_next(manners, report, data)


def _say_next(manners: Manners, report: TrainReport, data: str | None) -> None:
    from phasegan.config.run import PhaseConfig

    config, path = report.config, report.path
    if not isinstance(config, PhaseConfig):
        manners.say(f"look at {path}/gallery.html and training.png")
        direction = " --direction a2b" if "generator_ba" in config.network_names else ""
        manners.say(f"use it: phasegan translate {path} PICTURES -o {path}/translated{direction}")
        if data is not None:
            manners.say(f"score it: phasegan evaluate {data} --run {path}")
        return
    manners.say(f"look at {path}/training.png and filmstrip.png")
    what, target = "score it: phasegan evaluate", ""
    if config.data.images_digest is not None:
        what, target = "use it: phasegan reconstruct", f" -o {path}/reconstructions"
    manners.say(f"{what} {data or 'builtin.h5'} --run {path}{target}")
