"""One step of a CycleGAN whose image → phase direction is the exact transform.

There is one generator to train, phase → image. Image → phase → image is a
regression through a known forward model, which any image supervises; phase →
image → phase is a distance on the circle; a discriminator judges images.
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
from phasegan.losses.adversarial import REAL, discriminator_loss, least_squares
from phasegan.losses.circular import circular_distance
from phasegan.losses.reconstruction import dissimilarity, squared
from phasegan.models.blocks import initialise
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.spectral import SpectralGenerator
from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.data.batches import PhysicsBatches
from phasegan.training.data.encoder import Images, PhaseEncoder, Phases
from phasegan.training.data.micro_batches import Batch, Piece, whole
from phasegan.training.domain_statistics import DomainStatistics
from phasegan.training.ema import update_ema
from phasegan.training.image_pool import ImagePool
from phasegan.training.schedule import warm_cosine
from phasegan.training.seeding import seeded_generator

LOSSES = ("cycle_b", "structure", "cycle_a", "adversarial_ab", "discriminator_b")
"""Names of the terms, unweighted; those that are switched off are not computed."""

EARLIER_WEIGHT = 0.3
"""Of the estimates before the last in an unrolled generator's regression."""

_NETWORKS, _POOL, _DISCRIMINATOR, _NOISE = 0, 2, 3, 4


class PhysicsGAN:
    """The generator and its average, the discriminator, their optimisers and the pool.

    Parameters
    ----------
    config : PhysicsConfig
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
        self.average = copy.deepcopy(self.generator_ab).requires_grad_(False).eval()
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
        self.encode = PhaseEncoder(data.padded, data.phase_noise, data.phase_bits, device)
        self.statistics = DomainStatistics(
            config, self.generator_ab, self.average, self.encode, processes
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return what the run folder keeps: the averaged generator, and the discriminator."""
        kept: dict[str, nn.Module] = {"generator_ab": self.average}
        if self.discriminator_b is not None:
            kept["discriminator_b"] = self.discriminator_b
        return kept

    def setup(self, batches: PhysicsBatches, progress: Progress) -> None:
        """Take the means over domain B, and fit what the encodings need to its images."""
        self.statistics.fit(batches, progress)

    def on_resume(self, batches: PhysicsBatches) -> None:
        """Divide domain B as before; the fits are in a checkpoint."""
        self.statistics.divide(batches)

    def lr_factor(self, step: int) -> float:
        """Return the share of the largest learning rate at an optimiser step, from 0."""
        return warm_cosine(step, self.config.steps)

    def set_lr_factor(self, factor: float) -> None:
        """Set both learning rates to a share of the largest one."""
        adam = self.config.optimiser
        pairs = (
            (self.optimiser_g, adam.learning_rate),
            (self.optimiser_d, adam.discriminator_learning_rate),
        )
        for optimiser, rate in pairs:
            self.accelerator.set_learning_rate(optimiser, rate * factor)

    def step(self, real_a: Phases | None, real_b: Images) -> dict[str, Tensor]:
        """Learn from one batch of each domain at once; see `training_step`.

        Parameters
        ----------
        real_a : Phases, optional
            (n, C, M, M // 2 + 1).
        real_b : Images
            (n, C, N, N); they do not belong to the phases.
        """
        count = len(real_b.pixels)
        pieces = [Piece(real_a, real_b, whole(count))]
        return self.training_step(Batch(pieces, count, real_a is not None))

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Update the generator, then the discriminator if domain A is there.

        Parameters
        ----------
        batch : Batch
            Of phases and images as of `step`. Without phases neither their cycle nor
            the discriminator has a part in the step; with them they count `period`
            times (lazy regularisation, Karras et al. 2020,
            doi:10.1109/CVPR42600.2020.00813, appendix B).

        Returns
        -------
        dict of torch.Tensor
            Every loss of `LOSSES` that was computed: this process's share of the
            batch's mean, unweighted, as detached scalars on the device.
        """
        terms: dict[str, Tensor] = {}
        self.optimiser_g.zero_grad(set_to_none=True)
        noise = self.encode.fresh(batch.total, self.config.data.channel_count, self.noise)
        both, fakes = batch.both and self.config.period > 0, []
        for piece in batch.pieces:
            if self.config.regression:
                self._step_b(piece, noise, terms)
            if both:
                fakes.append(self._step_a(piece, terms))
        self.accelerator.all_reduce_grads((self.generator_ab,))
        self.accelerator.scaler.unscale_(self.optimiser_g)
        limit = self.config.optimiser.clip_norm
        if limit > 0:
            nn.utils.clip_grad_norm_(self.generator_ab.parameters(), limit)
        self.accelerator.scaler.step(self.optimiser_g)
        self._update_ema()
        if both and self.discriminator_b is not None:
            self._discriminator_step(self.discriminator_b, batch, fakes, terms)
        self.accelerator.scaler.update()
        return terms

    def _step_b(self, piece: Piece, noise: Tensor | None, terms: dict[str, Tensor]) -> None:
        """Add the gradients of the cycle of images."""
        weights, target, rows = self.config.losses, piece.real_b.pixels, piece.part.rows
        phases = self.encode(target, None if noise is None else noise[rows])
        estimates = self.generator_ab.estimates(phases.phase, phases.trusted, piece.real_b.fold)
        own, parts = dict[str, Tensor](), list[Tensor]()
        for estimate in reversed(estimates):
            pixels, share = _pixels(estimate), EARLIER_WEIGHT if parts else 1.0
            if weights.cycle_b > 0:
                loss = squared(pixels, target)
                own.setdefault("cycle_b", loss)
                parts.append(share * weights.cycle_b * loss)
            if weights.structure > 0:
                loss = dissimilarity(pixels, target, centred=not self.padded)
                own.setdefault("structure", loss)
                parts.append(share * weights.structure * loss)
        self.accelerator.add(piece.part.share, torch.stack(parts).sum(), own, terms)

    def _step_a(self, piece: Piece, terms: dict[str, Tensor]) -> Tensor:
        """Add the gradients of the cycle of phases and of the adversarial term."""
        weights, real_a = self.config.losses, piece.real_a
        fake_b: Tensor = self.generator_ab(*real_a)
        own, parts = dict[str, Tensor](), []
        if weights.cycle_a > 0:
            pixels = _pixels(fake_b.float()).clamp(0.0, 1.0)
            own["cycle_a"] = circular_distance(
                forward(pixels, self.encode.frame),
                real_a.phase,
                self.statistics.magnitude,
                self.statistics.weights,
                real_a.trusted,
            )
            parts.append(weights.cycle_a * own["cycle_a"])
        if self.discriminator_b is not None:
            self.discriminator_b.requires_grad_(False)
            with self.accelerator.autocast():
                scores = self.discriminator_b(self.accelerator.to_memory_format(fake_b))
                own["adversarial_ab"] = least_squares(scores, REAL)
            parts.append(weights.adversarial * own["adversarial_ab"])
        total = self.config.period * torch.stack(parts).sum()
        self.accelerator.add(piece.part.share, total, own, terms)
        return fake_b.detach()

    def _discriminator_step(
        self,
        discriminator: PatchDiscriminator,
        batch: Batch,
        fakes: Sequence[Tensor],
        terms: dict[str, Tensor],
    ) -> None:
        """Update the discriminator on images and on pictures of the pool.

        Every process has the same pool, so that what it holds does not depend on how
        many processes there are.
        """
        data, optimiser = self.config.data, self.optimiser_d
        assert optimiser is not None
        none = torch.zeros(0, data.channel_count, data.size, data.size, device=self.device)
        rows = self.accelerator.processes.gather_rows(torch.cat([none, *fakes]), batch.total)
        old_b = self.pool_b.query(rows)
        discriminator.requires_grad_(True)
        optimiser.zero_grad(set_to_none=True)
        for piece in batch.pieces:
            real, old = 2.0 * piece.real_b.pixels - 1.0, old_b[piece.part.rows]
            with self.accelerator.autocast():
                scores = (
                    discriminator(self.accelerator.to_memory_format(pictures))
                    for pictures in (real, old)
                )
                loss = discriminator_loss(*scores)
            self.accelerator.add(piece.part.share, loss, {"discriminator_b": loss}, terms)
        self.accelerator.all_reduce_grads((discriminator,))
        self.accelerator.scaler.step(optimiser)

    def _update_ema(self) -> None:
        """Move the average of the generator's weights."""
        update_ema(self.average, self.generator_ab, self.config.optimiser.average, self.updates)
        self.updates += 1

    def uses_domain_a(self, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which steps take domain A: one in every `period`."""
        period = self.config.period
        return done % period == 0 if period else np.zeros(len(done), dtype=bool)

    @property
    def cost_key(self) -> int:
        """How many folds the batches are divided in."""
        return len(self.generator_ab.folds)

    def benchmark_setup(self, batches: PhysicsBatches) -> float:
        """Take rough statistics and cascades that correct nothing; time fits to a few images."""
        return self.statistics.benchmark_setup(batches)

    def pictures(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct phases, (n[, C], M, M // 2 + 1): (n, C, N, N), pictures of domain B."""
        shape = (len(phase), -1, *phase.shape[-2:])

        def batch(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).reshape(shape).to(self.device)

        known = None if trusted is None else batch(trusted)
        with torch.no_grad():
            return self.average(batch(phase.astype(np.float32)), known).float().cpu().numpy()

    def back_off(self) -> str:
        """Be more careful after a loss that was not finite; return what changed."""
        change = self.accelerator.back_off()
        self._set_precision()
        return change

    def _set_precision(self) -> None:
        for generator in (self.generator_ab, self.average):
            generator.precision = self.accelerator.autocast_dtype

    def state(self) -> dict[str, Any]:
        """Return networks, average, optimisers, scaler, pool and noise for a checkpoint."""
        discriminator, optimiser = self.discriminator_b, self.optimiser_d
        return {
            "generator_ab": self.generator_ab.state_dict(),
            "average": self.average.state_dict(),
            "updates": self.updates,
            "discriminator_b": None if discriminator is None else discriminator.state_dict(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": None if optimiser is None else optimiser.state_dict(),
            "mechanics": self.accelerator.state(),
            "folds": self.statistics.state(),
            "pool_b": self.pool_b.state(),
            "noise": self.noise.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        self.generator_ab.load_state_dict(state["generator_ab"])
        self.average.load_state_dict(state["average"])
        self.updates = int(state["updates"])
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        if self.discriminator_b is not None and self.optimiser_d is not None:
            self.discriminator_b.load_state_dict(state["discriminator_b"])
            self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.accelerator.restore(state["mechanics"])
        self._set_precision()
        self.statistics.restore(state["folds"])
        self.pool_b.restore(state["pool_b"], self.device)
        self.noise.set_state(state["noise"])


def _pixels(picture: Tensor) -> Tensor:
    """Return pictures of domain B in 0..1."""
    return 0.5 * (picture + 1.0)
