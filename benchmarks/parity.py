"""Does speed cost quality? The same trainings, computed exactly and computed fast.

    python benchmarks/parity.py paper FOLDER -o DIR [--epochs 20] [--size 64]
    python benchmarks/parity.py physics FILE.h5 -o DIR [--samples 200] [--epochs 10]

`paper` trains the published CycleGAN between two folders of pictures, FOLDER/trainA and
FOLDER/trainB; pictures of equal names in testA and testB show the same scene, and score
both directions. `physics` trains on a prepared file. Every way to compute is trained with
the seeds 0, 1, 2 and compared, picture by picture, with the slow one: batches as published
or by default, float32, every switch off. Larger batches are tried with the learning rate
as it is and with it times the square root of their growth.

DIR gets results.json and table.md after every row; finished rows are reused.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import phasegan
from phasegan.config.execution import STANDARD, Execution
from phasegan.config.physics import PhysicsOptimiserConfig
from phasegan.config.run import DataConfig, NetworkConfig, OptimiserConfig, PaperConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.devices import choose_device, describe_machine, set_threads
from phasegan.errors import InputError, PhaseganError, RunError
from phasegan.io.atomic import read_json, write_json, write_text
from phasegan.io.locking import file_lock
from phasegan.metrics.image_metrics import score
from phasegan.metrics.paired_tests import compare_paired, holm
from phasegan.models.domains import denormalise_images, normalise_images
from phasegan.progress import Progress, TerminalProgress, format_duration
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.data.loader import full_batch
from phasegan.training.schedule import linear_decay

SEEDS = (0, 1, 2)
SLOW = Execution(channels_last=False, batched=False, fused=False)
"""Every switch off."""
SUFFIXES = (".jpg", ".jpeg", ".png")

Measured = dict[str, dict[str, list[float]]]
"""`mse` and `ssim` of every test picture, by what was scored."""


class Mode(NamedTuple):
    """A way to compute a training."""

    name: str
    precision: str
    batch: int
    rate: float
    """Factor on the preset's learning rate."""
    execution: Execution = STANDARD


PAPER_MODES = (
    Mode("reference", "32", 1, 1.0, SLOW),
    Mode("fast", "bf16", 1, 1.0),
    Mode("fast, batch 4", "bf16", 4, 1.0),
    Mode("fast, batch 4, rate × 2", "bf16", 4, 2.0),
)
PHYSICS_MODES = (
    Mode("reference", "32", 8, 1.0, SLOW),
    Mode("fast", "bf16", 8, 1.0),
    Mode("fast, batch 32", "bf16", 32, 1.0),
    Mode("fast, batch 32, rate × 2", "bf16", 32, 2.0),
)


class Study(Protocol):
    """What is trained in every mode with every seed."""

    modes: tuple[Mode, ...]

    def settings(self) -> dict[str, Any]:
        """Return what rows of one table have in common."""

    def untrained(self) -> Measured:
        """Score what needs no training."""

    def train(self, mode: Mode, seed: int, label: str, progress: Progress) -> Measured:
        """Train and score one row."""


class Pictures:
    """The published CycleGAN between two folders of pictures.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command line.
    """

    modes = PAPER_MODES

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.folder = options, Path(options.data)
        self.device = choose_device(options.device)
        self.paths = {name: self._list(name) for name in ("trainA", "trainB", "testA", "testB")}
        pairs = self.paths["testA"].keys() & self.paths["testB"].keys()
        self.tests = sorted(pairs)[: options.test]
        if not self.tests:
            raise InputError(f"{self.folder}: testA and testB share no name; nothing to score")
        self.samples = min(len(self.paths["trainA"]), len(self.paths["trainB"]))

    def settings(self) -> dict[str, Any]:
        """Return what rows of one table have in common."""
        options = self.options
        names = ("size", "epochs", "base_channels", "blocks")
        return {
            "preset": "paper",
            "data": self.folder.name,
            "pictures": {name: len(paths) for name, paths in self.paths.items()},
            "test_pairs": len(self.tests),
            **{name: getattr(options, name) for name in names},
        }

    def _list(self, name: str) -> dict[str, Path]:
        folder = self.folder / name
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        found = {p.name: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}
        if not found:
            raise InputError(f"{folder}: no pictures in it")
        return found

    def _load(self, paths: Sequence[Path]) -> NDArray[np.uint8]:
        """Return pictures as (n, 3, N, N)."""
        size = (self.options.size,) * 2
        pixels = []
        for path in paths:
            with Image.open(path) as picture:
                small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
                pixels.append(np.asarray(small).transpose(2, 0, 1))
        return np.stack(pixels)

    @cached_property
    def _training(self) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = (self._tensor(self._load([*self.paths[n].values()])) for n in ("trainA", "trainB"))
        return a, b

    @cached_property
    def _test(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        a, b = (self._load([self.paths[n][k] for k in self.tests]) for n in ("testA", "testB"))
        return a, b

    def _tensor(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(normalise_images(pixels, 255)).to(self.device)

    def config(self, mode: Mode, seed: int) -> PaperConfig:
        """Return the configuration of a row."""
        options = self.options
        usual = OptimiserConfig()
        return PaperConfig(
            variant="custom",
            data=DataConfig(
                digest="parity",
                size=options.size,
                padded=options.size,
                channels="rgb",
                bits=8,
                samples=self.samples,
            ),
            networks=NetworkConfig(
                base_channels=options.base_channels,
                blocks=options.blocks,
                discriminator_channels=options.base_channels,
            ),
            optimiser=OptimiserConfig(learning_rate=mode.rate * usual.learning_rate),
            epochs=options.epochs,
            batch_size=mode.batch,
            precision=mode.precision,
            seed=seed,
        )

    def untrained(self) -> Measured:
        """Score the pictures as they are."""
        a, b = self._test
        return {"A → B": _scores(a, b), "B → A": _scores(b, a)}

    def train(self, mode: Mode, seed: int, label: str, progress: Progress) -> Measured:
        """Train and score one row."""
        config = self.config(mode, seed)
        gan = CycleGAN(config, self.device, mode.execution)
        with progress.task(label, config.epochs * self.samples) as task:
            for step in range(config.steps):
                epoch, batch = divmod(step, config.steps_per_epoch)
                rows = slice(batch * mode.batch, (batch + 1) * mode.batch)
                pair = []
                for domain, pictures in enumerate(self._training):
                    order = np.random.default_rng([seed, epoch, domain]).permutation(len(pictures))
                    pair.append(pictures[torch.from_numpy(order[: self.samples][rows])])
                terms = gan.training_step(full_batch(*pair), linear_decay(epoch, config.epochs))
                task.advance(len(pair[0]))
        if not all(torch.isfinite(value) for value in terms.values()):
            raise RunError(f"{label}: the losses are not finite")
        a, b = self._test
        return {
            "A → B": _scores(self._translate(gan.nets.trained["generator_ab"], a), b),
            "B → A": _scores(self._translate(gan.nets.trained["generator_ba"], b), a),
        }

    def _translate(self, network: torch.nn.Module, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        with torch.no_grad():
            found = [network(self._tensor(pixels[i : i + 1])) for i in range(len(pixels))]
        return denormalise_images(torch.cat(found).float().cpu().numpy(), 255)


class Prepared:
    """The preset physics on a prepared file; parameters as `Pictures`."""

    modes = PHYSICS_MODES

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        with PreparedFile(options.data) as file:
            self.digest, self.size = file.digest, file.layout.size
            self.samples = min(options.samples, len(file.train))

    def settings(self) -> dict[str, Any]:
        """Return what rows of one table have in common."""
        return {
            "preset": "physics",
            "data": Path(self.options.data).name,
            "digest": self.digest,
            "size": self.size,
            "samples": self.samples,
            "epochs": self.options.epochs,
            "widths": self.options.widths,
        }

    def untrained(self) -> Measured:
        """Score the mean magnitude of the training split with the true phase."""
        return self._scored(methods=["mean-magnitude"])

    def train(self, mode: Mode, seed: int, label: str, progress: Progress) -> Measured:
        """Train, or continue, and score one row."""
        options, usual = self.options, PhysicsOptimiserConfig()
        chosen: dict[str, Any] = mode.execution.model_dump(exclude_none=True)
        if options.widths:
            chosen["widths"] = tuple(options.widths)
        name = f"{mode.precision}-batch{mode.batch}-rate{mode.rate:g}-seed{seed}"
        run = Path(options.output) / "runs" / name
        progress.say(label)
        phasegan.train(
            options.data,
            run,
            preset="physics",
            samples=self.samples,
            epochs=options.epochs,
            seed=seed,
            precision=mode.precision,
            batch_size=mode.batch,
            learning_rate=mode.rate * usual.learning_rate,
            device=options.device,
            resume=True,
            progress=progress,
            **chosen,
        )
        return self._scored(runs=[run])

    def _scored(self, **what: Any) -> Measured:
        scores = phasegan.evaluate(self.options.data, **what, device=self.options.device)
        found = scores.rows[0].per_image
        return {"phase → image": {name: found[name] for name in ("mse", "ssim")}}


def _scores(estimates: NDArray[Any], references: NDArray[np.uint8]) -> dict[str, list[float]]:
    found = score(estimates.astype(np.float64), references, data_range=255)
    return {"mse": found.mse.tolist(), "ssim": found.ssim.tolist()}


def measure(study: Study, output: Path, command: str, progress: Progress) -> dict[str, Any]:
    """Train what is not there yet, and write results.json and table.md after every row.

    Parameters
    ----------
    study : Study
        What to train.
    output : pathlib.Path
        The folder; its rows are reused.
    command : str
        The command line, for the record.
    progress : Progress
        Where to report.

    Returns
    -------
    dict
        What results.json holds.

    Raises
    ------
    InputError
        If the folder holds rows of other settings.
    """
    path, settings = output / "results.json", study.settings()
    document: dict[str, Any] = {"command": command, "settings": settings, "rows": []}
    if path.exists():
        document = read_json(path)
        if document["settings"] != settings:
            raise InputError(f"{output}: holds rows of other settings; choose another -o")
    else:
        document["untrained"] = study.untrained()
    rows = document["rows"]
    wanted = [(mode, seed) for seed in SEEDS for mode in study.modes]
    described = [{**mode._asdict(), "execution": mode.execution.model_dump()} for mode, _ in wanted]
    done = [(row["mode"], row["seed"]) for row in rows]
    left = [
        (mode, seed, text)
        for (mode, seed), text in zip(wanted, described, strict=True)
        if (text, seed) not in done
    ]
    if done:
        progress.say(f"{path}: {len(wanted) - len(left)} of {len(wanted)} rows are there")
    begun = time.monotonic()
    for i, (mode, seed, text) in enumerate(left):
        start, cpu = time.monotonic(), time.process_time()
        found = study.train(mode, seed, f"{mode.name}, seed {seed}", progress)
        row = {
            "mode": text,
            "seed": seed,
            "seconds": round(time.monotonic() - start, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "machine": describe_machine(),
            "scores": found,
        }
        rows.append(row)
        write_json(path, document)
        write_text(output / "table.md", table(document))
        each = (time.monotonic() - begun) / (i + 1)
        errors = ", ".join(f"{name} {np.mean(v['mse']):.0f}" for name, v in found.items())
        progress.say(
            f"{mode.name}, seed {seed}: MSE {errors}; {len(left) - i - 1} rows left, some "
            f"{format_duration(each * (len(left) - i - 1))}"
        )
    write_text(output / "table.md", table(document))
    return document


def table(document: dict[str, Any]) -> str:
    """Return the rows as Markdown: means over pictures, and their spread over seeds."""
    rows = document["rows"]
    modes: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        modes.setdefault(row["mode"]["name"], []).append(row)
    lines = [
        "| scored | computed | seeds | MSE | SSIM | MSE − reference [95 %] | verdict | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, values in document["untrained"].items():
        mse, ssim = (np.mean(values[key]) for key in ("mse", "ssim"))
        lines.append(f"| {name} | untrained | | {mse:.0f} | {ssim:.3f} | | | |")
        against = {
            mode: compare_paired(_errors(modes["reference"], name), _errors(own, name))
            for mode, own in modes.items()
            if mode != "reference" and "reference" in modes
        }
        tested = [mode for mode, found in against.items() if found.tested]
        adjusted = holm([against[mode].p_value or 0.0 for mode in tested])
        for mode, p in zip(tested, adjusted, strict=True):
            against[mode] = against[mode].with_adjusted(float(p))
        for mode, own in modes.items():
            cells = [name, mode, str(len(own)), _cell(own, name, "mse", 0)]
            cells.append(_cell(own, name, "ssim", 3))
            if mode in against:
                found = against[mode]
                low, high = found.interval or (np.nan, np.nan)
                cells += [f"{found.difference:+.1f} [{low:+.1f}, {high:+.1f}]", found.verdict]
            else:
                cells += ["", ""]
            cells.append(f"{np.mean([row['cpu_seconds'] for row in own]):.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    machines = {f"{row['machine']['processor']}, GPU {row['machine']['gpu']}" for row in rows}
    return "\n".join(
        [
            *lines,
            "",
            "Mean ± standard deviation over seeds of the mean over test pictures, 0..255. The",
            "differences are paired by picture (`metrics.paired_tests`), verdicts at 5 % after",
            "Holm's correction over a direction. CPU s: processor time of one training and its",
            "scoring. Untrained: the picture itself, or the mean magnitude with the true phase.",
            "",
            f"    {document['command']}",
            "",
            f"{'; '.join(sorted(machines))}. Settings: {document['settings']}",
            "",
        ]
    )


def _errors(rows: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row["scores"][name]["mse"] for row in rows])


def _cell(rows: list[dict[str, Any]], name: str, score_name: str, digits: int) -> str:
    means = [float(np.mean(row["scores"][name][score_name])) for row in rows]
    spread = f" ± {np.std(means, ddof=1):.{digits}f}" if len(means) > 1 else ""
    return f"{np.mean(means):.{digits}f}{spread}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    studies = parser.add_subparsers(dest="study", required=True)
    paper = studies.add_parser("paper", help="two folders of pictures")
    paper.add_argument("data", metavar="FOLDER", help="with trainA, trainB, testA, testB")
    paper.add_argument("--size", type=int, default=64)
    paper.add_argument("--base-channels", type=int, default=16)
    paper.add_argument("--blocks", type=int, default=4)
    paper.add_argument("--test", type=int, help="pairs scored; all by default")
    physics = studies.add_parser("physics", help="a prepared file")
    physics.add_argument("data", metavar="FILE.h5")
    physics.add_argument("--samples", type=int, default=200)
    physics.add_argument("--widths", type=int, nargs="+", help="other than the variant's")
    for study, epochs in ((paper, 20), (physics, 10)):
        study.add_argument("-o", "--output", required=True, metavar="DIR")
        study.add_argument("--epochs", type=int, default=epochs)
        study.add_argument("--device", default="auto")
        study.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "benchmarks/parity.py", *given])
    progress, output = TerminalProgress(), Path(options.output)
    try:
        set_threads(options.threads)
        with file_lock(output / ".lock", str(output)):
            study = Pictures(options) if options.study == "paper" else Prepared(options)
            measure(study, output, command, progress)
    except PhaseganError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    print((output / "table.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
