"""Options of trainings between two domains of pictures, and of how any training is computed."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from phasegan.config.execution import Execution
from phasegan.config.options.schema import Cli, From, OneOf
from phasegan.config.options.training_groups import (
    CHANGES,
    LOSSES,
    PICTURES,
    SIZES,
    SPEED,
    TRANSLATIONS,
)
from phasegan.config.translation import (
    PicturesConfig,
    TranslationConfig,
    TranslationLosses,
    TranslationNetworks,
)

DEFAULT_SIZES = {"full": 256, "small": 128}
"""Rows and columns of the crops of translations by variant."""


class TranslationOptions(TypedDict, total=False):
    """Options of a training between two domains of pictures alone."""

    size: Annotated[
        int | None,
        From(PicturesConfig, "size"),
        Cli(
            "Side of the crops.",
            PICTURES,
            presets=TRANSLATIONS,
            default=f"{DEFAULT_SIZES['full']}; small: {DEFAULT_SIZES['small']}",
            aliases=("--crop_size",),
        ),
    ]
    load: Annotated[
        int | None,
        From(PicturesConfig, "load"),
        Cli(
            "Size that pictures are resized to before they are cropped.",
            PICTURES,
            presets=TRANSLATIONS,
            default="286/256 of --size",
            aliases=("--load_size",),
        ),
    ]
    fit: Annotated[
        str | None,
        From(PicturesConfig, "fit"),
        Cli("Both sides become --load, the short one, or none.", PICTURES, presets=TRANSLATIONS),
    ]
    flip: Annotated[
        bool | None,
        From(PicturesConfig, "flip"),
        Cli(
            "Never mirror pictures.",
            CHANGES,
            presets=TRANSLATIONS,
            negative=True,
            aliases=("--no_flip",),
        ),
    ]
    alpha: Annotated[
        str | None,
        OneOf(Literal["drop", "keep"]),
        Cli(
            "Keep alpha as a channel that is learned.",
            PICTURES,
            presets=TRANSLATIONS,
            default="drop",
        ),
    ]
    range_a: Annotated[
        tuple[float, float] | None,
        Cli(
            "Values of A that become −1 and 1.",
            PICTURES,
            presets=TRANSLATIONS,
            default="black and white; of floats the least and the largest",
            metavar="LOW HIGH",
        ),
    ]
    range_b: Annotated[
        tuple[float, float] | None,
        Cli("The same of B.", PICTURES, presets=TRANSLATIONS, metavar="LOW HIGH"),
    ]
    gan_loss: Annotated[
        str | None,
        From(TranslationLosses, "adversarial"),
        Cli("The adversarial loss.", LOSSES, presets=TRANSLATIONS),
    ]
    generator: Annotated[
        str | None,
        OneOf(Literal["resnet", "unet"]),
        Cli(
            "Architecture of the generators.",
            SIZES,
            presets=TRANSLATIONS,
            default="resnet; small: unet",
        ),
    ]
    padding: Annotated[
        str | None,
        From(TranslationNetworks, "padding"),
        Cli("Padding in residual blocks.", SIZES, presets=TRANSLATIONS),
    ]
    norm: Annotated[
        str | None,
        From(TranslationNetworks, "norm"),
        Cli("Normalisation.", SIZES, presets=TRANSLATIONS),
    ]
    dropout: Annotated[
        bool | None,
        From(TranslationNetworks, "dropout"),
        Cli("Dropout in residual blocks.", SIZES, presets=TRANSLATIONS),
    ]
    upsampling: Annotated[
        str | None,
        From(TranslationNetworks, "upsampling"),
        Cli(
            "Resizing and convolution draw no grid.",
            SIZES,
            presets=TRANSLATIONS,
            default="U-Nets resize; else transposed, as published",
        ),
    ]
    spectral_norm: Annotated[
        bool | None,
        From(TranslationNetworks, "spectral_norm"),
        Cli("Spectral normalisation of the discriminators' weights.", SIZES, presets=TRANSLATIONS),
    ]
    augment: Annotated[
        tuple[str, ...] | None,
        From(TranslationConfig, "augment"),
        Cli(
            "Differentiable changes of the images that discriminators see; for small sets.",
            CHANGES,
            presets=TRANSLATIONS,
            default="none",
            style="names",
        ),
    ]


class ExecutionOptions(TypedDict, total=False):
    """Speed and memory; results agree within rounding."""

    compile: Annotated[
        str | None,
        From(Execution, "compile"),
        Cli("torch.compile of the convolutional networks.", SPEED),
    ]
    channels_last: Annotated[
        bool | None,
        From(Execution, "channels_last"),
        Cli("paper, translation: channels innermost in memory. Slower on a CPU.", SPEED),
    ]
    batched: Annotated[
        bool | None,
        From(Execution, "batched"),
        Cli(
            "paper, translation: one pass for images that go through one network.",
            SPEED,
            flags=("--batched/--one-by-one",),
            default="batched on a CPU",
        ),
    ]
    fused: Annotated[
        bool | None,
        From(Execution, "fused"),
        Cli("One kernel updates all weights.", SPEED, python=True),
    ]
    resident: Annotated[
        str | None,
        From(Execution, "resident"),
        Cli("Where the data are between steps.", SPEED, default="by their size"),
    ]
    workers: Annotated[
        int | None,
        From(Execution, "workers"),
        Cli(
            "Processes that read and decode the data ahead of the steps.",
            SPEED,
            default="on a GPU up to 8, on a CPU none",
        ),
    ]
    micro_batch: Annotated[
        int | None,
        From(Execution, "micro_batch"),
        Cli(
            "Images of a batch that are computed at once: less memory, the same result.",
            SPEED,
            default="all",
        ),
    ]
    recompute: Annotated[
        bool | None,
        From(Execution, "recompute"),
        Cli("Less memory, a sixth slower: gradient checkpointing.", SPEED),
    ]
    autotune: Annotated[
        bool | None,
        From(Execution, "autotune"),
        Cli("cuDNN times its algorithms for every size.", SPEED, python=True),
    ]
    deterministic: Annotated[
        bool | None,
        From(Execution, "deterministic"),
        Cli("The same bits every time on a GPU too.", SPEED),
    ]
