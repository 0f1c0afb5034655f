"""A few samples that are looked at as training goes."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.models.domains import picture_to_image
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.sheet import contact_sheet, image_tile, phase_tile

SAMPLE_ROWS = 4


class SampleCallback(Protocol):
    """What is looked at, and what is left of it in a run folder."""

    def on_epoch_end(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw samples as the networks make them now, keep the frame; return the sheet."""

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Draw what shows the whole run, at its end or where it is interrupted."""


class PhaseSamples:
    """A few phases whose reconstruction is looked at.

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

    def on_epoch_end(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw phase | reconstruction | reference, add to the film strip; return the sheet."""
        estimates = self.estimates(gan)
        frames = FrameStore(folder.samples_path, self.data_range)
        frames.add(epoch, estimates)
        frames.write_strip(folder.film_strip_path, self.images)
        return self.sheet(estimates, f"after epoch {epoch}")

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Nothing more than what `on_epoch_end` leaves."""

    def estimates(self, gan: Any) -> NDArray[np.floating]:
        """Reconstruct with the generator as it is now: (n[, C], N, N), pixel units."""
        pictures = gan.pictures(self._phase, self._trusted)
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


def phase_samples(file: PreparedFile) -> PhaseSamples:
    """Return the first samples of the test split, of the training split if that is empty."""
    split, rows = file.test if len(file.test) else file.train, slice(0, SAMPLE_ROWS)
    images = split.images(rows) if file.has_images else None
    return PhaseSamples(split.phase(rows), images, file.layout.data_range, ~split.undefined(rows))
