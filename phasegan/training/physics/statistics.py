"""Statistics of domain B: means, fitted cascades, and the generator buffers that hold them."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.config.physics import PhysicsConfig
from phasegan.distributed import Processes
from phasegan.eta import LinearCost
from phasegan.fourier.convention import half_plane
from phasegan.fourier.phase_encoder import PhaseEncoder
from phasegan.losses.reconstruction import phase_weights
from phasegan.models.cascade import Coefficients
from phasegan.models.cascade_fit import MAX_FIT_IMAGES, MIRROR_BELOW, fit_shrinkage
from phasegan.models.spectral import EncodingContext, SpectralGenerator
from phasegan.progress import Progress
from phasegan.training.data.phases import FOLDED_BELOW, FOLDS, PhysicsBatches
from phasegan.training.seeding import seeded_generator

BENCHMARK_IMAGES = 64
"""Images of the rough statistics."""

HALF_TRUSTED_PHOTOGRAPHS = 15
"""Photographs from which half of the learned change holds on others."""

_MOST_CORRECTED = 400
"""Largest number of images whose estimates a cascade is fitted to correct."""

BENCHMARK_FITS = (16, 64)
"""Images that fits are timed on: enough that their cost outweighs the fixed one."""
WARM_UP_IMAGES = 4
"""Images of a fit before those, which is not counted."""

_BATCH = 8
_NOISE = 5

ChannelCascades = list[Coefficients]


def evaluation_shares(photographs: int) -> tuple[float, float]:
    """Return the shares of the networks' changes that are applied in evaluation.

    Changes learned from n photographs hold on others in part only. The least squared error has
    n / (n + 15) of the change, and of its part in contrast the square of that; measured in
    docs/methods.md. Below 8 photographs, where no folds are left out, the square applies to
    the whole change.

    Parameters
    ----------
    photographs : int
        n; above `FOLDED_BELOW` both shares are 1.

    Returns
    -------
    (float, float)
        Of contrast and of the rest; see `SpectralGenerator.set_shares`.
    """
    share = (
        photographs / (photographs + HALF_TRUSTED_PHOTOGRAPHS)
        if photographs <= FOLDED_BELOW
        else 1.0
    )
    return share**2, share if photographs >= 2 * FOLDS else share**2


class DomainStatistics:
    """Statistics of domain B, in the buffers of a generator and of its average.

    Parameters
    ----------
    config : PhysicsConfig
        The encodings, and sizes.
    generator, ema : SpectralGenerator
        Their buffers are set; those of the second are copies of the first's.
    encode : PhaseEncoder
        From images to phases.
    processes : Processes
        The main one fits for all.

    Attributes
    ----------
    magnitude : torch.Tensor
        Mean magnitude, (C, M₁, M₂ // 2 + 1).
    weights : torch.Tensor
        Of each frequency in the circular distance, same shape.
    """

    def __init__(
        self,
        config: PhysicsConfig,
        generator: SpectralGenerator,
        ema: SpectralGenerator,
        encode: PhaseEncoder,
        processes: Processes,
    ) -> None:
        self._config, self._generator, self._ema = config, generator, ema
        self._encode, self._processes = encode, processes
        data = config.data
        frame = half_plane(data.frame)
        self.set_means(
            torch.ones(data.channel_count, *frame),
            torch.full((data.channel_count, *data.shape), 0.5),
        )

    @property
    def _fits(self) -> bool:
        return "cascade" in self._config.networks.encodings

    def make_folds(self, batches: PhysicsBatches) -> list[NDArray[np.int64]]:
        """Divide domain B into folds, as `PhysicsBatches.make_folds`; none without cascades."""
        return batches.make_folds() if self._fits else []

    def fit(self, batches: PhysicsBatches, progress: Progress) -> None:
        """Compute the means over domain B, and fit the cascades to its images.

        Parameters
        ----------
        batches : PhysicsBatches
            Of the run.
        progress : Progress
            Shows the images passed.
        """
        folds = self.make_folds(batches)
        self._generator.folds = self._unfitted(len(folds) if self._generator.exact else 0)

        def fit() -> None:
            means = batches.mean_statistics()
            self.set_means(*means)
            if self._fits:
                full, *leaving_out = (
                    self._fit_cascade(batches, rows, progress)
                    for rows in self._fitted_rows(batches, folds)
                )
                self.set_means(*means, full)
                self._generator.folds = leaving_out

        self._processes.broadcast_result(fit)
        fitted = [part for fold in self._generator.folds for cascade in fold for part in cascade]
        self._processes.broadcast([*self._generator.buffers(), *fitted])
        if self._generator.exact and self._config.networks.encodings[0] == "cascade":
            self._generator.set_shares(*evaluation_shares(batches.photographs))
        self._copy_buffers()

    def benchmark_setup(self, batches: PhysicsBatches) -> float:
        """Set rough statistics and cascades that correct nothing.

        Parameters
        ----------
        batches : PhysicsBatches
            Of the run.

        Returns
        -------
        float
            Seconds that `fit` will take, extrapolated from a few images.
        """
        start = time.perf_counter()
        means = batches.mean_statistics(limit=BENCHMARK_IMAGES)
        count = min(BENCHMARK_IMAGES, self._config.samples_b)
        seconds = (time.perf_counter() - start) * self._config.samples_b / count
        self.set_means(*means)
        if self._fits:
            folds = self.make_folds(batches)
            self._generator.folds = self._unfitted(len(folds))
            seconds += self._benchmark_fits(batches, folds)
        return seconds

    def _unfitted(self, count: int) -> list[ChannelCascades]:
        """Return memory for the cascades of some folds."""
        cascades = self._generator.cascades() if count else []
        return [
            [Coefficients(*(part.clone() for part in cascade)) for cascade in cascades]
            for _ in range(count)
        ]

    def set_means(
        self, mean_magnitude: Tensor, mean_image: Tensor, cascades: ChannelCascades | None = None
    ) -> None:
        """Set statistics of images in 0..1.

        Parameters
        ----------
        mean_magnitude : torch.Tensor
            (C, M₁, M₂ // 2 + 1).
        mean_image : torch.Tensor
            (C, N₁, N₂).
        cascades : list of Coefficients, optional
            One a channel; by default the mean magnitude alone.
        """
        device = self._generator.mean_magnitude.device
        magnitude, image = mean_magnitude.to(device), mean_image.to(device)
        self._generator.set_statistics(magnitude, image, cascades)
        self._copy_buffers()

    def _copy_buffers(self) -> None:
        """Copy the generator's buffers to its average, and update `magnitude` and `weights`."""
        for own, buffer in zip(self._ema.buffers(), self._generator.buffers(), strict=True):
            own.copy_(buffer)
        self.magnitude = self._generator.mean_magnitude
        self.weights = phase_weights(self.magnitude, self._config.data.frame[1])

    def state_dict(self) -> list[list[list[Tensor]]]:
        """Return the folds' cascades for a checkpoint; the generator's state holds the rest."""
        return [[list(cascade) for cascade in fold] for fold in self._generator.folds]

    def load_state_dict(self, state: list[list[list[Tensor]]]) -> None:
        """Restore the state of a checkpoint, after that of the generator.

        Parameters
        ----------
        state : list of list of list of torch.Tensor
            From `state_dict`.
        """
        device = self._generator.mean_magnitude.device
        self._generator.folds = [
            [Coefficients(*(part.to(device) for part in cascade)) for cascade in fold]
            for fold in state
        ]
        self._copy_buffers()

    # --- fits of cascades ---------------------------------------------------------

    def _fitted_rows(
        self, batches: PhysicsBatches, folds: list[NDArray[np.int64]]
    ) -> list[NDArray[np.int64]]:
        """Return the images of domain B that each cascade is fitted to: all, and without a fold.

        Cascades that correct an estimate have few terms that could overfit the images: they are
        fitted to some of these, and leave no fold out.
        """
        count = batches.config.samples_b
        if self._generator.exact:
            return [np.arange(count), *folds]
        return [np.arange(0, count, -(-count // _MOST_CORRECTED))]

    def _benchmark_fits(self, batches: PhysicsBatches, folds: list[NDArray[np.int64]]) -> float:
        """Return the seconds that all fits will take: linear in the images they pass."""

        def passed(count: int) -> int:
            mirrored = self._generator.exact and count < MIRROR_BELOW
            return count * (1 + mirrored)

        def timed(count: int) -> float:
            start = time.perf_counter()
            self._fit_cascade(batches, np.arange(count), Progress())
            return time.perf_counter() - start

        counts = [min(len(rows), MAX_FIT_IMAGES) for rows in self._fitted_rows(batches, folds)]
        few, more = (min(number, batches.config.samples_b) for number in BENCHMARK_FITS)
        cost = LinearCost.measure(timed, few, more, passed, first=min(few, WARM_UP_IMAGES))
        return sum(cost.at(passed(count)) for count in counts)

    def _fit_cascade(
        self, batches: PhysicsBatches, positions: NDArray[np.int64], progress: Progress
    ) -> ChannelCascades:
        """Fit shrinkage cascades to images of domain B, one a channel."""
        share = len(positions) / batches.config.samples_b
        if len(positions) > MAX_FIT_IMAGES:
            even = np.arange(MAX_FIT_IMAGES) * len(positions) // MAX_FIT_IMAGES
            positions = positions[even]
        images, white, estimates = batches.images(positions), batches.data_range, None
        if not self._generator.exact:
            estimates = white * self._posterior(images.astype(np.float64) / white)
        return [
            fit_shrinkage(
                images[:, channel],
                data_range=white,
                photographs=max(1, round(batches.photographs * share)),
                estimates=None if estimates is None else estimates[:, channel],
                progress=progress,
            ).coefficients(self._generator.mean_magnitude.device)
            for channel in range(images.shape[1])
        ]

    def _posterior(self, images: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the encoding `posterior` of the phases of images in 0..1."""
        device, encoded = self._generator.mean_magnitude.device, []
        noise = seeded_generator(0, _NOISE, device)
        for start in range(0, len(images), _BATCH):
            pixels = torch.from_numpy(images[start : start + _BATCH]).float().to(device)
            drawn = self._encode.draw_noise(len(pixels), pixels.shape[1], noise)
            phases = self._encode(pixels, drawn)
            with torch.no_grad():
                phasor = torch.polar(torch.ones_like(phases.phase), phases.phase) * phases.trusted
                context = EncodingContext(phasor, phases.trusted, None)
                encoded.append(self._generator.encode("posterior", context).cpu().numpy())
        return np.concatenate(encoded)
