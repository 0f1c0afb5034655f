"""What a generator's encodings know of images before the first step, and the losses with them."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.config.physics import PhysicsConfig
from phasegan.distributed import Processes
from phasegan.fourier.convention import half_plane
from phasegan.losses.circular import phase_weights
from phasegan.models.cascade import Coefficients
from phasegan.models.spectral import SpectralGenerator
from phasegan.progress import Progress
from phasegan.training.data.batches import FOLDED_BELOW, FOLDS, PhysicsBatches
from phasegan.training.data.encoder import PhaseEncoder
from phasegan.training.encoding_fit import benchmark_fits, fit_cascades

BENCHMARK_IMAGES = 64
"""Images that rough statistics are taken from."""

HALF = 15
"""Photographs from which half of what a network learns holds on others."""

Family = list[Coefficients]


def shares(photographs: int) -> tuple[float, float]:
    """Return the shares of its changes that a network is granted after training.

    What is learned from n photographs holds on others in part only. The least squared error has
    n / (n + 15) of the change, and of its part in contrast the square of that; measured in
    docs/methods.md. Below 8 photographs, where starts do not leave any out, the square is
    taken of all.

    Parameters
    ----------
    photographs : int
        n; above `FOLDED_BELOW` everything is granted.

    Returns
    -------
    (float, float)
        Of contrast and of the rest; see `SpectralGenerator.set_shares`.
    """
    share = photographs / (photographs + HALF) if photographs <= FOLDED_BELOW else 1.0
    return share**2, share if photographs >= 2 * FOLDS else share**2


class DomainStatistics:
    """Statistics of domain B, in the generator that learns and in its average.

    Parameters
    ----------
    config : PhysicsConfig
        Which encodings there are.
    generator, average : SpectralGenerator
        Changed in place; the second follows the first.
    encode : PhaseEncoder
        From images to phases.
    processes : Processes
        One of them fits for all.

    Attributes
    ----------
    magnitude : torch.Tensor
        Mean magnitude, (C, M, M // 2 + 1).
    weights : torch.Tensor
        Of each frequency in the distance of phases, same shape.
    """

    def __init__(
        self,
        config: PhysicsConfig,
        generator: SpectralGenerator,
        average: SpectralGenerator,
        encode: PhaseEncoder,
        processes: Processes,
    ) -> None:
        self._config, self._generator, self._average = config, generator, average
        self._encode, self._processes = encode, processes
        data = config.data
        frame = half_plane((data.padded, data.padded))
        self.set_means(
            torch.ones(data.channel_count, *frame),
            torch.full((data.channel_count, data.size, data.size), 0.5),
        )

    @property
    def _fits(self) -> bool:
        return "cascade" in self._config.networks.encodings

    def divide(self, batches: PhysicsBatches) -> list[NDArray[np.int64]]:
        """Divide domain B into the folds that cascades leave out, if there are cascades."""
        return batches.divide() if self._fits else []

    def fit(self, batches: PhysicsBatches, progress: Progress) -> None:
        """Take the means over domain B, and fit what the encodings need to its images."""
        folds = self.divide(batches)
        self._generator.folds = self._unfitted(len(folds) if self._generator.exact else 0)

        def fit() -> None:
            means = batches.mean_statistics()
            self.set_means(*means)
            if self._fits:
                whole, *others = fit_cascades(
                    self._generator, batches, folds, self._encode, progress
                )
                self.set_means(*means, whole)
                self._generator.folds = others

        self._processes.broadcast_result(fit)
        fitted = [part for fold in self._generator.folds for cascade in fold for part in cascade]
        self._processes.broadcast([*self._generator.buffers(), *fitted])
        if self._generator.exact and self._config.networks.encodings[0] == "cascade":
            self._generator.set_shares(*shares(batches.photographs))
        self._copy_buffers()

    def benchmark_setup(self, batches: PhysicsBatches) -> float:
        """Take rough statistics and cascades that correct nothing.

        Returns
        -------
        float
            Seconds that `fit` will take, from trials with a few images.
        """
        start = time.perf_counter()
        means = batches.mean_statistics(limit=BENCHMARK_IMAGES)
        counted = min(BENCHMARK_IMAGES, self._config.samples_b)
        seconds = (time.perf_counter() - start) * self._config.samples_b / counted
        self.set_means(*means)
        if self._fits:
            folds = self.divide(batches)
            self._generator.folds = self._unfitted(len(folds))
            seconds += benchmark_fits(self._generator, batches, self._encode, folds)
        return seconds

    def _unfitted(self, count: int) -> list[Family]:
        """Return places for the cascades of so many folds."""
        cascades = self._generator.cascades() if count else []
        return [
            [Coefficients(*(part.clone() for part in cascade)) for cascade in cascades]
            for _ in range(count)
        ]

    def set_means(
        self, mean_magnitude: Tensor, mean_image: Tensor, cascades: Family | None = None
    ) -> None:
        """Take statistics of images in 0..1; parameters as `SpectralGenerator.set_statistics`."""
        device = self._generator.mean_magnitude.device
        magnitude, image = mean_magnitude.to(device), mean_image.to(device)
        self._generator.set_statistics(magnitude, image, cascades)
        self._copy_buffers()

    def _copy_buffers(self) -> None:
        """Make what follows from the generator's statistics agree with them."""
        for own, given in zip(self._average.buffers(), self._generator.buffers(), strict=True):
            own.copy_(given)
        self.magnitude = self._generator.mean_magnitude
        self.weights = phase_weights(self.magnitude, self._config.data.padded)

    def state(self) -> list[list[list[Tensor]]]:
        """Return the folds' cascades for a checkpoint; the rest is in the generator's state."""
        return [[list(cascade) for cascade in fold] for fold in self._generator.folds]

    def restore(self, state: list[list[list[Tensor]]]) -> None:
        """Take the state of a checkpoint, after that of the generator."""
        device = self._generator.mean_magnitude.device
        self._generator.folds = [
            [Coefficients(*(part.to(device) for part in cascade)) for cascade in fold]
            for fold in state
        ]
        self._copy_buffers()
