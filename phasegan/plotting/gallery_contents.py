"""Contents of a gallery as plain data.

Tiles are uint8, (rows, columns) or (rows, columns, 3), of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phasegan.plotting.page import Fact
from phasegan.plotting.sheet import Tile
from phasegan.tables import Table


@dataclass(frozen=True)
class ImageRow:
    """An image and its translations.

    Parameters
    ----------
    name : str
        Of the picture, such as its file's.
    tiles : sequence of numpy.ndarray or None
        One a column of the section, uint8, (rows, columns[, 3]); None where there
        is none.
    note : str
        A few words beside the name, such as a score.
    """

    name: str
    tiles: Sequence[Tile | None]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Pictures of one direction.

    Parameters
    ----------
    title : str
        Heading, such as "A → B".
    columns : sequence of str
        What each tile of a row is, such as "photo (A)" and "→ B".
    rows : sequence of ImageRow
        One tile a column each.
    caption : str
        A sentence under the heading.

    Raises
    ------
    ValueError
        If a row has another number of tiles than there are columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[ImageRow]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.tiles) != len(self.columns):
                raise ValueError(
                    f"section {self.title}: {len(self.columns)} columns, but row {row.name} has "
                    f"{len(row.tiles)} tiles"
                )


@dataclass(frozen=True)
class Gallery:
    """Contents of a gallery: sections of images, scores, texts.

    Parameters
    ----------
    title : str
        Heading.
    sections : sequence of Section
        Pictures by direction.
    subtitle : str
        A sentence under the heading.
    facts : sequence of Fact
        A few names and values.
    scores : Table, optional
        Of the directions; it stands behind the pictures.
    advice : str
        A paragraph, such as when to stop; blank lines separate paragraphs.
    advice_title : str
        Its heading.
    training : bytes, optional
        A PNG of the training curves.
    animation : bytes, optional
        An animated WebP, see `phasegan.plotting.animation`.
    footer : str
        The last line.
    """

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    facts: Sequence[Fact] = ()
    scores: Table | None = None
    advice: str = ""
    advice_title: str = "When do I stop?"
    training: bytes | None = None
    animation: bytes | None = None
    footer: str = "Made by phasegan."
