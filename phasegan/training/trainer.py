"""The training loop: from a configuration to a finished run folder."""

from __future__ import annotations

import contextlib
import itertools
import math
import operator
import time
from typing import Any, Literal

import torch

from phasegan.config.run import RunStatus, Validated
from phasegan.config.run_folder import RunFolder
from phasegan.errors import Interrupted, RunError
from phasegan.models.weights import NETWORK_KEY, save_weights
from phasegan.plotting.training import run_title, save_training_figure
from phasegan.progress import Progress, ProgressTask
from phasegan.resources import Meter
from phasegan.training.callbacks.loss_meter import LossMeter
from phasegan.training.callbacks.run_log import RunLog
from phasegan.training.checkpoint import Checkpoints, checkpoint_errors, is_finite
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.non_finite import NonFiniteDetector, NonFiniteError
from phasegan.training.presets import TrainingSetup
from phasegan.training.schedule import sample_epochs
from phasegan.training.stop_signals import SignalGuard

LOG_STEPS = 50
PROGRESS_LOSSES = ("cycle_b", "structure", "cycle_a", "discriminator_b")
"""Losses on the progress line."""
CHECKPOINT_SECONDS = 600.0
KEPT_CHECKPOINTS = 2
"""Checkpoints kept, the newest ones."""
MAX_RECOVERIES = 3
"""Losses that were not finite after which a run fails."""

_SAVE, _NOT_FINITE = 1, 1000  # stop codes, beside the numbers of signals

State = Literal["running", "interrupted", "finished"]


class Trainer:
    """The training of one run, from its start or its newest checkpoint to its end.

    Parameters
    ----------
    setup : TrainingSetup
        Configuration, data and device.
    folder : RunFolder
        Where everything is written; `config.json` exists already.
    progress : Progress
        Where to report.
    """

    def __init__(self, setup: TrainingSetup, folder: RunFolder, progress: Progress) -> None:
        self.setup, self.folder, self.progress = setup, folder, progress
        self.config, self.preset = setup.config, setup.preset
        self.device, self.processes = setup.device, setup.processes
        self.gan, self.batches = setup.make_gan(), setup.make_batches()
        self.checkpoints = Checkpoints(folder.checkpoints_path, KEPT_CHECKPOINTS)
        self.meter = Meter(self.device)
        self.loss_meter = LossMeter(self.gan.loss_names, self.device)
        self.non_finite = NonFiniteDetector(self.device)
        self.consensus = self.processes.stop_consensus()
        main, data = self.processes.main, setup.data
        self.samples = self.preset.samples(self.config, data) if main else None
        self.sample_epochs = sample_epochs(self.config.epochs, self.config.extended_at)
        self.run_log: RunLog | None = None
        # What a checkpoint keeps:
        self.steps_done = self.epochs_done = 0  # optimiser steps; epochs with their validation
        self.best: Validated | None = None
        self.stale_validations = 0  # validations since the best one
        self.recoveries: list[str] = []
        self.previous_seconds, self.previous_device_seconds = 0.0, 0.0

    def train(self, *, resume: bool) -> float:
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
            If losses are not finite again and again, or a process that reads data ends.
        """
        self._prepare_networks(resume)
        with contextlib.ExitStack() as stack:
            signals = stack.enter_context(SignalGuard())
            label, steps = f"training {self.config.label}", self.config.steps
            task = stack.enter_context(self.progress.task(label, steps, self.steps_done))
            stack.callback(self._close_run_log)
            self._open_run_log()
            if not resume:
                self._save("running")
            finished = False
            while not finished:
                try:
                    self._train_epochs(signals, task)
                    finished = True
                except NonFiniteError:
                    self.consensus.drain()
                    self._recover(task)
        return self._seconds()

    def _prepare_networks(self, resume: bool) -> None:
        """Bring the networks to the state of the first step, or of the newest checkpoint."""
        self.start_time = time.monotonic()
        self.gan.setup(self.batches, self.progress, resume=resume)
        if resume:
            self._restore()
        elif self.setup.initial is not None and isinstance(self.gan, CycleGAN):
            self.gan.nets.load_networks(self.setup.initial.matching(self.gan.networks()))

    def _train_epochs(self, signals: SignalGuard, task: ProgressTask) -> None:
        """Train from the state as it is until the end of the run."""
        config = self.config
        self.last_save = time.monotonic()
        self._restart_clock()
        remaining = self.batches.iterate(range(self.steps_done, config.steps))
        with contextlib.closing(remaining) as batches:
            while self.epochs_done < config.epochs and not self._stops_early():
                left = (self.epochs_done + 1) * config.steps_per_epoch - self.steps_done
                for batch in itertools.islice(batches, left):
                    lr_factor = self.preset.lr_factor(config, self.steps_done)
                    losses = self.gan.training_step(batch, lr_factor)
                    finite = self.non_finite.update(self.loss_meter.update(losses))
                    self.steps_done += 1
                    self.images_seen += batch.total
                    if self.steps_done % LOG_STEPS == 0:
                        self._log(task)
                    task.advance(1)
                    self._handle(self.consensus.submit(self._stop_code(finite, signals)))
                code = self._stop_code(self.non_finite.drain(), signals)
                self._handle(self.consensus.submit_and_wait(code))
                self._end_epoch(task)
        self._save("finished")

    def _end_epoch(self, task: ProgressTask) -> None:
        """Log, validate, draw samples, and save a checkpoint unless the run ends here."""
        epoch, config = self.epochs_done + 1, self.config
        self._log(task)
        every = config.validation.every
        ends = epoch in (*config.extended_at, config.epochs)
        if config.validation.samples and (epoch % every == 0 or ends):
            self._validate(epoch)
        if self.run_log is not None and self.samples is not None and epoch in self.sample_epochs:
            sheet = self.samples.on_epoch_end(self.gan, self.folder, epoch)
            self.run_log.log_samples(epoch, self.steps_done, sheet)
        self.epochs_done = epoch
        self._renew_patience()
        if epoch < config.epochs and not self._stops_early():
            self._save("running")
        self._restart_clock()

    # --- validation ---------------------------------------------------------------

    def _validate(self, epoch: int) -> None:
        """Score the networks, and keep their weights if they are the best so far."""
        value = self.preset.validate(
            self.config, self.setup.data, self.gan, self.processes, self.device
        )
        if self.run_log is not None:
            self.run_log.log_validation(self.steps_done, epoch, self.preset.measure, value)
        if self.best is None or value < self.best.value:
            best = {"epoch": epoch, self.preset.measure: value}
            self.best = Validated.model_validate(best)
            self.stale_validations = 0
            self._save_weights()
        else:
            self.stale_validations += 1

    def _renew_patience(self) -> None:
        """Count the validations without a better one anew where the run was extended."""
        if self.epochs_done in self.config.extended_at:
            self.stale_validations = 0

    def _stops_early(self) -> bool:
        patience = self.config.validation.patience
        return bool(patience) and self.stale_validations >= patience

    # --- stopping and recovering ----------------------------------------------------

    def _stop_code(self, finite: bool, signals: SignalGuard) -> int:
        if not finite:
            return _NOT_FINITE
        if signals.received is not None:
            return signals.received
        late = time.monotonic() - self.last_save > CHECKPOINT_SECONDS
        return _SAVE if late and self.processes.main else 0

    def _handle(self, code: int) -> None:
        """Act on the stop code that the processes agreed on."""
        if code == _NOT_FINITE:
            raise NonFiniteError
        if code == _SAVE:
            self._save("running")
        elif code:
            self._save("interrupted")
            raise Interrupted(
                f"interrupted at step {self.steps_done} of {self.config.steps}; saved in "
                f"{self.folder.path}, continue with --resume",
                code,
            )

    def _recover(self, task: ProgressTask) -> None:
        """Go back to the last checkpoint, and back off, after a loss that was not finite."""
        at, self.non_finite = self.steps_done, NonFiniteDetector(self.device)
        hopeless = len(self.recoveries) >= MAX_RECOVERIES
        self._restore()
        if hopeless:
            self.processes.broadcast_result(lambda: self._give_up(at))
        change = self.gan.accelerator.back_off()
        text = f"a loss was not finite at step {at}: back to step {self.steps_done}, {change}"
        self.recoveries.append(text)
        self.progress.warn(text)
        task.advance(self.steps_done - at)
        self._open_run_log()
        if self.run_log is not None:
            self.run_log.log_event(self.steps_done, max(1, self.epochs_done), text)
        self._save("running")

    def _give_up(self, at: int) -> None:
        raise RunError(
            f"{self.folder.path}: a loss is not finite at step {at}, after {MAX_RECOVERIES} "
            f"attempts from earlier states; step {self.steps_done} is kept. Try a lower "
            "--learning-rate"
        )

    # --- log ------------------------------------------------------------------------

    def _open_run_log(self) -> None:
        if not self.processes.main:
            return
        self._close_run_log()
        self.run_log = RunLog(self.folder, self.steps_done, self.epochs_done)
        if not self.run_log.has_tensorboard:
            self.progress.detail("TensorBoard is not installed: losses go to losses.jsonl alone")

    def _close_run_log(self) -> None:
        if self.run_log is not None:
            self.run_log.close()

    def _restart_clock(self) -> None:
        self.clock_start, self.images_seen = time.monotonic(), 0

    def _log(self, task: ProgressTask) -> None:
        """Log the mean losses since the last call, and show some with the progress."""
        config, epoch = self.config, self.epochs_done + 1
        means = self.loss_meter.flush(self.processes)
        if self.run_log is not None and means and all(map(math.isfinite, means.values())):
            pace = self.images_seen / max(1e-9, time.monotonic() - self.clock_start)
            scale = config.learning_rate * self.gan.accelerator.lr_scale
            rate = scale * self.preset.lr_factor(config, max(0, self.steps_done - 1))
            self.run_log.log_losses(self.steps_done, epoch, rate, means, pace)
            texts = [f"{name} {means[name]:.3g}" for name in PROGRESS_LOSSES if name in means]
            head = [f"epoch {epoch}/{config.epochs}", f"{pace:.3g} images/s"]
            task.advance(0, "  ".join([*head, *texts]))
        self._restart_clock()

    def _seconds(self) -> float:
        return self.previous_seconds + time.monotonic() - self.start_time

    def _device_seconds(self) -> float:
        return self.previous_device_seconds + self.meter.seconds()[1]

    # --- checkpoints ----------------------------------------------------------------

    def _save(self, state: State) -> None:
        """Write a checkpoint, weights and status, if all weights are finite."""
        gan = self.gan.state_dict()
        if not is_finite(gan):
            raise NonFiniteError
        self.loss_meter.reduce(self.processes)
        self.processes.broadcast_result(lambda: self._write(state, gan))
        self.last_save = time.monotonic()

    def _write(self, state: State, gan: dict[str, Any]) -> None:
        checkpoint = {
            "gan": gan,
            "step": self.steps_done,
            "ended": self.epochs_done,
            "seconds": self._seconds(),
            "device_seconds": self._device_seconds(),
            "losses": self.loss_meter.state_dict(),
            "best": None if self.best is None else self.best.model_dump(),
            "worse": self.stale_validations,
            "fell_back": self.recoveries,
        }
        self.checkpoints.save(self.steps_done, checkpoint)
        if self.best is None:
            self._save_weights()
        if self.run_log is not None and state != "running":
            interrupted_at = self.steps_done if state == "interrupted" else None
            save_training_figure(self.folder, self.config, interrupted_at, self.setup.domain_names)
            if self.samples is not None:
                self.samples.on_train_end(self.gan, self.folder, run_title(self.config))
        self.folder.write_status(
            RunStatus(
                state=state,
                epoch=self.epochs_done,
                step=self.steps_done,
                steps=self.config.steps,
                seconds=round(self._seconds(), 3),
                device_seconds=round(self._device_seconds(), 3),
                peak_bytes=self.meter.peak_bytes(),
                device=str(self.device),
                threads=torch.get_num_threads(),
                processes=self.processes.count,
                execution=self.setup.execution,
                schedule=self.config.epochs_text if self.config.extended_at else None,
                best=self.best,
                fell_back=tuple(self.recoveries),
            )
        )

    def _save_weights(self) -> None:
        if self.processes.main:
            for name, network in self.gan.networks().items():
                about = {"label": self.config.label, NETWORK_KEY: name}
                save_weights(network, self.folder.weights_path(name), about)

    def _spent(self, state: dict[str, Any]) -> tuple[float, float]:
        """Return the seconds of all attempts, and of the device: no less than were known.

        A status is written after its checkpoint, and what was computed after it is spent too.
        """
        known = [(float(state["seconds"]), float(state["device_seconds"]))]
        known.append((self._seconds(), self._device_seconds()))
        if self.folder.status_path.is_file():
            status = self.folder.read_status()
            known.append((status.seconds, status.device_seconds or 0.0))
        seconds, device_seconds = map(max, zip(*known, strict=True))
        return seconds, device_seconds

    def _restore(self) -> None:
        """Restore the state of the newest checkpoint."""
        state = self.processes.main_first(lambda: self.checkpoints.load(self.device, self.progress))
        config = self.config
        with checkpoint_errors(self.folder.checkpoints_path):
            self.gan.load_state_dict(state["gan"])
            step, epoch = operator.index(state["step"]), operator.index(state["ended"])
            first, last = (n * config.steps_per_epoch for n in (epoch, epoch + 1))
            if not (0 <= epoch <= config.epochs and first <= step <= last):
                raise ValueError(f"epoch {epoch}, step {step}")
            self.steps_done, self.epochs_done = step, epoch
            self.previous_seconds, self.previous_device_seconds = self._spent(state)
            self.loss_meter.load_state_dict(state["losses"], self.processes)
            best = state["best"]
            self.best = None if best is None else Validated.model_validate(best)
            self.stale_validations = operator.index(state["worse"])
            self._renew_patience()
            self.recoveries = [str(text) for text in state["fell_back"]]
        self.start_time, self.meter = time.monotonic(), Meter(self.device)
