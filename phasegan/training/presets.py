"""The presets: which networks are trained, on which batches, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.run import TrainConfig
from phasegan.data.domain_scan import DomainData
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.models.initial_networks import InitialNetworks
from phasegan.training.callbacks.samples import (
    PhaseSamples,
    SampleCallback,
    TranslationSamples,
)
from phasegan.training.callbacks.validation import validate_phases, validate_translation
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.loader import UnpairedBatches
from phasegan.training.data.phases import PaperBatches, PhysicsBatches
from phasegan.training.data.pictures import ImageBatches
from phasegan.training.gan import GAN
from phasegan.training.physics.gan import PhysicsGAN
from phasegan.training.schedule import linear_decay, warmup_cosine

Data = PreparedFile | DomainData
"""Training data: phases, or two domains of images."""


class PresetEntry(NamedTuple):
    """The parts of a training."""

    gan: Callable[..., GAN]
    """Of (config, device, execution, processes): freshly initialised networks."""
    batches: Callable[..., UnpairedBatches]
    """Of (config, data, images, device, execution, processes)."""
    lr_factor: Callable[[Any, int], float]
    """Of a configuration and a step: the learning rates, relative to the configured ones."""
    samples: Callable[[Any, Any], SampleCallback]
    """Of (config, data): what draws samples while a configuration is trained."""
    validate: Callable[[Any, Any, Any, Processes, torch.device], float]
    """Of (config, data, gan, processes, device): a score, of which less is better."""
    measure: str
    """Name of the score."""


def _published(config: TrainConfig, step: int) -> float:
    epoch = step // config.steps_per_epoch
    return linear_decay(epoch, config.scheduled_epochs(epoch))


def _cosine(config: TrainConfig, step: int) -> float:
    per_epoch = config.steps_per_epoch
    return warmup_cosine(step, config.scheduled_epochs(step // per_epoch) * per_epoch)


_PAPER = PresetEntry(CycleGAN, PaperBatches, _published, PhaseSamples, validate_phases, "mse")
_TRANSLATION = PresetEntry(
    CycleGAN, ImageBatches, _published, TranslationSamples, validate_translation, "swd"
)

PRESET_TABLE = {
    "paper": _PAPER,
    "physics": _PAPER._replace(
        gan=PhysicsGAN,
        batches=PhysicsBatches,
        lr_factor=_cosine,
    ),
    "translation": _TRANSLATION,
    "one-way": _TRANSLATION,
}


class TrainingSetup(NamedTuple):
    """What is trained, on which data, and where."""

    config: TrainConfig
    data: Data
    """What `config.data` describes."""
    device: torch.device
    images: PreparedFile | None = None
    """The file that the images come from, where `data` gives the phases alone."""
    execution: Execution = STANDARD
    """Switches of speed and memory."""
    processes: Processes = SINGLE_PROCESS
    """Those that train together; only the main one writes."""
    initial: InitialNetworks | None = None
    """Networks to start from."""

    @property
    def preset(self) -> PresetEntry:
        """The parts of the training."""
        return PRESET_TABLE[self.config.preset]

    @property
    def domain_names(self) -> tuple[str, str]:
        """Names of the domains in figures."""
        return self.data.domains.domain_names if isinstance(self.data, DomainData) else ("A", "B")

    def make_gan(self) -> GAN:
        """Return freshly initialised networks."""
        return self.preset.gan(self.config, self.device, self.execution, self.processes)

    def make_batches(self) -> UnpairedBatches:
        """Return the batches of the run."""
        return self.preset.batches(
            self.config, self.data, self.images, self.device, self.execution, self.processes
        )
