"""How long a run will take, measured on the real networks before it starts."""

from __future__ import annotations

import statistics
import time
from tempfile import TemporaryDirectory

import torch

from phasegan.models.weights import save_weights
from phasegan.runs.config import TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.training.checkpoint import save_checkpoint
from phasegan.training.cyclegan import CycleGAN

WARM_UP_STEPS = 2
MIN_TIMED_STEPS, MAX_TIMED_STEPS = 3, 20
TIMED_SECONDS = 2.0


def estimate_seconds(config: TrainConfig, device: torch.device, steps: int | None = None) -> float:
    """Estimate the duration of a run.

    Some steps on random pictures are timed after a warm-up, and one checkpoint;
    their median and cost are multiplied out.

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
        folder.write_status("running")
    checkpoint = time.perf_counter() - start
    torch.set_rng_state(random_state)
    left = config.steps if steps is None else steps
    epochs = -(-left // config.steps_per_epoch)
    return left * statistics.median(times[WARM_UP_STEPS:]) + epochs * checkpoint
