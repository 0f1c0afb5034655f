"""`phasegan.bench`: samples and epochs against average MSE, beside the baselines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phasegan._version import __version__
from phasegan.devices import choose_device, describe_machine
from phasegan.errors import InputError
from phasegan.files import read_json, write_json
from phasegan.harness.cases import PUBLISHED, Case, Pair, load_case
from phasegan.harness.evaluate import open_run, problem_of, score_method
from phasegan.harness.report import write_report
from phasegan.harness.rows import Row, row_from_scores
from phasegan.progress import Progress, format_duration
from phasegan.reconstruction.registry import NEEDS_STATISTICS, make_method
from phasegan.reconstruction.statistics import gather_statistics
from phasegan.runs.config import TrainConfig
from phasegan.store.prepare import prepare
from phasegan.store.reader import PreparedFile
from phasegan.training.api import DEFAULT_DATA, resolve_config, train
from phasegan.training.data import choose_subset
from phasegan.training.timing import estimate_seconds

DEFAULT_OUTPUT = Path("bench")
ROW_FORMAT = 1


@dataclass(frozen=True)
class BenchReport:
    """What `bench` measured and where it is written."""

    path: Path
    """The folder with results.json, table.md and the pictures."""
    rows: list[Row]
    reused: int
    """Rows that were there from an earlier call."""


@dataclass(frozen=True)
class _Planned:
    """One row to be: a baseline (`config` is None) or a training."""

    method: str
    seed: int
    samples: int | None
    config: TrainConfig | None

    def key(self, file: PreparedFile) -> str:
        """Digest of all that decides the row."""
        decides = {
            "format": ROW_FORMAT,
            "phasegan": __version__,
            "data": file.digest,
            "method": self.method,
            "seed": self.seed,
            "samples": self.samples,
            "config": None if self.config is None else self.config.model_dump(mode="json"),
        }
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def run_name(self) -> str:
        assert self.config is not None
        return f"{self.method}-{self.samples}x{self.config.epochs}-seed{self.seed}"


def resolve_case(
    case: str | os.PathLike[str] | None,
    samples: Sequence[int],
    epochs: Sequence[int],
    preset: str | None,
    variant: str | None,
    seed: int | None,
) -> Case:
    """Build the case from a file or from flags.

    Raises
    ------
    InputError
        If flags contradict one another or the case.
    """
    if len(samples) != len(epochs):
        raise InputError(
            f"--samples is given {len(samples)} times and --epochs {len(epochs)} times; "
            "they pair in order, give both equally often"
        )
    if case is not None and samples:
        raise InputError(
            "--case brings its own samples and epochs; leave --samples and --epochs out"
        )
    for name, values in (("--samples", samples), ("--epochs", epochs)):
        for value in values:
            if value < 1:
                raise InputError(f"{name} {value}: must be at least 1")
    chosen = load_case(PUBLISHED if case is None else Path(case))
    changes: dict[str, Any] = {}
    if samples:
        changes["pairs"] = tuple(
            Pair(samples=n, epochs=m) for n, m in zip(samples, epochs, strict=True)
        )
    if preset is not None:
        changes["preset"] = preset
    if variant is not None:
        changes["variant"] = variant
    if seed is not None:
        changes["seeds"] = (seed,)
    return chosen.model_copy(update=changes)


def bench(
    samples: Sequence[int] | int = (),
    epochs: Sequence[int] | int = (),
    *,
    case: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    preset: str | None = None,
    variant: str | None = None,
    seed: int | None = None,
    precision: str = "32",
    base_channels: int | None = None,
    blocks: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> BenchReport:
    """Train on the first N samples for M epochs, score, and tabulate, for each pair.

    Rows that an earlier call finished in the same folder are reused; a training
    that was interrupted continues where it was.

    Parameters
    ----------
    samples, epochs : int or sequence of int
        Pairs in order; those of the published table if none are given.
    case : path, optional
        A case file instead.
    data : path, optional
        A prepared file; `builtin.h5` by default, prepared when it is not there.
    output : path, optional
        The folder for results; `bench/<name of the file>` by default.
    preset, variant : str, optional
        As in `phasegan.train`; the case's by default.
    seed : int, optional
        Instead of the case's seeds.
    precision, base_channels, blocks : optional
        As in `phasegan.train`.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    BenchReport
        The rows; results.json, table.md, mse-samples.png and contact-sheet.png
        are in its folder.

    Raises
    ------
    InputError
        If an option, the case or the data does not fit.

    Examples
    --------
    >>> import phasegan
    >>> _ = phasegan.prepare("builtin", "tiny.h5", size=32, samples=4, test=2)
    >>> report = phasegan.bench(2, 1, data="tiny.h5", variant="small", device="cpu")
    >>> sorted({row.method for row in report.rows if row.status == "ok"})
    ['mean-image', 'mean-magnitude', 'paper-small', 'unit-magnitude', 'zero']
    """
    progress = progress or Progress()
    pairs = [[v] if isinstance(v, int) else list(v) for v in (samples, epochs)]
    chosen = resolve_case(case, pairs[0], pairs[1], preset, variant, seed)
    where = choose_device(device)
    if data is None:
        data = DEFAULT_DATA
        if not data.exists():
            progress.say(f"preparing {data} from the photographs inside scikit-image first")
            prepare(output=data, progress=progress)
    with PreparedFile(data) as file:
        folder = Path(output) if output is not None else DEFAULT_OUTPUT / file.path.stem
        _check_folder(folder)
        sizes = {"precision": precision, "base_channels": base_channels, "blocks": blocks}
        planned = _plan(chosen, file, where, sizes)
        estimates = _estimate(planned, file, folder, where, progress)
        rows, reused = [], 0
        for plan in planned:
            path = folder / "rows" / f"{plan.key(file)}.json"
            if path.is_file():
                rows.append(Row.from_json(read_json(path)))
                reused += 1
                continue
            row = _measure(plan, file, folder, device, estimates, progress)
            write_json(path, row.as_json())
            rows.append(row)
        rows += [
            Row(
                q.method,
                {"mse_published": q.mse_published},
                samples=q.samples,
                epochs=q.epochs,
                status="quoted",
            )
            for q in chosen.quoted
        ]
        write_report(folder, chosen, rows, file, where)
    return BenchReport(folder, rows, reused)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; give the name of a folder for the results")
    ours = {"rows", "runs", "results.json", "table.md", "mse-samples.png", "contact-sheet.png"}
    if folder.is_dir():
        foreign = {p.name for p in folder.iterdir() if not p.name.startswith(".")} - ours
        if foreign and not (folder / "rows").is_dir():
            raise InputError(
                f"{folder}: a folder with other things in it ({sorted(foreign)[0]}); "
                "choose another -o"
            )


def _plan(
    case: Case, file: PreparedFile, device: torch.device, sizes: dict[str, Any]
) -> list[_Planned]:
    if not len(file.test):
        raise InputError(f"{file.path}: its test split is empty; prepare with --test 1 or more")
    problem = problem_of(file, None)
    for name in case.methods:
        if name not in NEEDS_STATISTICS:
            make_method(name, problem)
    planned: list[_Planned] = []
    for seed in case.seeds:
        for pair in case.pairs:
            config = resolve_config(
                file,
                device,
                preset=case.preset,
                variant=case.variant,
                samples=pair.samples,
                epochs=pair.epochs,
                seed=seed,
                **sizes,
            )
            for name in case.methods:
                plan = _Planned(name, seed, None if name == "zero" else pair.samples, None)
                if name == "zero":
                    plan = _Planned(name, 0, None, None)
                if plan not in planned:
                    planned.append(plan)
            training = _Planned(config.label, seed, pair.samples, config)
            if training not in planned:
                planned.append(training)
    return planned


def _estimate(
    planned: list[_Planned],
    file: PreparedFile,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> dict[_Planned, float]:
    estimates: dict[_Planned, float] = {}
    for plan in planned:
        if plan.config is None or (folder / "rows" / f"{plan.key(file)}.json").is_file():
            continue
        estimates[plan] = estimate_seconds(plan.config, device)
        progress.say(
            f"{plan.method}, {plan.samples} samples × {plan.config.epochs} epochs: "
            f"estimated {format_duration(estimates[plan])} on {device}"
        )
    if len(estimates) > 1:
        progress.say(f"all trainings: estimated {format_duration(sum(estimates.values()))}")
    return estimates


def _measure(
    plan: _Planned,
    file: PreparedFile,
    folder: Path,
    device: str,
    estimates: dict[_Planned, float],
    progress: Progress,
) -> Row:
    sources = file.test.sources()
    if plan.config is None:
        statistics = None
        if plan.samples is not None:
            indices = choose_subset(len(file.train), plan.samples, plan.seed)
            statistics = gather_statistics(file, indices)
        method = make_method(plan.method, problem_of(file, statistics))
        scores = score_method(file, method, plan.method, progress)
        seed = None if plan.samples is None else plan.seed
        return row_from_scores(
            plan.method,
            scores,
            sources,
            samples=plan.samples,
            seed=seed,
            machine=describe_machine(),
        )
    config = plan.config
    run = folder / "runs" / plan.run_name
    report = train(
        file.path,
        run,
        resume=True,
        device=device,
        estimated_seconds=estimates[plan],
        progress=progress,
        preset=config.preset,
        samples=config.data.samples,
        epochs=config.epochs,
        seed=config.seed,
        precision=config.precision,
        base_channels=config.networks.base_channels,
        blocks=config.networks.blocks,
        discriminator_channels=config.networks.discriminator_channels,
    )
    learned = open_run(run, file, choose_device(device))
    scores = score_method(file, learned, plan.method, progress)
    return row_from_scores(
        plan.method,
        scores,
        sources,
        run=run.relative_to(folder).as_posix(),
        samples=plan.samples,
        epochs=config.epochs,
        seed=plan.seed,
        seconds=report.seconds,
        estimated_seconds=round(estimates[plan], 3),
        machine=describe_machine(),
    )
