"""What many pictures and many shards cost beside the work on the pictures themselves.

    python benchmarks/bench_shards.py [--names 1000000] [--files 100000] [--shards 1000]

Each line is made by a process of its own: wall and processor seconds, and the most memory
above that of the imports. Lists of names are made up, files are hard links to one small
picture, shards hold one sample of 8×8 each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import phasegan
from phasegan.data.folder_source import ImageFolder, PathList
from phasegan.data.prepare.merge import merge_shards
from phasegan.data.prepare.pipeline import recipe_record
from phasegan.data.prepare.plan import Plan
from phasegan.data.prepare.shards import shard_paths
from phasegan.data.recipes import override, resolve_recipe
from phasegan.data.samplers import Partition
from phasegan.devices import describe_machine


def most_memory() -> float:
    """Return the most memory that this process had so far, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def measured(name: str, work: Callable[[], Any]) -> Any:
    """Do some work, and print what it took."""
    before, wall, cpu = most_memory(), time.perf_counter(), time.process_time()
    result = work()
    row = {
        "what": name,
        "seconds": round(time.perf_counter() - wall, 3),
        "processor_seconds": round(time.process_time() - cpu, 3),
        "memory_MB": round(most_memory() - before),
    }
    print(json.dumps(row), flush=True)
    return result


def name(number: int) -> str:
    """Return a path of 38 bytes."""
    return f"class{number // 1000:05d}/photograph_{number:010d}.jpeg"


def write_list(folder: Path, count: int) -> None:
    """Write a list of made-up names."""
    (folder / "pictures").mkdir()
    Image.new("L", (8, 8)).save(folder / "pictures" / "a.png")
    found = ImageFolder(folder / "pictures")
    found._names = PathList(name(i) for i in range(count))
    found._splits, found._depth, found._listing = {None: range(count)}, 8, "0" * 64
    found.save(folder / "list")
    print(json.dumps({"what": "list file", "MB": (folder / "list").stat().st_size / 1e6}))


def plan(folder: Path, count: int) -> None:
    """Do what every job does first."""
    recipe = resolve_recipe(folder / "pictures")
    found = measured(
        f"a job reads the list of {count:,}",
        lambda: ImageFolder.restore(folder / "pictures", folder / "list"),
    )
    measured(
        f"a job plans a thousandth of {count:,}",
        lambda: Plan.make(found.splits(), recipe).shard(Partition(0, 1000)),
    )


def walk(folder: Path, count: int) -> None:
    """Do what the first job does before it writes the list."""
    first = folder / "first.png"
    Image.new("L", (8, 8)).save(first)
    for number in range(count):
        path = folder / "pictures" / name(number)
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
            path.write_bytes(first.read_bytes())
            first = path
        else:
            os.link(first, path)
    found = measured(f"walk over {count:,}", lambda: ImageFolder(folder / "pictures"))
    measured(f"headers of {count:,}", found.depth)
    measured(f"sizes of {count:,}", found.listing)


def make_shards(folder: Path, count: int) -> None:
    """Prepare them."""
    phasegan.prepare(
        "builtin", folder / "set.h5", shards=count, workers=1, samples=count, test=0, size=8
    )


def join_shards(folder: Path, count: int) -> None:
    """Join them again."""
    path, options = folder / "set.h5", {"samples": count, "test": 0, "size": 8}
    recipe = override(resolve_recipe("builtin"), options)
    described = recipe_record(recipe)
    measured(
        f"joining {count:,} shards",
        lambda: merge_shards(path, shard_paths(path, count), recipe, described),
    )


def open_shards(folder: Path, count: int) -> None:
    """Open and read them."""
    file = measured(f"opening {count:,} shards", lambda: phasegan.open(folder / "set.h5"))
    wanted = np.random.default_rng(0).integers(0, count, 64)
    measured("64 samples anywhere, for the first time", lambda: file.train.codes(wanted))
    measured("the same again", lambda: file.train.codes(wanted))
    measured("the names of all", file.train.sources)


PARTS = {
    "names": [write_list, plan],
    "files": [walk],
    "shards": [make_shards, join_shards, open_shards],
}


def main() -> None:
    """Run every part in processes of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        part, folder, count = given.part
        functions = {work.__name__: work for works in PARTS.values() for work in works}
        functions[part](Path(folder), int(count))
        return
    print(json.dumps(describe_machine()))
    for option, works in PARTS.items():
        with tempfile.TemporaryDirectory() as folder:
            for work in works:
                words = ["--part", work.__name__, folder, str(getattr(given, option))]
                subprocess.run([sys.executable, __file__, *words], check=True)


if __name__ == "__main__":
    main()
