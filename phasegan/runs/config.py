"""The configuration of a training run, as `config.json` keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from phasegan.settings import Settings

Positive = Annotated[int, Field(ge=1, strict=True)]
Weight = Annotated[float, Field(ge=0)]


class DataConfig(Settings):
    """What a run was trained on, and so what it can be used on."""

    digest: str
    """Of the prepared file's data: equal for equal data, wherever the file lies."""
    size: Positive
    padded: Positive
    channels: Literal["gray", "rgb"]
    bits: Literal[8, 16]
    samples: Positive
    """The first so many of a seeded shuffle of the training split."""


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


class TrainConfig(Settings):
    """Everything that decides the weights at the end of a run."""

    preset: Literal["paper"] = "paper"
    variant: Literal["full", "small", "custom"]
    data: DataConfig
    networks: NetworkConfig
    losses: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    epochs: Positive
    batch_size: Positive = 1
    pool_size: Annotated[int, Field(ge=0)] = 50
    precision: Literal["32", "bf16", "fp16"] = "32"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def label(self) -> str:
        """`paper-full`, `paper-small`, or `paper-32ch-4b` for other sizes."""
        if self.variant == "custom":
            return f"{self.preset}-{self.networks.base_channels}ch-{self.networks.blocks}b"
        return f"{self.preset}-{self.variant}"

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch; the last batch may be smaller."""
        return -(-self.data.samples // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimiser steps in the whole run."""
        return self.epochs * self.steps_per_epoch


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
    device: str
    threads: Positive


VARIANTS = {
    "full": {"base_channels": 64, "discriminator_channels": 64},
    "small": {"base_channels": 8, "blocks": 3, "discriminator_channels": 8},
}
"""`full` is the published network; `small` is what two CPU cores can train in minutes."""


def full_blocks(size: int) -> int:
    """Return the published number of residual blocks: 9 from 256×256 on, else 6."""
    return 9 if size >= 256 else 6
