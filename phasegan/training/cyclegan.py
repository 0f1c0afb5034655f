"""The networks of a CycleGAN and one adversarial step.

Zhu et al. 2017, equations 1 to 3, with the identity term of section 5.2.
Domain A is the phase picture, domain B the image, both (batch, C, N, N).
`discriminator_a` judges domain A, `discriminator_b` judges domain B.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from phasegan.processes import ALONE, Processes
from phasegan.progress import Progress
from phasegan.runs.config import PaperConfig
from phasegan.runs.execution import STANDARD, Execution
from phasegan.training.mechanics import Mechanics
from phasegan.training.parts import Batch, Piece, whole
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

_POOL_A, _POOL_B = 1, 2


class CycleGAN:
    """Two generators, two discriminators, their optimisers and image pools.

    Parameters
    ----------
    config : PaperConfig
        Sizes, weights of the losses, rates, seed.
    device : torch.device
        Where the networks live.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Those that train together.
    """

    losses = LOSSES

    def __init__(
        self,
        config: PaperConfig,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = ALONE,
    ) -> None:
        self.config, self.device = config, device
        self.mechanics = Mechanics(config.precision, device, execution, processes)
        networks, channels = config.networks, 3 if config.data.channels == "rgb" else 1
        self.shape = (channels, config.data.size, config.data.size)
        sizes = (channels, channels, networks.base_channels, networks.blocks)
        self.generator_ab = ResNetGenerator(*sizes)
        self.generator_ba = ResNetGenerator(*sizes)
        self.discriminator_a = PatchDiscriminator(channels, networks.discriminator_channels)
        self.discriminator_b = PatchDiscriminator(channels, networks.discriminator_channels)
        self.generators = (self.generator_ab, self.generator_ba)
        self.discriminators = (self.discriminator_a, self.discriminator_b)
        source = stream(config.seed, 0)
        for network in self.networks().values():
            initialise(network, source)
            self.mechanics.place(network)
        adam = config.optimiser
        betas = (adam.beta1, adam.beta2)
        make = self.mechanics.adam
        kind = torch.optim.Adam
        self.optimiser_g = make(kind, self.generators, adam.learning_rate, betas=betas)
        self.optimiser_d = make(kind, self.discriminators, adam.learning_rate, betas=betas)
        self.pool_a = ImagePool(config.pool_size, stream(config.seed, _POOL_A))
        self.pool_b = ImagePool(config.pool_size, stream(config.seed, _POOL_B))

    def networks(self) -> dict[str, nn.Module]:
        """Return the four networks by name."""
        return {name: getattr(self, name) for name in self.config.network_names}

    def begin(self, batches: Any, progress: Progress) -> None:
        """Take nothing from the data: these networks know no statistics."""

    def go_on(self, batches: Any) -> None:
        """Take nothing: a checkpoint has all."""

    def rate(self, step: int) -> float:
        """Return the share of the initial learning rate at an optimiser step, from 0."""
        return rate_factor(step // self.config.steps_per_epoch, self.config.epochs)

    def set_rate(self, factor: float) -> None:
        """Set both learning rates to a share of the initial one."""
        for optimiser in (self.optimiser_g, self.optimiser_d):
            self.mechanics.set_rates(optimiser, self.config.optimiser.learning_rate * factor)

    def step(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of each domain at once; see `learn`.

        Parameters
        ----------
        real_a, real_b : torch.Tensor
            Phase pictures and images, (batch, C, N, N), float32 in [−1, 1], on
            the networks' device; they do not belong together.
        """
        count = len(real_a)
        return self.learn(Batch([Piece(real_a, real_b, whole(count))], count))

    def learn(self, batch: Batch) -> dict[str, Tensor]:
        """Update the generators, then the discriminators.

        Parameters
        ----------
        batch : Batch
            Of phase pictures and images as of `step`.

        Returns
        -------
        dict of torch.Tensor
            Every loss of `LOSSES` that is switched on: this process's share of the
            batch's mean, unweighted, as detached scalars on the device.
        """
        terms: dict[str, Tensor] = {}
        for network in self.discriminators:
            network.requires_grad_(False)
        self.optimiser_g.zero_grad(set_to_none=True)
        fakes = [self._generate(piece, terms) for piece in batch.pieces]
        self._update(self.optimiser_g, self.generators)

        for network in self.discriminators:
            network.requires_grad_(True)
        self.optimiser_d.zero_grad(set_to_none=True)
        old_a, old_b = self._older(fakes, batch.total)
        for piece in batch.pieces:
            self._judge(piece, old_a, old_b, terms)
        self._update(self.optimiser_d, self.discriminators)
        self.mechanics.scaler.update()
        return terms

    def _generate(self, piece: Piece, terms: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Add the generators' gradients of a piece; return what they made of it."""
        weights, own = self.config.losses, dict[str, Tensor]()
        real_a, real_b = map(self.mechanics.laid_out, piece[:2])
        identity = weights.identity > 0
        with self.mechanics.autocast():
            fake_b, *same_b = self._through(
                self.generator_ab, real_a, *([real_b] if identity else [])
            )
            fake_a, *same_a = self._through(
                self.generator_ba, real_b, *([real_a] if identity else [])
            )
            own["adversarial_ab"] = least_squares(self.discriminator_b(fake_b), REAL)
            own["adversarial_ba"] = least_squares(self.discriminator_a(fake_a), REAL)
            own["cycle_a"] = absolute(self.generator_ba(fake_b), real_a)
            own["cycle_b"] = absolute(self.generator_ab(fake_a), real_b)
            total = own["adversarial_ab"] + own["adversarial_ba"]
            total = total + weights.cycle_a * own["cycle_a"] + weights.cycle_b * own["cycle_b"]
            if identity:
                own["identity_a"] = absolute(same_a[0], real_a)
                own["identity_b"] = absolute(same_b[0], real_b)
                total = total + weights.identity * (
                    weights.cycle_a * own["identity_a"] + weights.cycle_b * own["identity_b"]
                )
        self.mechanics.add(piece.part.share, total, own, terms)
        return fake_a.detach(), fake_b.detach()

    def _judge(self, piece: Piece, old_a: Tensor, old_b: Tensor, terms: dict[str, Tensor]) -> None:
        """Add the discriminators' gradients of a piece."""
        own, rows = dict[str, Tensor](), piece.part.rows
        with self.mechanics.autocast():
            for name, network, real, old in (
                ("discriminator_a", self.discriminator_a, piece.real_a, old_a),
                ("discriminator_b", self.discriminator_b, piece.real_b, old_b),
            ):
                scores = self._through(
                    network, *(self.mechanics.laid_out(x) for x in (real, old[rows]))
                )
                own[name] = discriminator_loss(*scores)
        total = own["discriminator_a"] + own["discriminator_b"]
        self.mechanics.add(piece.part.share, total, own, terms)

    def _through(self, network: nn.Module, *batches: Tensor) -> Sequence[Tensor]:
        """Return what a network makes of each of some batches."""
        if not self.mechanics.batched or len(batches) == 1:
            return [network(batch) for batch in batches]
        joint: Tensor = network(torch.cat([batch.to(batches[0].dtype) for batch in batches]))
        return joint.split([len(batch) for batch in batches])

    def _older(self, fakes: Sequence[tuple[Tensor, Tensor]], total: int) -> tuple[Tensor, Tensor]:
        """Return what discriminators see in place of this step's fakes: all rows of the batch.

        Every process has the same pools, so that what they hold does not depend on how
        many processes there are.
        """
        none, found = torch.zeros(0, *self.shape, device=self.device), []
        for domain, pool in enumerate((self.pool_a, self.pool_b)):
            rows = torch.cat([none, *(pair[domain].float() for pair in fakes)])
            found.append(pool.query(self.mechanics.processes.gather(rows, total)))
        return found[0], found[1]

    def _update(self, optimiser: torch.optim.Optimizer, networks: Sequence[nn.Module]) -> None:
        self.mechanics.collect(networks)
        self.mechanics.scaler.step(optimiser)

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

    def ease(self) -> str:
        """Be more careful after a loss that was not finite; return what changed."""
        return self.mechanics.ease()

    def state(self) -> dict[str, Any]:
        """Return networks, optimisers, scaler and pools for a checkpoint."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks().items()},
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "mechanics": self.mechanics.state(),
            "pool_a": self.pool_a.state(),
            "pool_b": self.pool_b.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        for name, network in self.networks().items():
            network.load_state_dict(state["networks"][name])
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.mechanics.restore(state["mechanics"])
        self.pool_a.restore(state["pool_a"], self.device)
        self.pool_b.restore(state["pool_b"], self.device)
