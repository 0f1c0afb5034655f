"""Tables: columns, rows of values and footnotes, written as text, Markdown, LaTeX and CSV.

Pages write the same tables as HTML, see `phasegan.plotting.page`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from phasegan.errors import printable

BLANK = "–"
"""The text of a cell without a value."""
Status = Literal["ok", "baseline", "estimated", "failed", "skipped", "quoted"]
SortKey = float | str | None
"""A number, a text, or None for a blank, which is sorted last."""

BADGES: dict[Status, str] = {
    "ok": "",
    "baseline": "",
    "estimated": "estimate, not run",
    "failed": "failed",
    "skipped": "skipped",
    "quoted": "quoted, not measured",
}
"""Words beside the name of a row that has no badge of its own."""
_PLAIN_BADGES: dict[Status, str] = {"quoted": "quoted", "estimated": "not run, estimate"}
"""Shorter words for plain text."""

Entry = tuple[str, str]
"""A label and its text, in a list without headers."""
_GAP = 3
"""Characters between two columns of a drawn table."""
LABEL_WIDTH = 11


@dataclass(frozen=True)
class Column:
    """A column of a table: where its values come from, how they are written, what they mean.

    Parameters
    ----------
    header : str
        Heading; the first column names the rows.
    key : str
        Name in CSV and in `Table.only`; the header by default.
    value : callable, optional
        Takes the value from a record; by default its attribute of the name `key`. None is
        a value that is not known.
    format : callable
        Writes a value that is known.
    align : {"right", "left"}
        Side of the cells; numbers are aligned right.
    explanation : str
        Becomes a footnote of the table, numbered in HTML. Columns of one explanation share
        a footnote, which begins with their headers.
    optional : int
        Place in the order in which a narrow terminal leaves columns out, from 1; 0: never.
    sort_key : callable, optional
        Returns by what a value is sorted; by default a number by itself, others by their text.
    """

    header: str
    key: str = ""
    value: Callable[[Any], Any] | None = None
    format: Callable[[Any], str] = str
    align: Literal["right", "left"] = "right"
    explanation: str = ""
    optional: int = 0
    sort_key: Callable[[Any], SortKey] | None = None

    @property
    def name(self) -> str:
        """The key, or the header of a column without one."""
        return self.key or self.header

    def read(self, record: Any) -> Any:
        """Return the value of a record, None where it is not known.

        Parameters
        ----------
        record : object
            Of the kind that the column is for.

        Returns
        -------
        object
            A value for `text`.
        """
        return getattr(record, self.name) if self.value is None else self.value(record)

    def text(self, value: Any) -> str:
        """Return the cell of a value.

        Parameters
        ----------
        value : object
            As `read` returns it.

        Returns
        -------
        str
            `BLANK` for None.
        """
        return BLANK if value is None else self.format(value)

    def order(self, value: Any) -> SortKey:
        """Return by what a value is sorted.

        Parameters
        ----------
        value : object
            As `read` returns it.

        Returns
        -------
        float, str or None
            None for a blank.
        """
        if value is None:
            return None
        if self.sort_key is not None:
            return self.sort_key(value)
        return float(value) if isinstance(value, int | float) else self.format(value)


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Parameters
    ----------
    values : tuple
        One a column; None where it is not known.
    status : str
        `ok`, `baseline`, `estimated`, `failed`, `skipped` or `quoted`.
    badge : str
        Beside the name, instead of the words of the status.
    detail : str
        A sentence about the row, such as why it failed.
    """

    values: tuple[Any, ...]
    status: Status = "ok"
    badge: str = ""
    detail: str = ""

    @property
    def mark(self) -> str:
        """Words beside the name, in HTML."""
        return self.badge or BADGES[self.status]

    @property
    def plain_mark(self) -> str:
        """Words behind the name, in plain text."""
        return self.badge or _PLAIN_BADGES.get(self.status, BADGES[self.status])


@dataclass(frozen=True)
class Table:
    """Rows of values with their columns and footnotes.

    Parameters
    ----------
    title : str
        Heading.
    columns : tuple of Column
        The first names the rows and stays in sight.
    rows : tuple of TableRow
        One value a column each.
    identifier : str
        For links to it; different for each table of a page.
    notes : tuple of str
        Sentences under the table, after the explanations of the columns.
    caption : str
        A sentence between heading and table, in HTML.
    sortable : bool
        Whether its headings sort, in HTML.

    Raises
    ------
    ValueError
        If a row has another number of values than there are columns.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    identifier: str = ""
    notes: tuple[str, ...] = ()
    caption: str = ""
    sortable: bool = True

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(
                    f"table {self.identifier or self.title}: {len(self.columns)} columns, but a "
                    f"row of {len(row.values)} values"
                )

    @classmethod
    def from_records(
        cls, title: str, columns: Iterable[Column], records: Iterable[Any], **fields: Any
    ) -> Table:
        """Build a table with a row for each record.

        Parameters
        ----------
        title : str
            Heading.
        columns : iterable of Column
            They read the records.
        records : iterable
            In the order of the rows.
        **fields
            Further fields of the table.

        Returns
        -------
        Table
            All rows have the status `ok`.
        """
        columns = tuple(columns)
        rows = tuple(TableRow(read_values(columns, record)) for record in records)
        return cls(title, columns, rows, **fields)

    @property
    def footnotes(self) -> list[tuple[str, str]]:
        """Headers of columns and their explanation, in the order of the columns."""
        headers: dict[str, list[str]] = {}
        for column in self.columns:
            if column.explanation:
                headers.setdefault(column.explanation, []).append(column.header)
        return [(", ".join(names), text) for text, names in headers.items()]

    @property
    def explanations(self) -> list[str]:
        """Every footnote as a sentence: those of the columns, then the notes."""
        return [*(f"{names}: {text}" for names, text in self.footnotes), *self.notes]

    @property
    def reasons(self) -> list[str]:
        """The details of rows, such as why they have no scores, behind their names."""
        names = (line[0] for line in self.plain_cells())
        return [
            f"{name}: {row.detail}"
            for name, row in zip(names, self.rows, strict=True)
            if row.detail
        ]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell, a list a row."""
        return [
            [column.text(value) for column, value in zip(self.columns, row.values, strict=True)]
            for row in self.rows
        ]

    def plain_cells(self) -> list[list[str]]:
        """Return the text of every cell for plain text: names have their status behind them."""
        return [
            [f"{name} ({row.plain_mark})" if row.plain_mark else name, *others]
            for (name, *others), row in zip(self.cells(), self.rows, strict=True)
        ]

    def sort_keys(self) -> list[list[SortKey]]:
        """Return by what every cell is sorted, a list a row."""
        return [
            [column.order(value) for column, value in zip(self.columns, row.values, strict=True)]
            for row in self.rows
        ]

    def only(self, *names: str) -> Table:
        """Return the table with some of its columns.

        Parameters
        ----------
        *names : str
            Of the columns to keep; names that the table does not have are ignored.

        Returns
        -------
        Table
            Columns stay in their order.
        """
        kept = [i for i, column in enumerate(self.columns) if column.name in names]
        columns = tuple(self.columns[i] for i in kept)
        rows = (replace(row, values=tuple(row.values[i] for i in kept)) for row in self.rows)
        return replace(self, columns=columns, rows=tuple(rows))

    def without(self, *names: str) -> Table:
        """Return the table without some of its columns.

        Parameters
        ----------
        *names : str
            Of the columns to leave out, as far as there are such.

        Returns
        -------
        Table
            Columns stay in their order.
        """
        return self.only(*(column.name for column in self.columns if column.name not in names))


def read_values(columns: Iterable[Column], record: Any) -> tuple[Any, ...]:
    """Return the values of a record, one a column.

    Parameters
    ----------
    columns : iterable of Column
        They read the record.
    record : object
        Of the kind that the columns are for.

    Returns
    -------
    tuple
        For `TableRow`.
    """
    return tuple(column.read(record) for column in columns)


def print_table(table: Table) -> None:
    """Print a table: drawn on a terminal, aligned columns elsewhere.

    No cell is ever cut short. A terminal that is too narrow leaves optional columns out, then
    breaks headers between words, then gets the aligned columns.

    Parameters
    ----------
    table : Table
        Its rows; neither title nor footnotes are printed.
    """
    import click
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal:
        table = _narrowed(table, console.width)
        if _fits(_least_widths(table), console.width):
            _draw(console, table)
            return
    text = _plain_text(table)
    for line in text:
        padded = [
            cell.ljust(width) if column.align == "left" else cell.rjust(width)
            for cell, width, column in zip(line, _widths(text), table.columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _plain_text(table: Table) -> list[list[str]]:
    """Return headers and cells, without control characters."""
    headers = [column.header for column in table.columns]
    return [[printable(cell) for cell in line] for line in (headers, *table.plain_cells())]


def _widths(text: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*text, strict=True)]


def _least_widths(table: Table) -> list[int]:
    """Return the widths where headers are broken between words."""
    headers, *lines = _plain_text(table)
    return _widths([[max(header.split(), key=len) for header in headers], *lines])


def _fits(widths: list[int], width: int) -> bool:
    return sum(widths) + _GAP * (len(widths) - 1) <= width


def _narrowed(table: Table, width: int) -> Table:
    for column in sorted(table.columns, key=lambda column: column.optional):
        if column.optional and not _fits(_least_widths(table), width):
            table = table.without(column.name)
    return table


def _draw(console: Any, table: Table) -> None:
    from rich import box
    from rich.table import Table as DrawnTable

    headers, *lines = text = _plain_text(table)
    natural = _widths(text)
    widths = natural if _fits(natural, console.width) else _least_widths(table)
    text_table = DrawnTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, header, width in zip(table.columns, headers, widths, strict=True):
        text_table.add_column(header, justify=column.align, width=width)
    for line in lines:
        text_table.add_row(*line)
    console.print(text_table)


def labelled_lines(entries: Iterable[Entry]) -> list[str]:
    """Return entries as indented lines, with their texts aligned.

    Parameters
    ----------
    entries : iterable of (str, str)
        Labels of at most `LABEL_WIDTH` characters, and texts.

    Returns
    -------
    list of str
        One an entry.
    """
    return [f"  {label:<{LABEL_WIDTH}} {text}" for label, text in entries]


def markdown_document(heading: str, tables: Sequence[Table], notes: Sequence[str] = ()) -> str:
    """Return tables as a Markdown document.

    Parameters
    ----------
    heading : str
        Of the document.
    tables : sequence of Table
        Each with its footnotes; the first without a heading of its own.
    notes : sequence of str
        A list under the first table.

    Returns
    -------
    str
        Lines that end with a newline.
    """
    lines = [f"# {heading}", ""]
    for number, table in enumerate(tables):
        if number:
            lines += [f"## {table.title}", ""]
        lines += [*_markdown_lines(table), ""]
        for block in ([*table.reasons, *(() if number else notes)], table.explanations):
            if block:
                lines += [*(f"- {text}" for text in block), ""]
    return "\n".join(lines)


def _markdown_lines(table: Table) -> list[str]:
    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

    rule = ["---:" if column.align == "right" else "---" for column in table.columns]
    headers = [column.header for column in table.columns]
    return [line(headers), line(rule), *map(line, table.plain_cells())]


_HYPHENS = "\0"
"""Stands for two hyphens, which LaTeX would set as a dash."""
_LATEX = {
    _HYPHENS: "-{}-",
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "σ": r"$\sigma$",
    "≈": r"$\approx$",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
}


def latex_table(table: Table, caption: str, notes: Sequence[str] = ()) -> str:
    r"""Return a table for LaTeX, in the style of the package booktabs.

    Parameters
    ----------
    table : Table
        Rows and footnotes.
    caption : str
        Its caption.
    notes : sequence of str
        Before the footnotes.

    Returns
    -------
    str
        A `table` environment; all texts are escaped.
    """
    columns = "".join("r" if column.align == "right" else "l" for column in table.columns)
    head = " & ".join(_escaped(column.header) for column in table.columns)
    body = [" & ".join(map(_escaped, line)) + r" \\" for line in table.plain_cells()]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,graphicx}",
            "\\begin{table}",
            f"  \\caption{{{_escaped(caption)}}}",
            "  \\centering",
            "  \\resizebox{\\linewidth}{!}{%",
            f"  \\begin{{tabular}}{{{columns}}}",
            "    \\toprule",
            f"    {head} \\\\",
            "    \\midrule",
            *(f"    {line}" for line in body),
            "    \\bottomrule",
            "  \\end{tabular}}",
            "  \\par\\smallskip",
            "  \\begin{minipage}{\\linewidth}\\footnotesize",
            *(f"    {_escaped(t)}\\par" for t in (*table.reasons, *notes, *table.explanations)),
            "  \\end{minipage}",
            "\\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    joined = text.replace("--", _HYPHENS)
    plain = "".join(_LATEX.get(character, character) for character in joined)
    return re.sub(r'"([^"]*)"', r"``\1''", plain)


def csv_text(table: Table) -> str:
    """Return a table as comma-separated values: the values themselves under the columns' keys.

    Parameters
    ----------
    table : Table
        Its rows; neither title nor footnotes are written.

    Returns
    -------
    str
        A header, then a line a row; unknown values are empty.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    writer.writerows(row.values for row in table.rows)
    return stream.getvalue()
