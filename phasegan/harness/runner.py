"""`phasegan.bench`: samples and epochs against average MSE, beside the baselines."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from phasegan.devices import choose_device, describe_machine, memory_guard
from phasegan.errors import InputError, Interrupted
from phasegan.files import read_json, write_json
from phasegan.harness.evaluate import open_baseline, open_run, score_method
from phasegan.harness.plan import PlannedRow, plan_rows, resolve_case, skipped
from phasegan.harness.report import heading, write_report
from phasegan.harness.rows import Row, row_from_scores
from phasegan.harness.table import is_smoke_test
from phasegan.progress import Progress, format_duration
from phasegan.runs.config import TrainConfig
from phasegan.store.reader import PreparedFile
from phasegan.training.api import data_or_builtin, train_config
from phasegan.training.timing import estimate_seconds, photographs_of

DEFAULT_OUTPUT = Path("bench")


@dataclass(frozen=True)
class BenchReport:
    """What `bench` measured and where it is written."""

    path: Path
    """The folder with results.json, table.md and the pictures."""
    rows: list[Row]
    reused: int
    """Rows that were there from an earlier call."""
    smoke_test: bool
    """Whether the data are the builtin photographs."""
    skipped: tuple[str, ...] = ()
    """What the case asks for and the data do not allow, one line each."""
    heading: str = ""
    """What was measured on which data."""


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
    precision: str = "auto",
    base_channels: int | None = None,
    blocks: int | None = None,
    widths: tuple[int, ...] | None = None,
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
        As in `phasegan.train`; the case's by default, which may be several
        presets, each trained for each pair.
    seed : int, optional
        Instead of the case's seeds.
    precision, base_channels, blocks, widths : optional
        As in `phasegan.train`; each preset takes those that it has. They replace
        the case's `[train]`, not what its variants say.
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
    >>> [row.method for row in report.rows if row.run]
    ['physics-small', 'paper-small']
    """
    progress = progress or Progress()
    pairs = [list(np.atleast_1d(np.asarray(v, dtype=np.int64))) for v in (samples, epochs)]
    chosen = resolve_case(case, pairs[0], pairs[1], preset, variant, seed)
    where = choose_device(device)
    with PreparedFile(data_or_builtin(data, progress)) as file:
        folder = Path(output) if output is not None else DEFAULT_OUTPUT / file.path.stem
        _check_folder(folder)
        sizes = {
            "precision": precision,
            "base_channels": base_channels,
            "blocks": blocks,
            "widths": widths,
        }
        planned = plan_rows(chosen, file, where, sizes)
        paths = {plan: folder / "rows" / f"{plan.key(file)}.json" for plan in planned}
        known = {plan: _known_row(path, folder, progress) for plan, path in paths.items()}
        missing = [plan for plan, row in known.items() if row is None]
        estimates = _estimate(missing, file, where, progress)
        for plan in missing:
            row = _measure(plan, file, folder, where, estimates, progress)
            write_json(paths[plan], row.as_json())
            known[plan] = row
        rows = [row for row in known.values() if row is not None]
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
        left_out = tuple(skipped(chosen, file).values())
        write_report(folder, chosen, rows, file, where, left_out)
        title = heading(chosen, file)
    reused = len(known) - len(missing)
    smoke = is_smoke_test(file.attributes)
    return BenchReport(folder, rows, reused, smoke, left_out, title)


def _known_row(path: Path, folder: Path, progress: Progress) -> Row | None:
    """Return a row from an earlier call, None if it has to be measured."""
    if not path.is_file():
        return None
    try:
        row = Row.from_json(read_json(path))
        usable = math.isfinite(row.values["mse"]) and row.values["test_images"] > 0
    except (InputError, TypeError, KeyError, ValueError, AttributeError):
        usable = False
    if not usable:
        progress.warn(f"{path} is damaged, its row is measured again")
        return None
    if row.run is not None and not (folder / row.run).is_dir():
        progress.warn(f"{folder / row.run} is gone, its row is measured again")
        return None
    return row


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; give the name of a folder for the results")
    if folder.is_dir():
        held = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
        if held and not (folder / "rows").is_dir():
            raise InputError(
                f"{folder}: a folder with other things in it ({sorted(held)[0]}); choose another -o"
            )


def _estimate(
    missing: list[PlannedRow], file: PreparedFile, device: torch.device, progress: Progress
) -> dict[PlannedRow, float]:
    estimates: dict[PlannedRow, float] = {}
    timed: dict[TrainConfig, float] = {}
    for plan in missing:
        if plan.config is None:
            continue
        alike = plan.config.model_copy(update={"seed": 0})
        if alike not in timed:
            with memory_guard(
                f"{plan.method}; choose --variant small or a lower {plan.config.size_name}"
            ):
                photographs = photographs_of(plan.config, file, None)
                timed[alike] = estimate_seconds(plan.config, device, None, photographs)
            progress.say(
                f"{plan.method}, {plan.samples} samples × {plan.config.epochs} epochs: "
                f"estimated {format_duration(timed[alike])} on {device}"
            )
        estimates[plan] = timed[alike]
    if len(estimates) > 1:
        total = format_duration(sum(estimates.values()))
        progress.say(f"all {len(estimates)} trainings: estimated {total}")
    return estimates


def _measure(
    plan: PlannedRow,
    file: PreparedFile,
    folder: Path,
    device: torch.device,
    estimates: dict[PlannedRow, float],
    progress: Progress,
) -> Row:
    sources = file.test.sources()
    if plan.config is None:
        method = open_baseline(plan.method, file, plan.samples, plan.seed)
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
    run = folder / "runs" / plan.run_name(file)
    if plan.method != config.label:
        progress.say(f"{plan.method}, seed {plan.seed}:")
    try:
        report = train_config(
            config,
            file,
            run,
            device,
            resume=True,
            estimated_seconds=estimates[plan],
            progress=progress,
        )
    except Interrupted as error:
        raise Interrupted(
            f"interrupted while training {plan.method} at {plan.samples} × {config.epochs}; what "
            f"was done is kept in {folder}, the same bench command goes on from there",
            error.exit_status - 128,
        ) from None
    learned = open_run(run, file, device)
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
