"""How long a run will take, timed on its own networks and data before it starts."""

from __future__ import annotations

import io
import math
import statistics
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.figures.filmstrip import MAX_FRAMES, film_strip
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.runs.config import TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.store.reader import PreparedFile
from phasegan.training.checkpoint import save_checkpoint
from phasegan.training.engine import Batches, Engine, make_batches, make_engine
from phasegan.training.estimate import Estimate
from phasegan.training.journal import SAMPLE_ROWS, Watched
from phasegan.training.schedule import picture_epochs
from phasegan.usage import Load

WARM_UP_STEPS = 2
MIN_TIMED_STEPS = 3
LEAST_SECONDS, MOST_SECONDS = 1.0, 10.0
"""Spent timing steps: `TIMED_SHARE` of the run, within these."""
TIMED_SHARE = 0.04

FLOOR_DEVIATION = 0.04
"""Relative error that no number of timed steps removes: clocks, caches, other processes."""
PREPARING_DEVIATION = 0.2
SAVING_DEVIATION = 0.4
BUSY = 0.15
"""Cores that others keep busy, as a share of those there are, from which on it is said."""


class Kind(NamedTuple):
    """Steps that cost the same."""

    both: bool
    """Whether domain A takes part."""
    size: int
    """Images in the batch."""


def count_kinds(config: TrainConfig, gan: Engine, left: int) -> dict[Kind, NDArray[np.int64]]:
    """Return the numbers, from 0, of the last `left` steps of a run, by their kind."""
    done = np.arange(config.steps - left, config.steps)
    both = gan.takes_both(done)
    last = done % config.steps_per_epoch == config.steps_per_epoch - 1
    rest = config.data.samples - (config.steps_per_epoch - 1) * config.batch_size
    size = np.where(last, rest, min(config.batch_size, config.data.samples))
    kinds = sorted(set(zip(both.tolist(), size.tolist(), strict=True)))
    return {Kind(b, n): done[(both == b) & (size == n)] for b, n in kinds}


def estimate_run(
    config: TrainConfig,
    file: PreparedFile,
    images: PreparedFile | None,
    device: torch.device,
    steps: int | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate the duration of a run.

    Steps on the run's own batches are timed after a warm-up, each kind of step by
    itself, and so are what is fitted before the first step (on a few images), a
    checkpoint and a sheet of sample pictures; their costs are multiplied out. The
    interval comes from the scatter of the timed steps and from how far such
    estimates were off in general; it is wider while other processes keep the
    machine busy.

    Parameters
    ----------
    config : TrainConfig
        The run.
    file : PreparedFile
        Its phases, and its images where `images` is None.
    images : PreparedFile, optional
        The file that its images come from.
    device : torch.device
        Where it will run.
    steps : int, optional
        Optimiser steps that are left; all of them by default.
    progress : Progress, optional
        Where a busy machine is reported; silent by default.

    Returns
    -------
    Estimate
        With the parts `warm-up`, `preparing`, `steps`, `saving` and `pictures`.
    """
    left = config.steps if steps is None else steps
    random_state = torch.get_rng_state()
    try:
        gan = make_engine(config, device)
        batches = make_batches(config, file, images, device)
        with Load() as load:
            preparing = gan.rehearse(batches)
            learning, scatter, warm_up = _time_steps(config, gan, batches, left, device)
        saving, sheet = _time_saving(gan), _time_sheet(config, gan)
    finally:
        torch.set_rng_state(random_state)
    epochs = -(-left // config.steps_per_epoch)
    sheets = sum(epoch > config.epochs - epochs for epoch in picture_epochs(config.epochs))
    parts = {
        "warm-up": warm_up,
        "preparing": preparing,
        "steps": learning,
        "saving": epochs * saving,
        "pictures": sheets * sheet,
    }
    seconds = math.fsum(parts.values())
    errors = (
        math.hypot(scatter, FLOOR_DEVIATION) * learning,
        PREPARING_DEVIATION * preparing,
        SAVING_DEVIATION * (parts["saving"] + parts["pictures"]),
        0.5 * warm_up,
    )
    deviation = math.hypot(*errors) / seconds
    if load.others > BUSY:
        deviation = math.hypot(deviation, load.others)
        if progress is not None:
            progress.warn(
                f"other processes use {load.others:.0%} of this machine's cores: the estimate is "
                "for a machine as busy as now"
            )
    return Estimate.around(seconds, deviation, parts)


def _time_steps(
    config: TrainConfig, gan: Engine, batches: Batches, left: int, device: torch.device
) -> tuple[float, float, float]:
    """Return what the steps cost in all, the relative error of that, and the warm-up's seconds."""
    kinds = count_kinds(config, gan, left)
    first: dict[Kind, float] = {}
    clocks: dict[Kind, _Clock] = {}
    for kind, steps in kinds.items():
        clock = _Clock(_stepper(config, gan, batches, steps, device))
        warm = [clock() for _ in range(WARM_UP_STEPS)]
        once = clock()
        clocks[kind] = clock
        first[kind] = max(0.0, sum(warm) - WARM_UP_STEPS * once)
        clock.times = [once]
    rough = sum(len(kinds[kind]) * clock.times[0] for kind, clock in clocks.items())
    budget = min(max(TIMED_SHARE * rough, LEAST_SECONDS), MOST_SECONDS)
    cost = variance = 0.0
    for kind, clock in clocks.items():
        number = len(kinds[kind])
        share = budget * number * clock.times[0] / max(rough, 1e-9)
        begin = time.monotonic()
        while len(clock.times) < MIN_TIMED_STEPS or (
            time.monotonic() - begin < share and len(clock.times) < number
        ):
            clock()
        cost += number * statistics.median(clock.times)
        variance += (number * _error_of_middle(clock.times)) ** 2
    return cost, math.sqrt(variance) / max(cost, 1e-9), sum(first.values())


def _error_of_middle(times: list[float]) -> float:
    """Return the standard error of the middle of some times, from their quartiles."""
    low, _, high = statistics.quantiles(times, n=4)
    return 1.2533 * (high - low) / 1.349 / math.sqrt(len(times))


def _stepper(
    config: TrainConfig,
    gan: Engine,
    batches: Batches,
    steps: NDArray[np.int64],
    device: torch.device,
) -> Callable[[], None]:
    """Return a function that learns from the batch of one of some steps after the other."""
    turn = iter(range(2**62))

    def step() -> None:
        done = int(steps[next(turn) % len(steps)])
        real_a, real_b = batches.at(*divmod(done, config.steps_per_epoch))
        real_a = None if real_a is None else real_a.to(device)
        losses = gan.step(real_a, real_b.to(device))
        float(sum(losses.values()))  # wait for the device

    return step


class _Clock:
    """Calls a function and keeps the seconds of each call."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self.times = function, list[float]()

    def __call__(self) -> float:
        start = time.perf_counter()
        self._function()
        self.times.append(time.perf_counter() - start)
        return self.times[-1]


def _time_saving(gan: Engine) -> float:
    """Return the seconds that one checkpoint costs."""
    start = time.perf_counter()
    with TemporaryDirectory() as name:
        folder = RunFolder(name)
        save_checkpoint(folder.checkpoint_path, {"gan": gan.state()})
        for network_name, network in gan.networks().items():
            save_weights(network, folder.weights_path(network_name))
    return time.perf_counter() - start


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
