"""The training loop: from a configuration to a finished run folder."""

from __future__ import annotations

import operator
import time
from typing import Any, Literal

import torch

from phasegan.errors import Interrupted
from phasegan.models.weights import save_weights
from phasegan.progress import Progress, Task
from phasegan.runs.config import RunStatus, TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.store.reader import PreparedFile
from phasegan.training.checkpoint import (
    damaged_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from phasegan.training.engine import make_batches, make_engine
from phasegan.training.interrupt import SignalGuard
from phasegan.training.journal import Journal, watch
from phasegan.training.schedule import picture_epochs
from phasegan.usage import Meter

LOG_STEPS = 50
SHOWN = ("cycle_b", "structure", "cycle_a", "discriminator_b")
"""Losses that the progress line names."""
CHECKPOINT_SECONDS = 600.0


def run_training(
    config: TrainConfig,
    file: PreparedFile,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
    *,
    resume: bool,
    images: PreparedFile | None = None,
) -> float:
    """Train until the end or a signal.

    Parameters
    ----------
    config : TrainConfig
        What to train.
    file : PreparedFile
        The data that `config.data` describes.
    folder : RunFolder
        Where everything is written; `config.json` is there already.
    device : torch.device
        Where to train.
    progress : Progress
        Where to report.
    resume : bool
        Continue from the checkpoint.
    images : PreparedFile, optional
        The file that the images come from, where `file` gives the phases alone.

    Returns
    -------
    float
        Seconds spent training, over all attempts.

    Raises
    ------
    Interrupted
        After a SIGINT or SIGTERM, when the checkpoint is written.
    RunError
        If a loss is not finite.
    """
    meter = Meter(device)
    gan = make_engine(config, device)
    batches = make_batches(config, file, images, device)
    start = time.monotonic()
    gan.begin(batches, progress)
    preparing = time.monotonic() - start
    epoch = step = 0  # epochs done; optimiser steps done in the current epoch
    earlier, earlier_device, log_state = 0.0, 0.0, None
    if resume:
        with damaged_checkpoint(folder.checkpoint_path):
            state = load_checkpoint(folder.checkpoint_path, device)
            gan.restore(state["gan"])
            epoch, step = operator.index(state["epoch"]), operator.index(state["step"])
            earlier, log_state = float(state["seconds"]), dict(state["journal"])
            earlier_device = float(state.get("device_seconds", 0.0))
            if not (0 <= epoch <= config.epochs and 0 <= step <= config.steps_per_epoch):
                raise ValueError(f"epoch {epoch}, step {step}")

    earlier += preparing
    watched = watch(file)
    per_epoch = config.steps_per_epoch
    pictures = picture_epochs(config.epochs)
    start = time.monotonic()  # set again when everything is open

    def seconds() -> float:
        return earlier + time.monotonic() - start

    def save(state: Literal["running", "interrupted", "finished"]) -> None:
        checkpoint: dict[str, Any] = {
            "gan": gan.state(),
            "epoch": epoch,
            "step": step,
            "seconds": seconds(),
            "device_seconds": earlier_device + meter.seconds()[1],
            "journal": journal.state(),
        }
        save_checkpoint(folder.checkpoint_path, checkpoint)
        for name, network in gan.networks().items():
            save_weights(network, folder.weights_path(name), {"label": config.label})
        folder.write_status(
            RunStatus(
                state=state,
                epoch=epoch,
                step=epoch * per_epoch + step,
                steps=config.steps,
                seconds=round(seconds(), 3),
                device_seconds=round(earlier_device + meter.seconds()[1], 3),
                peak_bytes=meter.peak_bytes(),
                device=str(device),
                threads=torch.get_num_threads(),
            )
        )

    done = epoch * per_epoch + step
    with (
        SignalGuard() as signals,
        Journal(folder, done, epoch) as journal,
        progress.task(f"training {config.label}", config.steps, done) as task,
    ):
        start = saved = time.monotonic()
        if log_state is not None:
            journal.restore(log_state, device)
        if not journal.has_tensorboard:
            progress.detail("TensorBoard is not installed: losses go to losses.jsonl alone")
        rate = config.learning_rate * gan.rate(max(0, done - 1))
        while epoch < config.epochs:
            while step < per_epoch:
                factor = gan.rate(done)
                rate = config.learning_rate * factor
                gan.set_rate(factor)
                real_a, real_b = batches.at(epoch, step)
                real_a = None if real_a is None else real_a.to(device)
                journal.add(gan.step(real_a, real_b.to(device)))
                step += 1
                done = epoch * per_epoch + step
                if done % LOG_STEPS == 0:
                    _show(journal.write(done, epoch + 1, rate), task, epoch + 1, config)
                task.advance(1)
                if signals.received is not None:
                    save("interrupted")
                    raise Interrupted(
                        f"interrupted at step {done} of {config.steps}; saved in "
                        f"{folder.path}, continue with --resume",
                        signals.received,
                    )
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    save("running")
                    saved = time.monotonic()
            epoch, step = epoch + 1, 0
            _show(journal.write(done, epoch, rate), task, epoch, config)
            if epoch in pictures:
                journal.picture(epoch, done, watched, gan.pictures)
            if epoch < config.epochs:
                save("running")
                saved = time.monotonic()
        save("finished")
    return seconds()


def _show(means: dict[str, float], task: Task, epoch: int, config: TrainConfig) -> None:
    if means:
        shown = [f"{name} {means[name]:.3g}" for name in SHOWN if name in means]
        task.advance(0, "  ".join([f"epoch {epoch}/{config.epochs}", *shown]))
