"""The networks of a CycleGAN and one adversarial step.

Zhu et al. 2017, equations 1 to 3, with the identity term of section 5.2.
Domain A is the phase picture, domain B the image, both (batch, C, N, N).
`discriminator_a` judges domain A, `discriminator_b` judges domain B.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.losses.adversarial import REAL, discriminator_loss, least_squares
from phasegan.losses.reconstruction import absolute
from phasegan.models.blocks import initialise
from phasegan.models.domains import phase_picture
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.resnet import ResNetGenerator
from phasegan.progress import Progress
from phasegan.runs.config import PaperConfig
from phasegan.training.pool import ImagePool
from phasegan.training.randomness import stream
from phasegan.training.schedule import rate_factor

LOSSES = (
    "adversarial_ab",
    "adversarial_ba",
    "cycle_a",
    "cycle_b",
    "identity_a",
    "identity_b",
    "discriminator_a",
    "discriminator_b",
)
"""Names of the terms, unweighted, in the order in which they are logged."""

HALF = {"32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of the convolutions by the name of a precision; None: float32."""
_POOL_A, _POOL_B = 1, 2


class CycleGAN:
    """Two generators, two discriminators, their optimisers and image pools.

    Parameters
    ----------
    config : PaperConfig
        Sizes, weights of the losses, rates, seed.
    device : torch.device
        Where the networks live.
    """

    def __init__(self, config: PaperConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        networks, channels = config.networks, 3 if config.data.channels == "rgb" else 1
        sizes = (channels, channels, networks.base_channels, networks.blocks)
        self.generator_ab = ResNetGenerator(*sizes)
        self.generator_ba = ResNetGenerator(*sizes)
        self.discriminator_a = PatchDiscriminator(channels, networks.discriminator_channels)
        self.discriminator_b = PatchDiscriminator(channels, networks.discriminator_channels)
        source = stream(config.seed, 0)
        for network in self.networks().values():
            initialise(network, source)
            network.to(device)
        adam = config.optimiser
        options: dict[str, Any] = {
            "lr": adam.learning_rate,
            "betas": (adam.beta1, adam.beta2),
        }
        self.optimiser_g = torch.optim.Adam(
            [*self.generator_ab.parameters(), *self.generator_ba.parameters()], **options
        )
        self.optimiser_d = torch.optim.Adam(
            [*self.discriminator_a.parameters(), *self.discriminator_b.parameters()], **options
        )
        self.pool_a = ImagePool(config.pool_size, stream(config.seed, _POOL_A))
        self.pool_b = ImagePool(config.pool_size, stream(config.seed, _POOL_B))
        self.half = HALF[config.precision]
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")

    def networks(self) -> dict[str, nn.Module]:
        """Return the four networks by name."""
        return {name: getattr(self, name) for name in self.config.network_names}

    def begin(self, batches: Any, progress: Progress) -> None:
        """Take nothing from the data: these networks know no statistics."""

    def rate(self, step: int) -> float:
        """Return the share of the initial learning rate at an optimiser step, from 0."""
        return rate_factor(step // self.config.steps_per_epoch, self.config.epochs)

    def set_rate(self, factor: float) -> None:
        """Set both learning rates to a share of the initial one."""
        for optimiser in (self.optimiser_g, self.optimiser_d):
            for group in optimiser.param_groups:
                group["lr"] = self.config.optimiser.learning_rate * factor

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.half is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.half)

    def step(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Update the generators, then the discriminators.

        Parameters
        ----------
        real_a, real_b : torch.Tensor
            Phase pictures and images, (batch, C, N, N), float32 in [−1, 1], on
            the networks' device; they do not belong together.

        Returns
        -------
        dict of torch.Tensor
            Every loss of `LOSSES` that is switched on: detached scalars on the
            device, unweighted.
        """
        weights, terms = self.config.losses, {}
        discriminators = (self.discriminator_a, self.discriminator_b)

        for network in discriminators:
            network.requires_grad_(False)
        with self._autocast():
            fake_b = self.generator_ab(real_a)
            fake_a = self.generator_ba(real_b)
            terms["adversarial_ab"] = least_squares(self.discriminator_b(fake_b), REAL)
            terms["adversarial_ba"] = least_squares(self.discriminator_a(fake_a), REAL)
            terms["cycle_a"] = absolute(self.generator_ba(fake_b), real_a)
            terms["cycle_b"] = absolute(self.generator_ab(fake_a), real_b)
            total = terms["adversarial_ab"] + terms["adversarial_ba"]
            total = total + weights.cycle_a * terms["cycle_a"] + weights.cycle_b * terms["cycle_b"]
            if weights.identity > 0:
                terms["identity_a"] = absolute(self.generator_ba(real_a), real_a)
                terms["identity_b"] = absolute(self.generator_ab(real_b), real_b)
                total = total + weights.identity * (
                    weights.cycle_a * terms["identity_a"] + weights.cycle_b * terms["identity_b"]
                )
        self._update(self.optimiser_g, total)

        for network in discriminators:
            network.requires_grad_(True)
        with self._autocast():
            old_a, old_b = self.pool_a.query(fake_a), self.pool_b.query(fake_b)
            terms["discriminator_a"] = discriminator_loss(
                self.discriminator_a(real_a), self.discriminator_a(old_a)
            )
            terms["discriminator_b"] = discriminator_loss(
                self.discriminator_b(real_b), self.discriminator_b(old_b)
            )
        self._update(self.optimiser_d, terms["discriminator_a"] + terms["discriminator_b"])
        self.scaler.update()
        return {name: value.detach() for name, value in terms.items()}

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(optimiser)

    def takes_both(self, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Every step takes both domains."""
        return np.ones(len(done), dtype=bool)

    @property
    def likeness(self) -> None:
        """Steps cost what the configuration says."""

    def rehearse(self, batches: Any) -> float:
        """Nothing is fitted before the first step."""
        return 0.0

    def pictures(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct phases, (n[, C], N, N // 2 + 1): (n, C, N, N), pictures of domain B."""
        with torch.no_grad():
            inputs = torch.from_numpy(phase_picture(phase)).to(self.device)
            return self.generator_ab(inputs).float().cpu().numpy()

    def state(self) -> dict[str, Any]:
        """Return networks, optimisers, scaler and pools for a checkpoint."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks().items()},
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "scaler": self.scaler.state_dict(),
            "pool_a": self.pool_a.state(),
            "pool_b": self.pool_b.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        for name, network in self.networks().items():
            network.load_state_dict(state["networks"][name])
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.scaler.load_state_dict(state["scaler"])
        self.pool_a.restore(state["pool_a"], self.device)
        self.pool_b.restore(state["pool_b"], self.device)
