"""The training loop: from a configuration to a finished run folder."""

from __future__ import annotations

import math
import operator
import time
from typing import Any, Literal

import torch

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.run import RunStatus, TrainConfig, Validated
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.errors import Interrupted, RunError
from phasegan.models.weights import NETWORK_KEY, save_weights
from phasegan.progress import Progress, ProgressTask
from phasegan.resources import Meter
from phasegan.training.callbacks.loss_meter import LossMeter
from phasegan.training.callbacks.run_log import Journal, title_of
from phasegan.training.checkpoint import Checkpoints, damaged_checkpoint, is_finite
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.micro_batches import Batch
from phasegan.training.data.prefetch import Prefetcher
from phasegan.training.engine import (
    Data,
    load_batch,
    make_batches,
    make_engine,
    make_sample_callback,
    validate,
)
from phasegan.training.non_finite import NonFiniteDetector, NonFiniteError
from phasegan.training.schedule import picture_epochs
from phasegan.training.setup.init_from import Start
from phasegan.training.stop_signals import SignalGuard

LOG_STEPS = 50
SHOWN = ("cycle_b", "structure", "cycle_a", "discriminator_b")
"""Losses that the progress line names."""
CHECKPOINT_SECONDS = 600.0
KEPT = 2
"""Checkpoints kept, the newest ones."""
MOST_FALLS = 3
"""Losses that were not finite after which a run is given up."""

_SAVE, _NOT_FINITE = 1, 1000  # votes, beside the numbers of signals


class Trainer:
    """One run from where it stands to its end.

    Parameters
    ----------
    config : TrainConfig
        What to train.
    file : PreparedFile or PictureData
        The data that `config.data` describes.
    folder : RunFolder
        Where everything is written; `config.json` is there already.
    device : torch.device
        Where to train.
    progress : Progress
        Where to report.
    images : PreparedFile, optional
        The file that the images come from, where `file` gives the phases alone.
    execution : Execution
        Switches of speed and memory.
    processes : Processes
        Those that train together; only the main one writes.
    start : Start, optional
        Networks to start from.
    """

    def __init__(
        self,
        config: TrainConfig,
        file: Data,
        folder: RunFolder,
        device: torch.device,
        progress: Progress,
        images: PreparedFile | None = None,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
        start: Start | None = None,
    ) -> None:
        self.config, self.file, self.folder = config, file, folder
        self.device, self.progress, self.processes = device, progress, processes
        self.execution, self.start_from = execution, start
        self.meter = Meter(device)
        self.gan = make_engine(config, device, execution, processes)
        self.batches = make_batches(config, file, images, device, execution)
        self.checkpoints = Checkpoints(folder.checkpoints_path, KEPT)
        self.means = LossMeter(self.gan.losses, device)
        self.non_finite, self.stop_consensus = NonFiniteDetector(device), processes.stop_consensus()
        self.samples = make_sample_callback(config, file) if processes.main else None
        self.pictures = picture_epochs(config.epochs)
        self.done = self.ended = 0  # optimiser steps; epochs with all that follows them
        self.best: Validated | None = None
        self.worse = 0  # validations since the best
        self.fell_back: list[str] = []
        self.earlier, self.earlier_device = 0.0, 0.0
        self.journal: Journal | None = None
        self.seen = 0  # images since the clock was started
        self.clock = time.monotonic()

    # --- the run ------------------------------------------------------------------

    def run(self, *, resume: bool) -> float:
        """Train until the end or a signal.

        Parameters
        ----------
        resume : bool
            Continue from the newest checkpoint.

        Returns
        -------
        float
            Seconds spent training, over all attempts.

        Raises
        ------
        Interrupted
            After a SIGINT or SIGTERM, when the checkpoint is written.
        RunError
            If losses are not finite again and again.
        """
        self.start = time.monotonic()
        if resume:
            self.gan.on_resume(self.batches)
            self._restore()
        else:
            self.gan.setup(self.batches, self.progress)
            if self.start_from is not None and isinstance(self.gan, CycleGAN):
                self.gan.load_networks(self.start_from.fit(self.gan.networks()))
        try:
            with (
                SignalGuard() as signals,
                Prefetcher(
                    self._load, self.config.steps, active=self.batches.from_host
                ) as self.load,
                self.progress.task(
                    f"training {self.config.label}", self.config.steps, self.done
                ) as task,
            ):
                self._open_journal()
                if not resume:
                    self._save("running")
                while not self._learn(signals, task):
                    self._fall_back(task)
        finally:
            if self.journal is not None:
                self.journal.close()
        return self._seconds()

    def _learn(self, signals: SignalGuard, task: ProgressTask) -> bool:
        """Train until the end; return False after a loss that is not finite."""
        config, per_epoch = self.config, self.config.steps_per_epoch
        self.saved = time.monotonic()
        self.rate = self._rate(max(0, self.done - 1))
        self._restart_clock()
        try:
            while self.ended < config.epochs and not self._stops_early():
                while self.done < (self.ended + 1) * per_epoch:
                    finite = self._step()
                    if self.done % LOG_STEPS == 0:
                        self._log(task, self.ended + 1)
                    task.advance(1)
                    self._handle(self.stop_consensus.submit(self._signal_code(finite, signals)))
                self._handle(
                    self.stop_consensus.submit_and_wait(
                        self._signal_code(self.non_finite.drain(), signals)
                    )
                )
                self._end_epoch(task)
            self._save("finished")
        except NonFiniteError:
            self.stop_consensus.drain()
            return False
        return True

    def _step(self) -> bool:
        """Learn from the next batch; tell whether all losses were finite, as far as is known."""
        self.gan.set_lr_factor(self.gan.lr_factor(self.done))
        self.rate = self._rate(self.done)
        batch = self.load(self.done)
        values = self.means.add(self.gan.training_step(batch))
        self.done += 1
        self.seen += batch.total
        return self.non_finite.update(values)

    def _load(self, done: int) -> Batch:
        return load_batch(self.batches, self.gan, self.config, done)

    def _rate(self, step: int) -> float:
        return self.config.learning_rate * self.gan.accelerator.lr_scale * self.gan.lr_factor(step)

    def _signal_code(self, finite: bool, signals: SignalGuard) -> int:
        if not finite:
            return _NOT_FINITE
        if signals.received is not None:
            return signals.received
        late = time.monotonic() - self.saved > CHECKPOINT_SECONDS
        return _SAVE if late and self.processes.main else 0

    def _handle(self, vote: int) -> None:
        """Do what the processes agreed on."""
        if vote == 0:
            return
        if vote == _NOT_FINITE:
            raise NonFiniteError
        if vote == _SAVE:
            self._save("running")
            return
        self._save("interrupted")
        raise Interrupted(
            f"interrupted at step {self.done} of {self.config.steps}; saved in "
            f"{self.folder.path}, continue with --resume",
            vote,
        )

    def _end_epoch(self, task: ProgressTask) -> None:
        epoch, config = self.ended + 1, self.config
        self._log(task, epoch)
        every = config.validation.every
        if config.validation.samples and (epoch % every == 0 or epoch == config.epochs):
            self._validate(epoch)
        if self.journal is not None and self.samples is not None and epoch in self.pictures:
            sheet = self.samples.on_epoch_end(self.gan, self.folder, epoch)
            self.journal.picture(epoch, self.done, sheet)
        self.ended = epoch
        if epoch < config.epochs and not self._stops_early():
            self._save("running")
        self._restart_clock()

    def _validate(self, epoch: int) -> None:
        measure, value = validate(self.config, self.file, self.gan, self.processes, self.device)
        if self.journal is not None:
            self.journal.validated(self.done, epoch, measure, value)
        if self.best is None or value < self.best.value:
            self.best, self.worse = Validated.model_validate({"epoch": epoch, measure: value}), 0
            self._save_weights()
        else:
            self.worse += 1

    def _stops_early(self) -> bool:
        patience = self.config.validation.patience
        return bool(patience) and self.worse >= patience

    def _fall_back(self, task: ProgressTask) -> None:
        """Go on from the last checkpoint, more carefully, after a loss that was not finite."""
        at, self.non_finite = self.done, NonFiniteDetector(self.device)
        if len(self.fell_back) >= MOST_FALLS:
            self._restore()
            self.processes.broadcast_result(lambda: self._give_up(at))
        self._restore()
        text = f"a loss was not finite at step {at}: back to step {self.done}"
        text = f"{text}, {self.gan.back_off()}"
        self.fell_back.append(text)
        self.progress.warn(text)
        task.advance(self.done - at)
        self._open_journal()
        if self.journal is not None:
            self.journal.event(self.done, max(1, self.ended), text)
        self._save("running")

    def _give_up(self, at: int) -> None:
        raise RunError(
            f"{self.folder.path}: a loss is not finite at step {at}, after {MOST_FALLS} attempts "
            f"from earlier states; step {self.done} is kept. Try a lower --learning-rate"
        )

    # --- what it leaves -------------------------------------------------------------

    def _open_journal(self) -> None:
        if not self.processes.main:
            return
        if self.journal is not None:
            self.journal.close()
        self.journal = Journal(self.folder, self.done, self.ended)
        if not self.journal.has_tensorboard:
            self.progress.detail("TensorBoard is not installed: losses go to losses.jsonl alone")

    def _restart_clock(self) -> None:
        self.clock, self.seen = time.monotonic(), 0

    def _log(self, task: ProgressTask, epoch: int) -> None:
        """Write the losses since the last time, if there are any, and show some."""
        means = self.means.take(self.processes)
        if self.journal is not None and means and all(map(math.isfinite, means.values())):
            pace = self.seen / max(1e-9, time.monotonic() - self.clock)
            self.journal.losses(self.done, epoch, self.rate, means, pace)
            shown = [f"{name} {means[name]:.3g}" for name in SHOWN if name in means]
            head = [f"epoch {epoch}/{self.config.epochs}", f"{pace:.3g} images/s"]
            task.advance(0, "  ".join([*head, *shown]))
        self._restart_clock()

    def _seconds(self) -> float:
        return self.earlier + time.monotonic() - self.start

    def _device_seconds(self) -> float:
        return self.earlier_device + self.meter.seconds()[1]

    def _save(self, state: Literal["running", "interrupted", "finished"]) -> None:
        """Write a checkpoint and the weights, if all of them are finite."""
        gan = self.gan.state()
        if not is_finite({"gan": gan}):
            raise NonFiniteError
        self.means.gather(self.processes)
        self.processes.broadcast_result(lambda: self._write(state, gan))
        self.saved = time.monotonic()

    def _write(
        self, state: Literal["running", "interrupted", "finished"], gan: dict[str, Any]
    ) -> None:
        checkpoint = {
            "gan": gan,
            "step": self.done,
            "ended": self.ended,
            "seconds": self._seconds(),
            "device_seconds": self._device_seconds(),
            "losses": self.means.state(),
            "best": None if self.best is None else self.best.model_dump(),
            "worse": self.worse,
            "fell_back": self.fell_back,
        }
        self.checkpoints.save(self.done, checkpoint)
        if self.best is None:
            self._save_weights()
        if self.journal is not None and state != "running":
            self.journal.draw(self.config, self.done if state == "interrupted" else None)
            if self.samples is not None:
                self.samples.on_train_end(self.gan, self.folder, title_of(self.config))
        self.folder.write_status(
            RunStatus(
                state=state,
                epoch=self.ended,
                step=self.done,
                steps=self.config.steps,
                seconds=round(self._seconds(), 3),
                device_seconds=round(self._device_seconds(), 3),
                peak_bytes=self.meter.peak_bytes(),
                device=str(self.device),
                threads=torch.get_num_threads(),
                processes=self.processes.count,
                execution=self.execution,
                best=self.best,
                fell_back=tuple(self.fell_back),
            )
        )

    def _save_weights(self) -> None:
        if self.processes.main:
            for name, network in self.gan.networks().items():
                about = {"label": self.config.label, NETWORK_KEY: name}
                save_weights(network, self.folder.weights_path(name), about)

    def _restore(self) -> None:
        """Take everything from the newest checkpoint."""
        state = self.processes.main_first(lambda: self.checkpoints.load(self.device, self.progress))
        config = self.config
        with damaged_checkpoint(self.folder.checkpoints_path):
            self.gan.restore(state["gan"])
            self.done, self.ended = operator.index(state["step"]), operator.index(state["ended"])
            first, last = (n * config.steps_per_epoch for n in (self.ended, self.ended + 1))
            if not (0 <= self.ended <= config.epochs and first <= self.done <= last):
                raise ValueError(f"epoch {self.ended}, step {self.done}")
            self.earlier = float(state["seconds"])
            self.earlier_device = float(state["device_seconds"])
            self.means.restore(state["losses"], self.processes)
            best = state["best"]
            self.best = None if best is None else Validated.model_validate(best)
            self.worse = operator.index(state["worse"])
            self.fell_back = [str(text) for text in state["fell_back"]]
        self.start, self.meter = time.monotonic(), Meter(self.device)
