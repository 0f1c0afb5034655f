"""One step of a CycleGAN whose image → phase direction is the exact transform.

There is one generator to train, phase → image. Image → phase → image is a
regression through a known forward model, which any image supervises; phase →
image → phase is a distance on the circle; a discriminator judges images.
"""

from __future__ import annotations

import contextlib
import copy
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.losses.adversarial import REAL, discriminator_loss, least_squares
from phasegan.losses.circular import circular_distance, phase_weights
from phasegan.losses.reconstruction import dissimilarity, squared
from phasegan.models.blocks import initialise
from phasegan.models.cascade import Coefficients
from phasegan.models.patchgan import PatchDiscriminator
from phasegan.models.spectral import SpectralGenerator
from phasegan.progress import Progress
from phasegan.runs.physics import PhysicsConfig
from phasegan.spectra.fourier import forward, half_plane
from phasegan.training.batches import PhysicsBatches
from phasegan.training.cyclegan import HALF
from phasegan.training.encoder import Images, PhaseEncoder, Phases
from phasegan.training.fitting import fit_cascades, rehearse_fits
from phasegan.training.pool import ImagePool
from phasegan.training.randomness import stream
from phasegan.training.schedule import warm_cosine

LOSSES = ("cycle_b", "structure", "cycle_a", "adversarial_ab", "discriminator_b")
"""Names of the terms, unweighted; those that are switched off are not computed."""

EARLIER_WEIGHT = 0.3
"""Of the estimates before the last in an unrolled generator's regression."""

REHEARSED = 64
"""Images that rough statistics are taken from."""

_NETWORKS, _POOL, _JUDGE, _NOISE = 0, 2, 3, 4


def _adam(kind: type[Any], module: nn.Module, rate: float, **options: Any) -> Any:
    fused = {parameter.device.type for parameter in module.parameters()} <= {"cpu", "cuda"}
    return kind(module.parameters(), lr=rate, fused=fused, **options)


class PhysicsGAN:
    """The generator and its average, the discriminator, their optimisers and the pool.

    Parameters
    ----------
    config : PhysicsConfig
        Sizes, weights of the losses, rates, seed.
    device : torch.device
        Where the networks live.
    """

    def __init__(self, config: PhysicsConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        data, adam = config.data, config.optimiser
        self.half = HALF[config.precision]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed((config.seed << 8) + _NETWORKS)
            self.generator_ab = SpectralGenerator(**config.generator_sizes(), precision=self.half)
        self.generator_ab.to(device)
        self.padded = data.padded != data.size
        self.average = copy.deepcopy(self.generator_ab).requires_grad_(False).eval()
        self.updates = 0
        self.optimiser_g = _adam(
            torch.optim.AdamW,
            self.generator_ab,
            adam.learning_rate,
            betas=(adam.beta1, adam.beta2),
            weight_decay=adam.weight_decay,
        )
        self.discriminator_b: PatchDiscriminator | None = None
        self.optimiser_d: torch.optim.Optimizer | None = None
        if config.losses.adversarial > 0:
            with torch.random.fork_rng(devices=[]):
                judge = PatchDiscriminator(
                    data.channel_count, config.networks.discriminator_channels
                )
            initialise(judge, stream(config.seed, _JUDGE))
            self.discriminator_b = judge.to(device)
            self.optimiser_d = _adam(
                torch.optim.Adam,
                judge,
                adam.discriminator_learning_rate,
                betas=(adam.discriminator_beta1, adam.discriminator_beta2),
            )
        self.pool_b = ImagePool(config.pool_size, stream(config.seed, _POOL))
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.noise = stream(config.seed, _NOISE, device)
        self.encode = PhaseEncoder(data.padded, data.phase_noise, data.phase_bits, device)
        frame = half_plane((data.padded, data.padded))
        self._learn(
            torch.ones(data.channel_count, *frame),
            torch.full((data.channel_count, data.size, data.size), 0.5),
        )

    def networks(self) -> dict[str, nn.Module]:
        """Return what the run folder keeps: the averaged generator, and the discriminator."""
        kept: dict[str, nn.Module] = {"generator_ab": self.average}
        if self.discriminator_b is not None:
            kept["discriminator_b"] = self.discriminator_b
        return kept

    def begin(self, batches: PhysicsBatches, progress: Progress) -> None:
        """Take the means over domain B, and fit what the encodings need to its images."""
        means = batches.statistics()
        self._learn(*means)
        if "cascade" in self.config.networks.encodings:
            whole, *folds = fit_cascades(self.generator_ab, batches, self.encode, progress)
            self._learn(*means, whole)
            self.generator_ab.folds = folds

    def _learn(
        self,
        mean_magnitude: Tensor,
        mean_image: Tensor,
        cascades: list[Coefficients] | None = None,
    ) -> None:
        magnitude, image = mean_magnitude.to(self.device), mean_image.to(self.device)
        self.generator_ab.set_statistics(magnitude, image, cascades)
        self.average.set_statistics(magnitude, image, cascades)
        self._magnitude = magnitude
        self._weights = phase_weights(magnitude, self.config.data.padded)

    def rate(self, step: int) -> float:
        """Return the share of the largest learning rate at an optimiser step, from 0."""
        return warm_cosine(step, self.config.steps)

    def set_rate(self, factor: float) -> None:
        """Set both learning rates to a share of the largest one."""
        adam = self.config.optimiser
        pairs = (
            (self.optimiser_g, adam.learning_rate),
            (self.optimiser_d, adam.discriminator_learning_rate),
        )
        for optimiser, rate in pairs:
            for group in [] if optimiser is None else optimiser.param_groups:
                group["lr"] = rate * factor

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.half is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.half)

    def step(self, real_a: Phases | None, real_b: Images) -> dict[str, Tensor]:
        """Update the generator, then the discriminator if domain A is there.

        Parameters
        ----------
        real_a : Phases, optional
            (n, C, M, M // 2 + 1). Without it neither the cycle of phases nor
            the discriminator has a part in the step; with it they count
            `period` times (lazy regularisation, Karras et al. 2020,
            doi:10.1109/CVPR42600.2020.00813, appendix B).
        real_b : Images
            (n, C, N, N); they do not belong to the phases.

        Returns
        -------
        dict of torch.Tensor
            Every loss of `LOSSES` that was computed: detached scalars on the
            device, unweighted.
        """
        terms: dict[str, Tensor] = {}
        self.optimiser_g.zero_grad(set_to_none=True)
        if self.config.regression:
            self._step_b(real_b, terms)
        fake_b = None
        if real_a is not None and self.config.period:
            fake_b = self._step_a(real_a, terms)
        self.scaler.unscale_(self.optimiser_g)
        limit = self.config.optimiser.clip_norm
        if limit > 0:
            nn.utils.clip_grad_norm_(self.generator_ab.parameters(), limit)
        self.scaler.step(self.optimiser_g)
        self._follow()
        if fake_b is not None and self.discriminator_b is not None:
            terms["discriminator_b"] = self._judge(fake_b, 2.0 * real_b.pixels - 1.0)
        self.scaler.update()
        return {name: value.detach() for name, value in terms.items()}

    def _step_b(self, real_b: Images, terms: dict[str, Tensor]) -> None:
        """Add the gradients of the cycle of images."""
        weights, target = self.config.losses, real_b.pixels
        phases = self.encode(target, self.noise)
        estimates = self.generator_ab.estimates(phases.phase, phases.trusted, real_b.fold)
        parts: list[Tensor] = []
        for estimate in reversed(estimates):
            pixels, share = _pixels(estimate), EARLIER_WEIGHT if parts else 1.0
            if weights.cycle_b > 0:
                loss = squared(pixels, target)
                terms.setdefault("cycle_b", loss)
                parts.append(share * weights.cycle_b * loss)
            if weights.structure > 0:
                loss = dissimilarity(pixels, target, centred=not self.padded)
                terms.setdefault("structure", loss)
                parts.append(share * weights.structure * loss)
        self._backward(torch.stack(parts).sum())

    def _step_a(self, real_a: Phases, terms: dict[str, Tensor]) -> Tensor:
        """Add the gradients of the cycle of phases and of the adversarial term."""
        weights = self.config.losses
        fake_b: Tensor = self.generator_ab(*real_a)
        parts = []
        if weights.cycle_a > 0:
            pixels = _pixels(fake_b.float()).clamp(0.0, 1.0)
            terms["cycle_a"] = circular_distance(
                forward(pixels, self.encode.frame),
                real_a.phase,
                self._magnitude,
                self._weights,
                real_a.trusted,
            )
            parts.append(weights.cycle_a * terms["cycle_a"])
        if self.discriminator_b is not None:
            self.discriminator_b.requires_grad_(False)
            with self._autocast():
                terms["adversarial_ab"] = least_squares(self.discriminator_b(fake_b), REAL)
            parts.append(weights.adversarial * terms["adversarial_ab"])
        self._backward(self.config.period * torch.stack(parts).sum())
        return fake_b.detach()

    def _judge(self, fake_b: Tensor, real_b: Tensor) -> Tensor:
        """Update the discriminator; both are pictures of domain B, white 1 and black −1."""
        judge, optimiser = self.discriminator_b, self.optimiser_d
        assert judge is not None
        assert optimiser is not None
        judge.requires_grad_(True)
        old_b = self.pool_b.query(fake_b)
        with self._autocast():
            loss = discriminator_loss(judge(real_b), judge(old_b))
        optimiser.zero_grad(set_to_none=True)
        self._backward(loss)
        self.scaler.step(optimiser)
        return loss

    def _backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def _follow(self) -> None:
        """Move the average: decay d, or (1 + t) / (10 + t) while that is less."""
        decay = min(self.config.optimiser.average, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.generator_ab.parameters(), strict=True)
            for average, parameter in pairs:
                average.lerp_(parameter, 1.0 - decay)

    def takes_both(self, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which steps take domain A: one in every `period`."""
        period = self.config.period
        return done % period == 0 if period else np.zeros(len(done), dtype=bool)

    @property
    def likeness(self) -> int:
        """How many folds the batches are divided in."""
        return len(self.generator_ab.folds)

    def rehearse(self, batches: PhysicsBatches) -> float:
        """Take rough statistics and cascades that correct nothing; time fits to a few images."""
        start = time.perf_counter()
        means = batches.statistics(limit=REHEARSED)
        counted = min(REHEARSED, self.config.samples_b)
        seconds = (time.perf_counter() - start) * self.config.samples_b / counted
        self._learn(*means)
        if "cascade" in self.config.networks.encodings:
            folds = batches.divide()
            self.generator_ab.folds = [self.generator_ab.cascades() for _ in folds]
            seconds += rehearse_fits(self.generator_ab, batches, self.encode, folds)
        return seconds

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

    def state(self) -> dict[str, Any]:
        """Return networks, average, optimisers, scaler, pool and noise for a checkpoint."""
        judge, optimiser = self.discriminator_b, self.optimiser_d
        return {
            "generator_ab": self.generator_ab.state_dict(),
            "average": self.average.state_dict(),
            "updates": self.updates,
            "discriminator_b": None if judge is None else judge.state_dict(),
            "optimiser_g": self.optimiser_g.state_dict(),
            "optimiser_d": None if optimiser is None else optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
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
        self.scaler.load_state_dict(state["scaler"])
        self.pool_b.restore(state["pool_b"], self.device)
        self.noise.set_state(state["noise"])


def _pixels(picture: Tensor) -> Tensor:
    """Return pictures of domain B in 0..1."""
    return 0.5 * (picture + 1.0)
