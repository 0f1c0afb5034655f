"""Samples while a run trains: reconstructions of phases, translations between two domains."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.config.run import PhaseConfig
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.data.domain_scan import DomainData, centre_squares, domain_format
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.models.domains import denormalise_images
from phasegan.models.inference import SavedGenerators
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.sheet import contact_sheet, image_tile, phase_tile
from phasegan.plotting.translations import SHEET_ROWS, Translations, draw_epoch, draw_run

PHASE_ROWS = 4
"""Phases on a sheet."""
GALLERY_ROWS = 12
"""Images of each domain in the gallery of translations."""


class SampleCallback(Protocol):
    """Draws samples while a run trains.

    Attributes
    ----------
    end_units, end_sheets : float
        Cost of `on_train_end`: units of `phasegan.resources.interpreter_seconds`, and calls
        of `on_epoch_end` that take as long as the rest.
    """

    end_units: float
    end_sheets: float

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
    """Reconstruct the first phases of the test split, or of the training split if that is empty.

    Parameters
    ----------
    config : PhaseConfig
        Not used.
    file : PreparedFile
        The phases, with images or without.
    """

    end_units = end_sheets = 0.0

    def __init__(self, config: PhaseConfig, file: PreparedFile) -> None:
        split, rows = file.test if len(file.test) else file.train, slice(0, PHASE_ROWS)
        self._phase, self._trusted = split.phase(rows), ~split.undefined(rows)
        self._images = split.images(rows) if file.has_images else None
        self._data_range, self._frame = file.layout.data_range, file.layout.frame

    def on_epoch_end(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw phase | reconstruction | reference, and add the frame to the film strip."""
        output = gan.reconstruct(self._phase, self._trusted)
        shape = (*self._phase.shape[:-2], *output.shape[-2:])
        estimates = denormalise_images(output, self._data_range).reshape(shape)
        frames = FrameStore(folder.samples_path, self._data_range)
        frames.add(epoch, estimates)
        frames.write_strip(folder.film_strip_path, self._images)
        return self._sheet(estimates, f"after epoch {epoch}")

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Draw nothing more."""

    def _sheet(self, estimates: NDArray[np.floating], footer: str) -> Any:
        """Return the contact sheet of some estimates, a row a sample."""
        rows = [
            [phase_tile(phase, self._frame), image_tile(estimate, self._data_range)]
            for phase, estimate in zip(self._phase, estimates, strict=True)
        ]
        titles = ["phase", "reconstruction"]
        if self._images is None:
            return contact_sheet(rows, titles, None, f"{footer}, no references")
        for row, image in zip(rows, self._images, strict=True):
            row.append(image_tile(image, self._data_range))
        errors = clipped_mse(estimates, self._images, data_range=self._data_range)
        captions = [["", f"MSE {error:,.0f}", ""] for error in errors]
        return contact_sheet(rows, [*titles, "reference"], captions, footer)


class TranslationSamples(SampleCallback):
    """Translate a few test images of both domains; training images where there are none.

    Parameters
    ----------
    config : TranslationConfig
        The run.
    data : DomainData
        The domains.
    """

    end_units = 300.0
    end_sheets = 2.5 * GALLERY_ROWS / SHEET_ROWS  # rows there and back, and the other domain's

    def __init__(self, config: TranslationConfig, data: DomainData) -> None:
        self._config = config
        self._formats = [domain_format(config.data.a), domain_format(config.data.b)]
        self._names: list[list[str]] = []
        self._real: list[NDArray[np.float32]] = []
        for domain, pixel_format in enumerate(self._formats):
            part = data.domains.test[domain] or data.train[domain]
            rows = np.unique(np.linspace(0, len(part) - 1, GALLERY_ROWS).astype(int)).tolist()
            names = part.names
            self._names.append([names[row] for row in rows])
            self._real.append(centre_squares(part, pixel_format, config.size, rows))
        self._domain_names = data.domains.domain_names
        self._tested = [test is not None for test in data.domains.test]
        self._ways = ["ab", "ba"] if config.both_ways else ["ab"]

    def on_epoch_end(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw A | A → B | back, and the same from B; keep the frame."""
        directions = [self._translate(gan, way, SHEET_ROWS) for way in self._ways]
        return draw_epoch(folder, epoch, directions)

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Draw the contact sheet, the animation over epochs and the gallery.

        The weights are those of the run folder, on the device of `gan`.
        """
        saved = SavedGenerators(folder, self._config, gan.device)
        directions = [
            self._translate(saved, way, GALLERY_ROWS, identity=True) for way in self._ways
        ]
        draw_run(folder, self._config, title, directions)

    def _translate(
        self, generators: Any, way: str, most: int, *, identity: bool = False
    ) -> Translations:
        """Return images of a domain and their translations, and back where there is a way."""
        source, target = (0, 1) if way == "ab" else (1, 0)
        real = self._real[source][:most]
        fake = generators.translate(real, way)
        back = same = None
        if f"generator_{way[::-1]}" in self._config.network_names:
            back = generators.translate(fake, way[::-1])
            if identity and real.shape[1] == fake.shape[1]:
                same = generators.translate(real, way[::-1])
        return Translations(
            self._domain_names[source],
            self._domain_names[target],
            self._names[source][:most],
            real=self._colours(real, source),
            fake=self._colours(fake, target),
            back=None if back is None else self._colours(back, source),
            same=None if same is None else self._colours(same, source),
            tested=self._tested[source],
        )

    def _colours(self, images: NDArray[np.float32], domain: int) -> NDArray[np.float32]:
        """Return images without alpha."""
        return images[:, : self._formats[domain].channels - self._formats[domain].alpha]
