"""Speed of reading prepared files against bare h5py, files of single images, and memory.

    python benchmarks/bench_readers.py FILE.h5 [--rounds 7] [--reads 1000] [--json OUT]

All ways of a group read the same samples, by turns, in one process; printed are
medians over the rounds of the ratio to the first of the group in the same round
(below 1: faster), and the least and the largest, of processor time, which other
work on the machine hardly changes, and of wall time, which it does. Cold means that
the system was asked to forget the files before each reading (posix_fadvise), so it
needs Linux; what lies behind the disk, such as the host of a virtual machine, may
still remember.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import phasegan
from phasegan.devices import describe_machine

BATCH = 64
Way = Callable[[], int]
"""Reads and returns how many samples that were."""


class Plain(Dataset):
    """What one would write with h5py alone: the file is opened where it is read."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, None
        with h5py.File(path) as file:
            self.count, self.scale = len(file["train/phase"]), np.float32(2 * np.pi / 65536)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if self.file is None:
            self.file = h5py.File(self.path)
            self.codes, self.images = self.file["train/phase"], self.file["train/images"]
        codes = self.codes[index]
        phase = codes.view(np.int16) * self.scale  # one of 65536 codes has the other sign of π
        image = self.images[index]
        return {"phase": torch.from_numpy(phase), "images": torch.from_numpy(image)}


class Bench:
    """The ways of reading one file, in groups."""

    def __init__(self, path: Path, folder: Path, reads: int) -> None:
        self.path, self.folder = path, folder
        self.checked = phasegan.open(path)
        self.unchecked = phasegan.open(path, check=False)
        self.count = len(self.checked.train)
        rng = np.random.default_rng(0)
        self.rows = rng.permutation(self.count)[:reads]
        self.singles = self._write_singles()
        self.buffers: dict[str, np.ndarray] = {}

    def _write_singles(self) -> list[Path]:
        """Write each image that is read alone as .npy and as PNG."""
        written = []
        images = self.checked.train.images(self.rows)
        for i, image in enumerate(images):
            pixels = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
            np.save(self.folder / f"{i}.npy", image)
            Image.fromarray(pixels).save(self.folder / f"{i}.png")
            written += [self.folder / f"{i}.npy", self.folder / f"{i}.png"]
        return written

    def forget(self) -> None:
        """Ask the system to drop what it keeps of the files."""
        for path in [self.path, *self.singles]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)

    def close(self) -> None:
        """Close what a reading opened, so that the next opens it again."""
        self.checked.close()
        self.unchecked.close()

    def groups(self, cold: bool) -> Iterator[tuple[str, dict[str, Way]]]:
        """Yield the name of each group and its ways; the first is what others are compared to."""
        split, bare = self.checked.train, self.unchecked.train
        yield (
            "single images at random",
            {
                "h5py": lambda: self._h5py(self.rows),
                "phasegan": lambda: self._each(split),
                "phasegan, unchecked": lambda: self._each(bare),
                ".npy files": lambda: self._files(".npy", np.load),
                "PNG files": lambda: self._files(".png", lambda p: np.asarray(Image.open(p))),
            },
        )
        yield (
            f"images in batches of {BATCH}, as they stand",
            {
                "h5py": self._h5py_blocks,
                "phasegan": lambda: self._batches(split, "none", ["images"]),
                "phasegan, unchecked": lambda: self._batches(bare, "none", ["images"]),
            },
        )
        yield (
            f"images in batches of {BATCH}, shuffled",
            {
                "h5py": self._h5py_shuffled,
                "phasegan, samples": lambda: self._batches(split, "samples", ["images"]),
                "phasegan, blocks": lambda: self._batches(split, "blocks", ["images"]),
                "phasegan, blocks, unchecked": lambda: self._batches(bare, "blocks", ["images"]),
            },
        )
        both = ["codes", "images"]
        yield (
            "everything into memory",
            {
                "h5py": self._h5py_whole,
                "phasegan": lambda: self._load(split, both, None),
                "phasegan, 1 thread": lambda: self._load(split, both, 1),
                "phasegan, unchecked": lambda: self._load(bare, both, None),
                "phasegan, unchecked, 1 thread": lambda: self._load(bare, both, 1),
                "copy in memory": self._copy,
            },
        )
        if cold:
            return
        for workers in (0, 2):
            yield (
                f"DataLoader, {workers} workers, phases and images",
                {
                    "h5py": lambda w=workers: self._loader(Plain(self.path), w),
                    "PhaseDataset": lambda w=workers: self._loader(
                        phasegan.PhaseDataset(self.path), w
                    ),
                    "PhaseBatches, blocks": lambda w=workers: self._loader(
                        phasegan.PhaseBatches(self.path, BATCH), w
                    ),
                },
            )

    def _h5py(self, rows: np.ndarray) -> int:
        with h5py.File(self.path) as file:
            images = file["train/images"]
            for row in rows:
                images[row]
        return len(rows)

    def _each(self, split: phasegan.data.hdf5.reader.PreparedSplit) -> int:
        for row in self.rows:
            split.images([row])
        return len(self.rows)

    def _files(self, suffix: str, read: Callable[[Path], np.ndarray]) -> int:
        for i in range(len(self.rows)):
            read(self.folder / f"{i}{suffix}")
        return len(self.rows)

    def _h5py_blocks(self) -> int:
        with h5py.File(self.path) as file:
            images = file["train/images"]
            for start in range(0, self.count, BATCH):
                images[start : start + BATCH]
        return self.count

    def _h5py_shuffled(self) -> int:
        order = np.random.default_rng(1).permutation(self.count)
        with h5py.File(self.path) as file:
            images = file["train/images"]
            for start in range(0, self.count, BATCH):
                np.stack([images[row] for row in order[start : start + BATCH]])
        return self.count

    def _batches(self, split: object, shuffle: str, fields: list[str]) -> int:
        found = split.batches(BATCH, shuffle=shuffle, fields=fields)  # type: ignore[attr-defined]
        return sum(len(batch["images"]) for batch in found)

    def _h5py_whole(self) -> int:
        with h5py.File(self.path) as file:
            self.buffers = {n: file[f"train/{n}"][()] for n in ("phase", "images")}
        return self.count

    def _load(self, split: object, fields: list[str], threads: int | None) -> int:
        split.load(fields, threads=threads)  # type: ignore[attr-defined]
        return self.count

    def _copy(self) -> int:
        for values in self.buffers.values():
            values.copy()
        return self.count

    def _loader(self, data: object, workers: int) -> int:
        kind = {"batch_size": None} if isinstance(data, phasegan.PhaseBatches) else {
            "batch_size": BATCH, "shuffle": True,
        }  # fmt: skip
        loader = DataLoader(data, num_workers=workers, **kind)
        return sum(len(batch["images"]) for batch in loader)


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def measure(bench: Bench, rounds: int, cold: bool) -> list[dict[str, object]]:
    """Time every way of every group, by turns."""
    rows: list[dict[str, object]] = []
    for group, ways in bench.groups(cold):
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for turn in range(rounds + (not cold)):
            for name, way in ways.items():
                bench.close()
                if cold:
                    bench.forget()
                start = time.perf_counter(), processor_seconds()
                count = way()
                wall, used = time.perf_counter() - start[0], processor_seconds() - start[1]
                if turn or cold:  # the first warms up
                    times[name].append((wall / count, used / count))
        first = next(iter(times.values()))
        for name, own in times.items():
            row: dict[str, object] = {
                "group": group,
                "cache": "cold" if cold else "warm",
                "way": name,
            }
            for i, kind in enumerate(("wall", "processor")):
                ratios = [a[i] / b[i] for a, b in zip(own, first, strict=True)]
                row[f"{kind}_ratio"] = statistics.median(ratios)
                row[f"{kind}_ratio_least"] = min(ratios)
                row[f"{kind}_ratio_largest"] = max(ratios)
                row[f"{kind}_us_per_sample"] = 1e6 * statistics.median(a[i] for a in own)
            rows.append(row)
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """Return rows as Markdown: where the cache is warm processor time, where it is cold wall."""
    found = {(r["group"], r["way"], r["cache"]): r for r in rows}
    lines = [
        "| what is read | by | warm: processor time × | µs a sample | cold: wall time × |",
        "|---|---|---|---|---|",
    ]
    for group, way, cache in found:
        if cache == "warm":
            warm, cold = found[group, way, "warm"], found.get((group, way, "cold"))
            lines.append(
                f"| {group} | {way} | {_ratio(warm, 'processor')} | "
                f"{warm['processor_us_per_sample']:.3g} | {_ratio(cold, 'wall')} |"
            )
    return "\n".join(lines)


def _ratio(row: dict[str, object] | None, kind: str) -> str:
    if row is None:
        return ""
    names = (f"{kind}_ratio", f"{kind}_ratio_least", f"{kind}_ratio_largest")
    return "{:.2f} ({:.2f}–{:.2f})".format(*(row[name] for name in names))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reads", type=int, default=1000, help="single images that are read")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.data.resolve().parent) as folder:
        bench = Bench(options.data, Path(folder), options.reads)
        layout = bench.checked.layout
        load_before = os.getloadavg()[0]
        rows = measure(bench, options.rounds, cold=False)
        if hasattr(os, "posix_fadvise"):
            rows += measure(bench, options.rounds, cold=True)
    print(f"{bench.count} samples, {layout.describe()}; {options.rounds} rounds\n")
    print(table(rows))
    if options.json is not None:
        found = {
            "machine": describe_machine(),
            "load_average": [load_before, os.getloadavg()[0]],
            "data": {"samples": bench.count, "layout": layout.describe()},
            "rounds": options.rounds,
            "reads": options.reads,
            "rows": rows,
        }
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
