"""Memory of `phasegan prepare` over a source of many pictures, as a curve.

    python benchmarks/bench_memory.py [--pictures 100000] [--size 64] [--workers 2]
        [--plot OUT.png] [--json OUT]

The pictures are made first: pairs of crops of the photographs inside scikit-image over each
other, JPEG, 80×80 pixels, a thousand a folder. Then a process that prepares them, and those it
starts, are looked at several times a second: resident memory, that of files mapped into it
included. It is killed halfway and continued; both halves of the curve show.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import phasegan
from phasegan.devices import describe_machine

SIDE = 80
A_FOLDER = 1000


def make(folder: Path, first: int, count: int) -> None:
    """Write pictures: two crops of photographs over each other."""
    from skimage import data

    photographs = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(first)
    folder.mkdir(parents=True)
    for i in range(first, first + count):
        layers = []
        for _ in range(2):
            picture = photographs[rng.integers(len(photographs))]
            row, column = (int(rng.integers(0, n - SIDE)) for n in picture.shape[:2])
            layers.append(picture[row : row + SIDE, column : column + SIDE] // 2)
        Image.fromarray(layers[0] + layers[1]).save(folder / f"{i:07d}.jpg", quality=90)


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def watch(command: list[str], journal: Path, stop_at: int | None) -> list[dict[str, float]]:
    """Run a command; return time, MiB of it, of its children and of the journal."""
    rows, start = [], time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            written = journal.stat().st_size / 2**20
        except OSError:
            written = 0.0
        rows.append(
            {
                "seconds": time.monotonic() - start,
                "writer": resident(process.pid),
                "workers": sum(map(resident, children(process.pid))),
                "journal": written,
            }
        )
        if stop_at is not None and journal.exists() and lines(journal) > stop_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(0.1 if stop_at is None else 0.5)
    if stop_at is None and process.returncode:
        raise SystemExit(f"phasegan prepare failed with status {process.returncode}")
    return rows


def lines(path: Path) -> int:
    """Count lines."""
    with open(path, "rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(2**20), b""))


def plot(halves: list[list[dict[str, float]]], count: int, path: Path) -> None:
    """Draw memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.2), constrained_layout=True)
    offset = 0.0
    for half, label in zip(halves, ("", "_"), strict=True):
        time_s = [offset + row["seconds"] for row in half]
        axes.plot(time_s, [row["writer"] for row in half], color="#1b6ca8",
                  label=f"{label}process that writes")  # fmt: skip
        axes.plot(time_s, [row["workers"] for row in half], color="#c8553d",
                  label=f"{label}processes that decode, together")  # fmt: skip
        offset = time_s[-1]
        if half is halves[0]:
            axes.axvline(offset, color="0.5", linestyle=":", linewidth=1)
            axes.annotate("killed, continued", (offset, 0.05), xycoords=("data", "axes fraction"),
                          xytext=(5, 0), textcoords="offset points", color="0.35")  # fmt: skip
    axes.set(xlabel="seconds", ylabel="resident memory, MiB", xlim=(0, None), ylim=(0, None))
    axes.set_title(f"phasegan prepare, {count:,} pictures", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print and perhaps save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source, output = Path(scratch) / "pictures", Path(scratch) / "p.h5"
        with ProcessPoolExecutor() as pool:
            for first in range(0, given.pictures, A_FOLDER):
                count = min(A_FOLDER, given.pictures - first)
                pool.submit(make, source / f"{first:07d}", first, count)
        command = [
            sys.executable, "-m", "phasegan", "prepare", str(source), "-o", str(output),
            "--size", str(given.size), "--workers", str(given.workers), "--resume", "-q",
        ]  # fmt: skip
        journal = output.with_name(".p.h5.journal")
        halves = [watch(command, journal, given.pictures // 2), watch(command, journal, None)]
        with phasegan.open(output) as file:
            made = len(file.train) + len(file.test)
    assert made == given.pictures, made
    peaks = {
        name: [max(row[name] for row in half) for half in halves] for name in ("writer", "workers")
    }
    first = halves[0]
    quarter = [row for row in first if row["seconds"] > first[-1]["seconds"] / 4]
    growth = quarter[-1]["writer"] - quarter[0]["writer"]
    print(f"{made:,} pictures, {sum(half[-1]['seconds'] for half in halves):.0f} s")
    print(
        f"writer: {max(peaks['writer']):.0f} MiB at most, {growth:+.1f} MiB from a quarter of the "
        f"first half to its end; decoders together {max(peaks['workers']):.0f} MiB"
    )
    if given.plot is not None:
        plot(halves, made, given.plot)
    if given.json is not None:
        document = {
            "machine": describe_machine(), "pictures": made, "size": given.size,
            "peak_mib": peaks, "growth_mib": growth,
            "curve": [[{k: round(v, 1) for k, v in row.items()} for row in half[::10]]
                      for half in halves],
        }  # fmt: skip
        given.json.write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
