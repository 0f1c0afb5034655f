"""Rows of `results/reliability`: what was tried, how often, and what happened."""

from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path
from typing import Any

from phasegan.devices import describe_machine
from phasegan.io.atomic import read_json, write_json


def make_row(what: str, outcomes: Counter[str], command: str, note: str) -> dict[str, Any]:
    """Return one row.

    Parameters
    ----------
    what : str
        What was tried.
    outcomes : Counter
        How often each thing happened; their sum is the number of cases.
    command : str
        That makes the row again.
    note : str
        What must be known besides.
    """
    machine = describe_machine()
    gpu = "no GPU" if machine["gpu"] == "none" else str(machine["gpu"])
    return {
        "what": what,
        "cases": outcomes.total(),
        "outcomes": dict(outcomes.most_common()),
        "command": command,
        "machine": f"{machine['cores']} cores of {machine['processor']}, {gpu}",
        "when": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "note": note,
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, rows)


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print one line a row, and its note."""
    for row in rows:
        said = ", ".join(f"{name}: {count}" for name, count in row["outcomes"].items())
        print(f"{row['what']}: {row['cases']} cases: {said} ({row['note']})", flush=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return rows that were written."""
    found: list[dict[str, Any]] = read_json(path)
    return found
