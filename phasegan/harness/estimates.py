"""How long the rows of a bench will take, before any of them is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
import torch

from phasegan.devices import memory_guard
from phasegan.harness.evaluate import BLOCK, open_baseline, open_run, score_method
from phasegan.harness.plan import PlannedRow
from phasegan.models.weights import save_weights
from phasegan.progress import Progress
from phasegan.reconstruction.protocol import Method
from phasegan.runs.config import RunStatus, TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.store.reader import PreparedFile
from phasegan.training.engine import make_engine
from phasegan.training.estimate import Estimate
from phasegan.training.timing import estimate_run

TRIED_IMAGES = (2, 8)
TRIED_SAMPLES = (8, 24)
MOST_LEARNED_FROM = 2000
"""Samples from which on no method takes longer to make ready, but for reading them."""
DEVIATION = 0.2
"""Relative error of what is extrapolated from so few images."""


@dataclass(frozen=True)
class RowEstimate:
    """What a row will take."""

    training: Estimate | None
    """None for a baseline."""
    scoring: Estimate
    """Of a baseline, with what it takes from the samples."""

    @property
    def seconds(self) -> float:
        """The most likely duration of the whole row."""
        return self.scoring.seconds + (self.training.seconds if self.training else 0.0)

    @property
    def parts(self) -> list[Estimate]:
        """Both, where there are both."""
        return [self.scoring] if self.training is None else [self.training, self.scoring]


class Estimator:
    """Estimates rows; what is alike is timed once.

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
        self._trainings: dict[TrainConfig, Estimate] = {}
        self._runs: dict[TrainConfig, Estimate] = {}
        self._baselines: dict[tuple[str, int | None], Estimate] = {}
        self._warned = False

    def estimate(self, row: PlannedRow) -> RowEstimate:
        """Estimate a row that the data allow.

        Raises
        ------
        RunError
            If there is not enough memory for its networks.
        """
        count = len(self._file.test)
        if row.config is None:
            known = (row.method, row.samples)
            if known not in self._baselines:
                self._baselines[known] = self._baseline(row, count)
            return RowEstimate(None, self._baselines[known])
        alike = row.config.model_copy(update={"seed": 0})
        if alike not in self._trainings:
            advice = f"{row.method}; choose --variant small or a lower {row.config.size_name}"
            with memory_guard(advice):
                warn = Progress() if self._warned else _Once(self._progress, self)
                self._trainings[alike] = estimate_run(
                    alike, self._file, None, self._device, None, warn
                )
        same = alike.model_copy(update={"epochs": 1})
        if same not in self._runs:
            self._runs[same] = self._run(same, count)
        return RowEstimate(self._trainings[alike], self._runs[same])

    def warned(self) -> None:
        """Remember that a busy machine was reported."""
        self._warned = True

    def _baseline(self, row: PlannedRow, count: int) -> Estimate:
        samples = row.samples
        seconds = 0.0
        if samples is not None:
            few, more = (min(number, samples) for number in TRIED_SAMPLES)
            self._open(row.method, few)
            first, second = self._open(row.method, few), self._open(row.method, more)
            each = max(0.0, second - first) / (more - few) if more > few else 0.0
            seconds = first + each * (min(samples, MOST_LEARNED_FROM) - few)
        method = open_baseline(
            row.method, self._file, None if samples is None else min(samples, TRIED_SAMPLES[0]), 0
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
            for network_name, network in make_engine(config, self._device).networks().items():
                save_weights(network, folder.weights_path(network_name), {"label": config.label})
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
        few, more = (min(number, count) for number in TRIED_IMAGES)
        self._score(method, few)
        first = self._score(method, few)
        if more == few:
            return first * count / few
        each = max(0.0, self._score(method, more) - first) / (more - few)
        blocks = -(-count // BLOCK)
        return blocks * max(0.0, first - few * each) + count * each

    def _score(self, method: Method, count: int) -> float:
        start = time.perf_counter()
        score_method(self._file, method, "a trial", Progress(), indices=np.arange(count))
        return time.perf_counter() - start


class _Once(Progress):
    """Passes the first warning on."""

    def __init__(self, progress: Progress, estimator: Estimator) -> None:
        self._progress, self._estimator = progress, estimator

    def warn(self, text: str) -> None:
        self._progress.warn(text)
        self._estimator.warned()
