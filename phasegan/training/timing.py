"""How long a run will take, measured on the real networks before it starts."""

from __future__ import annotations

import io
import statistics
import time
from tempfile import TemporaryDirectory

import numpy as np
import torch

from phasegan.models.weights import save_weights
from phasegan.runs.config import TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.training.checkpoint import save_checkpoint
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.journal import SAMPLE_ROWS, Watched
from phasegan.training.schedule import picture_epochs

WARM_UP_STEPS = 2
MIN_TIMED_STEPS, MAX_TIMED_STEPS = 3, 20
TIMED_SECONDS = 2.0


def estimate_seconds(config: TrainConfig, device: torch.device, steps: int | None = None) -> float:
    """Estimate the duration of a run.

    Some steps on random pictures are timed after a warm-up, one checkpoint and
    one sheet of sample pictures; their costs are multiplied out.

    Parameters
    ----------
    config : TrainConfig
        The run.
    device : torch.device
        Where it will run.
    steps : int, optional
        Optimiser steps that are left; all of them by default.

    Returns
    -------
    float
        Seconds.
    """
    random_state = torch.get_rng_state()
    gan = CycleGAN(config, device)
    channels = 3 if config.data.channels == "rgb" else 1
    batch = min(config.batch_size, config.data.samples)
    source = torch.Generator().manual_seed(0)
    shape = (batch, channels, config.data.size, config.data.size)
    a, b = ((2 * torch.rand(shape, generator=source) - 1).to(device) for _ in range(2))
    times: list[float] = []
    begin = time.monotonic()
    while len(times) < WARM_UP_STEPS + MIN_TIMED_STEPS or (
        time.monotonic() - begin < TIMED_SECONDS and len(times) < MAX_TIMED_STEPS
    ):
        start = time.perf_counter()
        losses = gan.step(a, b)
        float(losses["discriminator_b"])  # wait for the device
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    with TemporaryDirectory() as name:
        folder = RunFolder(name)
        save_checkpoint(folder.checkpoint_path, {"gan": gan.state()})
        for network_name, network in gan.networks().items():
            save_weights(network, folder.weights_path(network_name))
    checkpoint = time.perf_counter() - start
    sheet = _time_sheet(config, gan, device)
    torch.set_rng_state(random_state)
    left = config.steps if steps is None else steps
    epochs = -(-left // config.steps_per_epoch)
    sheets = sum(epoch > config.epochs - epochs for epoch in picture_epochs(config.epochs))
    median = statistics.median(times[WARM_UP_STEPS:])
    return left * median + epochs * checkpoint + sheets * sheet


def _time_sheet(config: TrainConfig, gan: CycleGAN, device: torch.device) -> float:
    """Return the seconds that one sheet of sample pictures costs."""
    size, planes = config.data.size, (3,) if config.data.channels == "rgb" else ()
    phase = np.zeros((SAMPLE_ROWS, *planes, size, size // 2 + 1))
    images = np.zeros((SAMPLE_ROWS, *planes, size, size), np.uint8)
    watched = Watched(phase, images, 255, device)
    start = time.perf_counter()
    watched.sheet(gan.generator_ab, "").save(io.BytesIO(), format="PNG")
    return time.perf_counter() - start
