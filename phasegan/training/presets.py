"""The presets: which networks are trained, on which batches, and how they are scored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.run import PaperConfig, TrainConfig
from phasegan.config.translation import TranslationConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.training.callbacks.samples import (
    SampleCallback,
    TranslationSamples,
    phase_samples,
)
from phasegan.training.callbacks.validation import validate_phases, validate_translation
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.batches import PhysicsBatches
from phasegan.training.data.domains import DomainBatches, DomainData
from phasegan.training.data.micro_batches import Batch, Batches, MicroBatch, split_batch
from phasegan.training.data.pair_batches import UnpairedBatches, choose_subset
from phasegan.training.gan import GAN
from phasegan.training.physics import PhysicsGAN

Data = PreparedFile | DomainData
"""Training data: phases, or two domains of images."""


class PresetEntry(NamedTuple):
    """The parts of a training: networks, batches, sample callback, validation."""

    gan: Callable[[Any, torch.device, Execution, Processes], GAN]
    batches: Callable[[Any, Any, PreparedFile | None, torch.device, str | None], Batches]
    samples: Callable[[Any, Any], SampleCallback]
    validate: Callable[[Any, Any, Any, Processes, torch.device], float]
    measure: str
    """Name of the score that `validate` returns; less is better."""


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
    data: DomainData,
    images: PreparedFile | None,
    device: torch.device,
    resident: str | None,
) -> Batches:
    return DomainBatches(data, config, device, resident)


def _phase_samples(config: TrainConfig, file: PreparedFile) -> SampleCallback:
    return phase_samples(file)


_TRANSLATION = PresetEntry(
    CycleGAN, _domain_batches, TranslationSamples, validate_translation, "swd"
)

PRESET_TABLE = {
    "paper": PresetEntry(CycleGAN, _paper_batches, _phase_samples, validate_phases, "mse"),
    "physics": PresetEntry(PhysicsGAN, PhysicsBatches, _phase_samples, validate_phases, "mse"),
    "translation": _TRANSLATION,
    "one-way": _TRANSLATION,
}


def make_gan(
    config: TrainConfig,
    device: torch.device,
    execution: Execution = STANDARD,
    processes: Processes = SINGLE_PROCESS,
) -> GAN:
    """Return the networks of a configuration, freshly initialised.

    Parameters
    ----------
    config : TrainConfig
        The run.
    device : torch.device
        Of the networks.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Those that train together.

    Returns
    -------
    GAN
        Before `setup`.
    """
    return PRESET_TABLE[config.preset].gan(config, device, execution, processes)


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
    file : PreparedFile or DomainData
        Its phases, and its images where `images` is None; or its domains.
    images : PreparedFile, optional
        The file that its images come from.
    device : torch.device
        Of the batches.
    execution : Execution
        Where the data are kept between steps.

    Returns
    -------
    Batches
        Of both domains.
    """
    return PRESET_TABLE[config.preset].batches(config, file, images, device, execution.resident)


def make_sample_callback(config: TrainConfig, file: Data) -> SampleCallback:
    """Return the callback that draws samples while a configuration is trained.

    Parameters
    ----------
    config : TrainConfig
        The run.
    file : PreparedFile or DomainData
        Its data.

    Returns
    -------
    SampleCallback
        Drawing test samples, or training samples where there are none.
    """
    return PRESET_TABLE[config.preset].samples(config, file)


def validate(
    config: TrainConfig, file: Data, gan: GAN, processes: Processes, device: torch.device
) -> tuple[str, float]:
    """Score the networks on samples that they are not trained on.

    Parameters
    ----------
    config : TrainConfig
        The run.
    file : PreparedFile or DomainData
        Its data.
    gan : GAN
        The networks.
    processes : Processes
        Those that train together.
    device : torch.device
        Of the networks.

    Returns
    -------
    (str, float)
        The score's name, and its value: less is better.
    """
    preset = PRESET_TABLE[config.preset]
    return preset.measure, preset.validate(config, file, gan, processes, device)


def load_batch(batches: Batches, gan: GAN, config: TrainConfig, global_step: int) -> Batch:
    """Return one process's share of the batch of a step.

    Parameters
    ----------
    batches : Batches
        Of the run.
    gan : GAN
        Its networks: they know the processes and the steps with domain A.
    config : TrainConfig
        The run.
    global_step : int
        Optimiser steps of the run before this one.

    Returns
    -------
    Batch
        On the device.
    """
    epoch, step = divmod(global_step, config.steps_per_epoch)
    total = batches.count(step)
    parts = split_batch(total, gan.accelerator.processes, gan.accelerator.execution.micro_batch)
    micro_batches = [MicroBatch(*batches.load(epoch, step, part), part) for part in parts]
    return Batch(micro_batches, total, bool(gan.uses_domain_a(np.array([global_step]))[0]))
