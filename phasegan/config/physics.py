"""The configuration of the preset `physics`: a generator with the transform inside."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from phasegan.config.run import NEARLY_EXACT, PhaseConfig, Positive, Weight
from phasegan.config.settings import Settings

Share = Annotated[float, Field(ge=0, lt=1)]
MIN_CASCADE_SIZE = 8
"""Least rows and columns of images that a shrinkage cascade is fitted to."""


class SpectralConfig(Settings):
    """The generator from phases to images, and the PatchGAN that judges its images."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1)]
    """Channels at each resolution, finest first."""
    unrolled: Annotated[int, Field(ge=1, le=16)] = 1
    """How often estimate and projection follow one another."""
    projection: Literal["sign", "magnitude", "off"] = "sign"
    """What makes the phase of an estimate the measured one."""
    encodings: Annotated[
        tuple[Literal["cascade", "posterior", "mean", "white", "image"], ...], Field(min_length=1)
    ] = ("cascade", "mean")
    """Pictures of the phase that the networks see; the first is what they refine."""
    discriminator_channels: Annotated[int, Field(ge=1, le=1024)] = 16


class PhysicsLossConfig(Settings):
    """Weights of the terms; 0 switches a term off and its computation with it."""

    cycle_b: Weight = 1.0
    structure: Weight = 0.2
    """Of 1 − ρ² between an image and what comes back of it."""
    cycle_a: Weight = 0.01
    adversarial: Weight = 1e-3
    adversarial_every: Positive = 16
    """The side of domain A is taken every so many steps, and counts so many times."""


class PhysicsOptimiserConfig(Settings):
    """AdamW for the generator, Adam for the discriminator."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    beta1: Share = 0.9
    beta2: Share = 0.99
    weight_decay: Weight = 0.0
    clip_norm: Weight = 1.0
    """Largest norm of the generator's gradient; 0: not clipped."""
    average: Share = 0.999
    """Decay of the moving average of the generator's weights; 0: none."""
    discriminator_learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    discriminator_beta1: Share = 0.5
    discriminator_beta2: Share = 0.999


class AugmentationConfig(Settings):
    """Changes of images before they are transformed."""

    flip: bool = True
    """Mirror every second image left to right."""
    crop: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Least share of a side that crops keep; 1 switches them off."""
    contrast: Weight = 0.0
    """Standard deviation of the logarithm of a factor on contrast."""
    brightness: Weight = 0.0
    """Standard deviation of a shift, as a share of white."""
    gamma: Weight = 0.0
    """Standard deviation of the logarithm of an exponent."""

    @property
    def active(self) -> bool:
        """Whether any image is changed."""
        changes = self.contrast + self.brightness + self.gamma
        return self.flip or self.crop < 1 or changes > 0


NO_AUGMENTATION = AugmentationConfig(flip=False, crop=1.0)


class PhysicsConfig(PhaseConfig):
    """The exact transform inside the cycle, and one generator to train."""

    preset: Literal["physics"] = "physics"
    networks: SpectralConfig
    losses: PhysicsLossConfig = PhysicsLossConfig()
    optimiser: PhysicsOptimiserConfig = PhysicsOptimiserConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    batch_size: Positive = 8
    disjoint: bool = False
    """Domain A takes the first half of the samples and domain B the second."""

    size_name: ClassVar[str] = "--widths"

    @model_validator(mode="after")
    def _check(self) -> PhysicsConfig:
        if not self.regression and self.period == 0:
            raise ValueError(
                "every loss is switched off; give --cycle-b, --structure, --cycle-a or "
                "--adversarial a weight"
            )
        if self.disjoint and self.data.samples < 2:
            raise ValueError("disjoint halves need 2 samples or more; raise --samples")
        if self.disjoint and self.data.images_digest is not None:
            raise ValueError("phases and images of two files are disjoint; leave --disjoint out")
        return self

    @property
    def label(self) -> str:
        """`physics-small`, `physics-full`, or `physics-24-48-96` for other widths."""
        if self.variant == "custom":
            return f"{self.preset}-{'-'.join(map(str, self.networks.widths))}"
        return f"{self.preset}-{self.variant}"

    @property
    def learning_rate(self) -> float:
        """AdamW's, after the warm-up."""
        return self.optimiser.learning_rate

    @property
    def network_names(self) -> tuple[str, ...]:
        """The generator, and the discriminator where there is an adversarial loss."""
        judge = ("discriminator_b",) if self.losses.adversarial > 0 else ()
        return ("generator_ab", *judge)

    @property
    def period(self) -> int:
        """The side of domain A is taken in every so manyth step; 0: never."""
        losses = self.losses
        if losses.cycle_a == 0 and losses.adversarial == 0:
            return 0
        return losses.adversarial_every if self.regression else 1

    @property
    def regression(self) -> bool:
        """Whether images are compared with what comes back of them."""
        return self.losses.cycle_b > 0 or self.losses.structure > 0

    @property
    def samples_a(self) -> int:
        """Samples of domain A."""
        if self.data.phase_samples is not None:
            return self.data.phase_samples
        return self.data.samples // 2 if self.disjoint else self.data.samples

    @property
    def samples_b(self) -> int:
        """Samples of domain B, which decide how long an epoch is."""
        return self.data.samples - self.data.samples // 2 if self.disjoint else self.data.samples

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch of domain B; the last batch may be smaller."""
        return -(-self.samples_b // self.batch_size)

    def generator_sizes(self) -> dict[str, Any]:
        """Return what the generator is made from, but for its precision."""
        data, networks = self.data, self.networks
        return {
            "size": data.size,
            "padded": data.padded,
            "channels": data.channel_count,
            "noise": data.phase_error,
            "widths": networks.widths,
            "unrolled": networks.unrolled,
            "projection": networks.projection,
            "encodings": networks.encodings,
            "exact": data.phase_error <= NEARLY_EXACT,
        }


PHYSICS_VARIANTS: dict[str, dict[str, Any]] = {
    "full": {"widths": (32, 64, 128, 192, 256), "discriminator_channels": 64},
    "small": {"widths": (16, 32, 64, 96, 128), "discriminator_channels": 16},
}
"""`small` is what two CPU cores can train in minutes; `full` doubles its widths."""
