"""Compare with another checkout: whether this one gives its bits, and goes on with its work.

    python benchmarks/same_as.py --other PATH [--only train,bench] [--keep DIR] [--jobs 2]

Meant for changes that must not change a result: names, modules, classes. Every command
runs as `python -m phasegan` in a process of its own with one thread, by turns with the
package of this checkout and of the other one, on tiny data:

- files are prepared, and runs of every preset trained, by both;
- each is begun by the other checkout, killed or interrupted, and finished by this one, and
  the same is begun here; both must be what the other one made in one go;
- what the other one made, this one reuses, adds to, reconstructs with, scores and exports.

Weights and checkpoints are compared tensor by tensor, JSON without what a clock or a
machine decides, everything else byte by byte. Only spellings of options that the other
checkout knows are used, and only the exit status and files are looked at. Printed is a
line a check; the exit status is 1 if anything differs. Some fourteen
minutes of processor time, estimated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

LONGEST = 300.0
"""Seconds that one command may take."""
HERE = Path(__file__).resolve().parents[1]
METHODS = (
    *("zero", "mean-image", "unit-magnitude", "power-law", "mean-magnitude", "shrinkage"),
    *("hlo", "pocs", "pocs-accelerated", "cg", "fista", "map", "pnp", "auto"),
)
"""Those that take phases of any size; `learned` has a file of its own."""
UNPADDED = ("shrinkage",)
"""Those that take no padded phases."""

_STOPPER = """
import os, re, runpy, sys
pattern, count, steps, number = sys.argv[1], *map(int, sys.argv[2:5])
sys.argv = ["phasegan", *sys.argv[5:]]
names, left = {}, [count]

def stop(*_, **__):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), number)

def happened(what):
    if left[0] <= 0 or not re.search(pattern, what):
        return
    if left[0] > 1 or not steps:
        stop()
        return
    from torch.optim.optimizer import register_optimizer_step_post_hook
    left[0] = steps
    register_optimizer_step_post_hook(stop)
    globals()["pattern"] = "(?!)"

def opened(path, *rest, _open=os.open, **more):
    found = _open(path, *rest, **more)
    names[found] = os.fspath(path)
    return found

def written(descriptor, data, _write=os.write):
    count = _write(descriptor, data)
    happened(f"written {names.get(descriptor, '')}")
    return count

def named(source, target, *, _replace=os.replace, **more):
    _replace(source, target, **more)
    happened(f"named {os.fspath(target)}")

os.open, os.write, os.replace = opened, written, named
runpy.run_module("phasegan", run_name="__main__", alter_sys=True)
"""
"""Runs phasegan, and sends it a signal after a file was written to or got its name."""


class Stop(NamedTuple):
    """The moment at which a command is stopped."""

    pattern: str
    """Of `written PATH` or `named PATH`."""
    count: int = 1
    """The first, the second, … of them."""
    steps: int = 0
    """And so many steps of an optimiser after it."""
    signal: int = signal.SIGKILL


class Failed(Exception):
    """A command ended as it should not."""


@dataclass(frozen=True)
class Checkout:
    """A checkout whose package runs commands."""

    name: str
    root: Path

    def environment(self) -> dict[str, str]:
        """Return the environment of its commands: this package first, one thread."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PHASEGAN", "MKL_"))}
        one = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "0"}
        return kept | one | {"PYTHONPATH": str(self.root)}

    def package(self) -> Path:
        """Return the folder that its commands import."""
        code = "import phasegan; print(phasegan.__file__)"
        found = self._start([sys.executable, "-c", code], self.root)
        return Path(found.stdout.strip()).resolve().parent

    def run(self, arguments: Sequence[str], folder: Path, stop: Stop | None = None) -> None:
        """Run a command in a folder, to its end or to a stop.

        Raises
        ------
        Failed
            If it ends in another way.
        """
        head, ends = [sys.executable, "-m", "phasegan"], (0,)
        if stop is not None:
            head = [sys.executable, "-c", _STOPPER, stop.pattern, f"{stop.count}"]
            head += [f"{stop.steps}", f"{int(stop.signal)}"]
            ends = (-stop.signal, 128 + stop.signal)
        done = self._start([*head, *arguments], folder)
        if done.returncode not in ends:
            said = done.stderr.strip().splitlines()[-1:] or [""]
            raise Failed(
                f"`phasegan {' '.join(arguments)}` by {self.name} ended with "
                f"{done.returncode}, not {ends[0]}: {said[0]}"
            )

    def _start(self, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST,
            preexec_fn=_take_interrupts if os.name == "posix" else None,
        )


def _take_interrupts() -> None:
    """Undo what shells do to jobs in the background: SIGINT is ignored, in their children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# What of a file must be equal

_CLOCK = {
    *("seconds", "estimate", "estimates", "cost", "machine", "command", "images_per_second"),
    *("device_seconds", "peak_bytes", "phasegan_version", "phasegan", "commit"),
}
_DRAWN = {
    *("training.png", "gallery.html", "report.html", "estimates.png", "estimates.svg"),
    *("atlas.svg", "mse-samples.svg", "mse-epochs.svg"),
}
"""Figures that show times, or hold the date."""
_UNSEEDED = "torch_random"
"""Of checkpoints: the state of torch's own generator, which begins anywhere. Nothing but
dropout draws from it, so no training here has dropout."""
_UNLIKE = {"tensorboard", "estimates"}
"""Folders whose files depend on the clock."""


def facts(path: Path) -> dict[str, str]:
    """Return what must be equal of a file or a folder: hashes by name.

    Of a folder `checkpoints` only the last one: which others are left depends on where a
    run was interrupted.
    """
    if path.is_file():
        return dict(_facts_of_file(path, path.name))
    if not path.is_dir():
        return {}
    found: dict[str, str] = {}
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    last = {p.parent: p for p in files if p.parent.name == "checkpoints"}
    for file in files:
        name = file.relative_to(path)
        if not _UNLIKE & set(name.parts) and last.get(file.parent, file) == file:
            found |= _facts_of_file(file, name.as_posix())
    return found


def _facts_of_file(path: Path, name: str) -> Iterator[tuple[str, str]]:
    suffix = path.suffix
    if path.name in _DRAWN or suffix in (".md", ".tex", ".csv", ".pt2"):
        yield name, "there"
    elif suffix == ".safetensors":
        yield from _tensors(path, name)
    elif suffix == ".pth":
        yield from _torch_tensors(path, name)
    elif suffix == ".json":
        yield name, _hash(_timeless(json.loads(path.read_text(encoding="utf-8"))))
    elif suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        yield name, _hash([_timeless(json.loads(line)) for line in lines])
    else:
        yield name, hashlib.sha256(path.read_bytes()).hexdigest()


def _tensors(path: Path, name: str) -> Iterator[tuple[str, str]]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    for tensor, about in json.loads(data[8 : 8 + length]).items():
        if tensor != "__metadata__" and not tensor.startswith(_UNSEEDED):
            begin, end = (8 + length + place for place in about["data_offsets"])
            kind = f"{about['dtype']} {about['shape']} ".encode()
            yield f"{name}::{tensor}", hashlib.sha256(kind + data[begin:end]).hexdigest()


def _torch_tensors(path: Path, name: str) -> Iterator[tuple[str, str]]:
    import torch

    for tensor, value in torch.load(path, weights_only=True).items():
        kind = f"{value.dtype} {tuple(value.shape)} ".encode()
        digest = hashlib.sha256(kind + value.contiguous().numpy().tobytes())
        yield f"{name}::{tensor}", digest.hexdigest()


def _timeless(value: Any) -> Any:
    """Return JSON without what a clock decides, and without keys that are null: new ones are."""
    if isinstance(value, dict):
        return {
            k: _timeless(v)
            for k, v in value.items()
            if v is not None
            and k not in _CLOCK
            and not k.endswith(("_seconds", "_per_second", "_per_image"))
        }
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def unlike(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return what differs between two outputs, in words; an empty one differs from all."""
    if not expected:
        return ["nothing to compare with"]
    told = [f"{name} is missing" for name in expected.keys() - found.keys()]
    told += [f"{name} is new" for name in found.keys() - expected.keys()]
    told += [name for name in expected.keys() & found.keys() if expected[name] != found[name]]
    return sorted(told)


# The checks

Check = Callable[[], list[str]]
"""Returns what differs."""


@dataclass(frozen=True)
class Task:
    """A command with an output, which can be begun and gone on with."""

    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    """Patterns of names in the working folder."""
    begin: Stop | tuple[str, ...] | None = None
    """A stop, or other arguments that do a part of it; None: it is not begun."""


class Places:
    """Working folders with the same inputs, and the checks in them.

    Parameters
    ----------
    root : pathlib.Path
        An empty folder.
    own, other : Checkout
        What is compared.
    """

    def __init__(self, root: Path, own: Checkout, other: Checkout) -> None:
        self.own, self.other = own, other
        self.ours, self.theirs = root / "ours", root / "theirs"
        self.crossed, self.resumed = root / "crossed", root / "resumed"
        """Begun by the other and finished here; begun and finished here."""
        self.folders = (self.ours, self.theirs, self.crossed, self.resumed)

    def checks(self, task: Task) -> Iterator[tuple[str, Check]]:
        """Yield a task's checks; the first one must have run before the others."""

        def in_one_go() -> list[str]:
            for checkout, folder in ((self.other, self.theirs), (self.own, self.ours)):
                checkout.run(task.arguments, folder)
            return self.compare(task, self.ours)

        def gone_on_with(beginner: Checkout, folder: Path) -> list[str]:
            if isinstance(task.begin, Stop):
                beginner.run(task.arguments, folder, task.begin)
            else:
                beginner.run(task.begin or (), folder)
            done = [p for o in task.outputs for p in folder.glob(o)]
            stamps = _stamps([p for path in done for p in path.rglob("*") if _stays(p)])
            self.own.run(task.arguments, folder)
            again = [f"{p.name} was made again" for p, t in stamps.items() if _stamp(p) != t]
            return again + self.compare(task, folder)

        yield f"{task.name}: in one go", in_one_go
        if task.begin is not None:
            crossed = f"{task.name}: begun by the other, finished here"
            yield crossed, lambda: gone_on_with(self.other, self.crossed)
            resumed = f"{task.name}: begun and finished here"
            yield resumed, lambda: gone_on_with(self.own, self.resumed)

    def compare(self, task: Task, folder: Path) -> list[str]:
        """Return how the outputs in a folder differ from what the other made in one go."""
        expected, found = (
            {
                f"{p.name}/{n}": v
                for o in task.outputs
                for p in f.glob(o)
                for n, v in facts(p).items()
            }
            for f in (self.theirs, folder)
        )
        return unlike(expected, found)

    def use(self, name: str, arguments: Sequence[str], output: str) -> tuple[str, Check]:
        """Return the check that both do the same with what the other one made.

        The output is named last, after `-o` or `--json` at the end of the arguments.
        """

        def check() -> list[str]:
            made = []
            for checkout, folder in ((self.other, "by-theirs"), (self.own, "by-ours")):
                path = self.theirs / folder / output
                path.parent.mkdir(exist_ok=True, parents=True)
                checkout.run([*arguments, path.relative_to(self.theirs).as_posix()], self.theirs)
                made.append(path)
            return unlike(*map(facts, made)) or _unlike_models(*made)

        return name, check


def _stays(path: Path) -> bool:
    """Tell whether a file is written once, however often a command goes on."""
    return path.name == "epoch-0001.npy" or (path.parent.name, path.suffix) == ("rows", ".json")


def _stamps(paths: Sequence[Path]) -> dict[Path, int]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _unlike_models(first: Path, second: Path) -> list[str]:
    """Compare what exported models make of a picture, where their files need not be equal."""
    if first.suffix != ".pt2":
        return []
    import torch

    picture = torch.linspace(-1, 1, 3 * 24 * 32).reshape(1, 3, 24, 32)
    made = [torch.export.load(path).module()(picture) for path in (first, second)]
    return [] if torch.equal(*made) else ["what the model makes of a picture"]


def write_inputs(folder: Path) -> None:
    """Write the pictures and the case that commands read."""
    for name, count, side in (("pictures", 40, 40), ("growing", 6, 20)):
        _write_pictures(folder / name, count, side)
    for name, count in (("trainA", 11), ("trainB", 10), ("testA", 3), ("testB", 3)):
        _write_pictures(folder / "pair" / name, count, 30, colours=3)
    (folder / "tiny.toml").write_text(
        'name = "tiny"\npresets = ["physics", "paper"]\nvariant = "small"\n'
        'methods = ["zero", "mean-magnitude", "map"]\n'
        "pairs = [{samples = 2, epochs = 2}, {samples = 3, epochs = 2}, "
        "{samples = 5, epochs = 2}]\n"
    )


def _write_pictures(folder: Path, count: int, side: int, colours: int = 1, first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        rng = np.random.default_rng([side, number, len(folder.name)])
        pixels = rng.integers(0, 256, (side, side + 6, colours), dtype=np.uint8)
        pixels //= 1 + number % 3
        image = Image.fromarray(pixels[..., 0] if colours == 1 else pixels)
        image.save(folder / f"{number:03d}.png")


_ALONE = ("--threads", "1", "-q")
_CPU = ("--device", "cpu", *_ALONE)
_CROPS = ("--size", "32", "--samples", "6", "--test", "3")


def prepares() -> Iterator[Task]:
    """Yield the preparations."""
    builtin = {
        "plain": _CROPS,
        "noisy": (*_CROPS, "--oversample", "1.5", "--phase-noise", "0.2", "--phase-bits", "8"),
        "shaky": (*_CROPS, "--phase-noise", "0.2", "--phase-bits", "8"),
        "padded": (*_CROPS, "--oversample", "2"),
        "colour": (*_CROPS, "--channels", "rgb", "--phase-dtype", "float32", "--seed", "3"),
        "alone": (*_CROPS, "--without-images", "--seed", "1"),
        "large": ("--size", "128", "--samples", "2", "--test", "1"),
    }
    for name, options in builtin.items():
        arguments = ("prepare", "builtin", *options, *_ALONE, "-o", f"{name}.h5")
        yield Task(f"prepare {name}", arguments, (f"{name}.h5",))
    folder = ("prepare", "pictures", "--size", "24", "--fit", "pad", "--workers", "1", *_ALONE)
    journal = r"written .*journal$"
    yield Task(
        "prepare a folder",
        (*folder, "--resume", "-o", "folder.h5"),
        ("folder.h5",),
        Stop(journal, 3),
    )
    noise = (*folder, "--phase-noise", "0.1", "--oversample", "1.25", "--resume")
    yield Task(
        "prepare a noisy folder",
        (*noise, "-o", "rough.h5"),
        ("rough.h5",),
        Stop(journal, 2, signal=signal.SIGINT),
    )
    shards = (*folder, "--resume", "--shards", "2")
    yield Task(
        "prepare shards",
        (*shards, "-o", "joined.h5"),
        ("joined*.h5",),
        (*shards, "--shard", "0", "-o", "joined.h5"),
    )
    yield Task(
        "prepare shards, one halfway",
        (*shards, "-o", "halfway.h5"),
        ("halfway*.h5",),
        Stop(r"written .*0001-of-0002.*journal$", 2),
    )
    pair = ("prepare", "pair", "--workers", "1", *_ALONE, "--resume")
    for name, load, stop in (
        ("pictures", "32", Stop(journal, 6)),
        ("small", "26", Stop(journal, 4, signal=signal.SIGINT)),
    ):
        arguments = (*pair, "--load", load, "-o", f"{name}.h5")
        yield Task(f"prepare a pair, {name}", arguments, (f"{name}.h5",), stop)
    yield Task(
        "prepare what grows",
        ("prepare", "growing", "--size", "16", *_ALONE, "-o", "grown.h5"),
        ("grown.h5",),
    )


def trainings() -> Iterator[Task]:
    """Yield the trainings, with every preset among them."""
    small = ("--epochs", "3", "--batch-size", "2", "--pool-size", "2")
    small = (*small, "--discriminator-channels", "2", "--resume", *_CPU)
    crops = ("--size", "24", "--load", "28", "--base-channels", "2")
    resnet = (*crops, "--generator", "resnet", "--blocks", "1", "--norm", "affine-instance")
    unet = (*crops, "--generator", "unet")
    soon = Stop(r"named .*epoch-0001\.png$", 1, 2, signal.SIGINT)
    killed = Stop(r"named .*checkpoints/step-", 2)
    torn = Stop(r"named .*generator_ab\.safetensors$", 1)
    kinds: dict[str, tuple[tuple[str, ...], Stop]] = {
        "physics": (("plain.h5", "--preset", "physics", "--widths", "4,4"), soon),
        "physics-noisy": (
            (
                *("noisy.h5", "--preset", "physics", "--widths", "4", "--precision", "32"),
                *("--encodings", "mean,white", "--unrolled", "2", "--projection", "magnitude"),
                *("--adversarial-every", "2", "--validation", "2", "--patience", "5"),
                *("--contrast", "0.1", "--gamma", "0.1", "--seed", "3"),
            ),
            killed,
        ),
        "physics-images": (
            ("alone.h5", "--images", "plain.h5", "--preset", "physics", "--widths", "4"),
            torn,
        ),
        "paper": (
            ("plain.h5", "--preset", "paper", "--base-channels", "2", "--blocks", "1"),
            soon,
        ),
        "paper-colour": (
            (
                *("colour.h5", "--preset", "paper", "--base-channels", "2", "--blocks", "1"),
                *("--identity", "0", "--precision", "bf16", "--samples", "4", "--micro-batch", "1"),
            ),
            killed,
        ),
        "translation": (
            (
                *("pair", "--preset", "translation", *resnet, "--average", "0.9"),
                *("--augment", "colour,shift,cutout", "--samples", "6"),
            ),
            soon,
        ),
        "translation-unet": (
            (
                *("pictures.h5", "--preset", "translation", *unet, "--gan-loss", "hinge"),
                *("--spectral-norm", "--samples", "6"),
            ),
            killed,
        ),
        "one-way": (
            (
                *("pair", "--preset", "one-way", *resnet, "--padding", "replicate"),
                *("--gan-loss", "logistic", "--samples", "6"),
            ),
            soon,
        ),
        "one-way-back": (
            ("pictures.h5", "--preset", "one-way", *unet, "--cycle-a", "2", "--samples", "6"),
            torn,
        ),
    }
    for name, (arguments, stop) in kinds.items():
        whole = ("train", *arguments, *small, "-o", f"runs/{name}")
        yield Task(f"train {name}", whole, (f"runs/{name}",), stop)


def tables() -> Iterator[Task]:
    """Yield the bench and the atlas."""
    sizes = ("--base-channels", "2", "--blocks", "1", "--widths", "4,4")
    bench = ("bench", "--case", "tiny.toml", "--data", "plain.h5", *sizes, *_CPU, "-o", "bench")
    stop = Stop(r"named .*runs/paper.*epoch-0001\.png$", 2, signal=signal.SIGINT)
    yield Task("bench", bench, ("bench",), stop)
    sweeps = ("--oversample", "1", "--oversample", "1.5", "--phase-noise", "0")
    sweeps = (*sweeps, "--phase-noise", "0.1", "--method", "mean-magnitude", "--method", "cg")
    atlas = ("atlas", "plain.h5", "--images", "2", *sweeps, *_CPU, "-o", "atlas")
    yield Task("atlas", atlas, ("atlas",), Stop(r"named .*\.json$", 2, signal=signal.SIGINT))


def methods(places: Places) -> Iterator[tuple[str, Check]]:
    """Yield the checks of estimates, as floats."""
    for method in METHODS:
        for file in ("plain", "shaky") if method in UNPADDED else ("plain", "noisy", "padded"):
            arguments = ("reconstruct", f"{file}.h5", "--method", method, *_CPU, "-o")
            yield places.use(f"method {method}: {file}", arguments, f"{method}-{file}.h5")
    arguments = ("reconstruct", "large.h5", "--method", "learned", *_CPU, "-o")
    yield places.use("method learned: large", arguments, "learned-large.h5")
    arguments = ("reconstruct", "pictures", "--size", "24", "--oversample", "1.5")
    arguments = (*arguments, "--limit", "3", *_CPU, "-o")
    yield places.use("method auto: pictures", arguments, "auto-pictures")


def uses(places: Places) -> Iterator[tuple[str, Check]]:
    """Yield the checks of what is done with the other's files and runs."""
    for run, file in (
        *(("physics", "plain"), ("physics-noisy", "noisy"), ("physics-images", "plain")),
        *(("paper", "plain"), ("paper-colour", "colour")),
    ):
        arguments = ("reconstruct", f"{file}.h5", "--run", f"runs/{run}", *_CPU, "-o")
        yield places.use(f"reconstruct with {run}: PNG", arguments, f"drawn-{run}")
    for file, run in (("plain", "physics"), ("noisy", "physics-noisy"), ("padded", None)):
        own = [] if run is None else ["--run", f"runs/{run}"]
        taken = [m for m in METHODS if file == "plain" or m not in UNPADDED]
        several = [part for m in taken for part in ("--method", m)]
        arguments = ("evaluate", f"{file}.h5", *several, *own, *_CPU, "--json")
        yield places.use(f"evaluate {file}", arguments, f"scores-{file}.json")
    arguments = ("evaluate", "pair", "--run", "runs/translation", "--run", "runs/one-way")
    yield places.use("evaluate a pair", (*arguments, *_CPU, "--json"), "scores-pair.json")
    for run, direction in (("translation", "a2b"), ("translation-unet", "b2a"), ("one-way", "a2b")):
        options = ("--direction", direction, *_CPU)
        translate = ("translate", f"runs/{run}", "pair/testA", *options, "-o")
        yield places.use(f"translate with {run}", translate, f"translated-{run}")
        if run != "one-way":
            for suffix in ("onnx", "pt2"):
                arguments = ("export", f"runs/{run}", *options, "-o")
                yield places.use(f"export {run}: {suffix}", arguments, f"{run}.{suffix}")
    arguments = ("export", "runs/translation", *_CPU, "-o")
    name, export = places.use("export translation: weights of others", arguments, "others")

    def export_and_translate() -> list[str]:
        told = export()
        arguments = ("translate", "by-theirs/others", "pair/testA", "--direction", "a2b")
        arguments = (*arguments, "--padding", "reflect", *_CPU, "-o")
        again = places.use("", arguments, "translated-others")[1]
        return told + again()

    yield f"{name}, and translate with them", export_and_translate
    start = ("train", "pair", "--preset", "translation", "--start-from", "runs/translation")
    start = (*start, "--size", "24", "--load", "28", "--samples", "4", "--epochs", "1")
    yield places.use("start from the other's run", (*start, *_CPU, "-o"), "started")

    def finished(output: str, task: Task) -> Check:
        """Check that there is nothing left to do in what the other one finished."""

        def stamps() -> dict[Path, int]:
            kept = (".safetensors", ".jsonl")
            files = (places.theirs / output).rglob("*")
            return _stamps([p for p in files if p.suffix in kept or _stays(p)])

        def check() -> list[str]:
            before = stamps()
            places.own.run(task.arguments, places.theirs)
            after = stamps()
            told = [f"{p.name} was made again" for p, t in before.items() if after.get(p) != t]
            told += [f"{p.name} is new" for p in after.keys() - before.keys()]
            return told if before else ["nothing was there"]

        return check

    for task in (*tables(), *trainings()):
        if task.name in ("bench", "train physics", "train paper", "train translation"):
            yield f"nothing left to do: {task.name}", finished(task.outputs[0], task)
    for name in ("plain.h5", "joined.h5", "pictures.h5", "runs/physics", "runs/translation"):
        yield f"inspect {name}", lambda n=name: _inspect(places, n)
    yield "prepare what has grown", lambda: _grow(places)


def _inspect(places: Places, name: str) -> list[str]:
    places.own.run(("inspect", name, "--verify"), places.theirs)
    return []


def _grow(places: Places) -> list[str]:
    """Add pictures to a file that the other one made."""
    task = next(task for task in prepares() if task.outputs == ("grown.h5",))
    for folder, checkout in ((places.theirs, places.other), (places.crossed, places.own)):
        _write_pictures(folder / "growing", 5, 20, first=6)
        checkout.run((*task.arguments, "--add"), folder)
    return places.compare(task, places.crossed)


# The run


class Report:
    """What was found, a line a check."""

    def __init__(self) -> None:
        self.different = self.count = 0

    def do(self, name: str, check: Check) -> None:
        """Run a check, and say what it found."""
        start = time.monotonic()
        try:
            told = check()
        except (Failed, OSError, ValueError, subprocess.TimeoutExpired) as error:
            told = [str(error)]
        seconds = time.monotonic() - start
        self.count += 1
        if not told:
            print(f"equal      {name} ({seconds:.1f} s)", flush=True)
            return
        self.different += 1
        more = f" and {len(told) - 4} more" if len(told) > 4 else ""
        print(f"DIFFERENT  {name}: {'; '.join(told[:4])}{more}", flush=True)


def run_all(places: Places, only: Callable[[str], bool], jobs: int, report: Report) -> None:
    """Run the checks, those that need others after them."""

    def in_turn(checks: Sequence[tuple[str, Check]]) -> None:
        for check in checks:
            report.do(*check)

    def all_of(tasks: Iterator[Task], needed: bool = False) -> list[list[tuple[str, Check]]]:
        """Return the checks of tasks; where only the outputs are needed, the first alone."""
        wanted = [(only(task.name), task) for task in tasks]
        return [[*places.checks(t)][: None if own else 1] for own, t in wanted if own or needed]

    for folder in places.folders:
        write_inputs(folder)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(in_turn, all_of(prepares(), needed=True)))
        for folder, source in ((places.crossed, places.theirs), (places.resumed, places.ours)):
            for path in source.glob("*.h5"):
                if not (folder / path.name).exists():
                    shutil.copy2(path, folder / path.name)
        used = any(only(name) for name, _ in uses(places))
        left = all_of(trainings(), needed=used) + all_of(tables(), needed=used)
        list(pool.map(in_turn, left + [[c] for c in methods(places) if only(c[0])]))
        list(pool.map(in_turn, [[c] for c in uses(places) if only(c[0])]))


def main() -> int:
    """Compare two checkouts; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, required=True, help="another checkout")
    parser.add_argument("--only", help="checks whose names begin so, a,b,…; what they need is made")
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, which is kept")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="commands at a time")
    options = parser.parse_args()
    own, other = Checkout("this one", HERE), Checkout("the other", options.other.resolve())
    for checkout in (own, other):
        if checkout.package() != checkout.root / "phasegan":
            parser.error(f"{checkout.root}: python imports {checkout.package()} there")
    if own.root == other.root:
        parser.error("--other is this checkout")
    starts = tuple(options.only.split(",")) if options.only else ("",)
    report, start = Report(), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        root = (options.keep or Path(scratch)).resolve()
        if root.exists() and any(root.iterdir()):
            parser.error(f"{root}: not empty")
        places = Places(root, own, other)
        run_all(places, lambda name: name.startswith(starts), options.jobs, report)
    minutes = (time.monotonic() - start) / 60
    print(f"{report.count} checks, {report.different} different, in {minutes:.1f} min")
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
