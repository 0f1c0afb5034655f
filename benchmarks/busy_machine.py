"""Training with two threads beside other work, by how long a waiting thread spins.

    python benchmarks/busy_machine.py [--rounds 5] [--loops 0,1,2,4] [--json OUT]

In every round each training, `physics` and `paper`, runs beside k busy loops, with each of
`--counts` as `GOMP_SPINCOUNT` by turns: that of libgomp, 300000, and that of the command.
Measured is the median epoch after the first, without start and estimate. Printed are
medians (least–largest) of ratios within a round: to the first count, and to the same
count's quiet time, beside the target 1.3 · (2 + k) / 2. On more than two cores, run it
under `taskset --cpu-list 0,1`; on a machine that does something else it measures that.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from phasegan.devices import SPINNING, describe_machine

SAMPLES = 40
COMMAND = [sys.executable, "-m", "phasegan"]
PREPARE = ["--size", "64", "--samples", f"{SAMPLES}", "--test", "4"]
TRAININGS = {
    "physics": ["--preset", "physics", "--variant", "small", "--epochs", "10"],
    "paper": ["--preset", "paper", "--base-channels", "8", "--blocks", "2", "--epochs", "5"],
}
DEFAULT = 300000
"""Of libgomp, where the environment says nothing."""
QUIET, BUSY = 1.05, 1.3
"""Targets: what a limit may cost, and what other work may cost beyond its share."""


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep cores busy with some endless loops."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def epoch_seconds(data: Path, training: str, count: int, loops: int) -> float:
    """Train beside busy loops; return the seconds of the median epoch after the first."""
    waiting = {"OMP_WAIT_POLICY", *SPINNING}
    plain = {name: value for name, value in os.environ.items() if name not in waiting}
    with tempfile.TemporaryDirectory() as folder, busy(loops):
        run = Path(folder, "run")
        options = ["--device", "cpu", "--threads", "2", *TRAININGS[training]]
        subprocess.run(
            [*COMMAND, "train", data, "-o", run, *options],
            env=plain | {"GOMP_SPINCOUNT": f"{count}"},
            capture_output=True,
            check=True,
        )
        records = map(json.loads, (run / "losses.jsonl").read_text().splitlines())
        speeds = [record["images_per_second"] for record in records]
    return SAMPLES / statistics.median(speeds[1:])


def spread(values: Sequence[float]) -> str:
    """Return the median, the least and the largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(rows: Sequence[dict]) -> str:
    """Return the ratios within rounds as a table."""
    seconds = {(r["training"], r["loops"], r["count"], r["round"]): r["seconds"] for r in rows}
    rounds, first = sorted({r["round"] for r in rows}), rows[0]["count"]
    lines = [
        f"| training | busy loops | turns | / {first} turns | / quiet | target |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for training, loops, count in dict.fromkeys(key[:3] for key in seconds):
        target = BUSY * (2 + loops) / 2 if loops else QUIET
        cells = [
            spread(
                [seconds[training, loops, count, i] / seconds[(training, *base, i)] for i in rounds]
            )
            for base in ((loops, first), (0, count))
        ]
        lines.append(f"| `{training}` | {loops} | {count} | {' | '.join(cells)} | {target:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loops", default="0,1,2,4")
    parser.add_argument("--counts", default=f"{DEFAULT},{SPINNING['GOMP_SPINCOUNT']}")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    loops, counts = (
        [int(number) for number in text.split(",")] for text in (arguments.loops, arguments.counts)
    )
    if 0 not in loops:
        parser.error("--loops must hold 0, the quiet time that others are compared with")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.h5")
        subprocess.run([*COMMAND, "prepare", "-o", data, *PREPARE], check=True)
        for number, training, k in itertools.product(range(arguments.rounds), TRAININGS, loops):
            for count in counts[:: -1 if number % 2 else 1]:
                seconds = round(epoch_seconds(data, training, count, k), 4)
                rows.append(
                    {"round": number, "training": training, "loops": k, "count": count}
                    | {"seconds": seconds}
                )
                print(*rows[-1].values(), file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"machine": describe_machine(), "rows": rows}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
