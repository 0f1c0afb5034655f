"""A CycleGAN's networks and its adversarial step.

Zhu et al. 2017, equations 1 to 3, with the identity term of section 5.2. Images are
(batch, C, N, N), float32 in [−1, 1]; in the preset `paper` domain A is the phase image and
domain B the image. `discriminator_a` scores domain A, `discriminator_b` domain B. One
direction alone has no `discriminator_a`, and a `generator_ba` only for the cycle from A.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.config.design import make_design
from phasegan.config.execution import STANDARD, Execution
from phasegan.config.options.size import rows_columns
from phasegan.config.run import PaperConfig
from phasegan.config.translation import TranslationConfig
from phasegan.data.unpaired_sampler import BatchSlice
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.losses.adversarial import adversarial_loss
from phasegan.losses.diff_augment import DiffAugment
from phasegan.losses.reconstruction import l1_loss
from phasegan.models.domains import phase_image
from phasegan.models.inference import translate_batch
from phasegan.training.accelerator import Accelerator
from phasegan.training.data.loader import Batch, MicroBatch
from phasegan.training.gan import GAN
from phasegan.training.image_pool import ImagePool
from phasegan.training.networks import Networks
from phasegan.training.seeding import seeded_generator, seeded_layers

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

_POOL_STREAMS = {"a": 1, "b": 2}
_AUGMENT_STREAM, _DROPOUT_STREAM = 3, 4
"""Numbers of random streams; 0 is that of the weights."""


class CycleGAN(GAN):
    """Generators, discriminators, their optimisers and image pools.

    Parameters
    ----------
    config, device, execution, processes
        As of `TrainingSetup`.
    """

    def __init__(
        self,
        config: PaperConfig | TranslationConfig,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.config, self.device = config, device
        self.design = design = make_design(config)
        self.accelerator = Accelerator(config.precision, device, execution, processes)
        self.adversarial_loss = adversarial_loss(design.adversarial)
        self.nets = Networks(design, seeded_generator(config.seed, 0))
        self.generators, self.discriminators = self.nets.generators, self.nets.discriminators
        for network in (*self.nets.trained.values(), *self.nets.ema.values()):
            self.accelerator.prepare(network)
        adam = design.optimiser
        self.optimiser_g, self.optimiser_d = (
            self.accelerator.make_optimiser(
                torch.optim.Adam,
                list(networks.values()),
                adam.learning_rate,
                betas=(adam.beta1, adam.beta2),
            )
            for networks in (self.generators, self.discriminators)
        )
        source = functools.partial(seeded_generator, config.seed)
        self.pools = {
            domain: ImagePool(config.pool_size, source(_POOL_STREAMS[domain]))
            for domain in self.discriminators
        }
        self.diff_augment = DiffAugment(design.augment, source(_AUGMENT_STREAM))
        self.loss_names = tuple(name for name in LOSSES if self._has(name))

    def _has(self, name: str) -> bool:
        """Return whether there is a loss of that name."""
        kind, _, where = name.partition("_")
        if kind == "cycle":
            return "ba" in self.generators and (where == "a" or "a" in self.discriminators)
        if kind == "identity":
            return self.design.identity and where in self.discriminators
        return where[-1] in self.discriminators

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that the run folder keeps, by name: averages where there are."""
        return self.nets.saved

    def training_step(self, batch: Batch, lr_factor: float = 1.0) -> dict[str, Tensor]:
        """Update the generators, then the discriminators."""
        rate = self.design.optimiser.learning_rate * lr_factor
        for optimiser in (self.optimiser_g, self.optimiser_d):
            self.accelerator.set_learning_rate(optimiser, rate)
        terms: dict[str, Tensor] = {}
        numbers = self._draw(batch.total)
        discriminators = list(self.discriminators.values())
        for network in discriminators:
            network.requires_grad_(False)
        self.optimiser_g.zero_grad(set_to_none=True)
        with self._dropout_seed():
            fakes = [self._generate(micro, numbers, terms) for micro in batch.micro_batches]
        self.accelerator.optimiser_step(self.optimiser_g, self.generators.values())

        for network in discriminators:
            network.requires_grad_(True)
        self.optimiser_d.zero_grad(set_to_none=True)
        old = {
            domain: self._pooled_fakes(domain, fakes, batch.total) for domain in self.discriminators
        }
        for micro in batch.micro_batches:
            self._discriminate(micro, old, numbers, terms)
        self.accelerator.optimiser_step(self.optimiser_d, discriminators)
        self.accelerator.scaler.update()
        self.nets.update_ema()
        return terms

    def _dropout_seed(self) -> contextlib.AbstractContextManager[None]:
        """Return the context in which dropout follows from seed, step and process alone."""
        if not self.design.generator.get("dropout"):
            return contextlib.nullcontext()
        rank = self.accelerator.processes.rank
        key = (self.config.seed, _DROPOUT_STREAM, self.nets.updates, rank)
        return seeded_layers(key, self.device)

    def _draw(self, total: int) -> dict[str, Tensor]:
        """Return the random numbers of a step's differentiable augmentation, by loss and domain."""
        if not self.design.augment:
            return {}
        names = [f"{kind}_{d}" for d in self.discriminators for kind in ("fool", "real", "fake")]
        return {name: self.diff_augment.draw(total) for name in names}

    def _augmented(
        self, images: Tensor, name: str, numbers: dict[str, Tensor], part: BatchSlice
    ) -> Tensor:
        """Return images as a discriminator sees them."""
        return self.diff_augment(images, numbers[name], part.rows) if numbers else images

    def _generate(
        self, micro: MicroBatch, numbers: dict[str, Tensor], terms: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Accumulate the generators' gradients of a part of a batch; return its fakes by domain."""
        losses = dict[str, Tensor]()
        real = dict(zip("ab", map(self.accelerator.to_memory_format, micro[:2]), strict=True))
        fakes: dict[str, Tensor] = {}
        with self.accelerator.autocast():
            for target, source in (("b", "a"), ("a", "b")):
                if target not in self.discriminators:
                    continue
                identity = f"identity_{target}" in self.loss_names
                fakes[target], *same_domain = self._apply(
                    self.generators[source + target],
                    real[source],
                    *([real[target]] if identity else []),
                )
                if identity:
                    losses[f"identity_{target}"] = l1_loss(same_domain[0], real[target])
            for target, source in (("b", "a"), ("a", "b")):
                if target in fakes:
                    inputs = self._augmented(fakes[target], f"fool_{target}", numbers, micro.part)
                    losses[f"adversarial_{source}{target}"] = self.adversarial_loss.generator(
                        self.discriminators[target](inputs)
                    )
            for source, target in (("a", "b"), ("b", "a")):
                if f"cycle_{source}" in self.loss_names:
                    back = self.generators[target + source]
                    losses[f"cycle_{source}"] = l1_loss(back(fakes[target]), real[source])
            losses = {name: losses[name] for name in LOSSES if name in losses}
            total = self._objective(losses)
        self.accelerator.backward(micro.part.share, total, losses, terms)
        return {domain: fake.detach() for domain, fake in fakes.items()}

    def _objective(self, losses: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of the generators' losses."""
        weights, total = self.design.losses, torch.zeros((), device=self.device)
        cycles = {"a": weights.cycle_a, "b": weights.cycle_b}
        for name, value in losses.items():
            kind, _, where = name.partition("_")
            factor = 1.0 if kind == "adversarial" else cycles[where]
            total = total + value * (factor * (weights.identity if kind == "identity" else 1.0))
        return total

    def _discriminate(
        self,
        micro: MicroBatch,
        old: dict[str, Tensor],
        numbers: dict[str, Tensor],
        terms: dict[str, Tensor],
    ) -> None:
        """Accumulate the discriminators' gradients of a part of a batch."""
        losses, part = dict[str, Tensor](), micro.part
        total = torch.zeros((), device=self.device)
        with self.accelerator.autocast():
            for domain in sorted(self.discriminators):
                real = micro.real_a if domain == "a" else micro.real_b
                pairs = (("real", real), ("fake", old[domain][part.rows]))
                scores = self._apply(
                    self.discriminators[domain],
                    *(
                        self.accelerator.to_memory_format(
                            self._augmented(images, f"{kind}_{domain}", numbers, part)
                        )
                        for kind, images in pairs
                    ),
                )
                loss = self.adversarial_loss.discriminator(*scores)
                losses[f"discriminator_{domain}"] = loss
                total = total + loss
        self.accelerator.backward(part.share, total, losses, terms)

    def _apply(self, network: nn.Module, *batches: Tensor) -> Sequence[Tensor]:
        """Return a network's output for each of several batches."""
        if not self.accelerator.batched or len(batches) == 1 or self.design.uses_batch_norm:
            return [network(batch) for batch in batches]
        joint: Tensor = network(torch.cat([batch.to(batches[0].dtype) for batch in batches]))
        return joint.split([len(batch) for batch in batches])

    def _pooled_fakes(self, domain: str, fakes: Sequence[dict[str, Tensor]], total: int) -> Tensor:
        """Return the fakes that a discriminator sees, partly of earlier steps: the whole batch.

        Every process holds the same pools, so that their contents do not depend on the number
        of processes.
        """
        shape = (self.design.channels["ab".index(domain)], *rows_columns(self.design.size))
        none = torch.zeros(0, *shape, device=self.device)
        rows = torch.cat([none, *(fake[domain].float() for fake in fakes)])
        return self.pools[domain].query(self.accelerator.processes.gather_rows(rows, total))

    def translate(self, images: NDArray[np.floating], way: Way) -> NDArray[np.float32]:
        """Translate images with the generator that the run folder keeps.

        Parameters
        ----------
        images : numpy.ndarray
            (n, C, rows, columns), in [−1, 1].
        way : {"ab", "ba"}
            From which domain to which.

        Returns
        -------
        numpy.ndarray
            (n, C, rows, columns), float32 in [−1, 1].
        """
        return translate_batch(self.networks()[f"generator_{way}"], images, self.device)

    def reconstruct(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct phases: translate phase images to domain B."""
        return self.translate(phase_image(phase, rows_columns(self.design.size)), "ab")

    def state_dict(self) -> dict[str, Any]:
        """Return networks, averages, optimisers, scaler and pools for a checkpoint."""
        return {
            **self.nets.state_dict(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": self.optimiser_d.state_dict(),
            "mechanics": self.accelerator.state_dict(),
            "changes": self.diff_augment.source.get_state(),
            **{f"pool_{domain}": pool.state_dict() for domain, pool in self.pools.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.nets.load_state_dict(state)
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.accelerator.load_state_dict(state["mechanics"])
        if "changes" in state:
            self.diff_augment.source.set_state(state["changes"])
        for domain, pool in self.pools.items():
            pool.load_state_dict(state[f"pool_{domain}"], self.device)
