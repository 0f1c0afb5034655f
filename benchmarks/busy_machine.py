"""Training beside other work: a thread a core, threads that spin less, a thread an idle core.

    python benchmarks/busy_machine.py [--rounds 3] [--loops 0,1,2,4] [--json OUT]

In every round each training, `physics` and `paper`, runs beside k busy loops with each of
`SETTINGS` by turns. Measured is the median epoch after the first, without start and estimate.
Printed are medians (least–largest) of ratios within a round to the quiet time with a thread a
core, beside the target 1.3 · (2 + k) / 2. On more than two cores, run it under
`taskset --cpu-list 0,1`; on a machine that does something else it measures that.
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

from phasegan.devices import describe_machine

SAMPLES = 40
COMMAND = [sys.executable, "-m", "phasegan"]
PREPARE = ["--size", "64", "--samples", f"{SAMPLES}", "--test", "4"]
TRAININGS = {
    "physics": ["--preset", "physics", "--variant", "small", "--epochs", "6"],
    "paper": ["--preset", "paper", "--base-channels", "8", "--blocks", "2", "--epochs", "4"],
}
SETTINGS: dict[str, tuple[list[str], dict[str, str]]] = {
    "a thread a core": (["--threads", "2"], {}),
    "spinning 10,000 turns": (["--threads", "2"], {"GOMP_SPINCOUNT": "10000"}),
    "a thread an idle core": ([], {}),
}
"""Options and environment. The first are torch's defaults, where libgomp's threads spin
300,000 turns before they sleep; the last is the command's."""
NAMED = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
QUIET, BUSY = 1.05, 1.3
"""Targets: what a setting may cost quiet, and what other work may cost beyond its share."""


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


def epoch_seconds(data: Path, training: str, setting: str, loops: int) -> float:
    """Train beside busy loops; return the seconds of the median epoch after the first."""
    options, said = SETTINGS[setting]
    plain = {name: value for name, value in os.environ.items() if name not in NAMED}
    with tempfile.TemporaryDirectory() as folder, busy(loops):
        run = Path(folder, "run")
        subprocess.run(
            [*COMMAND, "train", data, "-o", run, "--device", "cpu", *options, *TRAININGS[training]],
            env=plain | said,
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
    seconds = {(r["training"], r["loops"], r["setting"], r["round"]): r["seconds"] for r in rows}
    rounds, first = sorted({r["round"] for r in rows}), next(iter(SETTINGS))
    lines = [
        f"| training | busy loops | {' | '.join(SETTINGS)} | target |",
        f"|---|---:|{'---:|' * len(SETTINGS)}---:|",
    ]
    for training, loops in dict.fromkeys(key[:2] for key in seconds):
        target = BUSY * (2 + loops) / 2 if loops else QUIET
        cells = [
            spread(
                [seconds[training, loops, s, i] / seconds[training, 0, first, i] for i in rounds]
            )
            for s in SETTINGS
        ]
        lines.append(f"| `{training}` | {loops} | {' | '.join(cells)} | {target:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", default="0,1,2,4")
    parser.add_argument("--trainings", default=",".join(TRAININGS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    loops = [int(number) for number in arguments.loops.split(",")]
    if 0 not in loops:
        parser.error("--loops must hold 0, the quiet time that others are compared with")
    rows: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.h5")
        subprocess.run([*COMMAND, "prepare", "-o", data, *PREPARE], check=True)
        trainings = arguments.trainings.split(",")
        for number, training, k in itertools.product(range(arguments.rounds), trainings, loops):
            for setting in list(SETTINGS)[:: -1 if number % 2 else 1]:
                seconds = round(epoch_seconds(data, training, setting, k), 4)
                rows.append(
                    {"round": number, "training": training, "loops": k, "setting": setting}
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
