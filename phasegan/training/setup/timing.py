"""How long a run will take, timed on its own networks and data before it starts."""

from __future__ import annotations

import io
import math
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.run import TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.resources import LoadMonitor
from phasegan.training.callbacks.samples import SampleCallback
from phasegan.training.checkpoint import save_checkpoint
from phasegan.training.engine import (
    Batches,
    Data,
    Engine,
    load_batch,
    make_batches,
    make_engine,
    make_sample_callback,
)
from phasegan.training.schedule import picture_epochs
from phasegan.training.setup.eta import Estimate

WARM_UP_STEPS = 2
MIN_TIMED_STEPS = 3
LEAST_SECONDS, MOST_SECONDS = 1.0, 10.0
"""Spent timing steps: `TIMED_SHARE` of the run, within these."""
TIMED_SHARE = 0.05
OUTLIER = 4.0
"""A step that takes this many times the middle one counts as no more than that."""

FLOOR_DEVIATION = 0.05
"""Relative error that no number of timed steps removes: no minute is like the one before."""
WINDOW_DEVIATION = 0.08
"""Relative error of a few seconds of timed steps; that of several such windows is less."""
PREPARING_DEVIATION = 0.15
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
    both = gan.uses_domain_a(done)
    last = done % config.steps_per_epoch == config.steps_per_epoch - 1
    rest = config.samples - (config.steps_per_epoch - 1) * config.batch_size
    size = np.where(last, rest, min(config.batch_size, config.samples))
    kinds = sorted(set(zip(both.tolist(), size.tolist(), strict=True)))
    return {Kind(b, n): done[(both == b) & (size == n)] for b, n in kinds}


@dataclass(frozen=True)
class Trial:
    """What was timed of a run before it begins.

    Attributes
    ----------
    likeness : tuple
        Runs whose steps cost the same have the same one.
    counts : dict
        How many steps of each kind the run takes.
    times : dict
        Seconds of the timed ones.
    parts : dict
        Seconds of what else the run takes: `warm-up`, `preparing`, `saving`, `pictures`.
    others : float
        Share of the machine's cores that other processes used meanwhile.
    """

    cost_key: tuple[Hashable, ...]
    counts: dict[Kind, int]
    times: dict[Kind, list[float]]
    parts: dict[str, float]
    others: float


def try_run(
    config: TrainConfig,
    file: Data,
    images: PreparedFile | None,
    device: torch.device,
    steps: int | None = None,
    execution: Execution = STANDARD,
    processes: Processes = SINGLE_PROCESS,
) -> Trial:
    """Time some steps of a run, and what else it takes, on its own networks and data.

    Parameters
    ----------
    config : TrainConfig
        The run.
    file : PreparedFile or PictureData
        Its phases, and its images where `images` is None; or its domains.
    images : PreparedFile, optional
        The file that its images come from.
    device : torch.device
        Where it will run.
    steps : int, optional
        Optimiser steps that are left; all of them by default.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Of which this one times its own share of the work, without sending anything.
    """
    left = config.steps if steps is None else steps
    random_state = torch.get_rng_state()
    try:
        gan = make_engine(config, device, execution, processes.local_only())
        batches = make_batches(config, file, images, device, execution)
        with LoadMonitor() as load:
            preparing = gan.benchmark_setup(batches)
            kinds = count_kinds(config, gan, left)
            times, warm_up = _time_steps(config, gan, batches, kinds)
        saving = _middle(lambda: _save(gan))
        with TemporaryDirectory() as name:
            sheet = _middle(_drawing(make_sample_callback(config, file), gan, RunFolder(name)))
    finally:
        torch.set_rng_state(random_state)
    epochs = -(-left // config.steps_per_epoch)
    sheets = sum(epoch > config.epochs - epochs for epoch in picture_epochs(config.epochs))
    parts = {
        "warm-up": warm_up,
        "preparing": preparing,
        "saving": epochs * saving,
        "pictures": sheets * sheet,
    }
    counts = {kind: len(numbers) for kind, numbers in kinds.items()}
    cost_key = (config.without_amount(), gan.cost_key, str(device), execution, processes.count)
    return Trial(cost_key, counts, times, parts, load.others)


def estimate_trials(trials: Sequence[Trial]) -> list[Estimate]:
    """Estimate runs from their trials; steps that cost the same are taken together.

    The interval comes from the scatter of the timed steps and from how far such
    estimates were off in general; it is wider while other processes keep the
    machine busy.

    Returns
    -------
    list of Estimate
        With the parts `steps`, `warm-up`, `preparing`, `saving` and `pictures`.
    """
    pool: dict[Hashable, list[list[float]]] = defaultdict(list)
    for trial in trials:
        for kind, times in trial.times.items():
            pool[trial.cost_key, kind].append(times)
    busy = max((trial.others for trial in trials), default=0.0)
    return [_estimate(trial, pool, busy) for trial in trials]


def _estimate(trial: Trial, pool: dict[Hashable, list[list[float]]], busy: float) -> Estimate:
    learning = variance = 0.0
    for kind, count in trial.counts.items():
        windows = pool[trial.cost_key, kind]
        mean, error = _mean([seconds for window in windows for seconds in window])
        learning += count * mean
        variance += (count * error) ** 2 + (count * mean * WINDOW_DEVIATION) ** 2 / len(windows)
    parts = {"steps": learning, **trial.parts}
    errors = (
        math.sqrt(variance),
        FLOOR_DEVIATION * learning,
        PREPARING_DEVIATION * parts["preparing"],
        SAVING_DEVIATION * (parts["saving"] + parts["pictures"]),
        0.5 * parts["warm-up"],
    )
    seconds = math.fsum(parts.values())
    if not seconds:  # no step is left of a run that ended before it was marked as finished
        return Estimate.around(0.0, 0.0, parts)
    return Estimate.around(
        seconds, math.hypot(*errors, busy * (busy > BUSY) * seconds) / seconds, parts
    )


def _mean(times: Sequence[float]) -> tuple[float, float]:
    """Return the mean of some times and its standard error; outliers count for less."""
    bounded = np.minimum(times, OUTLIER * np.median(times))
    return float(bounded.mean()), float(bounded.std(ddof=1) / math.sqrt(len(times)))


def estimate_run(
    config: TrainConfig,
    file: Data,
    images: PreparedFile | None,
    device: torch.device,
    steps: int | None = None,
    progress: Progress | None = None,
    execution: Execution = STANDARD,
    processes: Processes = SINGLE_PROCESS,
) -> Estimate:
    """Estimate the duration of one run.

    Parameters
    ----------
    config, file, images, device, steps, execution, processes
        As in `try_run`.
    progress : Progress, optional
        Where a busy machine is reported; silent by default.
    """
    trial = try_run(config, file, images, device, steps, execution, processes)
    warn_of_others([trial], progress or Progress())
    return estimate_trials([trial])[0]


def warn_of_others(trials: Sequence[Trial], progress: Progress) -> None:
    """Say that other processes keep the machine busy, if they do."""
    others = max((trial.others for trial in trials), default=0.0)
    if others > BUSY:
        progress.warn(
            f"other processes use {others:.0%} of this machine's cores: the estimate is for a "
            "machine as busy as now"
        )


def _time_steps(
    config: TrainConfig,
    gan: Engine,
    batches: Batches,
    kinds: dict[Kind, NDArray[np.int64]],
) -> tuple[dict[Kind, list[float]], float]:
    """Return seconds of some steps of each kind, and what the first ones took beyond that."""
    clocks: dict[Kind, _Clock] = {}
    warm_up = 0.0
    for kind, steps in kinds.items():
        clock = clocks[kind] = _Clock(_stepper(config, gan, batches, steps))
        warm = [clock() for _ in range(WARM_UP_STEPS)]
        once = clock()
        warm_up += max(0.0, sum(warm) - WARM_UP_STEPS * once)
        clock.times = [once]
    rough = sum(len(kinds[kind]) * clock.times[0] for kind, clock in clocks.items())
    budget = min(max(TIMED_SHARE * rough, LEAST_SECONDS), MOST_SECONDS)
    for kind, clock in clocks.items():
        number = len(kinds[kind])
        share = budget * number * clock.times[0] / max(rough, 1e-9)
        begin = time.monotonic()
        while len(clock.times) < MIN_TIMED_STEPS or (
            time.monotonic() - begin < share and len(clock.times) < number
        ):
            clock()
    return {kind: clock.times for kind, clock in clocks.items()}, warm_up


def _stepper(
    config: TrainConfig,
    gan: Engine,
    batches: Batches,
    steps: NDArray[np.int64],
) -> Callable[[], None]:
    """Return a function that learns from the batch of one of some steps after the other."""
    turn = iter(range(2**62))

    def step() -> None:
        done = int(steps[next(turn) % len(steps)])
        losses = gan.training_step(load_batch(batches, gan, config, done))
        sum(float(value) for value in losses.values())  # wait for the device

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


def _middle(function: Callable[[], None]) -> float:
    """Return the middle of the seconds of three calls, after one that is not counted."""
    clock = _Clock(function)
    for _ in range(4):
        clock()
    return float(np.median(clock.times[1:]))


def _save(gan: Engine) -> None:
    """Write one checkpoint to a place of its own."""
    with TemporaryDirectory() as name:
        folder = RunFolder(name)
        save_checkpoint(folder.checkpoints_path / "step.safetensors", {"gan": gan.state()})
        for network_name, network in gan.networks().items():
            save_weights(network, folder.weights_path(network_name))


def _drawing(samples: SampleCallback, gan: Engine, folder: RunFolder) -> Callable[[], None]:
    """Return a function that draws one sheet of sample pictures and what is kept of it."""
    epochs = iter(range(1, 2**31))

    def draw() -> None:
        samples.on_epoch_end(gan, folder, next(epochs)).save(io.BytesIO(), format="PNG")

    return draw
