"""Score a generator on samples that it does not learn from, while it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.config.run import PhaseConfig
from phasegan.config.translation import TranslationConfig
from phasegan.data.domain_folders import ImageSubset
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import Processes
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.metrics.set_distances import sliced_wasserstein
from phasegan.models.domains import picture_to_image
from phasegan.training.data.domains import PictureData, chosen_pictures, held_out, kind_of, squares
from phasegan.training.data.pair_batches import choose_subset

_BLOCK = 16
_MOST, _MOST_BYTES = 500, 128 * 2**20
"""Pictures that translations are compared with, at most."""


def choose_validation(config: PhaseConfig, file: PreparedFile) -> NDArray[np.int64]:
    """Return the samples of the training split that validate: the last of its shuffle.

    Training takes the first ones of the same shuffle; they never meet.
    """
    total, count = len(file.train), config.validation.samples
    return np.sort(choose_subset(total, total, config.seed)[total - count :])


def shared_photographs(config: PhaseConfig, file: PreparedFile) -> int:
    """Return how many samples that validate are of a photograph that is trained on."""
    trained = choose_subset(len(file.train), config.data.samples, config.seed)
    known = set(file.train.source_sha256(np.sort(trained)))
    return sum(name in known for name in file.train.source_sha256(choose_validation(config, file)))


def validate_phases(
    config: PhaseConfig,
    file: PreparedFile,
    gan: Any,
    processes: Processes,
    device: torch.device,
) -> float:
    """Return the mean MSE on 0..data_range of the samples that validate.

    Parameters
    ----------
    config : PhaseConfig
        How many samples there are.
    file : PreparedFile
        Phases and images.
    gan : PhysicsGAN or CycleGAN
        Whose `pictures` are scored.
    processes : Processes
        Each takes a share; the mean is over all.
    device : torch.device
        Where sums are exchanged.
    """
    rows = choose_validation(config, file)
    own, total = rows[processes.share(len(rows))], 0.0
    for start in range(0, len(own), _BLOCK):
        block = own[start : start + _BLOCK]
        images = file.train.images(block)
        pictures = gan.pictures(file.train.phase(block), ~file.train.undefined(block))
        estimates = picture_to_image(pictures, config.data_range).reshape(images.shape)
        total += float(clipped_mse(estimates, images, data_range=config.data_range).sum())
    number = torch.float64 if device.type != "mps" else torch.float32
    summed = torch.tensor([total], dtype=number, device=device)
    processes.all_reduce_sum([summed])
    return float(summed) / len(rows)


def validate_translation(
    config: TranslationConfig,
    data: PictureData,
    gan: Any,
    processes: Processes,
    device: torch.device,
) -> float:
    """Return the sliced Wasserstein distance of translated pictures, mean of the ways there are.

    Parameters
    ----------
    config : TranslationConfig
        How many pictures there are.
    data : PictureData
        The domains.
    gan : CycleGAN
        Whose `translate` is scored.
    processes : Processes
        The main one computes; all get its number.
    device : torch.device
        Not needed: pictures come back to memory.

    Returns
    -------
    float
        Between translated pictures that were not trained on and training pictures of
        the other domain, × 1e3; see `phasegan.metrics.set_distances.sliced_wasserstein`. Of
        these there are many: between two small sets the distance tells more of which
        pictures are in them than of the translation.
    """

    def score() -> float:
        found = []
        for way, came in [("ab", 0), ("ba", 1)] if config.both_ways else [("ab", 0)]:
            real = _squares(config, held_out(config, data, came), came)
            goal = _squares(config, chosen_pictures(config, data, 1 - came), 1 - came)
            fakes = gan.translate(real, way)
            found.append(sliced_wasserstein(0.5 * (fakes + 1.0), 0.5 * (goal + 1.0)).mean)
        return float(np.mean(found))

    return processes.broadcast_result(score)


def _squares(config: TranslationConfig, part: ImageSubset, domain: int) -> NDArray[np.float32]:
    """Return pictures of a domain, at most some, (n, C, size, size) in [−1, 1]."""
    kind = kind_of((config.data.a, config.data.b)[domain])
    most = max(_BLOCK, min(_MOST, _MOST_BYTES // (4 * kind.channels * config.size**2)))
    return squares(part, kind, config.size, range(min(len(part), most)))
