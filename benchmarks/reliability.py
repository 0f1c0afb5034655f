"""Turn the rows of results/reliability into docs/reliability.md.

    python benchmarks/reliability.py [--check]

Each JSON file there is a list of {"what", "cases", "outcomes": {name: count}, "command",
"machine", "when", "note"}. `--check` writes nothing and fails where the document is not
what the rows say.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from phasegan.data.download import archives
from phasegan.data.images.pixels import MAX_CHANNELS
from phasegan.errors import InputError
from phasegan.io.arrays import MAX_HEADER_BYTES
from phasegan.io.atomic import read_json, write_text
from phasegan.io.untrusted import MAX_GROWTH, MAX_IMAGE_BYTES, MAX_TEXT_BYTES, SLACK

ROOT = Path(__file__).parents[1]
ROWS, DOCUMENT = ROOT / "benchmarks/results/reliability", ROOT / "docs/reliability.md"
KEYS = ("what", "cases", "outcomes", "command", "machine", "when", "note")
TITLES = {
    "fuzz": "Damaged files",
    "kills": "Kills",
    "disk-full": "Full disks",
    "attacks": "Attacks",
}
"""Headings of files, in this order; others follow under their own names."""
FAILURES = ("wrong accept", "traceback", "crash", "hang", "memory")
_ORDER = ("refused", "same", "changed", *FAILURES)

FRAME = """# Reliability tests

This page is made by `python benchmarks/reliability.py` from the rows in
`benchmarks/results/reliability`, and those by the commands that stand above each table.
Nothing in it is written by hand but these paragraphs.

Bad input is refused in one line with exit status 2, or skipped with a reason that is
counted, where one picture of a folder is bad. Nothing else on the disk is touched.

| limit | value | where it stands |
|---|---|---|
| pixels of a picture, array or film | {pixels:,} | `MAX_IMAGE_PIXELS`, `PHASEGAN_MAX_PIXELS` |
| channels of a picture | {channels} | `data.images.pixels.MAX_CHANNELS` |
| bytes of a picture, as a file and in memory | {picture:,} | `io.untrusted.MAX_IMAGE_BYTES` |
| bytes of a recipe or case | {text:,} | `io.untrusted.MAX_TEXT_BYTES` |
| bytes of an array's header | {header:,} | `io.arrays.MAX_HEADER_BYTES` |
| bytes of an array in `.npz`, `.mat`, HDF5 | {slack:,}, {growth} × the file | `io.untrusted` |
| bytes in an archive | {archive_slack:,} + {archive_growth} × its own | `data.download.archives` |
| files in an archive | {members:,} | `data.download.archives` |

All limits are checked before memory is taken. Pipes, sockets and devices are told from
files before they are opened, whatever they are called. Files of torch are read by its
restricted unpickler, arrays without pickles, feature networks as ONNX; PostScript and other
formats that Pillow hands to other programs are no pictures, whatever their names. HDF5 and
ONNX files are not followed to other files, but for virtual sources beside or below a file of
others. Archives are those of `phasegan datasets fetch`.

Words in the tables:

- **refused**: one line, as it should be; **same**: read, and equal to the undamaged file;
- **changed**: read, and different, in a format without a checksum that could tell: a
  flipped bit in a BMP is another picture;
- **wrong accept**: read, and different, in a format that has checksums (prepared files,
  weights, checkpoints): a failure;
- **done, nothing else touched**: of attacks, what is fine beside them, done as it should be;
- **traceback**, **crash**, **hang**, **memory**: failures.

Attacks stand in a folder beside what they aim at: files whose bytes are compared afterwards, and
pipes that nobody writes to. Changing them, waiting for them, or a result where the input has to be
refused, would be a failure.
"""


def read_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every file, by its name without suffix.

    Raises
    ------
    InputError
        If a file is no such list.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        rows = read_json(path)
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and set(row) == set(KEYS) for row in rows
        ):
            raise InputError(f"{path}: expected a list of objects with {', '.join(KEYS)}")
        for row in rows:
            if sum(row["outcomes"].values()) != row["cases"]:
                raise InputError(f"{path}: the outcomes of {row['what']!r} are not all its cases")
        found[path.stem] = rows
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table: a row each, a column an outcome, a last row of sums."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row["outcomes"])
    counted = any(name in _ORDER for name in total)
    names = [n for n in _ORDER if n in total or (counted and n in FAILURES)]
    names += [n for n in total if n not in names]
    notes = len({row["note"] for row in rows}) > 1
    lines = ["| what | cases | " + " | ".join(names) + (" | note |" if notes else " |")]
    lines.append("|---" + "|--:" * (len(names) + 1) + ("|---|" if notes else "|"))
    everything = {"what": "**all**", "cases": total.total(), "outcomes": total, "note": ""}
    for row in [*rows, everything] if len(rows) > 1 else rows:
        cells = [f"{row['outcomes'].get(name, 0) or '·'}" for name in names]
        cells = [f"{int(cell):,}" if cell.isdigit() else cell for cell in cells]
        end = [row["note"]] if notes else []
        lines.append("| " + " | ".join([row["what"], f"{row['cases']:,}", *cells, *end]) + " |")
    return "\n".join(lines)


def section(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return what one file of rows says."""
    lines = [f"## {TITLES.get(name, name.replace('-', ' ').capitalize())}", ""]
    for command in dict.fromkeys(row["command"] for row in rows):
        lines.append(f"    {command}")
    where = dict.fromkeys(f"{row['machine']}, {row['when']}" for row in rows)
    lines += ["", f"On {'; '.join(where)}.", "", table(rows)]
    notes = {row["note"] for row in rows} - {""}
    if len(notes) == 1:
        lines += ["", f"{notes.pop()}."]
    return "\n".join(lines)


def render(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return the document."""
    frame = FRAME.format(
        pixels=Image.MAX_IMAGE_PIXELS, channels=MAX_CHANNELS, picture=MAX_IMAGE_BYTES,
        text=MAX_TEXT_BYTES, header=MAX_HEADER_BYTES, slack=SLACK, growth=MAX_GROWTH,
        archive_slack=archives.SLACK, archive_growth=archives.MAX_GROWTH,
        members=archives.MAX_MEMBERS,
    )  # fmt: skip
    order = [*(n for n in TITLES if n in found), *(n for n in found if n not in TITLES)]
    return "\n".join([frame, *(section(name, found[name]) + "\n" for name in order if found[name])])


def main(arguments: list[str] | None = None) -> int:
    """Write the document, or compare; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--rows", type=Path, default=ROWS, help="the folder of rows")
    parser.add_argument("-o", "--output", type=Path, default=DOCUMENT)
    options = parser.parse_args(arguments)
    try:
        text = render(read_rows(options.rows))
    except (InputError, json.JSONDecodeError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.check:
        there = options.output.read_text(encoding="utf-8") if options.output.is_file() else ""
        return int(there != text)
    write_text(options.output, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
