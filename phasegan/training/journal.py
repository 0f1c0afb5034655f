"""The record of a run: losses as JSON lines and for TensorBoard, and sample pictures."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.figures.filmstrip import FrameStore
from phasegan.figures.sheet import contact_sheet, image_tile, phase_tile
from phasegan.figures.training import training_figure
from phasegan.files import atomic_file, write_text
from phasegan.metrics.ruler import clipped_mse
from phasegan.models.domains import picture_to_image
from phasegan.runs.config import TrainConfig
from phasegan.runs.folder import RunFolder
from phasegan.store.reader import PreparedFile

SAMPLE_ROWS = 4
Generate = Callable[[NDArray[np.floating], NDArray[np.bool_] | None], NDArray[np.float32]]
"""Takes phases and where they are trusted, gives pictures of domain B."""


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
        self._lines = open(folder.losses_path, "a", encoding="utf-8")
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
        return SummaryWriter(str(self._folder.path / "tensorboard"), purge_step=start + 1)

    def _write(self, record: dict[str, Any], scalars: dict[str, float]) -> None:
        self._lines.write(json.dumps(record, allow_nan=False) + "\n")
        self._lines.flush()
        if self._board is not None:
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

    def validated(self, step: int, epoch: int, mse: float) -> None:
        """Write a validation."""
        record = {"step": step, "epoch": epoch, "validation": {"mse": mse}}
        self._write(record, {"validation/mse": mse})

    def event(self, step: int, epoch: int, text: str) -> None:
        """Write something that happened."""
        self._write({"step": step, "epoch": epoch, "event": text}, {})
        if self._board is not None:
            self._board.add_text("events", text, step)

    def draw(self, config: TrainConfig, interrupted_at: int | None) -> None:
        """Write `training.png`: the whole record at one look."""
        records = read_records(self._folder)
        if records:
            figure = training_figure(
                records,
                title=f"{config.label}: {config.data.samples} samples × {config.epochs} epochs",
                interrupted_at=interrupted_at,
                steps=config.steps,
            )
            with atomic_file(self._folder.training_figure_path) as path:
                figure.savefig(path, format="png")

    def picture(self, epoch: int, step: int, watched: Watched, generate: Generate) -> None:
        """Write `samples/epoch-….png`: phase | reconstruction | reference, and the film strip."""
        estimates = watched.estimates(generate)
        sheet = watched.sheet(estimates, f"after epoch {epoch}")
        with atomic_file(self._folder.samples_path / f"epoch-{epoch:04d}.png") as path:
            sheet.save(path, format="PNG")
        frames = FrameStore(self._folder.samples_path, watched.data_range)
        frames.add(epoch, estimates)
        frames.write_strip(self._folder.film_strip_path, watched.images)
        if self._board is not None:
            self._board.add_image("samples", np.asarray(sheet), step, dataformats="HWC")

    def close(self) -> None:
        """Close the files."""
        self._lines.close()
        if self._board is not None:
            self._board.close()


def read_records(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the lines of a run's `losses.jsonl`, without those that a kill left unfinished."""
    found = []
    for line in folder.losses_path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            found.append(record | {"step": int(record["step"])})
    return found


class Watched:
    """A few samples whose reconstruction is looked at as training goes.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1), radians.
    images : numpy.ndarray, optional
        (n[, C], N, N), the references, where they are known.
    data_range : int
        255 or 65535.
    trusted : numpy.ndarray, optional
        As `phase`, bool; all by default.
    """

    def __init__(
        self,
        phase: NDArray[np.floating],
        images: NDArray[np.generic] | None,
        data_range: int,
        trusted: NDArray[np.bool_] | None = None,
    ) -> None:
        self.images, self.data_range = images, data_range
        self._phase, self._trusted = phase, trusted

    def estimates(self, generate: Generate) -> NDArray[np.floating]:
        """Reconstruct with the generator as it is now: (n[, C], N, N), pixel units."""
        pictures = generate(self._phase, self._trusted)
        shape = (*self._phase.shape[:-2], *pictures.shape[-2:])
        return picture_to_image(pictures, self.data_range).reshape(shape)

    def sheet(self, estimates: NDArray[np.floating], footer: str) -> Any:
        """Return the contact sheet of some estimates."""
        rows = [
            [phase_tile(phase), image_tile(estimate, self.data_range)]
            for phase, estimate in zip(self._phase, estimates, strict=True)
        ]
        titles = ["phase", "reconstruction"]
        if self.images is None:
            return contact_sheet(rows, titles, None, f"{footer}, no references")
        for row, image in zip(rows, self.images, strict=True):
            row.append(image_tile(image, self.data_range))
        errors = clipped_mse(estimates, self.images, data_range=self.data_range)
        captions = [["", f"MSE {error:,.0f}", ""] for error in errors]
        return contact_sheet(rows, [*titles, "reference"], captions, footer)


def watch(file: PreparedFile) -> Watched:
    """Return the first samples of the test split, of the training split if that is empty."""
    split, rows = file.test if len(file.test) else file.train, slice(0, SAMPLE_ROWS)
    images = split.images(rows) if file.has_images else None
    return Watched(split.phase(rows), images, file.layout.data_range, ~split.undefined(rows))
