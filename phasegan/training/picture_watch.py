"""Pictures of both domains whose translations are looked at as training goes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.figures.animation import animate
from phasegan.figures.filmstrip import FrameStore
from phasegan.figures.gallery import write_gallery
from phasegan.figures.gallery_contents import Fact, Gallery, Row, Section
from phasegan.figures.sheet import Tile, contact_sheet
from phasegan.files import atomic_file
from phasegan.runs.folder import RunFolder
from phasegan.runs.translation import TranslationConfig
from phasegan.store.planes import Kind, pixel_values, to_planes, unit
from phasegan.training.advice import advise
from phasegan.training.domains import PictureData, centred, kind_of
from phasegan.training.journal import read_records

ROWS = 4
"""Pictures of each domain on a sheet."""
GALLERY_ROWS = 12
"""Pictures of each domain in the gallery."""


class WatchedPictures:
    """The first test pictures of both domains; training pictures where there are none.

    Parameters
    ----------
    config : TranslationConfig
        The run.
    data : PictureData
        The domains.
    """

    def __init__(self, config: TranslationConfig, data: PictureData) -> None:
        self._config = config
        self._kinds = [kind_of(config.data.a), kind_of(config.data.b)]
        self._names: list[list[str]] = []
        self._real: list[NDArray[np.float32]] = []
        for domain, kind in enumerate(self._kinds):
            part = data.domains.test[domain] or data.train[domain]
            rows = np.unique(np.linspace(0, len(part) - 1, GALLERY_ROWS).astype(int)).tolist()
            names = part.names
            self._names.append([names[row] for row in rows])
            self._real.append(
                np.stack(
                    [unit(centred(to_planes(part.read(r), kind), config.size), kind) for r in rows]
                )
            )
        self._tested = [test is not None for test in data.domains.test]
        self._ways = ["ab", "ba"] if config.both_ways else ["ab"]
        self._returns = "generator_ba" in config.network_names
        self._same = config.data.a.channels == config.data.b.channels

    def look(self, gan: Any, folder: RunFolder, epoch: int) -> Any:
        """Draw A | B made of it | back, and the same from B; keep the frame; return the sheet."""
        titles, columns, made = self._columns(gan, ROWS)
        frames = FrameStore(folder.samples_path, 255)
        frames.add(epoch, np.stack([_planes(tile) for tile in made]))
        frames.write_strip(folder.film_strip_path, inputs=self._inputs())
        return _sheet(titles, columns, f"after epoch {epoch}")

    def _columns(self, gan: Any, most: int) -> tuple[list[str], list[list[Tile]], list[Tile]]:
        """Return titles and columns of a sheet, and those tiles of it that are translations."""
        titles, columns, made = list[str](), list[list[Tile]](), list[Tile]()
        for way in self._ways:
            came, goes = _domains(way)
            real = self._real[came][:most]
            fake = gan.translate(real, way)
            shown = [self._tiles(real, came), self._tiles(fake, goes)]
            titles += [_name(came), f"→ {_name(goes)}"]
            if self._returns:
                shown.append(self._tiles(gan.translate(fake, way[::-1]), came))
                titles.append(f"→ {_name(came)} again")
            columns += shown
            made += shown[1]
        return titles, columns, made

    def conclude(self, gan: Any, folder: RunFolder, title: str) -> None:
        """Write the contact sheet, the animation over epochs and the gallery."""
        titles, columns, _ = self._columns(gan, GALLERY_ROWS)
        with atomic_file(folder.contact_sheet_path) as path:
            _sheet(titles, columns, title).save(path, format="PNG")
        inputs = self._inputs()
        frames = FrameStore(folder.samples_path, 255).frames(inputs.shape)
        if frames:
            animate(frames, inputs, folder.animation_path)
        drawn = [folder.training_figure_path, folder.animation_path]
        records = read_records(folder) if folder.losses_path.is_file() else []
        write_gallery(
            folder.gallery_path,
            Gallery(
                title=title,
                facts=self._facts(),
                sections=[self._section(gan, way) for way in self._ways],
                advice=advise(records, self._config),
                training=drawn[0].read_bytes() if drawn[0].is_file() else None,
                animation=drawn[1].read_bytes() if drawn[1].is_file() else None,
            ),
        )

    def _section(self, gan: Any, way: str) -> Section:
        """Return what becomes of the pictures of one domain."""
        came, goes = _domains(way)
        real = self._real[came]
        fake = gan.translate(real, way)
        columns = [self._tiles(real, came), self._tiles(fake, goes)]
        titles = [_name(came), f"→ {_name(goes)}"]
        if self._returns:
            columns.append(self._tiles(gan.translate(fake, way[::-1]), came))
            titles.append(f"→ {_name(came)} again")
        if self._same and f"generator_{way[::-1]}" in self._config.network_names:
            columns.append(self._tiles(gan.translate(real, way[::-1]), came))
            titles.append(f"identity: {_name(came)} shown to {_name(goes)} → {_name(came)}")
        rows = list(zip(self._names[came], zip(*columns, strict=True), strict=True))
        kind = "test" if self._tested[came] else "training"
        return Section(
            title=f"{_name(came)} → {_name(goes)}",
            caption=f"{len(rows)} {kind} pictures, spread evenly over the folder; middle squares",
            columns=titles,
            rows=[Row(name, list(tiles)) for name, tiles in rows],
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
        found = []
        for way in self._ways:
            came, _ = _domains(way)
            found += [_planes(tile) for tile in self._tiles(self._real[came][:ROWS], came)]
        return np.stack(found)

    def _tiles(self, pictures: NDArray[np.floating], domain: int) -> list[Tile]:
        return [display(picture, self._kinds[domain]) for picture in pictures]


def display(picture: NDArray[np.floating], kind: Kind) -> Tile:
    """Return planes in [−1, 1] as a tile, (rows, columns[, 3]) uint8.

    Alpha is left out; of more than three channels the first three are shown, of two the
    first.
    """
    colours = picture[: kind.channels - kind.alpha]
    tile = pixel_values(colours, Kind(len(colours), "uint8", 0.0, 255.0)).astype(np.uint8)
    return tile[0] if len(tile) < 3 else np.ascontiguousarray(np.moveaxis(tile[:3], 0, -1))


def _sheet(titles: list[str], columns: list[list[Tile]], footer: str) -> Any:
    fewest = min(map(len, columns))
    rows = [list(row) for row in zip(*(column[:fewest] for column in columns), strict=True)]
    return contact_sheet(rows, titles, None, footer)


def _planes(tile: Tile) -> NDArray[np.uint8]:
    """Return a tile as (3, rows, columns)."""
    colour = tile if tile.ndim == 3 else np.repeat(tile[..., None], 3, axis=2)
    return np.moveaxis(colour, -1, 0)


def _domains(way: str) -> tuple[int, int]:
    return (0, 1) if way == "ab" else (1, 0)


def _name(domain: int) -> str:
    return "AB"[domain]
