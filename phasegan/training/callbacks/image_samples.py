"""Sample translations of both domains: sheets and frames by epoch, a gallery at the end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.data.images.conversion import PixelFormat, from_unit_range
from phasegan.io.atomic import atomic_file
from phasegan.models.inference import SavedGenerators
from phasegan.plotting.animation import animate
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.gallery import write_gallery
from phasegan.plotting.gallery_contents import Fact, Gallery, ImageRow, Section
from phasegan.plotting.sheet import Tile, contact_sheet
from phasegan.training.callbacks.early_stopping import stopping_advice
from phasegan.training.callbacks.samples import SampleCallback
from phasegan.training.data.domains import DomainData, centre_squares, domain_format

ROWS = 4
"""Images of each domain on a sheet."""
GALLERY_ROWS = 12
"""Images of each domain in the gallery."""


class Column(NamedTuple):
    """Images under a title."""

    title: str
    tiles: list[Tile]


class TranslationSamples(SampleCallback):
    """Translate a few test images of both domains; training images where there are none.

    Parameters
    ----------
    config : TranslationConfig
        The run.
    data : DomainData
        The domains.
    """

    def __init__(self, config: TranslationConfig, data: DomainData) -> None:
        self._config = config
        self._kinds = [domain_format(config.data.a), domain_format(config.data.b)]
        self._names: list[list[str]] = []
        self._real: list[NDArray[np.float32]] = []
        for domain, kind in enumerate(self._kinds):
            part = data.domains.test[domain] or data.train[domain]
            rows = np.unique(np.linspace(0, len(part) - 1, GALLERY_ROWS).astype(int)).tolist()
            names = part.names
            self._names.append([names[row] for row in rows])
            self._real.append(centre_squares(part, kind, config.size, rows))
        self._tested = [test is not None for test in data.domains.test]
        self._ways = ["ab", "ba"] if config.both_ways else ["ab"]
        self._returns = "generator_ba" in config.network_names
        self._same = config.data.a.channels == config.data.b.channels

    def on_epoch_end(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw A | A → B | back, and the same from B; keep the frame.

        Parameters
        ----------
        gan : CycleGAN
            Whose `translate` is drawn.
        folder : RunFolder
            Where the frame and the film strip go.
        epoch : int
            From 1.

        Returns
        -------
        PIL.Image.Image
            The contact sheet.
        """
        groups = [self._columns(gan, way, ROWS) for way in self._ways]
        frames = FrameStore(folder.samples_path, 255)
        frames.add(
            epoch, np.stack([_planes(tile) for columns in groups for tile in columns[1].tiles])
        )
        frames.write_strip(folder.film_strip_path, inputs=self._inputs())
        return _sheet(groups, f"after epoch {epoch}")

    def _columns(self, translator: Any, way: str, most: int) -> list[Column]:
        """Return images of a domain, their translations, and these translated back."""
        source, target = _domains(way)
        real = self._real[source][:most]
        fake = translator.translate(real, way)
        columns = [
            Column(_name(source), self._tiles(real, source)),
            Column(f"→ {_name(target)}", self._tiles(fake, target)),
        ]
        if self._returns:
            back = translator.translate(fake, way[::-1])
            columns.append(Column(f"→ {_name(source)} again", self._tiles(back, source)))
        return columns

    def on_train_end(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Write the contact sheet, the animation over epochs and the gallery.

        Parameters
        ----------
        gan : CycleGAN
            Its device is used; the weights are those of the run folder.
        folder : RunFolder
            The run.
        title : str
            Of the sheet and of the gallery.
        """
        generators = SavedGenerators(folder, self._config, gan.device)
        groups = [self._columns(generators, way, GALLERY_ROWS) for way in self._ways]
        with atomic_file(folder.contact_sheet_path) as path:
            _sheet(groups, title).save(path, format="PNG")
        inputs = self._inputs()
        frames = FrameStore(folder.samples_path, 255).frames(inputs.shape)
        if frames:
            animate(frames, inputs, folder.animation_path)
        drawn = [folder.training_figure_path, folder.animation_path]
        write_gallery(
            folder.gallery_path,
            Gallery(
                title=title,
                facts=self._facts(),
                sections=[
                    self._section(generators, way, columns)
                    for way, columns in zip(self._ways, groups, strict=True)
                ],
                advice=stopping_advice(folder.read_losses(), self._config),
                training=drawn[0].read_bytes() if drawn[0].is_file() else None,
                animation=drawn[1].read_bytes() if drawn[1].is_file() else None,
            ),
        )

    def _section(self, translator: Any, way: str, columns: list[Column]) -> Section:
        """Return the gallery's section on one direction, with the identity mapping beside it."""
        source, target = _domains(way)
        if self._same and f"generator_{way[::-1]}" in self._config.network_names:
            same = translator.translate(self._real[source], way[::-1])
            title = f"identity: {_name(source)} shown to {_name(target)} → {_name(source)}"
            columns = [*columns, Column(title, self._tiles(same, source))]
        tiles = zip(*(column.tiles for column in columns), strict=True)
        rows = list(zip(self._names[source], tiles, strict=True))
        kind = "test" if self._tested[source] else "training"
        return Section(
            title=f"{_name(source)} → {_name(target)}",
            caption=f"{len(rows)} {kind} pictures, spread evenly over the folder; middle squares",
            columns=[column.title for column in columns],
            rows=[ImageRow(name, list(tiles)) for name, tiles in rows],
        )

    def _facts(self) -> list[Fact]:
        data, networks, losses = self._config.data, self._config.networks, self._config.losses
        return [
            Fact("Pictures", f"{data.a.pictures:,} of A, {data.b.pictures:,} of B"),
            Fact("Size", f"{data.size}×{data.size}, cropped from {data.load} ({data.fit})"),
            Fact("Generators", f"{networks.generator}, {networks.base_channels} channels"),
            Fact(
                "Objective",
                f"{losses.adversarial}, cycle {losses.cycle_a:g} and {losses.cycle_b:g}, identity "
                + (f"{losses.identity:g} of that" if losses.identity else "off"),
            ),
            Fact("Training", f"{self._config.epochs} epochs, seed {self._config.seed}"),
        ]

    def _inputs(self) -> NDArray[np.uint8]:
        tiles = []
        for way in self._ways:
            source, _ = _domains(way)
            tiles += [_planes(tile) for tile in self._tiles(self._real[source][:ROWS], source)]
        return np.stack(tiles)

    def _tiles(self, images: NDArray[np.floating], domain: int) -> list[Tile]:
        return [display(image, self._kinds[domain]) for image in images]


def display(image: NDArray[np.floating], kind: PixelFormat) -> Tile:
    """Return an image in [−1, 1] as a tile.

    Alpha is left out; of more than three channels the first three are shown, of two the
    first.

    Parameters
    ----------
    image : numpy.ndarray
        (C, rows, columns), in [−1, 1].
    kind : PixelFormat
        Its channels.

    Returns
    -------
    numpy.ndarray
        (rows, columns[, 3]), uint8.
    """
    colours = image[: kind.channels - kind.alpha]
    tile = from_unit_range(colours, PixelFormat(len(colours), "uint8", 0.0, 255.0)).astype(np.uint8)
    return tile[0] if len(tile) < 3 else np.ascontiguousarray(np.moveaxis(tile[:3], 0, -1))


def _sheet(groups: list[list[Column]], footer: str) -> Any:
    columns = [column for way in groups for column in way]
    fewest = min(len(column.tiles) for column in columns)
    rows = zip(*(column.tiles[:fewest] for column in columns), strict=True)
    return contact_sheet(list(rows), [column.title for column in columns], None, footer)


def _planes(tile: Tile) -> NDArray[np.uint8]:
    """Return a tile as (3, rows, columns)."""
    colour = tile if tile.ndim == 3 else np.repeat(tile[..., None], 3, axis=2)
    return np.moveaxis(colour, -1, 0)


def _domains(way: str) -> tuple[int, int]:
    return (0, 1) if way == "ab" else (1, 0)


def _name(domain: int) -> str:
    return "AB"[domain]
