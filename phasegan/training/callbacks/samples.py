"""Sample reconstructions: a sheet and a frame by epoch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.models.domains import denormalise_images
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.sheet import contact_sheet, image_tile, phase_tile

SAMPLE_ROWS = 4


class SampleCallback(Protocol):
    """Draws samples while a run trains."""

    def on_epoch_end(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw samples with the networks as they are, and keep the frame.

        Parameters
        ----------
        gan : GAN
            The networks.
        folder : RunFolder
            Where the frame and the film strip go.
        epoch : int
            From 1.

        Returns
        -------
        PIL.Image.Image
            The contact sheet.
        """

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Draw figures of the whole run, at its end or when it is interrupted.

        Parameters
        ----------
        gan : GAN
            The networks.
        folder : RunFolder
            The run.
        title : str
            Of the figures.
        """


class PhaseSamples(SampleCallback):
    """Reconstruct a few phases.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1), radians.
    images : numpy.ndarray, optional
        (n[, C], N, N), the references, where there are any.
    data_range : int
        255 or 65535.
    trusted : numpy.ndarray, optional
        As `phase`, bool: False where it is undefined; all by default.
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
        """Draw phase | reconstruction | reference, and add the frame to the film strip."""
        estimates = self.estimates(gan)
        frames = FrameStore(folder.samples_path, self.data_range)
        frames.add(epoch, estimates)
        frames.write_strip(folder.film_strip_path, self.images)
        return self.sheet(estimates, f"after epoch {epoch}")

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Draw nothing more."""

    def estimates(self, gan: Any) -> NDArray[np.floating]:
        """Reconstruct with the networks that the run folder keeps.

        Parameters
        ----------
        gan : GAN
            The networks.

        Returns
        -------
        numpy.ndarray
            (n[, C], N, N), pixel units.
        """
        output = gan.reconstruct(self._phase, self._trusted)
        shape = (*self._phase.shape[:-2], *output.shape[-2:])
        return denormalise_images(output, self.data_range).reshape(shape)

    def sheet(self, estimates: NDArray[np.floating], footer: str) -> Any:
        """Return the contact sheet of some estimates.

        Parameters
        ----------
        estimates : numpy.ndarray
            From `estimates`.
        footer : str
            Text below.

        Returns
        -------
        PIL.Image.Image
            A row a sample.
        """
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
    """Return the first samples of the test split, or of the training split if that is empty.

    Parameters
    ----------
    file : PreparedFile
        The phases, with images or without.

    Returns
    -------
    PhaseSamples
        Of at most 4 samples.
    """
    split, rows = file.test if len(file.test) else file.train, slice(0, SAMPLE_ROWS)
    images = split.images(rows) if file.has_images else None
    return PhaseSamples(split.phase(rows), images, file.layout.data_range, ~split.undefined(rows))
