"""Estimated against measured duration of whole commands, as a user reads and waits for them.

    python benchmarks/bench_estimates.py --json benchmarks/results/estimates-commands/quiet-1.json
    python benchmarks/bench_estimates.py --loops 1 --json …/busy-1.json

Each of `COMMANDS` runs in a process of its own, beside so many busy loops. What it prints,
`estimated 21 s (18 s to 25 s) in all`, is compared with the time from its start to its end:
imports, the estimate itself, fits, steps, validation, checkpoints, pictures, the report. The
data are photographs of scikit-image, and crops of them as two domains of pictures. On a machine
that does something else it measures that.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from busy_machine import busy

from phasegan.devices import describe_machine

COMMAND = [sys.executable, "-m", "phasegan"]
PREPARE = {
    "tiny.h5": ["--size", "32", "--samples", "40", "--test", "8"],
    "small.h5": ["--size", "64", "--samples", "200", "--test", "20"],
    "full.h5": ["--samples", "400", "--test", "50"],
}
SMALL = ["--variant", "small"]
FLOWERS = ["--size", "64", "--base-channels", "8"]
COMMANDS: dict[str, list[str]] = {
    "physics, tiny": ["train", "tiny.h5", *SMALL, "--samples", "8", "--epochs", "1"],
    "bench, tiny": ["bench", "--data", "tiny.h5", *SMALL, "--samples", "8", "--epochs", "2"],
    "physics": ["train", "full.h5", *SMALL, "--samples", "20", "--epochs", "4"],
    "translation": ["train", "domains", *FLOWERS, "--samples", "20", "--epochs", "4"],
    "paper": ["train", "small.h5", "--preset", "paper", *SMALL, "--samples", "30", "--epochs", "6"],
    "physics, validated": [
        *("train", "full.h5", *SMALL, "--samples", "60", "--epochs", "10"),
        *("--validation", "20", "--validate-every", "2"),
    ],
    "bench, two trainings": [
        *("bench", "--data", "small.h5", *SMALL),
        *("--samples", "20", "--epochs", "5", "--samples", "60", "--epochs", "10"),
    ],
    "translation, longer": ["train", "domains", *FLOWERS, "--samples", "60", "--epochs", "12"],
    "physics, padded": ["train", "padded.h5", *SMALL, "--samples", "100", "--epochs", "10"],
    "paper, longer": [
        *("train", "full.h5", "--preset", "paper", *SMALL, "--samples", "60", "--epochs", "16"),
    ],
    "bench": [
        *("bench", "--data", "full.h5", *SMALL),
        *("--samples", "20", "--epochs", "8", "--samples", "80", "--epochs", "15"),
    ],
    "physics, longer": ["train", "full.h5", "--samples", "200", "--epochs", "50"],
}
PREPARE["padded.h5"] = ["--size", "64", "--oversample", "2", "--samples", "200", "--test", "20"]
WIDEST = {10.0: 3.0, 30.0: 3.0, 120.0: 1.6, float("inf"): 1.3}
"""By the measured seconds up to which it holds: how many times its lower end the upper end of
a quiet interval may be."""
_UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Return the seconds of a duration as commands print it, such as `3 min 20 s`."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+) (\w+)", text))


def announced(printed: str) -> tuple[float, float, float]:
    """Return the estimate of a whole command, and its interval, from what it printed."""
    found = re.search(r"estimated ([^(\n]+) \(([^)]+) to ([^)]+)\) in all", printed)
    if found is None:
        raise ValueError(f"no estimate of the whole command in {printed!r}")
    middle, low, high = map(seconds, found.groups())
    return middle, low, high


def make_domains(folder: Path, count: int = 80, size: int = 72) -> None:
    """Write crops of two photographs of scikit-image as two domains of pictures."""
    import numpy as np
    from PIL import Image
    from skimage import data

    rng = np.random.default_rng(0)
    for domain, photograph in (("trainA", data.coffee()), ("trainB", data.chelsea())):
        (folder / domain).mkdir(parents=True)
        for number in range(count):
            row, column = (rng.integers(0, side - size) for side in photograph.shape[:2])
            crop = photograph[row : row + size, column : column + size]
            Image.fromarray(crop).save(folder / domain / f"{number:03d}.png")


def measure(name: str, folder: Path, loops: int) -> dict:
    """Run a command beside busy loops; return what it announced and what it took."""
    words = [*COMMAND, *COMMANDS[name], "-o", f"out-{name.replace(' ', '-').replace(',', '')}"]
    with busy(loops):
        start = time.monotonic()
        ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
        took = time.monotonic() - start
    middle, low, high = announced(ended.stderr + ended.stdout)
    return {
        "command": name,
        "estimate": middle,
        "low": low,
        "high": high,
        "seconds": round(took, 2),
        "held": low <= took <= high,
        "width": round(high / low, 3),
    }


def summary(rows: Sequence[dict], loops: int) -> str:
    """Return a table of the rows, and the counts below it."""
    lines = [
        "| command | estimated | interval | width | took | estimated / took | held |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    wide = []
    for row in sorted(rows, key=lambda row: row["seconds"]):
        low, high, took = row["low"], row["high"], row["seconds"]
        limit = next(ratio for most, ratio in WIDEST.items() if took < most)
        wide += [row["command"]] * (not loops and row["width"] > limit)
        lines.append(
            f"| {row['command']} | {row['estimate']:.3g} s | {low:.3g} to {high:.3g} s | "
            f"{row['width']:.2f} : 1 | {took:.1f} s | {row['estimate'] / took:.2f} | "
            f"{'yes' if row['held'] else 'no'} |"
        )
    held = sum(row["held"] for row in rows)
    beside = f"beside {loops} busy loops" if loops else "on a quiet machine"
    lines.append(f"\n{held} of {len(rows)} intervals held {beside}.")
    if wide:
        lines.append(f"Wider than they should be: {', '.join(wide)}.")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loops", type=int, default=0)
    parser.add_argument("--only", help="names of commands, separated by ;")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = arguments.only.split(";") if arguments.only else list(COMMANDS)
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, options in PREPARE.items():
            subprocess.run(
                [*COMMAND, "prepare", "-o", file, "-q", *options], cwd=folder, check=True
            )
        make_domains(folder / "domains")
        for command in names:
            rows.append(measure(command, folder, arguments.loops))
            print(*rows[-1].values(), file=sys.stderr, flush=True)
    print(summary(rows, arguments.loops))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"machine": describe_machine(), "loops": arguments.loops, "rows": rows}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
