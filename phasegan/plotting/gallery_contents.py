"""What a gallery says and shows.

Tiles are uint8, (rows, columns) or (rows, columns, 3), of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phasegan.plotting.sheet import Tile


@dataclass(frozen=True)
class Fact:
    """A label and its value, such as "epochs" and "200".

    Parameters
    ----------
    label, value : str
        Any text.
    """

    label: str
    value: str


@dataclass(frozen=True)
class Row:
    """A picture and what became of it.

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
    rows : sequence of Row
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
    rows: Sequence[Row]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.tiles) != len(self.columns):
                raise ValueError(
                    f"section {self.title}: {len(self.columns)} columns, but row {row.name} has "
                    f"{len(row.tiles)} tiles"
                )


@dataclass(frozen=True)
class Score:
    """A line of the table of scores.

    Parameters
    ----------
    name : str
        What was scored, such as "A → B".
    cells : sequence of str
        One a column.
    baseline : bool
        Whether it only serves comparison, as "A untranslated" does.
    """

    name: str
    cells: Sequence[str]
    baseline: bool = False


@dataclass(frozen=True)
class Scores:
    """A table of scores.

    Parameters
    ----------
    columns : sequence of str
        Headings of the cells; that of the names is empty.
    lines : sequence of Score
        One cell a column each.
    note : str
        What the numbers mean, under the table.
    title : str
        Heading.

    Raises
    ------
    ValueError
        If a line has another number of cells than there are columns.
    """

    columns: Sequence[str]
    lines: Sequence[Score]
    note: str = ""
    title: str = "Scores"

    def __post_init__(self) -> None:
        for line in self.lines:
            if len(line.cells) != len(self.columns):
                raise ValueError(
                    f"scores: {len(self.columns)} columns, but {line.name} has "
                    f"{len(line.cells)} cells"
                )


@dataclass(frozen=True)
class Gallery:
    """What a gallery says and shows.

    Parameters
    ----------
    title : str
        Heading.
    sections : sequence of Section
        Pictures by direction.
    subtitle : str
        A sentence under the heading.
    facts : sequence of Fact
        A few labels and values.
    scores : Scores, optional
        A table.
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
    scores: Scores | None = None
    advice: str = ""
    advice_title: str = "When do I stop?"
    training: bytes | None = None
    animation: bytes | None = None
    footer: str = "Made by phasegan."
