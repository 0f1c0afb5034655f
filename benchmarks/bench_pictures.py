"""Speed of training between two domains of JPEGs, by the number of workers that decode them.

    python benchmarks/bench_pictures.py [FOLDER] [--workers 0,1,2,4,8] [--size 256] [-o DIR]

FOLDER holds trainA and trainB; without it, crops of the photographs inside scikit-image are
written as JPEG. Every image is decoded, resized to 286/256 of the size and cropped each time it
is used, or decoded once and kept in memory (`--resident memory`). Numbers of workers take turns
in one process, so that a noisy machine is noisy for all of them; batches that were read ahead of
a window do not count, and the device is waited for at both ends. Images a second are those of
one domain, as the training prints them. The row `data in memory` repeats one batch: no more is
to be had from loading. `bench_loading.py` measures loading without a training.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from training_speed.modes import Steps

from phasegan.config.execution import Execution
from phasegan.config.resolve.translation import resolve_translation, scan_options
from phasegan.data.domain_folders import open_domains
from phasegan.data.domain_scan import scan_domains
from phasegan.devices import choose_device, set_threads
from phasegan.errors import PhaseganError
from phasegan.evaluation.provenance import provenance
from phasegan.io.atomic import write_json, write_text
from phasegan.progress import Progress
from phasegan.resources import LoadMonitor, Meter
from phasegan.training.data.loader import PREFETCHED

EPOCHS = 10**6
ONE_BATCH = "data in memory"


def write_pictures(folder: Path, count: int, size: int) -> None:
    """Write two domains of crops of the photographs inside scikit-image as JPEG."""
    from skimage import data

    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(x) for x in (data.astronaut(), data.coffee(), data.chelsea())]
    for domain in ("trainA", "trainB"):
        (folder / domain).mkdir(parents=True)
        for i in range(count):
            picture = photographs[i % len(photographs)]
            longest = min(picture.size)
            side = int(rng.integers(longest // 2, longest))
            left, top = (int(rng.integers(0, edge - side + 1)) for edge in picture.size)
            crop = picture.crop((left, top, left + side, top + side)).resize((size, size))
            crop.save(folder / domain / f"{i:04d}.jpg", quality=92)


class OneBatch(Steps):
    """Steps that train on one batch again and again."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        batch = next(self.loaded)
        self.loaded.close()
        self.loaded = (batch for _ in iter(int, 1))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])

    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    add = parser.add_argument
    add("folder", nargs="?", type=Path, help="trainA and trainB")
    add("--workers", type=numbers, default=[0, 1, 2, 4, 8], help="0,1,2,4,8 by default")
    add("--size", type=int, default=256)
    add("--batch-size", type=int, default=1)
    add("--variant", choices=("full", "small"), help="of the networks; by the device")
    add("--precision", choices=("32", "bf16", "fp16"), default="32")
    add("--resident", choices=("disk", "memory"), default="disk")
    add("--images", type=int, default=200, help="of each domain, without FOLDER")
    add("--rounds", type=int, default=2)
    add("--seconds", type=float, default=5.0, help="a window; one step at least")
    add("--limit", type=float, metavar="MINUTES", help="begin no window after so long")
    add("--device", default="auto")
    add("--threads", type=int)
    add("-o", "--output", type=Path, metavar="DIR", help="where results.json and table.md go")
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    options.command = shlex.join(["python", "benchmarks/bench_pictures.py", *words])
    return options


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what was measured."""
    begin, device = time.monotonic(), choose_device(options.device)
    set_threads(options.threads)
    wanted = {"size": options.size, "precision": options.precision, "epochs": EPOCHS}
    wanted |= {"batch_size": options.batch_size}
    wanted |= {} if options.variant is None else {"variant": options.variant}
    data = scan_domains(open_domains(folder), Progress(), **scan_options(wanted))
    config = resolve_translation(data.facts, device, **wanted)
    rates: dict[int | str, list[float]] = {}
    loads: list[float] = []

    def late() -> bool:
        return options.limit is not None and time.monotonic() - begin > 60 * options.limit

    for turn in range(options.rounds):
        order = [ONE_BATCH, *options.workers][:: -1 if turn % 2 else 1]
        for workers in order:
            if late():
                break
            own = 0 if workers == ONE_BATCH else int(workers)
            kind = OneBatch if workers == ONE_BATCH else Steps
            execution = Execution(resident=options.resident, workers=own)
            with LoadMonitor() as load:
                steps = kind(config, data, device, execution)
                rates.setdefault(workers, []).append(window(steps, own, device, options.seconds))
            loads.append(load.others)
            print(f"{workers}: {rates[workers][-1]:.4g} images/s", file=sys.stderr, flush=True)
    return {
        "command": options.command,
        "when": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": provenance(),
        "device": device.type,
        "networks": config.label,
        "size": options.size,
        "batch_size": options.batch_size,
        "precision": options.precision,
        "resident": options.resident,
        "data": {"folder": folder.name, "images": [len(part) for part in data.train]},
        "rows": [{"workers": w, "images_per_s": own} for w, own in rates.items()],
        "complete": all(len(own) == options.rounds for own in rates.values())
        and len(rates) == len(options.workers) + 1,
        "other_load": loads,
    }


def window(steps: Steps, workers: int, device: torch.device, seconds: float) -> float:
    """Return the images a second of a window, after steps that do not count."""
    epoch = len(steps.batches.sampler) if steps.batches.execution.resident == "memory" else 0
    for _ in range(PREFETCHED * workers + 3 + epoch):
        steps.step()
    images, meter = 0, Meter(device)
    start = time.monotonic()
    while images == 0 or time.monotonic() - start < seconds:
        images += steps.step()
    rate = images / meter.seconds()[0]
    steps.loaded.close()
    return rate


def table(document: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    machine = document["machine"]
    lines = ["# Training between two domains of JPEGs", "", f"    {document['command']}", ""]
    lines += ["| workers | images/s | least–largest |", "|---|---:|---|"]
    for row in document["rows"]:
        own = row["images_per_s"]
        lines.append(
            f"| {row['workers']} | {statistics.median(own):.4g} | {min(own):.4g}–{max(own):.4g} |"
        )
    load = document["other_load"] or [0.0]
    lines.append(
        f"\n{document['networks']} at {document['size']}×{document['size']}, "
        f"{document['batch_size']} images a step, precision {document['precision']}, images on "
        f"{document['resident']}; {machine['gpu']}, {machine['processor']}, {machine['cores']} "
        f"cores, torch {machine['torch']}, {document['when']}. Other load: at most {max(load):.0%} "
        "of the cores." + ("" if document["complete"] else " Not complete: no time was left.")
    )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and perhaps write; return the exit status."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = options.folder or Path(name, "pictures")
        try:
            if options.folder is None:
                write_pictures(folder, options.images, options.size)
            document = measure(options, folder)
        except PhaseganError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_status
    print(table(document))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_json(options.output / "results.json", document)
        write_text(options.output / "table.md", table(document))
    return 0 if document["rows"] else 1


if __name__ == "__main__":
    sys.exit(main())
