"""The record of a run: losses as JSON lines and for TensorBoard, and sample pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.errors import RunError
from phasegan.figures.filmstrip import FrameStore
from phasegan.figures.sheet import contact_sheet, image_tile, phase_tile
from phasegan.files import atomic_file, write_text
from phasegan.metrics.ruler import clipped_mse
from phasegan.models.domains import picture_to_image
from phasegan.runs.folder import RunFolder
from phasegan.store.reader import PreparedFile

SAMPLE_ROWS = 4
Generate = Callable[[NDArray[np.floating], NDArray[np.bool_] | None], NDArray[np.float32]]
"""Takes phases and where they are trusted, gives pictures of domain B."""


class Journal:
    """Average losses over some steps and write them down.

    Losses stay on the device until they are written, so that the loop does not
    wait for them.

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
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._trim(start)
        FrameStore(folder.samples_path, 255).trim(epoch)
        self._lines = open(folder.losses_path, "a", encoding="utf-8")
        self._board = self._open_board(start)

    @property
    def has_tensorboard(self) -> bool:
        """Whether TensorBoard is installed."""
        return self._board is not None

    def _trim(self, start: int) -> None:
        path = self._folder.losses_path
        if path.is_file():
            kept = []
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    if json.loads(line)["step"] <= start:
                        kept.append(line + "\n")
                except (ValueError, KeyError, TypeError):
                    continue  # the last line of a killed run may be half a line
            write_text(path, "".join(kept))

    def _open_board(self, start: int) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self._folder.path / "tensorboard"), purge_step=start + 1)

    def add(self, losses: dict[str, Tensor]) -> None:
        """Take the losses of one step."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def state(self) -> dict[str, Any]:
        """Return what is not yet written, for a checkpoint."""
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Take the state of a checkpoint."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        counts = state.get("counts")
        if counts is None:  # an older checkpoint: every step had every loss
            counts = dict.fromkeys(self._sums, state["count"])
        self._counts = {name: int(count) for name, count in counts.items()}

    def write(self, step: int, epoch: int, rate: float) -> dict[str, float]:
        """Write the averages since the last call, of each loss over the steps that had it.

        Raises
        ------
        RunError
            If one of them is not finite.
        """
        if not self._sums:
            return {}
        means = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        self._sums, self._counts = {}, {}
        bad = [name for name, value in means.items() if not np.isfinite(value)]
        if bad:
            raise RunError(
                f"{self._folder.path}: the loss {bad[0]} is not finite at step {step}; what was "
                "saved before is kept. Try --precision 32, or a lower --learning-rate"
            )
        record = {"step": step, "epoch": epoch, "learning_rate": rate, **means}
        self._lines.write(json.dumps(record, allow_nan=False) + "\n")
        self._lines.flush()
        if self._board is not None:
            for name, value in means.items():
                self._board.add_scalar(f"losses/{name}", value, step)
            self._board.add_scalar("learning_rate", rate, step)
        return means

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        if self._board is not None:
            self._board.close()


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
