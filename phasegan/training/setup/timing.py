"""Estimate the duration of a run, timed on its own networks and data before it starts."""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.config.run_folder import RunFolder
from phasegan.data.unpaired_sampler import UnpairedSampler
from phasegan.eta import BUSY, Estimate, RunTiming, StepKind, estimate_timings
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.resources import LoadMonitor, interpreter_seconds
from phasegan.training.callbacks.samples import SampleCallback
from phasegan.training.checkpoint import save_checkpoint
from phasegan.training.data.loader import Batch, UnpairedBatches
from phasegan.training.gan import GAN
from phasegan.training.physics.gan import PhysicsGAN
from phasegan.training.presets import TrainingSetup
from phasegan.training.schedule import sample_epochs

WARM_UP_STEPS = 2
MIN_TIMED_STEPS = 3
LEAST_SECONDS, MOST_SECONDS = 1.0, 10.0
"""Bounds of the time spent timing steps, `TIMED_SHARE` of the run."""
TIMED_SHARE = 0.05
SHORT_SECONDS, SHORT_SHARE = 10.0, 0.1
"""Of a run whose steps take less than so long, timing takes at most this share of them."""
END_UNITS = 200.0
"""The figure of a training and its last files, in units of `interpreter_seconds`."""


def steps_by_kind(
    sampler: UnpairedSampler, steps: int, left: int
) -> dict[StepKind, NDArray[np.int64]]:
    """Return the last steps of a run, by their kind.

    Parameters
    ----------
    sampler : UnpairedSampler
        Of the run.
    steps, left : int
        Steps of the whole run, and those left.

    Returns
    -------
    dict of numpy.ndarray
        Numbers of the steps, from 0, int64.
    """
    numbers = np.arange(steps - left, steps)
    both = numbers % sampler.period == 0 if sampler.period else np.zeros(left, bool)
    last = numbers % len(sampler) == len(sampler) - 1
    rest = sampler.samples - (len(sampler) - 1) * sampler.batch_size
    size = np.where(last, rest, min(sampler.batch_size, sampler.samples))
    kinds = sorted(set(zip(both.tolist(), size.tolist(), strict=True)))
    return {StepKind(b, n): numbers[(both == b) & (size == n)] for b, n in kinds}


def time_run(setup: TrainingSetup, steps: int | None = None) -> RunTiming:
    """Time some steps of a run, and its other work, on its own networks and data.

    Of several processes this one times its own share of the work, without sending anything.

    Parameters
    ----------
    setup : TrainingSetup
        The run.
    steps : int, optional
        Optimiser steps left; all of them by default.

    Returns
    -------
    RunTiming
        For `estimate_timings`.
    """
    setup = setup._replace(processes=setup.processes.local_only())
    config = setup.config
    left = config.steps if steps is None else steps
    random_state = torch.get_rng_state()
    try:
        gan, batches = setup.make_gan(), setup.make_batches()
        with LoadMonitor() as load:
            preparing = benchmark_setup(gan, batches)
            kinds = steps_by_kind(batches.sampler, config.steps, left)
            times, warm_up = _time_steps(gan, batches, kinds)
        saving = _second_time(lambda: _save(gan))
        samples = setup.preset.samples(config, setup.data)
        with TemporaryDirectory() as name:
            sheet = _second_time(_drawing(samples, gan, RunFolder(name)))
        epochs = range(config.epochs - -(-left // config.steps_per_epoch) + 1, config.epochs + 1)
        validating = _validating(setup, gan, epochs)
    finally:
        torch.set_rng_state(random_state)
    sheets = len(sample_epochs(config.epochs, config.extended_at) & set(epochs))
    units = END_UNITS + samples.end_units
    parts = {
        "warm-up": warm_up,
        "preparing": preparing,
        "saving": (len(epochs) + 1) * saving,
        "pictures": sheets * sheet,
        "validation": validating,
        "closing": units * interpreter_seconds() + samples.end_sheets * sheet,
    }
    counts = {kind: len(numbers) for kind, numbers in kinds.items()}
    folds = len(gan.generator_ab.folds) if isinstance(gan, PhysicsGAN) else None
    where = (str(setup.device), setup.execution, setup.processes.count)
    cost_key = (config.without_amount(), folds, *where)
    return RunTiming(cost_key, counts, times, parts, load.others)


def benchmark_setup(gan: GAN, batches: Any) -> float:
    """Bring networks to the state in which steps are timed; no training follows.

    Parameters
    ----------
    gan : GAN
        Freshly initialised. Of the presets, only `physics` fits statistics and cascades first.
    batches : UnpairedBatches
        The preset's batches.

    Returns
    -------
    float
        Seconds that `gan.setup` will take, extrapolated from a few images.
    """
    return gan.statistics.benchmark_setup(batches) if isinstance(gan, PhysicsGAN) else 0.0


def estimate_run(
    setup: TrainingSetup, steps: int | None = None, progress: Progress | None = None
) -> Estimate:
    """Estimate the duration of one run; equal on all processes, which the main one tells.

    Parameters
    ----------
    setup : TrainingSetup
        The run.
    steps : int, optional
        Optimiser steps left; all of them by default.
    progress : Progress, optional
        Where a busy machine is reported; silent by default.

    Returns
    -------
    Estimate
        Of the steps left.
    """

    def estimate() -> Estimate:
        timing = time_run(setup, steps)
        warn_if_busy([timing], progress or Progress())
        return estimate_timings([timing])[0]

    return setup.processes.broadcast_result(estimate)


def warn_if_busy(timings: Sequence[RunTiming], progress: Progress) -> None:
    """Warn if other processes keep the machine busy.

    Parameters
    ----------
    timings : sequence of RunTiming
        Of which the largest load counts.
    progress : Progress
        Where to report.
    """
    others = max((timing.other_load for timing in timings), default=0.0)
    if others > BUSY:
        progress.warn(
            f"other processes use {others:.0%} of this machine's cores: the estimate is for a "
            "machine as busy as now"
        )


def _validating(setup: TrainingSetup, gan: GAN, epochs: range) -> float:
    """Return the seconds of the validations after some epochs, from one of them."""
    config, validate = setup.config, setup.preset.validate
    ends = (*config.extended_at, config.epochs)
    due = [n for n in epochs if n % config.validation.every == 0 or n in ends]
    if not (config.validation.samples and due):
        return 0.0

    def once() -> None:
        validate(config, setup.data, gan, setup.processes, setup.device)

    return len(due) * _Clock(once)()


def _time_steps(
    gan: GAN, batches: UnpairedBatches, kinds: dict[StepKind, NDArray[np.int64]]
) -> tuple[dict[StepKind, list[float]], float]:
    """Return seconds of some steps of each kind, and the excess of the first ones."""
    with contextlib.ExitStack() as stack:
        clocks: dict[StepKind, _Clock] = {}
        warm_up = 0.0
        for kind, steps in sorted(kinds.items(), key=lambda item: -len(item[1])):
            loaded = batches.iterate(itertools.cycle(steps.tolist()))
            clock = _Clock(_stepper(gan, stack.enter_context(contextlib.closing(loaded))))
            warm = [clock() for _ in range(1 if clocks else WARM_UP_STEPS)]
            once = clock()
            warm_up += max(0.0, sum(warm) - len(warm) * once)
            clock.times = [once]
            clocks[kind] = clock
        rough = sum(len(kinds[kind]) * clock.times[0] for kind, clock in clocks.items())
        least = min(LEAST_SECONDS, SHORT_SHARE * rough)
        budget = min(max(TIMED_SHARE * rough, least), MOST_SECONDS)
        min_steps = MIN_TIMED_STEPS if rough > SHORT_SECONDS else 1
        for kind, clock in clocks.items():
            number = len(kinds[kind])
            share = budget * number * clock.times[0] / max(rough, 1e-9)
            begin = time.monotonic()
            while len(clock.times) < min_steps or (
                time.monotonic() - begin < share and len(clock.times) < number
            ):
                clock()
    return {kind: clock.times for kind, clock in clocks.items()}, warm_up


def _stepper(gan: GAN, batches: Iterator[Batch]) -> Callable[[], None]:
    """Return a function that runs one step after the other."""

    def step() -> None:
        losses = gan.training_step(next(batches))
        sum(float(value) for value in losses.values())  # wait for the device

    return step


class _Clock:
    """Calls a function and records the seconds of each call."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self.times = function, list[float]()

    def __call__(self) -> float:
        start = time.perf_counter()
        self._function()
        self.times.append(time.perf_counter() - start)
        return self.times[-1]


def _second_time(function: Callable[[], None]) -> float:
    """Return the seconds of a call after one that is not counted."""
    function()
    return _Clock(function)()


def _save(gan: GAN) -> None:
    """Write one checkpoint and the weights to a temporary folder."""
    with TemporaryDirectory() as name:
        folder = RunFolder(name)
        save_checkpoint(folder.checkpoints_path / "step.safetensors", {"gan": gan.state_dict()})
        for network_name, network in gan.networks().items():
            save_weights(network, folder.weights_path(network_name))


def _drawing(samples: SampleCallback, gan: GAN, folder: RunFolder) -> Callable[[], None]:
    """Return a function that draws one sample sheet and keeps its frame."""
    epochs = iter(range(1, 2**31))

    def draw() -> None:
        samples.on_epoch_end(gan, folder, next(epochs)).save(io.BytesIO(), format="PNG")

    return draw
