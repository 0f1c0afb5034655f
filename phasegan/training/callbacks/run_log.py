"""The record of a run: losses as JSON lines and for TensorBoard, and sample pictures."""

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

_MOST = 2**53
"""More steps than there can be."""
_SMALLEST, _LARGEST = 1e-30, 1e30
"""Between them is every number of a training that could be drawn."""


class Journal:
    """The record of a run on disk.

    Parameters
    ----------
    folder : RunFolder
        Where to write.
    start : int
        Steps done before; later lines from an earlier attempt are removed.
    epoch : int
        Epochs done before; later frames of the film strip are removed.
    """

    def __init__(self, folder: RunFolder, start: int, epoch: int = 0) -> None:
        self._folder = folder
        self._trim(start)
        FrameStore(folder.samples_path, 255).trim(epoch)
        self._board_path = folder.board_path
        self._lines = os.fdopen(open_append(folder.losses_path), "a", encoding="utf-8")
        self._board = self._open_board(start)

    @property
    def has_tensorboard(self) -> bool:
        """Whether TensorBoard is installed."""
        return self._board is not None

    def _trim(self, start: int) -> None:
        if self._folder.losses_path.is_file():
            kept = [r for r in read_records(self._folder) if r["step"] <= start]
            text = "".join(json.dumps(record) + "\n" for record in kept)
            write_text(self._folder.losses_path, text)

    def _open_board(self, start: int) -> Any:
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
            self._lines.write(json.dumps(record, allow_nan=False) + "\n")
            self._lines.flush()
        if self._board is not None:
            with disk_full_guard(self._board_path):
                for name, value in scalars.items():
                    self._board.add_scalar(name, value, record["step"])

    def losses(
        self, step: int, epoch: int, rate: float, means: dict[str, float], pace: float
    ) -> None:
        """Write the losses since the last line.

        Parameters
        ----------
        step, epoch : int
            Steps done, and the epoch that the last one was of, from 1.
        rate : float
            The learning rate.
        means : dict
            Of each loss over the steps that had it.
        pace : float
            Images a second.
        """
        record = {"step": step, "epoch": epoch, "learning_rate": rate, **means}
        scalars = {f"losses/{name}": value for name, value in means.items()}
        scalars |= {"learning_rate": rate, "images_per_second": pace}
        self._write(record | {"images_per_second": float(f"{pace:.4g}")}, scalars)

    def validated(self, step: int, epoch: int, measure: str, value: float) -> None:
        """Write a validation."""
        record = {"step": step, "epoch": epoch, "validation": {measure: value}}
        self._write(record, {f"validation/{measure}": value})

    def event(self, step: int, epoch: int, text: str) -> None:
        """Write something that happened."""
        self._write({"step": step, "epoch": epoch, "event": text}, {})
        if self._board is not None:
            with disk_full_guard(self._board_path):
                self._board.add_text("events", text, step)

    def draw(self, config: TrainConfig, interrupted_at: int | None) -> None:
        """Write `training.png`: the whole record at one look."""
        records = read_records(self._folder)
        if records:
            figure = training_figure(
                records,
                title=title_of(config),
                interrupted_at=interrupted_at,
                steps=config.steps,
                **_of_pictures(config),
            )
            with atomic_file(self._folder.training_figure_path) as path:
                figure.savefig(path, format="png")

    def picture(self, epoch: int, step: int, sheet: Any) -> None:
        """Write `samples/epoch-….png`."""
        with atomic_file(self._folder.samples_path / f"epoch-{epoch:04d}.png") as path:
            sheet.save(path, format="PNG")
        if self._board is not None:
            with disk_full_guard(self._board_path):
                self._board.add_image("samples", np.asarray(sheet), step, dataformats="HWC")

    def close(self) -> None:
        """Close the files."""
        try:
            with disk_full_guard(self._folder.losses_path):
                self._lines.close()
        finally:
            if self._board is not None:
                with disk_full_guard(self._board_path):
                    self._board.close()


def _of_pictures(config: TrainConfig) -> dict[str, Any]:
    """Return what the figure must know of a run between pictures."""
    if not isinstance(config, TranslationConfig):
        return {}
    return {"domains": ("A", "B"), "adversarial": config.losses.adversarial}


def title_of(config: TrainConfig) -> str:
    """Return what a run is, for the head of a figure."""
    return f"{config.label}: {config.samples} samples × {config.epochs} epochs"


def read_records(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the lines of a run's `losses.jsonl`, without those that a kill left unfinished."""
    found = []
    for line in folder.losses_path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            record = json.loads(line)
            whole = record | {"step": int(record["step"]), "epoch": int(record["epoch"])}
            if all(abs(whole[name]) < _MOST for name in ("step", "epoch")) and _numbers(record):
                found.append(whole)
    return found


def _numbers(record: dict[str, Any]) -> bool:
    """Tell whether what is no event is numbers, or numbers by name; raises where it is not."""
    if not isinstance(record.get("validation", {}), dict):
        return False
    values = [v for k, v in record.items() if k != "event" and not isinstance(v, dict)]
    nested = [v for inside in record.values() if isinstance(inside, dict) for v in inside.values()]
    return all(v is None or v == 0 or _SMALLEST < abs(float(v)) < _LARGEST for v in values + nested)
