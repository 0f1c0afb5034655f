"""What a CycleGAN is made of, for every preset that trains one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from phasegan.config.run import LossConfig, OptimiserConfig, PaperConfig
from phasegan.config.translation import TranslationConfig

UNET_FACTORS = (1, 2, 4, 4)
"""Widths of a U-Net at full, half, quarter and eighth resolution, over the first."""


@dataclass(frozen=True)
class Design:
    """Networks and objective.

    Attributes
    ----------
    channels : (int, int)
        Of domain A and of domain B.
    size : int
        Rows and columns of the batches.
    generator, discriminator : dict
        As of `phasegan.models.build`, without the channels of pictures.
    losses, optimiser : LossConfig, OptimiserConfig
        Weights and rates.
    adversarial : str
        Name of the adversarial loss.
    names : tuple of str
        The networks that there are.
    average : float
        Decay of the average of the generators' weights; 0: none.
    augment : tuple of str
        Changes of what discriminators see.
    """

    channels: tuple[int, int]
    size: int
    generator: dict[str, Any]
    discriminator: dict[str, Any]
    losses: LossConfig
    optimiser: OptimiserConfig
    names: tuple[str, ...]
    adversarial: str = "least-squares"
    average: float = 0.0
    augment: tuple[str, ...] = ()

    @property
    def identity(self) -> bool:
        """Whether a generator is shown pictures of the domain that it makes."""
        return self.losses.identity > 0 and self.channels[0] == self.channels[1]

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch are normalised together."""
        return "batch" in (self.generator.get("norm"), self.discriminator.get("norm"))

    def network(self, name: str) -> dict[str, Any]:
        """Return the design of a network by its name."""
        a, b = self.channels
        if name.startswith("discriminator"):
            return {**self.discriminator, "in_channels": a if name.endswith("a") else b}
        came, goes = (a, b) if name == "generator_ab" else (b, a)
        return {**self.generator, "in_channels": came, "out_channels": goes}


def design_of(config: PaperConfig | TranslationConfig) -> Design:
    """Return the design that a configuration stands for."""
    if isinstance(config, PaperConfig):
        count, networks = config.data.channel_count, config.networks
        return Design(
            channels=(count, count),
            size=config.size,
            generator={
                "kind": "resnet",
                "base_channels": networks.base_channels,
                "blocks": networks.blocks,
            },
            discriminator={"kind": "patch", "base_channels": networks.discriminator_channels},
            losses=config.losses,
            optimiser=config.optimiser,
            names=config.network_names,
        )
    made, data = config.networks, config.data
    generator: dict[str, Any] = {"kind": made.generator}
    if made.generator == "unet":
        generator["widths"] = [factor * made.base_channels for factor in UNET_FACTORS]
        generator["upsampling"] = made.upsampling
    else:
        generator |= {
            "base_channels": made.base_channels,
            "blocks": made.blocks,
            "padding": made.padding,
            "norm": made.norm,
            "dropout": made.dropout,
            "upsampling": made.upsampling,
        }
    return Design(
        channels=(data.a.channels, data.b.channels),
        size=config.size,
        generator=generator,
        discriminator={
            "kind": "patch",
            "base_channels": made.discriminator_channels,
            "norm": made.norm,
            "spectral_norm": made.spectral_norm,
        },
        losses=config.losses,
        optimiser=config.optimiser,
        names=config.network_names,
        adversarial=config.losses.adversarial,
        average=config.optimiser.average,
        augment=config.augment,
    )
