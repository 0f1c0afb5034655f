"""Tables as Markdown, LaTeX and comma-separated values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from phasegan.benchmark.report.contents import Table
from phasegan.benchmark.report.tables import named_by_status
from phasegan.evaluation.records import Cost, Row
from phasegan.training.setup.eta import Estimate

_DASHES = "\0"
"""Stands for two hyphens, which LaTeX would make a dash of."""
_LATEX = {
    _DASHES: "-{}-",
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


def footnotes(table: Table) -> list[str]:
    """Return what explains the columns of a table, then its own notes."""
    return [f"{names}: {text}" for names, text in table.footnotes] + list(table.notes)


def reasons(table: Table) -> list[str]:
    """Return why lines have no scores."""
    return [f"{line.cells[0]}: {line.detail}" for line in table.lines if line.detail]


def markdown(heading: str, tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Return a Markdown document.

    Parameters
    ----------
    heading : str
        Of the document.
    tables : sequence of Table
        Each with its footnotes; the first without a heading of its own.
    remarks : sequence of str
        A list under the first table.
    """
    lines = [f"# {heading}", ""]
    for number, table in enumerate(tables):
        if number:
            lines += [f"## {table.title}", ""]
        lines += [*_markdown_table(named_by_status(table)), ""]
        marked = (*reasons(named_by_status(table)), *(() if number else remarks))
        for block in (marked, footnotes(table)):
            if block:
                lines += [*(f"- {text}" for text in block), ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

    rule = ["---:" if column.numeric else "---" for column in table.columns]
    rows = [line(entry.cells) for entry in table.lines]
    return [line([column.name for column in table.columns]), line(rule), *rows]


def latex(table: Table, caption: str, remarks: Sequence[str] = ()) -> str:
    r"""Return a LaTeX table in the style of the package booktabs.

    Parameters
    ----------
    table : Table
        Rows and footnotes.
    caption : str
        Its caption.
    remarks : sequence of str
        Before the footnotes.
    """
    shown = named_by_status(table)
    columns = "".join("r" if column.numeric else "l" for column in shown.columns)
    head = " & ".join(_escaped(column.name) for column in shown.columns)
    body = [" & ".join(_escaped(cell) for cell in line.cells) + r" \\" for line in shown.lines]
    notes = [*reasons(shown), *remarks, *footnotes(table)]
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
            *(f"    {_escaped(note)}\\par" for note in notes),
            "  \\end{minipage}",
            "\\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    marked = text.replace("--", _DASHES)
    plain = "".join(_LATEX.get(character, character) for character in marked)
    return re.sub(r'"([^"]*)"', r"``\1''", plain)


_OF_ROWS = ("method", "status", "reason", "samples", "epochs", "seed", "split")
_OF_ESTIMATES = ("seconds", "low", "high")


def comma_separated(rows: Sequence[Row]) -> str:
    """Return one line a row: what it is, every score, its durations, its run and its key."""
    scores = list(dict.fromkeys(name for row in rows for name in row.values))
    costs = list(Cost.__dataclass_fields__)
    names = [
        *_OF_ROWS,
        *scores,
        "training_seconds",
        *(f"estimated_{name}" for name in _OF_ESTIMATES),
        *costs,
        "run",
        "key",
    ]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        estimate: Estimate | None = row.estimate
        writer.writerow(
            [
                *(getattr(row, name) for name in _OF_ROWS),
                *(row.values.get(name) for name in scores),
                row.seconds,
                *(None if estimate is None else getattr(estimate, n) for n in _OF_ESTIMATES),
                *(None if row.cost is None else getattr(row.cost, name) for name in costs),
                row.run,
                row.key,
            ]
        )
    return table.getvalue()
