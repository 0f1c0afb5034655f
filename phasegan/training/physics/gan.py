"""A CycleGAN whose image → phase direction is the exact transform, and its adversarial step.

One generator is trained, phase → image. Image → phase → image is a regression through a
known forward model, which any image supervises; phase → image → phase is a distance on the
circle; a discriminator scores images.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.physics import PhysicsConfig
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.fourier.convention import forward
from phasegan.fourier.phase_encoder import PhaseEncoder
from phasegan.losses.adversarial import REAL, discriminator_loss, least_squares
from phasegan.losses.reconstruction import circular_distance, soft_clipped_mse, structure_loss
from phasegan.models.blocks import initialise
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.spectral import SpectralGenerator
from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.data.loader import Batch, MicroBatch
from phasegan.training.data.phases import PhysicsBatches
from phasegan.training.ema import update_ema
from phasegan.training.gan import GAN
from phasegan.training.image_pool import ImagePool
from phasegan.training.physics.statistics import DomainStatistics
from phasegan.training.seeding import seeded_generator

LOSSES = ("cycle_b", "structure", "cycle_a", "adversarial_ab", "discriminator_b")
"""Names of the terms, unweighted, in the order in which they are logged."""

EARLIER_WEIGHT = 0.3
"""Weight of the estimates before the last in an unrolled generator's regression."""

_NETWORKS, _POOL, _DISCRIMINATOR, _NOISE = 0, 2, 3, 4  # numbers of random streams


class PhysicsGAN(GAN):
    """The generator and its average, the discriminator, their optimisers and the pool.

    Parameters
    ----------
    config, device, execution, processes
        As of `TrainingSetup`.
    """

    loss_names = LOSSES

    def __init__(
        self,
        config: PhysicsConfig,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.config, self.device = config, device
        self.accelerator = Accelerator(config.precision, device, execution, processes)
        data, adam = config.data, config.optimiser
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed((config.seed << 8) + _NETWORKS)
            self.generator_ab = SpectralGenerator(
                **config.generator_sizes(), precision=self.accelerator.autocast_dtype
            )
        self.generator_ab.to(device)
        self.padded = data.padded != data.size
        self.ema = copy.deepcopy(self.generator_ab).requires_grad_(False).eval()
        for unet in self.generator_ab.unets:
            self.accelerator.configure(unet)
        self.updates = 0
        self.optimiser_g = self.accelerator.make_optimiser(
            torch.optim.AdamW,
            (self.generator_ab,),
            adam.learning_rate,
            betas=(adam.beta1, adam.beta2),
            weight_decay=adam.weight_decay,
        )
        self.discriminator_b: PatchDiscriminator | None = None
        self.optimiser_d: torch.optim.Optimizer | None = None
        if config.losses.adversarial > 0:
            with torch.random.fork_rng(devices=[]):
                discriminator = PatchDiscriminator(
                    data.channel_count, config.networks.discriminator_channels
                )
            initialise(discriminator, seeded_generator(config.seed, _DISCRIMINATOR))
            self.accelerator.prepare(discriminator)
            self.discriminator_b = discriminator
            self.optimiser_d = self.accelerator.make_optimiser(
                torch.optim.Adam,
                (discriminator,),
                adam.discriminator_learning_rate,
                betas=(adam.discriminator_beta1, adam.discriminator_beta2),
            )
        self.pool_b = ImagePool(config.pool_size, seeded_generator(config.seed, _POOL))
        self.noise = seeded_generator(config.seed, _NOISE, device)
        self.encode = PhaseEncoder(data.frame, data.phase_noise, data.phase_bits, device)
        self.statistics = DomainStatistics(
            config, self.generator_ab, self.ema, self.encode, processes
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that the run folder keeps: averaged generator, discriminator."""
        networks: dict[str, nn.Module] = {"generator_ab": self.ema}
        if self.discriminator_b is not None:
            networks["discriminator_b"] = self.discriminator_b
        return networks

    def setup(self, batches: PhysicsBatches, progress: Progress, *, resume: bool = False) -> None:
        """Compute the means over domain B, and fit the encodings' cascades to its images.

        A checkpoint holds them, but for the folds.
        """
        if resume:
            self.statistics.make_folds(batches)
        else:
            self.statistics.fit(batches, progress)

    def training_step(self, batch: Batch, lr_factor: float = 1.0) -> dict[str, Tensor]:
        """Update the generator, then the discriminator if the batch has domain A.

        Without phases neither their cycle nor the discriminator takes part in the step; with
        them they count `period` times (lazy regularisation, Karras et al. 2020,
        doi:10.1109/CVPR42600.2020.00813, appendix B).
        """
        terms: dict[str, Tensor] = {}
        adam, set_rate = self.config.optimiser, self.accelerator.set_learning_rate
        set_rate(self.optimiser_g, lr_factor * adam.learning_rate)
        set_rate(self.optimiser_d, lr_factor * adam.discriminator_learning_rate)
        self._set_precision()
        self.optimiser_g.zero_grad(set_to_none=True)
        noise = self.encode.draw_noise(batch.total, self.config.data.channel_count, self.noise)
        both, fakes = batch.has_domain_a and self.config.period > 0, []
        for micro in batch.micro_batches:
            if self.config.regression:
                self._step_b(micro, noise, terms)
            if both:
                fakes.append(self._step_a(micro, terms))
        self.accelerator.optimiser_step(self.optimiser_g, (self.generator_ab,), adam.clip_norm)
        update_ema(self.ema, self.generator_ab, adam.average, self.updates)
        self.updates += 1
        if both and self.discriminator_b is not None:
            self._discriminator_step(self.discriminator_b, batch, fakes, terms)
        self.accelerator.scaler.update()
        return terms

    def _step_b(self, micro: MicroBatch, noise: Tensor | None, terms: dict[str, Tensor]) -> None:
        """Accumulate the gradients of the cycle of images."""
        weights, target, rows = self.config.losses, micro.real_b.pixels, micro.part.rows
        phases = self.encode(target, None if noise is None else noise[rows])
        estimates = self.generator_ab.estimates(phases.phase, phases.trusted, micro.real_b.fold)
        losses, parts = dict[str, Tensor](), list[Tensor]()
        for estimate in reversed(estimates):
            pixels, share = _pixels(estimate), EARLIER_WEIGHT if parts else 1.0
            if weights.cycle_b > 0:
                loss = soft_clipped_mse(pixels, target)
                losses.setdefault("cycle_b", loss)
                parts.append(share * weights.cycle_b * loss)
            if weights.structure > 0:
                loss = structure_loss(pixels, target, centred=not self.padded)
                losses.setdefault("structure", loss)
                parts.append(share * weights.structure * loss)
        self.accelerator.backward(micro.part.share, torch.stack(parts).sum(), losses, terms)

    def _step_a(self, micro: MicroBatch, terms: dict[str, Tensor]) -> Tensor:
        """Accumulate the gradients of the cycle of phases and of the adversarial term."""
        weights, real_a = self.config.losses, micro.real_a
        fake_b: Tensor = self.generator_ab(*real_a)
        losses, parts = dict[str, Tensor](), []
        if weights.cycle_a > 0:
            pixels = _pixels(fake_b.float()).clamp(0.0, 1.0)
            losses["cycle_a"] = circular_distance(
                forward(pixels, self.encode.frame),
                real_a.phase,
                self.statistics.magnitude,
                self.statistics.weights,
                real_a.trusted,
            )
            parts.append(weights.cycle_a * losses["cycle_a"])
        if self.discriminator_b is not None:
            self.discriminator_b.requires_grad_(False)
            with self.accelerator.autocast():
                scores = self.discriminator_b(self.accelerator.to_memory_format(fake_b))
                losses["adversarial_ab"] = least_squares(scores, REAL)
            parts.append(weights.adversarial * losses["adversarial_ab"])
        total = self.config.period * torch.stack(parts).sum()
        self.accelerator.backward(micro.part.share, total, losses, terms)
        return fake_b.detach()

    def _discriminator_step(
        self,
        discriminator: PatchDiscriminator,
        batch: Batch,
        fakes: Sequence[Tensor],
        terms: dict[str, Tensor],
    ) -> None:
        """Update the discriminator on images and on fakes of the pool.

        Every process holds the same pool, so that its contents do not depend on the number of
        processes.
        """
        data, optimiser = self.config.data, self.optimiser_d
        assert optimiser is not None
        none = torch.zeros(0, data.channel_count, *data.shape, device=self.device)
        rows = self.accelerator.processes.gather_rows(torch.cat([none, *fakes]), batch.total)
        old_b = self.pool_b.query(rows)
        discriminator.requires_grad_(True)
        optimiser.zero_grad(set_to_none=True)
        for micro in batch.micro_batches:
            real, old = 2.0 * micro.real_b.pixels - 1.0, old_b[micro.part.rows]
            with self.accelerator.autocast():
                scores = (
                    discriminator(self.accelerator.to_memory_format(images))
                    for images in (real, old)
                )
                loss = discriminator_loss(*scores)
            self.accelerator.backward(micro.part.share, loss, {"discriminator_b": loss}, terms)
        self.accelerator.optimiser_step(optimiser, (discriminator,))

    def reconstruct(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct phases with the averaged generator."""
        shape = (len(phase), -1, *phase.shape[-2:])

        def batch(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).reshape(shape).to(self.device)

        mask = None if trusted is None else batch(trusted)
        with torch.no_grad():
            return self.ema(batch(phase.astype(np.float32)), mask).float().cpu().numpy()

    def _set_precision(self) -> None:
        """Compute as the accelerator does by now: it may have backed off to float32."""
        for generator in (self.generator_ab, self.ema):
            generator.precision = self.accelerator.autocast_dtype

    def state_dict(self) -> dict[str, Any]:
        """Return networks, average, optimisers, scaler, pool and noise for a checkpoint."""
        discriminator, optimiser = self.discriminator_b, self.optimiser_d
        return {
            "generator_ab": self.generator_ab.state_dict(),
            "average": self.ema.state_dict(),
            "updates": self.updates,
            "discriminator_b": None if discriminator is None else discriminator.state_dict(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": None if optimiser is None else optimiser.state_dict(),
            "mechanics": self.accelerator.state_dict(),
            "folds": self.statistics.state_dict(),
            "pool_b": self.pool_b.state_dict(),
            "noise": self.noise.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.generator_ab.load_state_dict(state["generator_ab"])
        self.ema.load_state_dict(state["average"])
        self.updates = int(state["updates"])
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        if self.discriminator_b is not None and self.optimiser_d is not None:
            self.discriminator_b.load_state_dict(state["discriminator_b"])
            self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.accelerator.load_state_dict(state["mechanics"])
        self._set_precision()
        self.statistics.load_state_dict(state["folds"])
        self.pool_b.load_state_dict(state["pool_b"], self.device)
        self.noise.set_state(state["noise"])


def _pixels(images: Tensor) -> Tensor:
    """Return images of domain B in 0..1."""
    return 0.5 * (images + 1.0)
