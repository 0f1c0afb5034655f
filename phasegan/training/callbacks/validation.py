"""Validate a generator during training on samples that it is not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.config.run import PhaseConfig
from phasegan.config.translation import TranslationConfig
from phasegan.data.domain_folders import ImageSubset
from phasegan.data.domain_scan import DomainData, centre_squares, domain_format
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.samplers import choose_subset
from phasegan.distributed import Processes
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.metrics.set_distances import sliced_wasserstein
from phasegan.models.domains import denormalise_images

_BLOCK = 16
_MAX_IMAGES, _MAX_BYTES = 500, 128 * 2**20
"""Bounds of the images that translations are compared with."""


def validation_indices(config: PhaseConfig, file: PreparedFile) -> NDArray[np.int64]:
    """Return the validation samples of the training split: the last ones of its seeded shuffle.

    Training takes the first ones of the same shuffle; the two never overlap.

    Parameters
    ----------
    config : PhaseConfig
        The run.
    file : PreparedFile
        The phases.

    Returns
    -------
    numpy.ndarray
        (n,), int64, sorted.
    """
    total, count = len(file.train), config.validation.samples
    return np.sort(choose_subset(total, total, config.seed)[total - count :])


def validate_phases(
    config: PhaseConfig,
    file: PreparedFile,
    gan: Any,
    processes: Processes,
    device: torch.device,
) -> float:
    """Return the mean squared error of the validation samples' reconstructions.

    Parameters
    ----------
    config : PhaseConfig
        Number of samples, seed.
    file : PreparedFile
        Phases and images.
    gan : GAN
        Whose `reconstruct` is scored.
    processes : Processes
        Each takes a share; the mean is over all.
    device : torch.device
        Where sums are exchanged.

    Returns
    -------
    float
        Mean MSE on 0..data_range, of clipped images.
    """
    rows = validation_indices(config, file)
    own, total = rows[processes.share(len(rows))], 0.0
    for start in range(0, len(own), _BLOCK):
        block = own[start : start + _BLOCK]
        images = file.train.images(block)
        output = gan.reconstruct(file.train.phase(block), ~file.train.undefined(block))
        estimates = denormalise_images(output, config.data_range).reshape(images.shape)
        total += float(clipped_mse(estimates, images, data_range=config.data_range).sum())
    number = torch.float64 if device.type != "mps" else torch.float32
    summed = torch.tensor([total], dtype=number, device=device)
    processes.all_reduce_sum([summed])
    return float(summed) / len(rows)


def validate_translation(
    config: TranslationConfig,
    data: DomainData,
    gan: Any,
    processes: Processes,
    device: torch.device,
) -> float:
    """Return the sliced Wasserstein distance of translated images, mean over the directions.

    Parameters
    ----------
    config : TranslationConfig
        Number of images, seed.
    data : DomainData
        The domains.
    gan : CycleGAN
        Whose `translate` is scored.
    processes : Processes
        The main one computes the score for all.
    device : torch.device
        Not used.

    Returns
    -------
    float
        Between translated images that were not trained on and training images of the
        other domain, × 1e3; see `phasegan.metrics.set_distances.sliced_wasserstein`. The
        latter are many: between two small sets the distance depends more on which images
        are in them than on the translation.
    """

    def score() -> float:
        distances = []
        for way, source in [("ab", 0), ("ba", 1)] if config.both_ways else [("ab", 0)]:
            real = _squares(config, data.validation_images(config, source), source)
            reference = _squares(config, data.training_images(config, 1 - source), 1 - source)
            fakes = gan.translate(real, way)
            distances.append(sliced_wasserstein(0.5 * (fakes + 1.0), 0.5 * (reference + 1.0)).mean)
        return float(np.mean(distances))

    return processes.broadcast_result(score)


def _squares(config: TranslationConfig, part: ImageSubset, domain: int) -> NDArray[np.float32]:
    """Return images of a domain, a bounded number, (n, C, size, size) in [−1, 1]."""
    kind = domain_format((config.data.a, config.data.b)[domain])
    most = max(_BLOCK, min(_MAX_IMAGES, _MAX_BYTES // (4 * kind.channels * config.size**2)))
    return centre_squares(part, kind, config.size, range(min(len(part), most)))
