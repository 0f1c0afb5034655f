"""`phasegan.bench`: samples and epochs against average MSE, beside the baselines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phasegan.benchmark.cases import Case
from phasegan.benchmark.compare import Comparison, compare_results, read_results
from phasegan.benchmark.estimates import Estimator
from phasegan.benchmark.plan import plan_rows, resolve_case
from phasegan.benchmark.report.context import ReportContext, heading
from phasegan.benchmark.report.report import write_report, write_tables
from phasegan.benchmark.session import Session
from phasegan.config.options.benchmark import BenchCommand
from phasegan.config.options.keywords import takes_options
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.leakage import LeakReport, find_leaks
from phasegan.data.prepare.api import prepare
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.eta import Estimate
from phasegan.evaluation.notes import is_smoke_test
from phasegan.evaluation.records import ResultRow
from phasegan.io.atomic import remove_leftovers
from phasegan.io.locking import file_lock
from phasegan.io.output_paths import check_folder_name
from phasegan.progress import Progress
from phasegan.training.setup.inputs import default_data

DEFAULT_OUTPUT = Path("bench")


@dataclass(frozen=True)
class BenchReport:
    """Rows that `bench` measured, and their folder."""

    path: Path
    """The folder with report.html, results.json, the tables and the pictures."""
    rows: list[ResultRow]
    reused: int
    """Rows that were there from an earlier call."""
    smoke_test: bool
    """Whether the data are the builtin photographs."""
    heading: str = ""
    """The case and its data, in a line."""
    remarks: tuple[str, ...] = ()
    """Notes on the rows: leaks, rows left out with their reasons, failures."""
    against: Comparison | None = None
    """Changes since another folder of results."""
    metrics: tuple[str, ...] = field(default=("mse",))
    """The scores that the case asks for."""
    estimate: Estimate | None = None
    """Duration of everything left to measure, if only estimates were asked for."""

    @property
    def failed(self) -> list[ResultRow]:
        """Rows that ended in an error."""
        return [row for row in self.rows if row.status == "failed"]


@takes_options(BenchCommand)
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
    seeds: Sequence[int] = (),
    methods: Sequence[str] = (),
    precision: str = "auto",
    base_channels: int | None = None,
    blocks: int | None = None,
    widths: tuple[int, ...] | None = None,
    estimate_only: bool = False,
    budget: float | None = None,
    force: bool = False,
    allow_leak: bool = False,
    baseline: str | os.PathLike[str] | None = None,
    device: str = "auto",
    command: Sequence[str] = (),
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
        A case file instead, or the name of a shipped one.
    data : path, optional
        A prepared file; by default what the case is meant for, or `builtin.h5`,
        prepared when it is not there.
    output : path, optional
        The folder for results; `bench/<name of the file>` by default.
    preset, variant : str, optional
        As in `phasegan.train`; the case's by default, which may be several
        presets, each trained for each pair.
    seed : int, optional
        Instead of the case's seeds.
    seeds : sequence of int
        Several, instead of the case's.
    methods : sequence of str
        Methods that are not trained, instead of the case's.
    precision, base_channels, blocks, widths : optional
        As in `phasegan.train`; each preset takes those that it has. They replace
        the case's `[train]`, not what its variants say.
    estimate_only : bool
        Estimate how long every row takes; measure and write nothing.
    budget : float, optional
        Seconds for the whole call: trainings that do not fit in what is left of
        them are not started, and stand in the table as estimates.
    force : bool
        Measure every row again, and train every run again from the start.
    allow_leak : bool
        Score although test pictures stand in the training split; every table
        then says so.
    baseline : path, optional
        Another folder of results to compare with, by a paired test over the
        same test images.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train.
    command : sequence of str
        What the report says how to repeat it; the Python call is not known.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    BenchReport
        The rows; report.html, results.json, results.csv, table.md, table.tex and
        the figures are in its folder.

    Raises
    ------
    InputError
        If an option, the case or the data does not fit, test pictures stand in
        the training split, or another process measures in the same folder.
    Interrupted
        After Ctrl-C or SIGTERM; what was done is kept.

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
    if seed is not None and seeds:
        raise InputError("--seed and --seeds: give one of them")
    definition = resolve_case(
        case,
        pairs[0],
        pairs[1],
        preset=preset,
        variant=variant,
        seeds=tuple(seeds) if seed is None else (seed,),
        methods=methods,
    )
    earlier = None if baseline is None else read_results(baseline)
    where = choose_device(device)
    with PreparedFile(_data(data, definition, progress)) as file:
        folder = Path(output) if output is not None else DEFAULT_OUTPUT / file.path.stem
        _check_folder(folder)
        sizes = {
            "precision": precision,
            "base_channels": base_channels,
            "blocks": blocks,
            "widths": widths,
        }
        planned = plan_rows(definition, file, where, sizes)
        leaks = _check_leaks(file, allow_leak, progress)
        estimator = Estimator(file, where, progress)
        session = Session(planned, file, folder, where, estimator, budget, progress)
        smoke = is_smoke_test(file.attributes)
        title = heading(definition, file)
        if estimate_only:
            rows, remaining = session.estimate_only()
            return BenchReport(
                folder, rows, 0, smoke, title, (), None, definition.metrics, estimate=remaining
            )
        name = "" if baseline is None else Path(baseline).name
        context = ReportContext(
            folder, definition, file, where, leaks, tuple(command), budget, name
        )
        with file_lock(folder / ".lock", str(folder)):
            (folder / "rows").mkdir(exist_ok=True)
            for part in (folder, folder / "rows", folder / "estimates"):
                remove_leftovers(part)
            session.load_rows(force)
            for rows in session.measure():
                write_tables(context, [*rows, *_quoted(definition)])
            rows = [*session.rows(), *_quoted(definition)]
            compared = None
            if earlier is not None:
                compared = compare_results(earlier, context.document(rows))
            write_report(context, rows, compared)
        notes = (*context.omissions(rows), *context.notes(rows))
    return BenchReport(
        folder, rows, session.reused, smoke, title, notes, compared, definition.metrics
    )


def _data(data: str | os.PathLike[str] | None, case: Case, progress: Progress) -> Path:
    if data is not None or case.data is None:
        return default_data(data, progress)
    path = Path(f"{case.name}.h5")
    if not path.exists():
        progress.say(f"preparing {path}, which the case {case.name} is meant for")
        options: dict[str, Any] = case.data.model_dump(exclude_none=True)
        prepare(options.pop("source"), path, progress=progress, **options)
    return path


def _quoted(case: Case) -> list[ResultRow]:
    return [
        ResultRow(
            quoted.method,
            {"mse_published": quoted.mse_published},
            samples=quoted.samples,
            epochs=quoted.epochs,
            status="quoted",
        )
        for quoted in case.quoted
    ]


def _check_leaks(file: PreparedFile, allowed: bool, progress: Progress) -> LeakReport:
    leaks = find_leaks(file, progress)
    if leaks.leaks and not allowed:
        raise InputError(
            f"{file.path}: {leaks.describe()}; a score on them measures memory. Prepare the data "
            "without them, or add --allow-leak"
        )
    if leaks.leaks:
        progress.warn(f"{file.path}: {leaks.describe()}")
    return leaks


def _check_folder(folder: Path) -> None:
    check_folder_name(folder, "rows, tables, figures and a report")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file; give the name of a folder for the results")
    if folder.is_dir():
        held = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
        if held and not (folder / "rows").is_dir():
            raise InputError(
                f"{folder}: a folder with other things in it ({sorted(held)[0]}); choose another -o"
            )
