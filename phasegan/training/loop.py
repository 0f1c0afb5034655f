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
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data import UnpairedBatches, choose_subset
from phasegan.training.interrupt import SignalGuard
from phasegan.training.journal import SAMPLE_ROWS, Journal, Watched
from phasegan.training.schedule import picture_epochs, rate_factor

LOG_STEPS = 50
CHECKPOINT_SECONDS = 600.0


def run_training(
    config: TrainConfig,
    file: PreparedFile,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
    *,
    resume: bool,
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
    gan = CycleGAN(config, device)
    epoch = step = 0  # epochs done; optimiser steps done in the current epoch
    earlier, log_state = 0.0, None
    if resume:
        with damaged_checkpoint(folder.checkpoint_path):
            state = load_checkpoint(folder.checkpoint_path, device)
            gan.restore(state["gan"])
            epoch, step = operator.index(state["epoch"]), operator.index(state["step"])
            earlier, log_state = float(state["seconds"]), dict(state["journal"])
            if not (0 <= epoch <= config.epochs and 0 <= step <= config.steps_per_epoch):
                raise ValueError(f"epoch {epoch}, step {step}")

    indices = choose_subset(len(file.train), config.data.samples, config.seed)
    batches = UnpairedBatches(file, indices, config.batch_size, config.seed)
    watched_split = file.test if len(file.test) else file.train
    rows = slice(0, SAMPLE_ROWS)
    watched = Watched(
        watched_split.phase(rows), watched_split.images(rows), file.layout.data_range, device
    )
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
                device=str(device),
                threads=torch.get_num_threads(),
            )
        )

    done = epoch * per_epoch + step
    with (
        SignalGuard() as signals,
        Journal(folder, done) as journal,
        progress.task(f"training {config.label}", config.steps, done) as task,
    ):
        start = saved = time.monotonic()
        if log_state is not None:
            journal.restore(log_state, device)
        if not journal.has_tensorboard:
            progress.detail("TensorBoard is not installed: losses go to losses.jsonl alone")
        while epoch < config.epochs:
            factor = rate_factor(epoch, config.epochs)
            rate = config.optimiser.learning_rate * factor
            gan.set_rate(factor)
            order_a, order_b = batches.order(epoch, 0), batches.order(epoch, 1)
            while step < per_epoch:
                real_a, real_b = batches.batch(order_a, order_b, step)
                journal.add(gan.step(real_a.to(device), real_b.to(device)))
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
                journal.picture(epoch, done, watched, gan.generator_ab)
            if epoch < config.epochs:
                save("running")
                saved = time.monotonic()
        save("finished")
    return seconds()


def _show(means: dict[str, float], task: Task, epoch: int, config: TrainConfig) -> None:
    if means:
        cycle, judge = means["cycle_b"], means["discriminator_b"]
        note = f"epoch {epoch}/{config.epochs}  cycle_b {cycle:.3f}  discriminator_b {judge:.3f}"
        task.advance(0, note)
