"""The record of a run: losses as JSON lines and for TensorBoard, and sample pictures."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.errors import RunError
from phasegan.figures.sheet import contact_sheet, image_tile, phase_tile
from phasegan.files import atomic_file, write_text
from phasegan.metrics.ruler import clipped_mse
from phasegan.models.domains import phase_picture, picture_to_image
from phasegan.runs.folder import RunFolder

SAMPLE_ROWS = 4


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
    """

    def __init__(self, folder: RunFolder, start: int) -> None:
        self._folder = folder
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._trim(start)
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
        self._count += 1

    def state(self) -> dict[str, Any]:
        """Return what is not yet written, for a checkpoint."""
        return {"sums": dict(self._sums), "count": self._count}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Take the state of a checkpoint."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._count = state["count"]

    def write(self, step: int, epoch: int, rate: float) -> dict[str, float]:
        """Write the averages since the last call.

        Raises
        ------
        RunError
            If one of them is not finite.
        """
        if not self._count:
            return {}
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
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

    def picture(self, epoch: int, step: int, watched: Watched, generator: Any) -> None:
        """Write `samples/epoch-….png`: phase | reconstruction | reference."""
        sheet = watched.sheet(generator, f"after epoch {epoch}")
        with atomic_file(self._folder.samples_path / f"epoch-{epoch:04d}.png") as path:
            sheet.save(path, format="PNG")
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
    images : numpy.ndarray
        (n[, C], N, N), the references.
    data_range : int
        255 or 65535.
    device : torch.device
        Where the generator is.
    """

    def __init__(
        self,
        phase: NDArray[np.floating],
        images: NDArray[np.generic],
        data_range: int,
        device: torch.device,
    ) -> None:
        self._phase, self._images, self._range = phase, images, data_range
        self._input = torch.from_numpy(phase_picture(phase)).to(device)

    def sheet(self, generator: torch.nn.Module, footer: str) -> Any:
        """Return the contact sheet for the generator as it is now."""
        with torch.no_grad():
            pictures = generator(self._input).float().cpu().numpy()
        estimates = picture_to_image(pictures, self._range).reshape(self._images.shape)
        rows = [
            [phase_tile(phase), image_tile(estimate, self._range), image_tile(image, self._range)]
            for phase, estimate, image in zip(self._phase, estimates, self._images, strict=True)
        ]
        errors = clipped_mse(estimates, self._images, data_range=self._range)
        captions = [["", f"MSE {error:,.0f}", ""] for error in errors]
        return contact_sheet(rows, ("phase", "reconstruction", "reference"), captions, footer)
