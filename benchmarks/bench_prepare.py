"""Throughput of `phasegan prepare` against a plain loop and against what the machine can do.

    python benchmarks/bench_prepare.py FOLDER [--size 128] [--rounds 5] [--json OUT]

In one run, by turns, over the same pictures:

- plain     the loop a user would write: imageio, Pillow's Lanczos, numpy.fft, h5py, one
            picture after the other
- phasegan  `phasegan.prepare`, from walking the folder to the whole file, with one process
            that decodes and with one a core
- work      decode, resize, transform, angle, round, and hash what was read and what would be
            written, with the same libraries; nothing is stored, the processes are running
            already, one and one a core
- write     the bytes of the file alone, in pieces of 1 MB, and fsync

On one core all of a contender's processes are bound to it. Rates are pictures a second,
medians over the rounds; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import imageio.v3 as imageio
import numpy as np
from PIL import Image

from phasegan.devices import describe_machine

CODES = 65536 / (2 * np.pi)


def plain(folder: Path, output: Path, size: int) -> None:
    """Prepare pictures as a user would."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with h5py.File(output, "w") as file:
        phase = file.create_dataset(
            "phase", (len(paths), size, size // 2 + 1), "u2", chunks=(1, size, size // 2 + 1)
        )
        images = file.create_dataset(
            "images", (len(paths), size, size), "u1", chunks=(1, size, size)
        )
        for i, path in enumerate(paths):
            image = Image.fromarray(imageio.imread(path, mode="L"))
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.crop((left, top, left + side, top + side))
            images[i] = pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
            angle = np.angle(np.fft.rfft2(pixels))
            phase[i] = (np.rint(angle * CODES).astype(np.int64) % 65536).astype(np.uint16)


def work(paths: list[Path], size: int) -> int:
    """Do what there is to do with pictures, and store nothing."""
    for path in paths:
        data = path.read_bytes()
        hashlib.sha256(data).digest()
        image = Image.open(io.BytesIO(data)).convert("L")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
        angle = np.angle(np.fft.rfft2(pixels))
        codes = np.rint(angle * CODES).astype(np.int32).astype(np.uint16)
        hashlib.sha256(codes.data).digest()
        hashlib.sha256(np.ascontiguousarray(pixels).data).digest()
    return len(paths)


def write(output: Path, count: int) -> None:
    """Write so many bytes, and wait until the disk has them."""
    block = os.urandom(2**20)
    with open(output, "wb", buffering=0) as stream:
        for start in range(0, count, len(block)):
            stream.write(block[: count - start])
        os.fsync(stream.fileno())


class Pinned:
    """Binds this process, and those it starts, to one core."""

    def __enter__(self) -> None:
        self._all = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(self._all)})

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self._all)


def timed(function: Callable[..., object], *arguments: object) -> float:
    """Return how long a call takes, in seconds."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def phasegan(folder: Path, output: Path, size: int, workers: int) -> float:
    """Return the seconds of `phasegan.prepare` in a program of its own, imports left out."""
    code = (
        "import sys, time, phasegan; phasegan.prepare; s = time.perf_counter(); "
        "phasegan.prepare(sys.argv[1], sys.argv[2], size=int(sys.argv[3]), "
        "workers=int(sys.argv[4])); print(time.perf_counter() - s)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, output, str(size), str(workers)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def rounds(folder: Path, size: int, count: int) -> Iterator[dict[str, float]]:
    """Yield the seconds of every contender, round after round."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    cores = os.cpu_count() or 1
    parts = [paths[i::cores] for i in range(cores)]
    context = multiprocessing.get_context("fork")
    with context.Pool(cores) as pool, tempfile.TemporaryDirectory() as scratch:
        pool.starmap(work, [(part[:20], size) for part in parts])
        for _ in range(count):
            place = Path(scratch)
            found: dict[str, float] = {}
            with Pinned():
                found["plain"] = timed(plain, folder, place / "plain.h5", size)
                found["phasegan, 1 core"] = phasegan(folder, place / "one.h5", size, 1)
                found["work, 1 core"] = timed(work, paths, size)
            found[f"phasegan, {cores} cores"] = phasegan(folder, place / "all.h5", size, cores)
            tasks = [(part[i::8], size) for part in parts for i in range(8)]
            found[f"work, {cores} cores"] = timed(pool.starmap, work, tasks, 1)
            size_bytes = (place / "all.h5").stat().st_size
            found["write"] = timed(write, place / "raw", size_bytes)
            assert (place / "one.h5").read_bytes() == (place / "all.h5").read_bytes()
            for made in place.iterdir():
                made.unlink()
            yield found


def ratios(found: dict[str, float], cores: int) -> dict[str, float]:
    """Return what phasegan reaches of a limit, and how it compares with the loop."""
    limit = max(found[f"work, {cores} cores"], found["write"])
    return {
        f"phasegan on {cores} cores / lower limit": limit / found[f"phasegan, {cores} cores"],
        f"phasegan on {cores} cores / work": found[f"work, {cores} cores"]
        / found[f"phasegan, {cores} cores"],
        "phasegan on 1 core / plain loop": found["plain"] / found["phasegan, 1 core"],
        "phasegan on 1 core / work": found["work, 1 core"] / found["phasegan, 1 core"],
        f"phasegan on {cores} cores / on 1": found["phasegan, 1 core"]
        / found[f"phasegan, {cores} cores"],
    }


def main() -> None:
    """Measure, print and perhaps save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cores = os.cpu_count() or 1
    count = sum(path.is_file() for path in given.folder.rglob("*"))
    measured = []
    for found in rounds(given.folder, given.size, given.rounds):
        measured.append(found)
        print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in found.items()), flush=True)
    rates = {name: [count / row[name] for row in measured] for name in measured[0]}
    compared = [ratios(row, cores) for row in measured]
    shares = {name: [row[name] for row in compared] for name in compared[0]}
    print(f"\n{count} pictures, {given.size}×{given.size}, {given.rounds} rounds; median (range)")
    for name, values in rates.items():
        middle = statistics.median(values)
        print(f"{name:38} {middle:7,.0f} /s ({min(values):,.0f}–{max(values):,.0f})")
    for name, values in shares.items():
        middle = statistics.median(values)
        print(f"{name:38} {middle:7.2f}   ({min(values):.2f}–{max(values):.2f})")
    if given.json is not None:
        document = {
            "machine": describe_machine(),
            "pictures": count,
            "size": given.size,
            "seconds": {name: [row[name] for row in measured] for name in measured[0]},
            "ratios": shares,
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
