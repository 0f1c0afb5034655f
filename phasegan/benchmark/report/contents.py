"""What a report page says, as plain data: texts, numbers and encoded pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "baseline", "estimated", "failed", "skipped", "quoted"]
Key = float | str | None
"""What a cell sorts by: a number, a text, or None for a blank, which always comes last."""

BADGES: dict[Status, str] = {
    "ok": "",
    "baseline": "",
    "estimated": "estimate, not run",
    "failed": "failed",
    "skipped": "skipped",
    "quoted": "quoted, not measured",
}
"""What is written beside the name of a line that brings no badge of its own."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name : str
        Its heading.
    numeric : bool
        Whether it is set flush right, in tabular figures.
    explanation : str
        What the heading means: becomes a numbered footnote under the table and
        the tooltip of the heading. Columns with the same explanation share a footnote,
        which begins with their names.
    """

    name: str
    numeric: bool = True
    explanation: str = ""


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Parameters
    ----------
    cells : tuple of str
        Text of each column, the name first; empty or `–` where nothing is known.
    keys : tuple of (float, str or None)
        What each cell sorts by.
    status : str
        `ok`, `baseline`, `estimated`, `failed`, `skipped` or `quoted`.
    badge : str
        Written beside the name, instead of the status' own words.
    detail : str
        A sentence under the line, such as why it failed.
    """

    cells: tuple[str, ...]
    keys: tuple[Key, ...]
    status: Status = "ok"
    badge: str = ""
    detail: str = ""

    @property
    def mark(self) -> str:
        """What is written beside the name."""
        return self.badge or BADGES[self.status]


@dataclass(frozen=True)
class Table:
    """A table with its footnotes.

    Parameters
    ----------
    title : str
        Heading.
    columns : tuple of Column
        The first names the lines and stays in sight.
    lines : tuple of Line
        One cell and one key a column each.
    identifier : str
        For links to it; different for each table of a page.
    notes : tuple of str
        Sentences under the table, after the numbered ones.
    caption : str
        A sentence between heading and table.
    sortable : bool
        Whether its headings sort.
    """

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    identifier: str
    notes: tuple[str, ...] = ()
    caption: str = ""
    sortable: bool = True

    @property
    def footnotes(self) -> list[tuple[str, str]]:
        """Names of columns and what explains them, in the order of the columns."""
        names: dict[str, list[str]] = {}
        for column in self.columns:
            if column.explanation:
                names.setdefault(column.explanation, []).append(column.name)
        return [(", ".join(columns), text) for text, columns in names.items()]

    def __post_init__(self) -> None:
        for line in self.lines:
            if not len(line.cells) == len(line.keys) == len(self.columns):
                raise ValueError(
                    f"table {self.identifier}: {len(self.columns)} columns, but a line of "
                    f"{len(line.cells)} cells and {len(line.keys)} keys"
                )


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Parameters
    ----------
    title : str
        Heading, and what a screen reader says.
    svg : str
        As matplotlib writes it: transparent, texts as paths, everything that
        should follow the colour of the page in `INK`.
    caption : str
        Sentences under it.
    files : tuple of str
        Names of the files that hold the same drawing.
    """

    title: str
    svg: str
    caption: str = ""
    files: tuple[str, ...] = ()


INK = "#1f2328"
"""The colour in a drawing that follows the text's, in light and in dark."""


@dataclass(frozen=True)
class Specimen:
    """A test image beside what a method made of it.

    Parameters
    ----------
    label : str
        `best`, `median` or `worst`.
    reference, estimate : bytes
        PNG, of the same size. A picture that occurs often is stored once.
    source : str
        Where the image came from.
    caption : str
        Such as `MSE 441 · SSIM 0.71`.
    """

    label: str
    reference: bytes
    estimate: bytes
    source: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """What one method made of some test images: title, a line about it, the specimens."""

    title: str
    subtitle: str
    specimens: tuple[Specimen, ...]


@dataclass(frozen=True)
class Fact:
    """Something about the machine or the data: name and value."""

    name: str
    value: str


@dataclass(frozen=True)
class Page:
    """A report.

    Parameters
    ----------
    title, subtitle : str
        What was measured, on what.
    summary : tuple of str
        The few sentences that matter most.
    warnings : tuple of str
        What a reader must know before believing a number: shown in a box.
    tables : tuple of Table
        The first is the main one, the others follow the pictures.
    figures : tuple of Figure
        Drawings.
    galleries : tuple of Gallery
        One a method.
    machine : tuple of Fact
        Where it was measured.
    commands : tuple of str
        How to repeat it, a shell line each.
    notes : tuple of str
        Sentences at the end.
    footer : str
        The last line.
    """

    title: str
    subtitle: str = ""
    summary: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    machine: tuple[Fact, ...] = ()
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    footer: str = ""
