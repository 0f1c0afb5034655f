"""How long a run will take, measured on the real networks before it starts."""

from __future__ import annotations

import io
import statistics
import time
from tempfile import TemporaryDirectory
from typing import TypeGuard

import numpy as np
import torch

from phasegan.figures.filmstrip import MAX_FRAMES, film_strip
from phasegan.models.cascade_fit import (
    MAX_FIT_IMAGES,
    MAX_FIT_PIXELS,
    MIRROR_BELOW,
    SMALLEST,
    fit_shrinkage,
)
from phasegan.models.weights import save_weights
from phasegan.runs.config import TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.runs.physics import PhysicsConfig
from phasegan.store.reader import PreparedFile
from phasegan.training.batches import FOLDS, count_photographs, is_divided
from phasegan.training.checkpoint import save_checkpoint
from phasegan.training.engine import Engine, make_engine
from phasegan.training.journal import SAMPLE_ROWS, Watched
from phasegan.training.schedule import picture_epochs

WARM_UP_STEPS = 2
MIN_TIMED_STEPS, MAX_TIMED_STEPS = 3, 20
TIMED_SECONDS = 2.0
FIT_SIZE = 128
FIT_IMAGES = (2, 8)


def estimate_seconds(
    config: TrainConfig,
    device: torch.device,
    steps: int | None = None,
    photographs: int | None = None,
) -> float:
    """Estimate the duration of a run.

    Some steps on random pictures are timed after a warm-up, each kind of step by
    itself, one checkpoint, one sheet of sample pictures, and fits of the cascade to a
    few images; their costs are multiplied out.

    Parameters
    ----------
    config : TrainConfig
        The run.
    device : torch.device
        Where it will run.
    steps : int, optional
        Optimiser steps that are left; all of them by default.
    photographs : int, optional
        Of how many different ones the images are parts, which decides how many
        cascades are fitted; as many as there are images by default.

    Returns
    -------
    float
        Seconds.
    """
    random_state = torch.get_rng_state()
    gan = make_engine(config, device)
    step = sum(share * _time_step(gan, both) for both, share in gan.kinds.items())
    start = time.perf_counter()
    with TemporaryDirectory() as name:
        folder = RunFolder(name)
        save_checkpoint(folder.checkpoint_path, {"gan": gan.state()})
        for network_name, network in gan.networks().items():
            save_weights(network, folder.weights_path(network_name))
    checkpoint = time.perf_counter() - start
    sheet = _time_sheet(config, gan)
    torch.set_rng_state(random_state)
    left = config.steps if steps is None else steps
    epochs = -(-left // config.steps_per_epoch)
    sheets = sum(epoch > config.epochs - epochs for epoch in picture_epochs(config.epochs))
    fit = _time_fit(config, photographs)
    return fit + left * step + epochs * checkpoint + sheets * sheet


def photographs_of(
    config: TrainConfig, file: PreparedFile, images: PreparedFile | None
) -> int | None:
    """Return of how many photographs the images of a run are parts, where that matters."""
    if not _fits(config):
        return None
    return count_photographs(config, file, images)


def _fits(config: TrainConfig) -> TypeGuard[PhysicsConfig]:
    return isinstance(config, PhysicsConfig) and "cascade" in config.networks.encodings


def _time_step(gan: Engine, both: bool) -> float:
    """Return the median of the seconds that a step of a kind costs, with its batch."""
    times: list[float] = []
    begin = time.monotonic()
    while len(times) < WARM_UP_STEPS + MIN_TIMED_STEPS or (
        time.monotonic() - begin < TIMED_SECONDS and len(times) < MAX_TIMED_STEPS
    ):
        start = time.perf_counter()
        losses = gan.step(*gan.rehearsal(both))
        float(sum(losses.values()))  # wait for the device
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP_STEPS:])


def _time_sheet(config: TrainConfig, gan: Engine) -> float:
    """Return the seconds that one sheet of sample pictures costs."""
    size, padded = config.data.size, config.data.padded
    planes = (3,) if config.data.channels == "rgb" else ()
    phase = np.zeros((SAMPLE_ROWS, *planes, padded, padded // 2 + 1))
    images = np.zeros((SAMPLE_ROWS, *planes, size, size), np.uint8)
    watched = Watched(phase, images, 255)
    start = time.perf_counter()
    estimates = watched.estimates(gan.pictures)
    watched.sheet(estimates, "").save(io.BytesIO(), format="PNG")
    frames = [(epoch, estimates) for epoch in range(MAX_FRAMES)]
    film_strip(frames, images, 255).save(io.BytesIO(), format="PNG")
    return time.perf_counter() - start


def _time_fit(config: TrainConfig, photographs: int | None) -> float:
    """Return the seconds that fitting the cascades costs: linear in images × pixels."""
    if not _fits(config):
        return 0.0
    size = config.data.size
    room = min(MAX_FIT_IMAGES, max(1, MAX_FIT_PIXELS // size**2))
    counts = [config.samples_b]
    if is_divided(config.samples_b if photographs is None else photographs):
        counts += FOLDS * [max(1, config.samples_b * (FOLDS - 1) // FOLDS)]
    passed = 0
    for count in (min(count, room) for count in counts):
        passed += count * (1 + (count < MIRROR_BELOW))
    side = min(max(size, SMALLEST), FIT_SIZE)
    few, more = FIT_IMAGES
    fixed, images = _fit_seconds(few, side), 2 * (more - few)
    each = max(0.0, _fit_seconds(more, side) - fixed) / images * (size / side) ** 2
    return config.data.channel_count * (len(counts) * fixed + passed * each)


def _fit_seconds(count: int, size: int) -> float:
    images = np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8)
    start = time.perf_counter()
    fit_shrinkage(images, data_range=255)
    return time.perf_counter() - start
