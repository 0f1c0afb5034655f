"""What the training loop needs of a preset, and the presets that have it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.run import PaperConfig, TrainConfig
from phasegan.config.translation import TranslationConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.progress import Progress
from phasegan.training.accelerator import Accelerator
from phasegan.training.callbacks.image_samples import TranslationSamples
from phasegan.training.callbacks.samples import SampleCallback, phase_samples
from phasegan.training.callbacks.validation import validate_phases, validate_translation
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.batches import PhysicsBatches
from phasegan.training.data.domains import DomainBatches, PictureData
from phasegan.training.data.micro_batches import Batch, Part, Piece, divide
from phasegan.training.data.pair_batches import UnpairedBatches, choose_subset
from phasegan.training.physics import PhysicsGAN

Data = PreparedFile | PictureData
"""What is trained on: phases, or two domains of pictures."""


class Engine(Protocol):
    """Networks and optimisers that learn one step at a time."""

    @property
    def accelerator(self) -> Accelerator:
        """How the networks are computed."""

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the terms that a step may return."""

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that the run folder keeps, by name."""

    def setup(self, batches: Any, progress: Progress) -> None:
        """Take from the data what is known before the first step."""

    def on_resume(self, batches: Any) -> None:
        """Take from the data what a checkpoint does not keep, before `restore`."""

    def lr_factor(self, step: int) -> float:
        """Return the share of the learning rate at an optimiser step, from 0."""

    def set_lr_factor(self, factor: float) -> None:
        """Set the learning rates to a share of their largest."""

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Learn from a batch of each domain; return this process's share of each loss."""

    def uses_domain_a(self, done: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which steps, numbered from 0 over the whole run, take domain A too."""

    @property
    def cost_key(self) -> Hashable:
        """What the cost of a step depends on besides the configuration; known once rehearsed."""

    def benchmark_setup(self, batches: Any) -> float:
        """Make steps cost what they will cost, to time them; never followed by training.

        Returns
        -------
        float
            Seconds that `setup` will take, from trials with a few images.
        """

    def back_off(self) -> str:
        """Be more careful after a loss that was not finite; return what changed."""

    def state(self) -> dict[str, Any]:
        """Return everything that a checkpoint keeps."""

    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""


class Batches(Protocol):
    """Unpaired batches in an order that the seed decides."""

    @property
    def from_host(self) -> bool:
        """Whether batches come to a GPU from elsewhere in every step."""

    def count(self, step: int) -> int:
        """Return how many images are in the batch of a step of an epoch."""

    def at(self, epoch: int, step: int, part: Part | None = None) -> tuple[Any, Any]:
        """Return a batch of each domain; of domain A None in steps that leave it out."""


class Preset(NamedTuple):
    """What a preset trains, on what batches, and how it is looked at and scored."""

    engine: Callable[[Any, torch.device, Execution, Processes], Engine]
    batches: Callable[[Any, Any, PreparedFile | None, torch.device, str | None], Batches]
    samples: Callable[[Any, Any], SampleCallback]
    validate: Callable[[Any, Any, Any, Processes, torch.device], float]
    measure: str
    """The name of what `validate` returns; less is better."""


def _paper_batches(
    config: PaperConfig,
    file: PreparedFile,
    images: PreparedFile | None,
    device: torch.device,
    resident: str | None,
) -> Batches:
    indices = choose_subset(len(file.train), config.data.samples, config.seed)
    return UnpairedBatches(file, indices, config.batch_size, config.seed, device, resident)


def _domain_batches(
    config: TranslationConfig,
    data: PictureData,
    images: PreparedFile | None,
    device: torch.device,
    resident: str | None,
) -> Batches:
    return DomainBatches(data, config, device, resident)


def _phase_samples(config: TrainConfig, file: PreparedFile) -> SampleCallback:
    return phase_samples(file)


_TRANSLATION = Preset(CycleGAN, _domain_batches, TranslationSamples, validate_translation, "swd")

ENGINES = {
    "paper": Preset(CycleGAN, _paper_batches, _phase_samples, validate_phases, "mse"),
    "physics": Preset(PhysicsGAN, PhysicsBatches, _phase_samples, validate_phases, "mse"),
    "translation": _TRANSLATION,
    "one-way": _TRANSLATION,
}


def make_engine(
    config: TrainConfig,
    device: torch.device,
    execution: Execution = STANDARD,
    processes: Processes = SINGLE_PROCESS,
) -> Engine:
    """Return the networks of a configuration, freshly initialised."""
    return ENGINES[config.preset].engine(config, device, execution, processes)


def make_batches(
    config: TrainConfig,
    file: Data,
    images: PreparedFile | None,
    device: torch.device,
    execution: Execution = STANDARD,
) -> Batches:
    """Return the batches of a configuration.

    Parameters
    ----------
    config : TrainConfig
        The run.
    file : PreparedFile or PictureData
        Its phases, and its images where `images` is None; or its domains.
    images : PreparedFile, optional
        The file that its images come from.
    device : torch.device
        Where batches go.
    execution : Execution
        Where the data are between steps.
    """
    return ENGINES[config.preset].batches(config, file, images, device, execution.resident)


def make_sample_callback(config: TrainConfig, file: Data) -> SampleCallback:
    """Return what is looked at while a configuration is trained."""
    return ENGINES[config.preset].samples(config, file)


def validate(
    config: TrainConfig, file: Data, gan: Engine, processes: Processes, device: torch.device
) -> tuple[str, float]:
    """Score on samples that are not trained on: the measure's name, and a value to lower."""
    preset = ENGINES[config.preset]
    return preset.measure, preset.validate(config, file, gan, processes, device)


def load_batch(batches: Batches, gan: Engine, config: TrainConfig, done: int) -> Batch:
    """Return one process's share of the batch of a step, numbered from 0 over the whole run."""
    epoch, step = divmod(done, config.steps_per_epoch)
    total = batches.count(step)
    parts = divide(total, gan.accelerator.processes, gan.accelerator.execution.micro_batch)
    pieces = [Piece(*batches.at(epoch, step, part), part) for part in parts]
    return Batch(pieces, total, bool(gan.uses_domain_a(np.array([done]))[0]))
