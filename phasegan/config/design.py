"""The designs of a CycleGAN's networks and its objective, from any configuration that has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from phasegan.config.options.size import Size
from phasegan.config.run import LossConfig, OptimiserConfig, PaperConfig
from phasegan.config.translation import TranslationConfig

_UNET_FACTORS = (1, 2, 4, 4)
"""Widths of a U-Net at full, half, quarter and eighth resolution, relative to the first."""


@dataclass(frozen=True)
class Design:
    """The designs of the networks, and the objective.

    Attributes
    ----------
    channels : (int, int)
        Of domain A and of domain B.
    size : int
        Rows and columns of the batches.
    generator, discriminator : dict
        As of `phasegan.models.build`, without the channels of images.
    losses, optimiser : LossConfig, OptimiserConfig
        Weights and rates.
    names : tuple of str
        The networks: some of `generator_ab`, `generator_ba`, `discriminator_a`,
        `discriminator_b`.
    adversarial : str
        Name of the adversarial loss.
    ema_decay : float
        Decay of the average of the generators' weights; 0: none.
    augment : tuple of str
        Differentiable augmentation of the discriminators' inputs.
    """

    channels: tuple[int, int]
    size: Size
    generator: dict[str, Any]
    discriminator: dict[str, Any]
    losses: LossConfig
    optimiser: OptimiserConfig
    names: tuple[str, ...]
    adversarial: str = "least-squares"
    ema_decay: float = 0.0
    augment: tuple[str, ...] = ()

    @property
    def identity(self) -> bool:
        """Whether the identity loss is used: generators are applied to images of their target."""
        return self.losses.identity > 0 and self.channels[0] == self.channels[1]

    @property
    def uses_batch_norm(self) -> bool:
        """Whether images of a batch are normalised together."""
        return "batch" in (self.generator.get("norm"), self.discriminator.get("norm"))

    def network(self, name: str) -> dict[str, Any]:
        """Return the design of a network.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        dict
            As of `phasegan.models.build`.
        """
        a, b = self.channels
        if name.startswith("discriminator"):
            return {**self.discriminator, "in_channels": a if name.endswith("a") else b}
        source, target = (a, b) if name == "generator_ab" else (b, a)
        return {**self.generator, "in_channels": source, "out_channels": target}


def make_design(config: PaperConfig | TranslationConfig) -> Design:
    """Return the design of a configuration's networks.

    Parameters
    ----------
    config : PaperConfig or TranslationConfig
        The run.

    Returns
    -------
    Design
        Of networks and objective.
    """
    if isinstance(config, PaperConfig):
        count, sizes = config.data.channel_count, config.networks
        return Design(
            channels=(count, count),
            size=config.size,
            generator={
                "kind": "resnet",
                "base_channels": sizes.base_channels,
                "blocks": sizes.blocks,
            },
            discriminator={"kind": "patch", "base_channels": sizes.discriminator_channels},
            losses=config.losses,
            optimiser=config.optimiser,
            names=config.network_names,
        )
    networks, data = config.networks, config.data
    generator: dict[str, Any] = {"kind": networks.generator}
    if networks.generator == "unet":
        generator["widths"] = [factor * networks.base_channels for factor in _UNET_FACTORS]
        generator["upsampling"] = networks.upsampling
    else:
        generator |= {
            "base_channels": networks.base_channels,
            "blocks": networks.blocks,
            "padding": networks.padding,
            "norm": networks.norm,
            "dropout": networks.dropout,
            "upsampling": networks.upsampling,
        }
    return Design(
        channels=(data.a.channels, data.b.channels),
        size=config.size,
        generator=generator,
        discriminator={
            "kind": "patch",
            "base_channels": networks.discriminator_channels,
            "norm": networks.norm,
            "spectral_norm": networks.spectral_norm,
        },
        losses=config.losses,
        optimiser=config.optimiser,
        names=config.network_names,
        adversarial=config.losses.adversarial,
        ema_decay=config.optimiser.average,
        augment=config.augment,
    )
