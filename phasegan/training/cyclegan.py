"""The networks of a CycleGAN and one adversarial step.

Zhu et al. 2017, equations 1 to 3, with the identity term of section 5.2. Pictures are
(batch, C, N, N), float32 in [−1, 1]; in the preset `paper` domain A is the phase picture
and domain B the image. `discriminator_a` judges domain A, `discriminator_b` domain B.
One way alone has no `discriminator_a`, and a `generator_ba` only for the way back of the
cycle from A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.run import LossConfig, PaperConfig
from phasegan.config.translation import TranslationConfig
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.losses.adversarial import adversary
from phasegan.losses.reconstruction import absolute
from phasegan.models.domains import phase_picture
from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.batch_translation import translated
from phasegan.training.data.diff_augment import Differentiable
from phasegan.training.data.micro_batches import Batch, Part, Piece, whole
from phasegan.training.design import design_of
from phasegan.training.image_pool import ImagePool
from phasegan.training.networks import Networks
from phasegan.training.schedule import rate_factor
from phasegan.training.seeding import seeded_generator

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

Way = Literal["ab", "ba"]

_POOLS = {"a": 1, "b": 2}
_CHANGES = 3
"""Numbers of random streams; 0 is that of the weights."""


class CycleGAN:
    """Generators, discriminators, their optimisers and image pools.

    Parameters
    ----------
    config : PaperConfig or TranslationConfig
        Sizes, weights of the losses, rates, seed.
    device : torch.device
        Where the networks live.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Those that train together.
    """

    def __init__(
        self,
        config: PaperConfig | TranslationConfig,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.config, self.device = config, device
        self.design = design = design_of(config)
        self.accelerator = Accelerator(config.precision, device, execution, processes)
        self.adversary = adversary(design.adversarial)
        self.nets = Networks(design, seeded_generator(config.seed, 0))
        self.generators, self.discriminators = self.nets.generators, self.nets.discriminators
        for network in self.nets.trained.values():
            self.accelerator.prepare(network)
        for network in self.nets.ema.values():
            self.accelerator.to_device(network)
        adam = design.optimiser
        betas = (adam.beta1, adam.beta2)
        make = self.accelerator.make_optimiser
        kind = torch.optim.Adam
        generators, discriminators = (
            list(self.generators.values()),
            list(self.discriminators.values()),
        )
        self.optimiser_g = make(kind, generators, adam.learning_rate, betas=betas)
        self.optimiser_d = make(kind, discriminators, adam.learning_rate, betas=betas)
        self.pools = {
            domain: ImagePool(config.pool_size, seeded_generator(config.seed, _POOLS[domain]))
            for domain in self.discriminators
        }
        self.changes = Differentiable(design.augment, seeded_generator(config.seed, _CHANGES))
        self.losses = tuple(name for name in LOSSES if self._has(name))

    def _has(self, name: str) -> bool:
        """Tell whether there is a loss of that name."""
        kind, _, where = name.partition("_")
        if kind == "cycle":
            return "ba" in self.generators and (where == "a" or "a" in self.discriminators)
        if kind == "identity":
            return self.design.identity and where in self.discriminators
        return where[-1] in self.discriminators

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that the run folder keeps, by name: averages where there are."""
        return self.nets.kept

    def load_networks(self, networks: Mapping[str, nn.Module]) -> None:
        """Take the weights of networks of the same designs, by name."""
        self.nets.load_networks(networks)

    def setup(self, batches: Any, progress: Progress) -> None:
        """Take nothing from the data: these networks know no statistics."""

    def on_resume(self, batches: Any) -> None:
        """Take nothing: a checkpoint has all."""

    def lr_factor(self, step: int) -> float:
        """Return the share of the initial learning rate at an optimiser step, from 0."""
        return rate_factor(step // self.config.steps_per_epoch, self.config.epochs)

    def set_lr_factor(self, factor: float) -> None:
        """Set both learning rates to a share of the initial one."""
        for optimiser in (self.optimiser_g, self.optimiser_d):
            self.accelerator.set_learning_rate(
                optimiser, self.design.optimiser.learning_rate * factor
            )

    def step(self, real_a: Tensor, real_b: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of each domain at once; see `training_step`.

        Parameters
        ----------
        real_a, real_b : torch.Tensor
            Pictures of domain A and of domain B, (batch, C, N, N), float32 in
            [−1, 1], on the networks' device; they do not belong together.
        """
        count = len(real_a)
        return self.training_step(Batch([Piece(real_a, real_b, whole(count))], count))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Update the generators, then the discriminators.

        Parameters
        ----------
        batch : Batch
            Of pictures as of `step`.

        Returns
        -------
        dict of torch.Tensor
            Every loss of `LOSSES` that is switched on: this process's share of the
            batch's mean, unweighted, as detached scalars on the device.
        """
        terms: dict[str, Tensor] = {}
        numbers = self._draw(batch.total)
        discriminators = list(self.discriminators.values())
        for network in discriminators:
            network.requires_grad_(False)
        self.optimiser_g.zero_grad(set_to_none=True)
        fakes = [self._generate(piece, numbers, terms) for piece in batch.pieces]
        self._update(self.optimiser_g, list(self.generators.values()))

        for network in discriminators:
            network.requires_grad_(True)
        self.optimiser_d.zero_grad(set_to_none=True)
        old = {domain: self._older(domain, fakes, batch.total) for domain in self.discriminators}
        for piece in batch.pieces:
            self._discriminate(piece, old, numbers, terms)
        self._update(self.optimiser_d, discriminators)
        self.accelerator.scaler.update()
        self.nets.update_ema()
        return terms

    def _draw(self, total: int) -> dict[str, Tensor]:
        """Return the random numbers of the changes of a step, by what is changed."""
        if not self.design.augment:
            return {}
        names = [f"{kind}_{d}" for d in self.discriminators for kind in ("fool", "real", "fake")]
        return {name: self.changes.draw(total) for name in names}

    def _changed(
        self, pictures: Tensor, name: str, numbers: dict[str, Tensor], part: Part
    ) -> Tensor:
        """Return what a discriminator sees of pictures."""
        return self.changes(pictures, numbers[name], part) if numbers else pictures

    def _generate(
        self, piece: Piece, numbers: dict[str, Tensor], terms: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Add the generators' gradients of a piece; return what they made of it, by domain."""
        weights, own = self.design.losses, dict[str, Tensor]()
        real = dict(zip("ab", map(self.accelerator.to_memory_format, piece[:2]), strict=True))
        fakes: dict[str, Tensor] = {}
        with self.accelerator.autocast():
            for goes, came in (("b", "a"), ("a", "b")):
                if goes not in self.discriminators:
                    continue
                same = f"identity_{goes}" in self.losses
                fakes[goes], *made = self._through(
                    self.generators[came + goes],
                    real[came],
                    *([real[goes]] if same else []),
                )
                if same:
                    own[f"identity_{goes}"] = absolute(made[0], real[goes])
            for goes, came in (("b", "a"), ("a", "b")):
                if goes in fakes:
                    seen = self._changed(fakes[goes], f"fool_{goes}", numbers, piece.part)
                    own[f"adversarial_{came}{goes}"] = self.adversary.generator(
                        self.discriminators[goes](seen)
                    )
            for came, goes in (("a", "b"), ("b", "a")):
                if f"cycle_{came}" in self.losses:
                    back = self.generators[goes + came]
                    own[f"cycle_{came}"] = absolute(back(fakes[goes]), real[came])
            own = {name: own[name] for name in LOSSES if name in own}
            total = self._weighed(own, weights)
        self.accelerator.add(piece.part.share, total, own, terms)
        return {domain: fake.detach() for domain, fake in fakes.items()}

    def _weighed(self, own: dict[str, Tensor], weights: LossConfig) -> Tensor:
        """Return the objective of the generators."""
        cycles = {"a": weights.cycle_a, "b": weights.cycle_b}
        total = torch.zeros((), device=self.device)
        for name, value in own.items():
            kind, _, where = name.partition("_")
            factor = 1.0 if kind == "adversarial" else cycles[where]
            total = total + value * (factor * (weights.identity if kind == "identity" else 1.0))
        return total

    def _discriminate(
        self,
        piece: Piece,
        old: dict[str, Tensor],
        numbers: dict[str, Tensor],
        terms: dict[str, Tensor],
    ) -> None:
        """Add the discriminators' gradients of a piece."""
        own, part = dict[str, Tensor](), piece.part
        total = torch.zeros((), device=self.device)
        with self.accelerator.autocast():
            for domain in sorted(self.discriminators):
                real = piece.real_a if domain == "a" else piece.real_b
                shown = (("real", real), ("fake", old[domain][part.rows]))
                scores = self._through(
                    self.discriminators[domain],
                    *(
                        self.accelerator.to_memory_format(
                            self._changed(pictures, f"{kind}_{domain}", numbers, part)
                        )
                        for kind, pictures in shown
                    ),
                )
                loss = self.adversary.discriminator(*scores)
                own[f"discriminator_{domain}"] = loss
                total = total + loss
        self.accelerator.add(part.share, total, own, terms)

    def _through(self, network: nn.Module, *batches: Tensor) -> Sequence[Tensor]:
        """Return what a network makes of each of some batches."""
        if not self.accelerator.batched or len(batches) == 1 or self.design.mixes:
            return [network(batch) for batch in batches]
        joint: Tensor = network(torch.cat([batch.to(batches[0].dtype) for batch in batches]))
        return joint.split([len(batch) for batch in batches])

    def _older(self, domain: str, fakes: Sequence[dict[str, Tensor]], total: int) -> Tensor:
        """Return what a discriminator sees in place of this step's fakes: all rows of the batch.

        Every process has the same pools, so that what they hold does not depend on how
        many processes there are.
        """
        shape = (self.design.channels["ab".index(domain)], self.design.size, self.design.size)
        none = torch.zeros(0, *shape, device=self.device)
        rows = torch.cat([none, *(made[domain].float() for made in fakes)])
        return self.pools[domain].query(self.accelerator.processes.gather_rows(rows, total))

    def _update(self, optimiser: torch.optim.Optimizer, networks: Sequence[nn.Module]) -> None:
        self.accelerator.all_reduce_grads(networks)
        self.accelerator.scaler.step(optimiser)

    def uses_domain_a(self, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Every step takes both domains."""
        return np.ones(len(done), dtype=bool)

    @property
    def cost_key(self) -> None:
        """Steps cost what the configuration says."""

    def benchmark_setup(self, batches: Any) -> float:
        """Nothing is fitted before the first step."""
        return 0.0

    def translate(self, pictures: NDArray[np.floating], way: Way) -> NDArray[np.float32]:
        """Translate pictures with the generator that the run folder keeps.

        Parameters
        ----------
        pictures : numpy.ndarray
            (n, C, rows, columns), in [−1, 1].
        way : {"ab", "ba"}
            From which domain to which.

        Returns
        -------
        numpy.ndarray
            (n, C, rows, columns), float32 in [−1, 1].
        """
        return translated(self.networks()[f"generator_{way}"], pictures, self.device)

    def pictures(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct phases, (n[, C], N, N // 2 + 1): (n, C, N, N), pictures of domain B."""
        return self.translate(phase_picture(phase), "ab")

    def back_off(self) -> str:
        """Be more careful after a loss that was not finite; return what changed."""
        return self.accelerator.back_off()

    def state(self) -> dict[str, Any]:
        """Return networks, averages, optimisers, scaler and pools for a checkpoint."""
        return {
            **self.nets.state(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "mechanics": self.accelerator.state(),
            "changes": self.changes.source.get_state(),
            **{f"pool_{domain}": pool.state() for domain, pool in self.pools.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self.nets.restore(state)
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.accelerator.restore(state["mechanics"])
        if "changes" in state:
            self.changes.source.set_state(state["changes"])
        for domain, pool in self.pools.items():
            pool.restore(state[f"pool_{domain}"], self.device)
