"""What the training loop needs of a preset, and the presets that have it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.progress import Progress
from phasegan.runs.config import TrainConfig
from phasegan.store.reader import PreparedFile
from phasegan.training.batches import PhysicsBatches
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data import UnpairedBatches, choose_subset
from phasegan.training.physics import PhysicsGAN


class Engine(Protocol):
    """Networks and optimisers that learn one step at a time."""

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that the run folder keeps, by name."""

    def begin(self, batches: Any, progress: Progress) -> None:
        """Take from the data what is known before the first step."""

    def rate(self, step: int) -> float:
        """Return the share of the learning rate at an optimiser step, from 0."""

    def set_rate(self, factor: float) -> None:
        """Set the learning rates to a share of their largest."""

    def step(self, real_a: Any, real_b: Any) -> dict[str, Tensor]:
        """Learn from a batch of each domain; return each loss by name."""

    def pictures(
        self, phase: NDArray[np.floating], trusted: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        """Reconstruct phases as pictures of domain B."""

    def takes_both(self, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which steps, numbered from 0 over the whole run, take domain A too."""

    @property
    def likeness(self) -> Hashable:
        """What the cost of a step depends on besides the configuration; known once rehearsed."""

    def rehearse(self, batches: Any) -> float:
        """Make steps cost what they will cost, to time them; never followed by training.

        Returns
        -------
        float
            Seconds that `begin` will take, from trials with a few images.
        """

    def state(self) -> dict[str, Any]:
        """Return everything that a checkpoint keeps."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""


class Batches(Protocol):
    """Unpaired batches in an order that the seed decides."""

    def at(self, epoch: int, step: int) -> tuple[Any, Any]:
        """Return a batch of each domain; of domain A None in steps that leave it out."""


class Preset(NamedTuple):
    """What a preset trains, and on what batches."""

    engine: Callable[[Any, torch.device], Engine]
    batches: Callable[[Any, PreparedFile, PreparedFile | None, torch.device], Batches]


def _paper_batches(
    config: TrainConfig, file: PreparedFile, images: PreparedFile | None, device: torch.device
) -> Batches:
    indices = choose_subset(len(file.train), config.data.samples, config.seed)
    return UnpairedBatches(file, indices, config.batch_size, config.seed)


ENGINES = {
    "paper": Preset(CycleGAN, _paper_batches),
    "physics": Preset(PhysicsGAN, PhysicsBatches),
}


def make_engine(config: TrainConfig, device: torch.device) -> Engine:
    """Return the networks of a configuration, freshly initialised."""
    return ENGINES[config.preset].engine(config, device)


def make_batches(
    config: TrainConfig, file: PreparedFile, images: PreparedFile | None, device: torch.device
) -> Batches:
    """Return the batches of a configuration.

    Parameters
    ----------
    config : TrainConfig
        The run.
    file : PreparedFile
        Its phases, and its images where `images` is None.
    images : PreparedFile, optional
        The file that its images come from.
    device : torch.device
        Where batches are made; those of the preset paper stay on the CPU.
    """
    return ENGINES[config.preset].batches(config, file, images, device)
