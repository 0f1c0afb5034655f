"""Estimates of the durations of a bench's rows, before any of them is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
import torch

from phasegan.benchmark.plan import PlannedRow
from phasegan.config.run import RunStatus, TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.devices import memory_guard
from phasegan.errors import DiskFullError, RunError
from phasegan.eta import Estimate, LinearCost, RunTiming, estimate_timings
from phasegan.evaluation.evaluate import BLOCK, open_baseline, open_run, score_method
from phasegan.models.weights import NETWORK_KEY, save_weights
from phasegan.progress import Progress
from phasegan.reconstruction.protocol import Method
from phasegan.training.presets import TrainingSetup
from phasegan.training.setup.timing import time_run, warn_if_busy

TIMED_IMAGES = (2, 8)
TIMED_SAMPLES = (8, 24)
MAX_SAMPLES = 2000
"""Samples from which on no method takes longer to make ready, but for reading them."""
DEVIATION = 0.2
"""Relative error of what is extrapolated from so few images."""


@dataclass(frozen=True)
class RowEstimate:
    """Estimated duration of a row."""

    training: Estimate | None
    """None for a baseline."""
    scoring: Estimate
    """Reconstructing and scoring; of a baseline, with its statistics of the samples."""

    @property
    def seconds(self) -> float:
        """The most likely duration of the whole row."""
        return self.scoring.seconds + (self.training.seconds if self.training else 0.0)

    @property
    def parts(self) -> list[Estimate]:
        """Both, where there are both."""
        return [self.scoring] if self.training is None else [self.training, self.scoring]


class Estimator:
    """Estimator of rows; equal work is timed once.

    Parameters
    ----------
    file : PreparedFile
        The data.
    device : torch.device
        Where trainings run.
    progress : Progress
        Where a busy machine is reported.
    """

    def __init__(self, file: PreparedFile, device: torch.device, progress: Progress) -> None:
        self._file, self._device, self._progress = file, device, progress
        self._scorings: dict[TrainConfig, Estimate] = {}
        self._baselines: dict[tuple[str, int | None], Estimate] = {}

    def estimate(
        self, rows: Sequence[PlannedRow], known: Mapping[PlannedRow, Estimate]
    ) -> tuple[dict[PlannedRow, RowEstimate], dict[PlannedRow, str]]:
        """Estimate rows that the data allow.

        Parameters
        ----------
        rows : sequence of PlannedRow
            Which.
        known : mapping
            Trainings that were begun before, and what was estimated then.

        Returns
        -------
        (dict, dict)
            Estimates by row, and for rows that cannot even be tried the reason.
        """
        timings: dict[TrainConfig, RunTiming] = {}
        failed: dict[PlannedRow, str] = {}
        for row in rows:
            config = None if row.config is None else _without_seed(row.config)
            if config is None or config in timings or row in known:
                continue
            advice = f"{row.method}; choose --variant small or a lower {config.size_name}"
            try:
                with memory_guard(advice):
                    timings[config] = time_run(TrainingSetup(config, self._file, self._device))
            except DiskFullError:
                raise
            except RunError as error:
                failed[row] = str(error)
        warn_if_busy(list(timings.values()), self._progress)
        trainings = dict(zip(timings, estimate_timings(list(timings.values())), strict=True))
        estimates = {}
        for row in rows:
            if row.config is None:
                estimates[row] = RowEstimate(None, self._of_baseline(row))
            elif row in known or _without_seed(row.config) in trainings:
                training = known[row] if row in known else trainings[_without_seed(row.config)]
                estimates[row] = RowEstimate(training, self._of_scoring(row.config))
        return estimates, failed

    def _of_baseline(self, row: PlannedRow) -> Estimate:
        known = (row.method, row.samples)
        if known not in self._baselines:
            self._baselines[known] = self._baseline(row, len(self._file.test))
        return self._baselines[known]

    def _of_scoring(self, config: TrainConfig) -> Estimate:
        same = _without_seed(config).model_copy(update={"epochs": 1})
        if same not in self._scorings:
            self._scorings[same] = self._run(same, len(self._file.test))
        return self._scorings[same]

    def _baseline(self, row: PlannedRow, count: int) -> Estimate:
        samples = row.samples
        seconds = 0.0
        if samples is not None:
            few, more = (min(number, samples) for number in TIMED_SAMPLES)
            cost = LinearCost.measure(lambda count: self._open(row.method, count), few, more)
            seconds = cost.at(min(samples, MAX_SAMPLES))
        method = open_baseline(
            row.method, self._file, None if samples is None else min(samples, TIMED_SAMPLES[0]), 0
        )
        return Estimate.around(seconds + self._scoring(method, count), DEVIATION, {})

    def _open(self, method: str, samples: int) -> float:
        start = time.perf_counter()
        open_baseline(method, self._file, samples, 0)
        return time.perf_counter() - start

    def _run(self, config: TrainConfig, count: int) -> Estimate:
        """Score with networks that learned nothing: they take as long."""
        random_state = torch.get_rng_state()
        with TemporaryDirectory() as name:
            folder = RunFolder(name)
            folder.write_config(config)
            networks = TrainingSetup(config, self._file, self._device).make_gan().networks()
            for network_name, network in networks.items():
                about = {"label": config.label, NETWORK_KEY: network_name}
                save_weights(network, folder.weights_path(network_name), about)
            folder.write_status(
                RunStatus(
                    state="finished",
                    epoch=config.epochs,
                    step=config.steps,
                    steps=config.steps,
                    seconds=0.0,
                    device=str(self._device),
                    threads=torch.get_num_threads(),
                )
            )
            method = open_run(folder.path, self._file, self._device)
            seconds = self._scoring(method, count)
        torch.set_rng_state(random_state)
        return Estimate.around(seconds, DEVIATION, {})

    def _scoring(self, method: Method, count: int) -> float:
        few, more = (min(number, count) for number in TIMED_IMAGES)
        cost = LinearCost.measure(lambda number: self._score(method, number), few, more)
        blocks = -(-count // BLOCK)
        return blocks * max(0.0, cost.at(0)) + count * cost.each

    def _score(self, method: Method, count: int) -> float:
        start = time.perf_counter()
        score_method(self._file, method, "a trial", Progress(), indices=np.arange(count))
        return time.perf_counter() - start


def _without_seed(config: TrainConfig) -> TrainConfig:
    """Return a configuration of the same duration, whatever the seed."""
    return config.model_copy(update={"seed": 0})
