"""The log of a run: losses as JSON lines and for TensorBoard, sample sheets, the figure."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from typing import Any

import numpy as np

from phasegan.config.run import TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.errors import disk_full_guard
from phasegan.io.atomic import atomic_file, write_text
from phasegan.io.output_paths import open_append
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.training import training_figure

_MAX_STEPS = 2**53
"""More steps than a run can have."""
_SMALLEST, _LARGEST = 1e-30, 1e30
"""Bounds of the magnitudes that can be drawn."""


class RunLog:
    """The log of a run on disk.

    Parameters
    ----------
    folder : RunFolder
        Where to write.
    start : int
        Optimiser steps done; later lines, of an earlier attempt, are removed.
    epoch : int
        Epochs done; later frames of the film strip are removed.
    """

    def __init__(self, folder: RunFolder, start: int, epoch: int = 0) -> None:
        self._folder = folder
        self._trim(start)
        FrameStore(folder.samples_path, 255).trim(epoch)
        self._board_path = folder.board_path
        self._file = os.fdopen(open_append(folder.losses_path), "a", encoding="utf-8")
        self._tensorboard = self._open_tensorboard(start)

    @property
    def has_tensorboard(self) -> bool:
        """Whether TensorBoard is installed."""
        return self._tensorboard is not None

    def _trim(self, start: int) -> None:
        if self._folder.losses_path.is_file():
            records = [r for r in read_records(self._folder) if r["step"] <= start]
            text = "".join(json.dumps(record) + "\n" for record in records)
            write_text(self._folder.losses_path, text)

    def _open_tensorboard(self, start: int) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        with disk_full_guard(self._board_path):
            # TensorBoard opens its file by name: one that nobody can guess
            name = f".{secrets.token_hex(8)}"
            return SummaryWriter(str(self._board_path), purge_step=start + 1, filename_suffix=name)

    def _write(self, record: dict[str, Any], scalars: dict[str, float]) -> None:
        with disk_full_guard(self._folder.losses_path):
            self._file.write(json.dumps(record, allow_nan=False) + "\n")
            self._file.flush()
        if self._tensorboard is not None:
            with disk_full_guard(self._board_path):
                for name, value in scalars.items():
                    self._tensorboard.add_scalar(name, value, record["step"])

    def log_losses(
        self, step: int, epoch: int, rate: float, means: dict[str, float], pace: float
    ) -> None:
        """Write the losses since the last line.

        Parameters
        ----------
        step, epoch : int
            Steps done, and the epoch of the last one, from 1.
        rate : float
            The learning rate.
        means : dict of float
            Mean of each loss over the steps that computed it.
        pace : float
            Images a second.
        """
        record = {"step": step, "epoch": epoch, "learning_rate": rate, **means}
        scalars = {f"losses/{name}": value for name, value in means.items()}
        scalars |= {"learning_rate": rate, "images_per_second": pace}
        self._write(record | {"images_per_second": float(f"{pace:.4g}")}, scalars)

    def log_validation(self, step: int, epoch: int, measure: str, value: float) -> None:
        """Write a validation.

        Parameters
        ----------
        step, epoch : int
            Steps and epochs done.
        measure : str
            Name of the score.
        value : float
            The score.
        """
        record = {"step": step, "epoch": epoch, "validation": {measure: value}}
        self._write(record, {f"validation/{measure}": value})

    def log_event(self, step: int, epoch: int, text: str) -> None:
        """Write a line of text, such as a recovery.

        Parameters
        ----------
        step, epoch : int
            Steps done, and the epoch, from 1.
        text : str
            One line.
        """
        self._write({"step": step, "epoch": epoch, "event": text}, {})
        if self._tensorboard is not None:
            with disk_full_guard(self._board_path):
                self._tensorboard.add_text("events", text, step)

    def draw_figure(self, config: TrainConfig, interrupted_at: int | None) -> None:
        """Write `training.png` from the whole log.

        Parameters
        ----------
        config : TrainConfig
            The run.
        interrupted_at : int, optional
            Step of an interruption, to be marked.
        """
        records = read_records(self._folder)
        if records:
            figure = training_figure(
                records,
                title=run_title(config),
                interrupted_at=interrupted_at,
                steps=config.steps,
                **_translation_arguments(config),
            )
            with atomic_file(self._folder.training_figure_path) as path:
                figure.savefig(path, format="png")

    def log_samples(self, epoch: int, step: int, sheet: Any) -> None:
        """Write `samples/epoch-….png`.

        Parameters
        ----------
        epoch, step : int
            Epochs and steps done.
        sheet : PIL.Image.Image
            The contact sheet.
        """
        with atomic_file(self._folder.samples_path / f"epoch-{epoch:04d}.png") as path:
            sheet.save(path, format="PNG")
        if self._tensorboard is not None:
            with disk_full_guard(self._board_path):
                self._tensorboard.add_image("samples", np.asarray(sheet), step, dataformats="HWC")

    def close(self) -> None:
        """Close the files."""
        try:
            with disk_full_guard(self._folder.losses_path):
                self._file.close()
        finally:
            if self._tensorboard is not None:
                with disk_full_guard(self._board_path):
                    self._tensorboard.close()


def _translation_arguments(config: TrainConfig) -> dict[str, Any]:
    """Return the figure's arguments for a run between images."""
    if not isinstance(config, TranslationConfig):
        return {}
    return {"domains": ("A", "B"), "adversarial": config.losses.adversarial}


def run_title(config: TrainConfig) -> str:
    """Return the title of a run's figures: its label, samples and epochs.

    Parameters
    ----------
    config : TrainConfig
        The run.

    Returns
    -------
    str
        One line.
    """
    return f"{config.label}: {config.samples} samples × {config.epochs} epochs"


def read_records(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the lines of a run's `losses.jsonl`, without incomplete or malformed ones.

    Parameters
    ----------
    folder : RunFolder
        The run.

    Returns
    -------
    list of dict
        One a line; `step` and `epoch` are integers.
    """
    records = []
    for line in folder.losses_path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            record = json.loads(line)
            position = {"step": int(record["step"]), "epoch": int(record["epoch"])}
            if all(abs(value) < _MAX_STEPS for value in position.values()) and _numbers(record):
                records.append(record | position)
    return records


def _numbers(record: dict[str, Any]) -> bool:
    """Return whether a record's values but events are numbers or numbers by name; may raise."""
    if not isinstance(record.get("validation", {}), dict):
        return False
    values = [v for k, v in record.items() if k != "event" and not isinstance(v, dict)]
    nested = [v for inside in record.values() if isinstance(inside, dict) for v in inside.values()]
    return all(v is None or v == 0 or _SMALLEST < abs(float(v)) < _LARGEST for v in values + nested)
