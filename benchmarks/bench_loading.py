"""Speed of loading training data: by workers, by the sampler, and what a worker is worth.

    python benchmarks/bench_loading.py [FOLDER] [--workers 0,1,2] [--rounds 5] [-o DIR]

FOLDER holds trainA and trainB, or is a file that `phasegan prepare FOLDER` wrote; without it,
crops of the photographs inside scikit-image are written as JPEG.

- reading   images of both domains a second, until they are on the device, one torch thread:
            pictures resized to 286×286 and cropped to 256×256, decoded each time or kept in
            memory after the first epoch, and samples of a prepared file, read each time
- training  images a second of translations that decode each time
- sampler   time in which a step gets the numbers of its samples, and memory, beside a
            permutation of each domain at every step; A is as long as B, or half as long

Numbers of workers take turns in one process; batches that were read ahead of a window do not
count. Ratios are to no worker in the same round. The load of other programs is taken between
windows.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import itertools
import shlex
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from training_speed.modes import Steps

import phasegan
from phasegan.config.execution import Execution
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.resolve.translation import resolve_translation
from phasegan.data.domain_folders import open_domains
from phasegan.data.domain_scan import scan_domains
from phasegan.data.unpaired_sampler import UnpairedSampler
from phasegan.evaluation.provenance import provenance
from phasegan.io.atomic import write_json, write_text
from phasegan.progress import Progress
from phasegan.resources import LoadMonitor, available_cores
from phasegan.training.data.loader import PREFETCHED
from phasegan.training.presets import TrainingSetup

CPU = torch.device("cpu")
PAUSE = 0.25
"""Seconds after a window in which workers read ahead, and again in which others are looked at."""
PROBED = 10_000
"""Steps of the sampler that are timed."""
SMALL = {"generator": "resnet", "base_channels": 8, "blocks": 2, "size": 64}
TRAININGS: dict[str, dict[str, Any]] = {"default of a CPU": {}, "8 channels, 64×64": SMALL}
Rows = Iterator[dict[str, Any]]


def write_pictures(folder: Path, count: int, size: int = 256) -> None:
    """Write two domains of crops of the photographs inside scikit-image as JPEG."""
    from skimage import data

    photographs = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(0)
    for domain, i in itertools.product(("trainA", "trainB"), range(count)):
        (folder / domain).mkdir(parents=True, exist_ok=True)
        pixels = photographs[i % len(photographs)]
        top, left = (int(rng.integers(0, side - size + 1)) for side in pixels.shape[:2])
        crop = Image.fromarray(pixels[top : top + size, left : left + size])
        crop.save(folder / domain / f"{i:04d}.jpg", quality=90)


def by_turns(options: argparse.Namespace, what: str, takes: dict[int, Callable[[], int]]) -> Rows:
    """Time functions that take batches and return their images, by the number of workers."""
    rates: dict[int, list[float]] = {workers: [] for workers in takes}
    for turn in range(options.rounds):
        for workers, take in list(takes.items())[:: -1 if turn % 2 else 1]:
            for _ in range(PREFETCHED * workers + 1):
                take()
            images, start, seconds = 0, time.perf_counter(), 0.0
            while seconds < options.seconds:
                images += take()
                seconds = time.perf_counter() - start
            rates[workers].append(images / seconds)
            time.sleep(PAUSE)
            with LoadMonitor() as load:
                time.sleep(PAUSE)
            options.loads.append(load.others)
        print(what, {n: f"{own[-1]:.3g}" for n, own in rates.items()}, file=sys.stderr)
    for workers, own in rates.items():
        ratios = [rate / base for rate, base in zip(own, rates[0], strict=True)]
        yield {"what": what, "workers": workers, "images_per_s": own, "ratios": ratios}


def reading(options: argparse.Namespace, pictures: Any, file: Any) -> Rows:
    """Measure batches alone."""
    translation = resolve_translation(pictures.facts, CPU, size=256)
    physics, paper = (resolve_phases(file.facts, CPU, preset=p) for p in ("physics", "paper"))
    torch.set_num_threads(1)
    for what, resident, config, data in (
        ("pictures, decoded each time", "disk", translation, pictures),
        ("pictures, in memory", "memory", translation, pictures),
        ("prepared file, physics", "disk", physics, file),
        ("prepared file, paper", "disk", paper, file),
    ):
        loaded = {}
        for workers in options.workers:
            execution = Execution.model_validate({"resident": resident, "workers": workers})
            batches = TrainingSetup(config, data, CPU, execution=execution).make_batches()
            loaded[workers] = batches.iterate(itertools.count())
            for _ in range(len(batches.sampler) if resident == "memory" else 0):
                next(loaded[workers])
        period = getattr(config, "period", 1)
        takes = {n: functools.partial(_images, own, period) for n, own in loaded.items()}
        yield from by_turns(options, what, takes)
        for own in loaded.values():
            own.close()


def training(options: argparse.Namespace, pictures: Any, file: Any) -> Rows:
    """Measure steps of trainings."""
    torch.set_num_threads(options.threads)
    for what, sizes in TRAININGS.items():
        config = resolve_translation(pictures.facts, CPU, epochs=1000, **sizes)
        executions = {n: Execution(resident="disk", workers=n) for n in options.workers}
        steps = {n: Steps(config, pictures, CPU, own) for n, own in executions.items()}
        yield from by_turns(options, what, {n: own.step for n, own in steps.items()})
        for own in steps.values():
            own.loaded.close()


def sampler(options: argparse.Namespace, pictures: Any, file: Any) -> Rows:
    """Measure the sampler alone."""
    for count, reshuffle in itertools.product(options.samples, (False, True)):
        lengths = (count // 2 if reshuffle else count, count)
        make = functools.partial(UnpairedSampler, lengths, count, 1, 0, reshuffle=reshuffle)
        tracemalloc.start()
        make()[0]
        row = {"samples": count, "reshuffle": reshuffle}
        row["peak_bytes"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        steps, starts, half = make(), (0, count // 2), min(PROBED, count) // 2
        probed = itertools.chain(*(range(start, start + half) for start in starts))
        times = {number: _seconds(steps.__getitem__, number) for number in probed}
        drawing = [times.pop(number) for number in (starts if reshuffle else starts[:1])]
        rest = statistics.mean(times.values()) * (count - len(drawing))
        row |= {"mean_s": (sum(drawing) + rest) / count, "first_s": drawing[0]}
        row["median_s"] = statistics.median(times.values())
        row["permutation_s"] = min(_seconds(_permutations, lengths) for _ in range(3))
        yield row


def _images(loaded: Iterator[Any], period: int) -> int:
    batches = itertools.islice(loaded, period)
    return sum(batch.total * (1 + batch.has_domain_a) for batch in batches)


def _permutations(lengths: tuple[int, int]) -> None:
    for domain, length in enumerate(lengths):
        np.random.default_rng([0, 1, 0, domain]).permutation(length)


def _seconds(function: Callable[[Any], object], argument: Any) -> float:
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


PARTS = {"reading": reading, "training": training, "sampler": sampler}


def table(document: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    lines = ["# Loading of training data", "", f"    {document['command']}"]
    for part in ("reading", "training"):
        lines += ["", f"| {part} | workers | images/s | ratio |", "|---|---:|---:|---:|"]
        for row in document.get(part, []):
            rate, ratios = statistics.median(row["images_per_s"]), row["ratios"]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
            lines.append(f"| {row['what']} | {row['workers']} | {rate:.4g} | {spread} |")
    lines += ["", "| samples | A begins again | a step, ms | median | first | MiB | old, ms |"]
    lines.append("|---:|---|---:|---:|---:|---:|---:|")
    for row in document.get("sampler", []):
        names = ("mean_s", "median_s", "first_s", "permutation_s")
        mean, median, first, old = (f"{1000 * row[name]:.3g}" for name in names)
        cells = [f"{row['samples']:,}", "reshuffled" if row["reshuffle"] else "no", mean, median]
        cells += [first, f"{row['peak_bytes'] / 2**20:.3g}", old]
        lines.append(f"| {' | '.join(cells)} |")
    machine, load = document["machine"], document["other_load"]
    lines.append(
        f"\n{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, "
        f"{document['when']}; {document['data']}. Medians (least–largest) of {document['rounds']} "
        f"rounds; trainings with {document['threads']} torch threads. Other load between windows: "
        f"{statistics.median(load):.0%} of the cores, at most {max(load):.0%}. The sampler's times "
        "are means of an epoch; `old`: a permutation of each domain at every step."
    )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers: Any = lambda text: [int(float(word)) for word in text.split(",")]  # noqa: E731
    cores = available_cores()
    powers = [2**i for i in range(cores.bit_length())]
    add = parser.add_argument
    add("folder", nargs="?", type=Path, help="trainA and trainB, or a file prepared of them")
    add("--parts", default=",".join(PARTS))
    add("--workers", type=numbers, default=[0, *powers], help="0,1,2,4,… to the cores")
    add("--threads", type=int, default=cores, help="torch threads of trainings")
    add("--samples", type=numbers, default=[10**5, 10**6, 10**7], help="of the sampler")
    add(
        "--images",
        type=int,
        default=200,
        help="of the prepared file, and of each domain without FOLDER",
    )
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3.0, help="a window")
    add("-o", "--output", type=Path, metavar="DIR")
    options = parser.parse_args(arguments, argparse.Namespace(loads=[]))
    if 0 not in options.workers:
        parser.error("--workers must hold 0, which the others are compared with")
    with tempfile.TemporaryDirectory() as name:
        folder, phases = options.folder or Path(name, "pictures"), Path(name, "phases.h5")
        if options.folder is None:
            write_pictures(folder, options.images)
        phasegan.prepare("builtin", phases, size=128, samples=options.images, test=1)
        pictures = scan_domains(open_domains(folder), Progress())
        words = sys.argv[1:] if arguments is None else arguments
        document: dict[str, Any] = {
            "command": shlex.join(["python", "benchmarks/bench_loading.py", *words]),
            "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": provenance(),
            "rounds": options.rounds,
            "threads": options.threads,
            "data": f"{folder.name}, {len(pictures.train[0])} + {len(pictures.train[1])} pictures; "
            f"a prepared file of {options.images} grey crops of 128×128 pixels",
        }
        with phasegan.open(phases) as file:
            for part in options.parts.split(","):
                document[part] = list(PARTS[part](options, pictures, file))
        document["other_load"] = options.loads or [0.0]
    print(table(document))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_json(options.output / "results.json", document)
        write_text(options.output / "table.md", table(document))


if __name__ == "__main__":
    main()
