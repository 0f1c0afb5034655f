"""The log of a run: losses as JSON lines and for TensorBoard, sample sheets."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

import numpy as np

from phasegan.config.run_folder import RunFolder
from phasegan.errors import disk_full_guard
from phasegan.io.atomic import atomic_file, write_text
from phasegan.io.output_paths import open_append
from phasegan.plotting.filmstrip import FrameStore


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
            records = [r for r in self._folder.read_losses() if r["step"] <= start]
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
