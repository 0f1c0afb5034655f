"""The configuration of a training run, as `config.json` keeps it."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.options.size import Size, SizeRange, rows_columns
from phasegan.config.settings import Settings

Positive = Annotated[int, Field(ge=1, strict=True)]
Weight = Annotated[float, Field(ge=0)]

NEARLY_EXACT = 0.05
"""Radians of noise and rounding up to which networks take phases as they are."""
MIN_PATCHGAN_SIZE = 24
"""Least rows and columns that leave the 70×70 PatchGAN one patch."""


def degradation_error(noise: float, bits: int | None) -> float:
    """Return the standard deviation of phases by noise and rounding to 2πk / 2^bits.

    The rounding of the file format, less than 1e-3 rad, does not count.

    Parameters
    ----------
    noise : float
        σ of the Gaussian noise, radians.
    bits : int or None
        Bits of the rounding; None: not rounded.

    Returns
    -------
    float
        Radians.
    """
    step = 0.0 if bits is None else math.pi / 2**bits
    return math.hypot(noise, step / math.sqrt(3.0))


class DataConfig(Settings):
    """What a run was trained on, and so what it can be used on."""

    digest: str
    """Of the prepared file's data: equal for equal data, wherever the file lies."""
    size: Annotated[Size, SizeRange()]
    padded: Annotated[Size, SizeRange()]
    channels: Literal["gray", "rgb"]
    bits: Literal[8, 16]
    samples: Positive
    """The first so many of a seeded shuffle of the training split."""
    phase_noise: Annotated[float, Field(ge=0)] = 0.0
    """σ of the Gaussian noise on the phases, radians."""
    phase_bits: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Phases are rounded to 2πk / 2^bits; None: not rounded."""
    images_digest: str | None = None
    """Of the file that the images came from, where the phases came from another."""
    phase_samples: Positive | None = None
    """Samples of the file of phases, where the images came from another."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N₁, N₂)."""
        return rows_columns(self.size)

    @property
    def frame(self) -> tuple[int, int]:
        """(M₁, M₂)."""
        return rows_columns(self.padded)

    @property
    def channel_count(self) -> int:
        """1 or 3."""
        return 3 if self.channels == "rgb" else 1

    @property
    def phase_error(self) -> float:
        """Standard deviation of the phases by noise and rounding, radians."""
        return degradation_error(self.phase_noise, self.phase_bits)


class NetworkConfig(Settings):
    """Sizes of the ResNet generators and the PatchGAN discriminators."""

    base_channels: Annotated[int, Field(ge=1, le=1024)]
    blocks: Annotated[int, Field(ge=0, le=64)]
    discriminator_channels: Annotated[int, Field(ge=1, le=1024)]


class LossConfig(Settings):
    """Weights of the terms; the adversarial terms have weight 1."""

    cycle_a: Weight = 10.0
    cycle_b: Weight = 10.0
    identity: Weight = 0.5
    """A share of the cycle weight: 0.5 × 10 = 5 as published; 0 switches it off."""


class OptimiserConfig(Settings):
    """Adam."""

    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999


class ValidationConfig(Settings):
    """Scoring while training, on samples of the training split that are not trained on."""

    samples: Annotated[int, Field(ge=0, strict=True)] = 0
    """The last so many of the shuffle; 0: none."""
    every: Positive = 1
    """Epochs from one validation to the next; the last epoch always has one."""
    patience: Annotated[int, Field(ge=0, strict=True)] = 0
    """Stop after so many validations without a better one; 0: never."""


class TrainConfig(Settings, ABC):
    """What every preset decides about the weights at the end of a run."""

    preset: str
    variant: Literal["full", "small", "custom"]
    epochs: Positive
    batch_size: Positive
    pool_size: Annotated[int, Field(ge=0)] = 50
    precision: Literal["32", "bf16", "fp16"] = "32"
    validation: ValidationConfig = ValidationConfig()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    extended_at: tuple[Positive, ...] = ()
    """Epochs, ascending, after which the run was extended; up to the first of them it is a run of
    so many epochs, and from each of them on it follows the schedule of its new length."""

    size_name: ClassVar[str]
    """The option that makes the networks smaller."""

    @model_validator(mode="after")
    def _check_extensions(self) -> Self:
        lengths = (0, *self.extended_at, self.epochs)
        if any(before >= after for before, after in itertools.pairwise(lengths)):
            raise ValueError("extended_at must ascend, and end before epochs")
        return self

    @model_serializer(mode="wrap")
    def _without_extensions(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `extended_at` out where it is empty: digests of configurations stay."""
        values: dict[str, Any] = handler(self)
        if not self.extended_at:
            values.pop("extended_at", None)
        return values

    @property
    @abstractmethod
    def label(self) -> str:
        """`<preset>-<variant>`, or the preset and the sizes for others than a variant's."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """The generator's largest learning rate."""

    @property
    @abstractmethod
    def network_names(self) -> tuple[str, ...]:
        """The networks that the run folder keeps."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """Samples in an epoch."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """Rows and columns of what is trained on."""

    def without_amount(self) -> Self:
        """Return what decides the cost of a step: nothing of how much is trained, nor the seed."""
        return self.model_copy(update={"epochs": 1, "seed": 0, "extended_at": ()})

    @property
    def epochs_text(self) -> str:
        """`30`, or `20 + 10` for a run of 20 epochs that was extended."""
        lengths = (0, *self.extended_at, self.epochs)
        return " + ".join(f"{after - before}" for before, after in itertools.pairwise(lengths))

    def scheduled_epochs(self, epoch: int) -> int:
        """Return the length of the run whose schedule of learning rates an epoch follows.

        Parameters
        ----------
        epoch : int
            From 0.

        Returns
        -------
        int
            `epochs`, or what that was before the run was extended.
        """
        return next((end for end in self.extended_at if epoch < end), self.epochs)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch; the last batch may be smaller."""
        return -(-self.samples // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimiser steps in the whole run."""
        return self.epochs * self.steps_per_epoch


class PhaseConfig(TrainConfig):
    """What the presets that train on phases decide."""

    data: DataConfig

    @property
    def samples(self) -> int:
        """Samples in an epoch."""
        return self.data.samples

    @property
    def size(self) -> Size:
        """N, or rows and columns of the images."""
        return self.data.size

    def without_amount(self) -> Self:
        """Return what decides the cost of a step: nothing of how much is trained, nor the seed."""
        data = self.data.model_copy(update={"samples": 1})
        return super().without_amount().model_copy(update={"data": data})

    @property
    def data_range(self) -> int:
        """255 or 65535: the white of the training images."""
        return int(2**self.data.bits - 1)


class PaperConfig(PhaseConfig):
    """The published CycleGAN."""

    preset: Literal["paper"] = "paper"
    networks: NetworkConfig
    losses: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    batch_size: Positive = 1

    size_name: ClassVar[str] = "--base-channels"

    @property
    def label(self) -> str:
        """`paper-full`, `paper-small`, or `paper-32ch-4b` for other sizes."""
        if self.variant == "custom":
            return f"{self.preset}-{self.networks.base_channels}ch-{self.networks.blocks}b"
        return f"{self.preset}-{self.variant}"

    @property
    def learning_rate(self) -> float:
        """Adam's, in the first half of the run."""
        return self.optimiser.learning_rate

    @property
    def network_names(self) -> tuple[str, ...]:
        """Two generators and two discriminators."""
        return ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")


class Validated(Settings):
    """A validation: MSE of reconstructions, or sliced Wasserstein distance of translations."""

    epoch: Positive
    mse: Annotated[float, Field(ge=0)] | None = None
    swd: Annotated[float, Field(ge=0)] | None = None

    @property
    def value(self) -> float:
        """The one that there is; less is better."""
        value = self.swd if self.mse is None else self.mse
        return math.inf if value is None else value


class RunStatus(Settings):
    """Where a run stands, as `status.json` keeps it."""

    state: Literal["running", "interrupted", "finished"]
    epoch: Annotated[int, Field(ge=0)]
    """Epochs done."""
    step: Annotated[int, Field(ge=0)]
    """Optimiser steps done."""
    steps: Positive
    seconds: Annotated[float, Field(ge=0)]
    """Spent training, over all attempts."""
    device_seconds: Annotated[float, Field(ge=0)] | None = None
    """Of the device, over all attempts; see `phasegan.resources.Meter`."""
    peak_bytes: Annotated[int, Field(ge=0)] | None = None
    """The most memory that the last attempt held; None where it is not known."""
    device: str
    threads: Positive
    processes: Positive = 1
    execution: Execution = STANDARD
    schedule: str | None = None
    """`20 + 10`: the epochs of a run of 20 that was extended by 10; None for others."""
    best: Validated | None = None
    """Whose weights the folder holds, where there is validation."""
    fell_back: tuple[str, ...] = ()
    """What happened after losses that were not finite."""


VARIANTS = {
    "full": {"base_channels": 64, "discriminator_channels": 64},
    "small": {"base_channels": 8, "blocks": 3, "discriminator_channels": 8},
}
"""`full` is the published network; `small` is what two CPU cores can train in minutes."""


def full_blocks(size: Size) -> int:
    """Return the published number of residual blocks: 9 from 256×256 on, else 6.

    Parameters
    ----------
    size : int or (int, int)
        Rows and columns of the images.

    Returns
    -------
    int
        9 or 6.
    """
    return 9 if min(rows_columns(size)) >= 256 else 6
