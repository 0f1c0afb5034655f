"""Options of `phasegan train` and `phasegan.train`."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from phasegan.config.options.common import (
    OUTPUT,
    SEED,
    DeviceOption,
    DomainOptions,
    GeneralOptions,
    TrainingThreadsOption,
)
from phasegan.config.options.reading import TrainReadingOptions
from phasegan.config.options.schema import Cli, From, OneOf, Options, options_of, with_options
from phasegan.config.options.training_groups import (
    AVERAGED,
    CHANGES,
    LOSSES,
    OPTIMISATION,
    PHYSICS,
    PICTURES,
    RESNETS,
    SIZES,
    SPEED,
    TRANSLATIONS,
    VALIDATION,
)
from phasegan.config.options.translation import ExecutionOptions, TranslationOptions
from phasegan.config.physics import (
    AugmentationConfig,
    PhysicsConfig,
    PhysicsLossConfig,
    PhysicsOptimiserConfig,
    SpectralConfig,
)
from phasegan.config.presets import PHASE_PRESETS, Preset
from phasegan.config.run import (
    LossConfig,
    NetworkConfig,
    OptimiserConfig,
    PaperConfig,
    TrainConfig,
    ValidationConfig,
)
from phasegan.config.translation import (
    USUAL_CYCLES,
    TranslationConfig,
    TranslationOptimiser,
)

DEFAULT_EPOCHS = 10


def _cycle(name: str) -> str:
    """Return the default of a cycle's weight: it depends on the generators too."""
    usual = LossConfig.model_fields[name].default
    physics = PhysicsLossConfig.model_fields[name].default
    return f"{usual:g}, U-Nets {USUAL_CYCLES['unet']:g}, physics {physics:g}"


class PhaseOptions(TypedDict, total=False):
    """Options of a training on phases; None stands for the default."""

    preset: Annotated[
        str | None,
        OneOf(Preset),
        Cli(
            "On phases: physics, the exact transform inside the cycle, or paper, the CycleGAN as "
            "published. On pictures: translation, the same in both directions, or one-way, for "
            "study.",
            SIZES,
            default="physics on phases, translation on pictures",
            common=True,
        ),
    ]
    variant: Annotated[
        str | None,
        OneOf(Literal["full", "small"]),
        Cli("Sizes of the networks.", SIZES, default="small on a CPU, else full", common=True),
    ]
    samples: Annotated[
        int | None, Cli("Training samples.", OUTPUT, default="all", minimum=1, common=True)
    ]
    epochs: Annotated[
        int | None,
        From(TrainConfig, "epochs"),
        Cli("Passes over the samples.", OPTIMISATION, default=str(DEFAULT_EPOCHS), common=True),
    ]
    seed: Annotated[int | None, *SEED]
    batch_size: Annotated[
        int | None,
        From(PaperConfig, "batch_size"),
        From(PhysicsConfig, "batch_size", "physics"),
        From(TranslationConfig, "batch_size", "translation"),
        Cli(
            "Samples of each domain in a step.",
            OPTIMISATION,
            aliases=("--batch_size",),
            common=True,
        ),
    ]
    precision: Annotated[
        str | None,
        OneOf(Literal["auto", "32", "bf16", "fp16"]),
        Cli(
            "Of the convolutions; phases stay in 32 bit. auto: bf16 where the processor has it, "
            "for a ResNet from 32 channels on. fp16 needs a GPU.",
            SPEED,
            value="auto",
        ),
    ]
    learning_rate: Annotated[
        float | None,
        From(OptimiserConfig, "learning_rate"),
        From(PhysicsOptimiserConfig, "learning_rate", "physics"),
        Cli("The generator's largest learning rate.", OPTIMISATION, aliases=("--lr",), common=True),
    ]
    cycle_a: Annotated[
        float | None,
        From(LossConfig, "cycle_a"),
        From(PhysicsLossConfig, "cycle_a", "physics"),
        Cli(
            "Weight of the cycle A → B → A; one-way: 0 for no way back.",
            LOSSES,
            default=_cycle("cycle_a"),
            aliases=("--lambda_A",),
        ),
    ]
    cycle_b: Annotated[
        float | None,
        From(LossConfig, "cycle_b"),
        From(PhysicsLossConfig, "cycle_b", "physics"),
        Cli(
            "Weight of the cycle B → A → B.",
            LOSSES,
            default=_cycle("cycle_b"),
            aliases=("--lambda_B",),
        ),
    ]
    pool_size: Annotated[
        int | None,
        From(TrainConfig, "pool_size"),
        Cli("Generated images in each image pool.", OPTIMISATION, aliases=("--pool_size",)),
    ]
    discriminator_channels: Annotated[
        int | None,
        From(NetworkConfig, "discriminator_channels"),
        From(SpectralConfig, "discriminator_channels", "physics"),
        Cli(
            "Width of the discriminators.",
            SIZES,
            default="the variant's, or --base-channels",
            aliases=("--ndf",),
        ),
    ]
    base_channels: Annotated[
        int | None,
        From(NetworkConfig, "base_channels"),
        Cli(
            "Width of the generators.",
            SIZES,
            presets=RESNETS,
            default="the variant's",
            aliases=("--ngf",),
        ),
    ]
    blocks: Annotated[
        int | None,
        From(NetworkConfig, "blocks"),
        Cli("Residual blocks.", SIZES, presets=RESNETS, default="the variant's"),
    ]
    identity: Annotated[
        float | None,
        From(LossConfig, "identity"),
        Cli(
            "Identity loss, as a share of the cycle weights; 0 switches it off.",
            LOSSES,
            presets=RESNETS,
            aliases=("--lambda_identity",),
        ),
    ]
    widths: Annotated[
        tuple[int, ...] | None,
        From(SpectralConfig, "widths"),
        Cli(
            "Channels at each resolution, finest first.",
            SIZES,
            presets=PHYSICS,
            default="the variant's",
            style="numbers",
        ),
    ]
    unrolled: Annotated[
        int | None,
        From(SpectralConfig, "unrolled"),
        Cli("Estimates and projections in a row.", SIZES, presets=PHYSICS),
    ]
    projection: Annotated[
        str | None,
        From(SpectralConfig, "projection"),
        Cli("How estimates are given the measured phase.", SIZES, presets=PHYSICS),
    ]
    encodings: Annotated[
        tuple[str, ...] | None,
        From(SpectralConfig, "encodings"),
        Cli(
            "Pictures of the phase that the network sees.",
            SIZES,
            presets=PHYSICS,
            default="cascade,mean; cascade,posterior,mean where phases are padded or noisy; "
            "posterior,mean for small images",
            metavar="NAME,…",
            style="words",
        ),
    ]
    structure: Annotated[
        float | None,
        From(PhysicsLossConfig, "structure"),
        Cli(
            "Weight of 1 − ρ² between an image and its reconstruction.",
            LOSSES,
            presets=PHYSICS,
        ),
    ]
    adversarial: Annotated[
        float | None,
        From(PhysicsLossConfig, "adversarial"),
        Cli("Weight of the adversarial loss; 0: no discriminator.", LOSSES, presets=PHYSICS),
    ]
    adversarial_every: Annotated[
        int | None,
        From(PhysicsLossConfig, "adversarial_every"),
        Cli("Steps from one to the next that takes domain A.", LOSSES, presets=PHYSICS),
    ]
    clip_norm: Annotated[
        float | None,
        From(PhysicsOptimiserConfig, "clip_norm"),
        Cli("Largest norm of a gradient; 0 for any.", OPTIMISATION, presets=PHYSICS),
    ]
    ema_decay: Annotated[
        float | None,
        From(PhysicsOptimiserConfig, "average"),
        From(TranslationOptimiser, "average", "translation"),
        Cli(
            "Decay of the moving average of the generator's weights; 0 for none.",
            OPTIMISATION,
            presets=AVERAGED,
            renamed=("--average",),
        ),
    ]
    crop: Annotated[
        float | None,
        From(AugmentationConfig, "crop"),
        Cli("Least share of a side that crops keep; 1 for none.", CHANGES, presets=PHYSICS),
    ]
    contrast: Annotated[
        float | None,
        From(AugmentationConfig, "contrast"),
        Cli("Spread of a factor on contrast, as σ of its logarithm.", CHANGES, presets=PHYSICS),
    ]
    brightness: Annotated[
        float | None,
        From(AugmentationConfig, "brightness"),
        Cli("σ of a shift, as a share of white.", CHANGES, presets=PHYSICS),
    ]
    gamma: Annotated[
        float | None,
        From(AugmentationConfig, "gamma"),
        Cli("Spread of an exponent, as σ of its logarithm.", CHANGES, presets=PHYSICS),
    ]
    augmentation: Annotated[
        bool | None,
        Cli("Take images as they are.", CHANGES, presets=PHYSICS, negative=True),
    ]
    disjoint: Annotated[
        bool | None,
        From(PhysicsConfig, "disjoint"),
        Cli("Phases and images of different samples.", OUTPUT, presets=PHYSICS),
    ]
    validation: Annotated[
        int | None,
        From(ValidationConfig, "samples"),
        Cli(
            "Score so many samples that are not trained on, and keep the best weights.",
            VALIDATION,
            default="none",
            minimum=1,
            common=True,
        ),
    ]
    validate_every: Annotated[
        int | None,
        From(ValidationConfig, "every"),
        Cli("Epochs between validations.", VALIDATION),
    ]
    patience: Annotated[
        int | None,
        From(ValidationConfig, "patience"),
        Cli(
            "Stop after so many validations without a better one.",
            VALIDATION,
            default="never",
            minimum=1,
        ),
    ]


class TrainOptions(
    PhaseOptions, TranslationOptions, TrainReadingOptions, ExecutionOptions, total=False
):
    """Options of any training, and of how it is computed."""


class _Files(DomainOptions, DeviceOption, TrainingThreadsOption, GeneralOptions):
    """Options of `phasegan train`."""

    groups = (OUTPUT, SIZES, PICTURES, LOSSES, OPTIMISATION, CHANGES, VALIDATION, SPEED)

    output: Annotated[
        str | None,
        Cli(
            "The run folder.",
            OUTPUT,
            flags=("-o", "--output"),
            default="runs/<name of the data>-<preset>-<variant>",
            style="path",
            common=True,
        ),
    ] = None
    images: Annotated[
        str | None,
        Cli(
            "Another prepared file that the images come from.",
            OUTPUT,
            presets=PHYSICS,
            style="path",
        ),
    ] = None
    init_from: Annotated[
        str | None,
        Cli(
            "A run, or a folder of others' weights, to start from.",
            OUTPUT,
            presets=TRANSLATIONS,
            metavar="RUN",
            style="path",
            renamed=("--start-from",),
        ),
    ] = None
    resume: Annotated[
        bool,
        Cli(
            "Continue, with more --epochs beyond the end; start if there is nothing to continue.",
            OUTPUT,
            common=True,
        ),
    ] = False
    dry_run: Annotated[bool, Cli("Estimate the time, write nothing.", OUTPUT, common=True)] = False


TrainCommand: type[Options] = with_options(_Files, TrainOptions)
"""All that `phasegan train` takes."""

OWNERS: dict[str, tuple[str, ...]] = {
    name: option.cli.presets for name, option in options_of(TrainCommand).items()
    if option.cli.presets
}  # fmt: skip
"""The presets of each option that not all of them have."""


def phase_owners(option: str) -> tuple[str, ...]:
    """Return the presets on phases that own an option.

    Parameters
    ----------
    option : str
        Its name.

    Returns
    -------
    tuple of str
        Empty if every preset has it.
    """
    return tuple(preset for preset in OWNERS.get(option, ()) if preset in PHASE_PRESETS)
