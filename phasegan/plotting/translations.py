"""Figures of a run between two domains: sheets by epoch, contact sheet, animation, gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig, domain_labels
from phasegan.io.atomic import atomic_file
from phasegan.plotting.animation import animate
from phasegan.plotting.filmstrip import FrameStore
from phasegan.plotting.gallery import write_gallery
from phasegan.plotting.gallery_contents import Fact, Gallery, ImageRow, Section
from phasegan.plotting.sheet import Tile, contact_sheet, image_tile

SHEET_ROWS = 4
"""Images of each direction on the sheet of an epoch, in the film strip and in the animation."""
_TREND = 0.25
"""Share of the validations, the last ones and at least three, that tells the trend."""
_NOTICEABLE = 0.03
"""Least relative change of a distance that counts as more than noise."""

Images = NDArray[np.floating]
"""(n, C, rows, columns), in [−1, 1], without alpha."""


@dataclass(frozen=True)
class Translations:
    """Sample images of a domain and their translations.

    Attributes
    ----------
    source, target : str
        Names of the domains.
    names : list of str
        Of the images.
    real, fake : numpy.ndarray
        Images of the source, and these translated; (n, C, rows, columns), in [−1, 1],
        without alpha.
    back : numpy.ndarray, optional
        The translations translated back.
    same : numpy.ndarray, optional
        The images of the source through the generator that generates the source.
    tested : bool
        Whether they are test images, not training images.
    """

    source: str
    target: str
    names: list[str]
    real: Images
    fake: Images
    back: Images | None = None
    same: Images | None = None
    tested: bool = True

    @property
    def columns(self) -> dict[str, list[Tile]]:
        """Tiles by title, for contact sheets."""
        columns = {self.source: _tiles(self.real), f"→ {self.target}": _tiles(self.fake)}
        if self.back is not None:
            columns[f"→ {self.source} again"] = _tiles(self.back)
        return columns


def _tiles(images: Images) -> list[Tile]:
    """Return images as tiles: of more than three channels the first three, of two the first."""
    shown = images[:, :3] if images.shape[1] >= 3 else images[:, 0]
    return [image_tile(127.5 * (np.asarray(image, np.float64) + 1.0), 255) for image in shown]


def _frame(batches: Sequence[Images]) -> NDArray[np.uint8]:
    """Return the first images of each direction as one frame, (n, 3, rows, columns)."""
    tiles = [tile for images in batches for tile in _tiles(images[:SHEET_ROWS])]
    return np.stack(
        [np.moveaxis(t, -1, 0) if t.ndim == 3 else np.repeat(t[None], 3, axis=0) for t in tiles]
    )


def _sheet(directions: Sequence[Translations], footer: str) -> Image.Image:
    columns = [column for direction in directions for column in direction.columns.items()]
    rows = zip(*(tiles for _, tiles in columns), strict=False)  # as many as all directions have
    return contact_sheet(list(rows), [title for title, _ in columns], None, footer)


def draw_epoch(folder: RunFolder, epoch: int, directions: Sequence[Translations]) -> Image.Image:
    """Keep the frame of an epoch, draw the film strip anew, and return the contact sheet.

    Parameters
    ----------
    folder : RunFolder
        Where the frame and the film strip go.
    epoch : int
        From 1.
    directions : sequence of Translations
        `SHEET_ROWS` images of each, or fewer: A | → B | → A again, and the same from B.

    Returns
    -------
    PIL.Image.Image
        The contact sheet.
    """
    frames = FrameStore(folder.samples_path, 255)
    frames.add(epoch, _frame([direction.fake for direction in directions]))
    inputs = _frame([direction.real for direction in directions])
    frames.write_strip(folder.film_strip_path, inputs=inputs)
    return _sheet(directions, f"after epoch {epoch}")


def draw_run(
    folder: RunFolder, config: TranslationConfig, title: str, directions: Sequence[Translations]
) -> None:
    """Write the contact sheet, the animation over epochs and the gallery of a run.

    Parameters
    ----------
    folder : RunFolder
        The run.
    config : TranslationConfig
        Its configuration.
    title : str
        Of the sheet and of the gallery.
    directions : sequence of Translations
        Their images.
    """
    with atomic_file(folder.contact_sheet_path) as path:
        _sheet(directions, title).save(path, format="PNG")
    inputs = _frame([direction.real for direction in directions])
    if frames := FrameStore(folder.samples_path, 255).frames(inputs.shape):
        animate(frames, inputs, folder.animation_path)
    training, animation = (
        path.read_bytes() if path.is_file() else None
        for path in (folder.training_figure_path, folder.animation_path)
    )
    write_gallery(
        folder.gallery_path,
        Gallery(
            title=title,
            facts=_facts(config, (directions[0].source, directions[0].target)),
            sections=[_section(direction) for direction in directions],
            advice=stopping_advice(folder.read_losses(), config),
            training=training,
            animation=animation,
        ),
    )


def _section(direction: Translations) -> Section:
    source, target, columns = direction.source, direction.target, direction.columns
    if direction.same is not None:
        title = f"identity: {source} shown to {target} → {source}"
        columns[title] = _tiles(direction.same)
    tiles = zip(*columns.values(), strict=True)
    rows = [ImageRow(name, row) for name, row in zip(direction.names, tiles, strict=True)]
    kind = "test" if direction.tested else "training"
    return Section(
        title=f"{source} → {target}",
        caption=f"{len(rows)} {kind} pictures, spread evenly over the folder; middle squares",
        columns=list(columns),
        rows=rows,
    )


def _facts(config: TranslationConfig, domain_names: tuple[str, str]) -> list[Fact]:
    a, b = domain_labels(domain_names)
    data, networks, losses = config.data, config.networks, config.losses
    return [
        Fact("Pictures", f"{data.a.pictures:,} of {a}, {data.b.pictures:,} of {b}"),
        Fact("Size", f"{data.size}×{data.size}, cropped from {data.load} ({data.fit})"),
        Fact("Generators", f"{networks.generator}, {networks.base_channels} channels"),
        Fact(
            "Objective",
            f"{losses.adversarial}, cycle {losses.cycle_a:g} and {losses.cycle_b:g}, identity "
            + (f"{losses.identity:g} of that" if losses.identity else "off"),
        ),
        Fact("Training", f"{config.epochs_text} epochs, seed {config.seed}"),
    ]


def stopping_advice(records: Sequence[Mapping[str, Any]], config: TranslationConfig) -> str:
    """Return a paragraph on whether more training is likely to help.

    Parameters
    ----------
    records : sequence of mapping
        The lines of `losses.jsonl`.
    config : TranslationConfig
        The run.

    Returns
    -------
    str
        Plain text.
    """
    validations = [
        (int(record["epoch"]), float(record["validation"]["swd"]))
        for record in records
        if "swd" in record.get("validation", {})
    ]
    if not config.validation.samples:
        return (
            "Adversarial losses do not tell when to stop. Train with --validation 50: then "
            "translated pictures that were not trained on are compared with the other domain, "
            "the best weights are kept, and this paragraph says whether more epochs are worth it."
        )
    if len(validations) < 4:
        return "Too few validations yet to say when to stop."
    start, first = validations[0]
    epoch, best = min(validations, key=lambda pair: pair[1])
    count = max(3, round(_TREND * len(validations)))
    before = min(value for _, value in validations[:-count])
    late = min(value for _, value in validations[-count:])
    gain = (before - late) / before
    summary = (
        f"Of {len(validations)} validations the distance to the other domain was least after epoch "
        f"{epoch} ({best:.1f}, from {first:.1f} after epoch {start}); its weights are "
        "kept. "
    )
    if gain > _NOTICEABLE:
        return summary + (
            f"The last {count} still lowered it by {gain:.0%}: more epochs are likely to help."
        )
    if late > best * (1 + _NOTICEABLE):
        return summary + (
            f"The last {count} were worse by {late / best - 1:.0%} or more: stop there, or train "
            "on more pictures; longer training on this pair makes it worse."
        )
    return summary + (
        f"The last {count} changed it by less than {_NOTICEABLE:.0%}: more epochs of the same "
        "are unlikely to help."
    )
