"""Score a generator on samples that it does not learn from, while it learns."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.metrics.ruler import clipped_mse
from phasegan.models.domains import picture_to_image
from phasegan.processes import Processes
from phasegan.runs.config import TrainConfig
from phasegan.store.reader import PreparedFile
from phasegan.training.data import choose_subset
from phasegan.training.engine import Engine

_BLOCK = 16


def choose_validation(config: TrainConfig, file: PreparedFile) -> NDArray[np.int64]:
    """Return the samples of the training split that validate: the last of its shuffle.

    Training takes the first ones of the same shuffle; they never meet.
    """
    total, count = len(file.train), config.validation.samples
    return np.sort(choose_subset(total, total, config.seed)[total - count :])


def shared_photographs(config: TrainConfig, file: PreparedFile) -> int:
    """Return how many samples that validate are of a photograph that is trained on."""
    trained = choose_subset(len(file.train), config.data.samples, config.seed)
    known = set(file.train.source_sha256(np.sort(trained)))
    return sum(name in known for name in file.train.source_sha256(choose_validation(config, file)))


def validate(
    config: TrainConfig,
    file: PreparedFile,
    gan: Engine,
    processes: Processes,
    device: torch.device,
) -> float:
    """Return the mean MSE on 0..data_range of the samples that validate.

    Parameters
    ----------
    config : TrainConfig
        How many samples there are.
    file : PreparedFile
        Phases and images.
    gan : Engine
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
    processes.add_up([summed])
    return float(summed) / len(rows)
