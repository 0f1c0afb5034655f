"""The configuration of the presets that translate pictures: `translation` and `one-way`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from phasegan.config.reading import FileReading
from phasegan.config.run import LossConfig, OptimiserConfig, Positive, TrainConfig
from phasegan.config.settings import Settings

Adversarial = Literal["least-squares", "logistic", "hinge"]
ONE_WAY = "one-way"


def domain_labels(names: tuple[str, str]) -> tuple[str, str]:
    """Return `A (horses)` and `B (zebras)`, or `A` and `B` where those are the names.

    Parameters
    ----------
    names : (str, str)
        Of the domains.

    Returns
    -------
    (str, str)
        For sentences that speak of A and B.
    """
    a, b = (x if x == name else f"{x} ({name})" for x, name in zip("AB", names, strict=True))
    return a, b


class DomainConfig(Settings):
    """What pictures a domain has, and how their values become −1 to 1."""

    digest: str
    """Of the names and sizes of its files, or of its data in a prepared file."""
    pictures: Positive
    """The first so many of a seeded shuffle of the training pictures."""
    channels: Positive
    dtype: Literal["uint8", "uint16", "float32"]
    low: float
    high: float
    """Values that become −1 and 1."""
    alpha: bool = False
    """Whether the last channel is alpha."""

    @model_validator(mode="after")
    def _check(self) -> DomainConfig:
        if not self.high > self.low:
            raise ValueError("high must be greater than low")
        return self


class PicturesConfig(FileReading):
    """The two domains, and how their pictures become squares of one size."""

    a: DomainConfig
    b: DomainConfig
    size: Annotated[int, Field(ge=8, le=8192, strict=True)] = 256
    """Rows and columns of the crops that are trained on."""
    load: Annotated[int, Field(ge=8, le=16384, strict=True)] = 286
    """Rows and columns, or the short side, that pictures are brought to before."""
    fit: Literal["stretch", "short-side", "none"] = "stretch"
    """Whether both sides or the short one become `load`, or pictures stay as they are."""
    flip: bool = True
    """Mirror every second picture left to right."""

    @model_validator(mode="after")
    def _check(self) -> PicturesConfig:
        if self.load < self.size and self.fit != "none":
            raise ValueError(f"load = {self.load} is less than size = {self.size}")
        return self


class TranslationNetworks(Settings):
    """Sizes and kinds of the generators and discriminators."""

    generator: Literal["resnet", "unet"] = "resnet"
    base_channels: Annotated[int, Field(ge=1, le=1024)]
    blocks: Annotated[int, Field(ge=0, le=64)]
    """Residual blocks of a ResNet; a U-Net has none."""
    discriminator_channels: Annotated[int, Field(ge=1, le=1024)]
    padding: Literal["reflect", "replicate", "zero"] = "reflect"
    norm: Literal["instance", "affine-instance", "batch"] = "instance"
    dropout: bool = False
    upsampling: Literal["transposed", "resize"] = "transposed"
    spectral_norm: bool = False
    """Of the discriminators."""


class TranslationLosses(LossConfig):
    """Weights of the terms, and the adversarial loss."""

    adversarial: Adversarial = "least-squares"


class TranslationOptimiser(OptimiserConfig):
    """Adam, and the moving average of the generators' weights."""

    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay of the average that is kept; 0: the weights themselves, as published."""


class TranslationConfig(TrainConfig):
    """An unpaired translation between two domains of pictures, or one way of it."""

    preset: Literal["translation", "one-way"] = "translation"
    data: PicturesConfig
    networks: TranslationNetworks
    losses: TranslationLosses = TranslationLosses()
    optimiser: TranslationOptimiser = TranslationOptimiser()
    batch_size: Positive = 1
    augment: tuple[Literal["colour", "shift", "cutout"], ...] = ()
    """Differentiable changes of what discriminators see."""
    start: str | None = None
    """Digest of the weights that the training started from."""

    size_name: ClassVar[str] = "--base-channels"

    @property
    def label(self) -> str:
        """`translation-full`, `one-way-small`, or `translation-32ch-4b` for other sizes."""
        if self.variant == "custom":
            networks = self.networks
            blocks = "unet" if networks.generator == "unet" else f"{networks.blocks}b"
            return f"{self.preset}-{networks.base_channels}ch-{blocks}"
        return f"{self.preset}-{self.variant}"

    @property
    def both_ways(self) -> bool:
        """Whether B → A is judged too."""
        return self.preset != ONE_WAY

    @property
    def learning_rate(self) -> float:
        """Adam's, in the first half of the run."""
        return self.optimiser.learning_rate

    @property
    def network_names(self) -> tuple[str, ...]:
        """The networks that the run folder keeps."""
        if self.both_ways:
            return ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
        back = ("generator_ba",) if self.losses.cycle_a > 0 else ()
        return ("generator_ab", *back, "discriminator_b")

    @property
    def samples(self) -> int:
        """Pictures of the larger domain: those of the other one begin again."""
        return max(self.data.a.pictures, self.data.b.pictures)

    @property
    def size(self) -> int:
        """Rows and columns of the crops."""
        return self.data.size

    def without_amount(self) -> Self:
        """Return what decides the cost of a step: nothing of how much is trained, nor the seed."""
        domains = {n: getattr(self.data, n).model_copy(update={"pictures": 1}) for n in "ab"}
        data = self.data.model_copy(update=domains)
        return super().without_amount().model_copy(update={"data": data})


_UNET: dict[str, Any] = {"blocks": 0, "upsampling": "resize"}
TRANSLATION_VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "full": {
        "resnet": {"base_channels": 64, "discriminator_channels": 64},
        "unet": {"base_channels": 32, "discriminator_channels": 64, **_UNET},
    },
    "small": {
        "resnet": {"base_channels": 24, "blocks": 4, "discriminator_channels": 32},
        "unet": {"base_channels": 16, "discriminator_channels": 32, **_UNET},
    },
}
"""`full` is the published network; `small` is what two CPU cores can train in minutes."""

USUAL_GENERATORS = {"full": "resnet", "small": "unet"}
USUAL_CYCLES = {"resnet": 10.0, "unet": 1.0}
"""Weights of the cycles: 10 as published; a U-Net begins as the identity, whose cycle is
perfect, and at 10 no adversary moves it from there."""
