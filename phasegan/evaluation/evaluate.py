"""`phasegan.evaluate`: methods and runs over a test split, by the same metrics."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phasegan.config.options.keywords import takes_options
from phasegan.config.options.networks import EvaluateCommand
from phasegan.config.run import RunStatus, TrainConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.images.notices import narrow_range, value_range
from phasegan.data.samplers import choose_subset
from phasegan.devices import choose_device
from phasegan.errors import InputError, RunError
from phasegan.evaluation.comparison import compare_methods, evaluation_sheet_columns
from phasegan.evaluation.notes import is_smoke_test
from phasegan.evaluation.provenance import provenance
from phasegan.evaluation.records import ResultRow, row_from_scores
from phasegan.evaluation.run_entries import run_label
from phasegan.io.atomic import atomic_file, check_png_target
from phasegan.metrics.image_metrics import SSIM_DESCRIPTION, Scores, concatenate_scores, score
from phasegan.progress import Progress
from phasegan.reconstruction.auto import choose_method
from phasegan.reconstruction.image_statistics import Statistics, gather_statistics
from phasegan.reconstruction.inputs.problems import observe, phase_error
from phasegan.reconstruction.learned import LearnedMethod
from phasegan.reconstruction.protocol import (
    Method,
    Problem,
    Settings,
    certified_samples,
    unique_samples,
)
from phasegan.reconstruction.registry import (
    BASELINES,
    NEEDS_STATISTICS,
    USES_STATISTICS,
    check_method,
    incompatibility,
    make_method,
)

BLOCK = 50
MAX_CHECKED_IMAGES = 100
"""Test images whose values are looked at."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of methods and runs over a test split."""

    data: str
    rows: list[ResultRow]
    smoke_test: bool
    """Whether the data are the builtin photographs."""
    sources: list[str]
    """Sources of the test images, in the order of each row's `per_image`."""

    def as_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes."""
        return {
            "data": self.data,
            "scale": "0..255, squared grey levels",
            "ssim_window": SSIM_DESCRIPTION,
            "machine": provenance(),
            "sources": {"test": self.sources},
            "rows": [row.as_json() for row in self.rows],
        }


def problem_of(
    file: PreparedFile, statistics: Statistics | None, settings: Settings | None = None
) -> Problem:
    """Describe to methods the phases of a file: shapes, range, statistics and noise.

    Parameters
    ----------
    file : PreparedFile
        The data.
    statistics : Statistics or None
        Of training images.
    settings : Settings, optional
        Of iterative methods.

    Returns
    -------
    Problem
        For `make_method`.
    """
    layout = file.layout
    return Problem(
        layout.shape,
        layout.frame,
        layout.data_range,
        statistics,
        layout.phase_noise,
        settings or Settings(),
    )


def open_run(run: str | os.PathLike[str], file: PreparedFile, device: Any) -> LearnedMethod:
    """Open a run for the phases of a file.

    Parameters
    ----------
    run : path
        A run folder.
    file : PreparedFile
        The data.
    device : torch.device
        Where its networks run.

    Returns
    -------
    LearnedMethod
        Takes an `Observation`.

    Raises
    ------
    InputError
        If it was trained for other phases.
    """
    learned = LearnedMethod(Path(run), device, file.layout.data_range)
    layout = file.layout
    learned.check(
        layout.phase_shape,
        str(file.path),
        shape=layout.shape,
        noise=layout.phase_noise,
        bits=layout.phase_bits,
    )
    return learned


def open_baseline(name: str, file: PreparedFile, samples: int | None, seed: int) -> Method:
    """Make a method ready with the statistics of its own training samples.

    Parameters
    ----------
    name : str
        The method.
    file : PreparedFile
        The data.
    samples : int, optional
        How many, the first of the seed's shuffle as in training; None: no statistics.
    seed : int
        Of the shuffle.

    Returns
    -------
    callable
        Takes an `Observation`.
    """
    statistics = None
    if samples is not None:
        indices = choose_subset(len(file.train), samples, seed)
        statistics = gather_statistics(file, indices)
    return make_method(name, problem_of(file, statistics))


def require_test_split(file: PreparedFile) -> int:
    """Return the number of test samples.

    Parameters
    ----------
    file : PreparedFile
        The data.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        If there are none, or no images to score against.
    """
    file.require_images(
        "there is nothing to score against; `phasegan reconstruct` takes it as it is"
    )
    if not len(file.test):
        raise InputError(
            f"{file.path}: its test split is empty; prepare with --test 1 or more to score"
        )
    return len(file.test)


def score_method(
    file: PreparedFile,
    method: Method,
    label: str,
    progress: Progress,
    split: str = "test",
    indices: NDArray[np.int64] | None = None,
) -> Scores:
    """Score a method over a split, or some samples of it.

    Parameters
    ----------
    file : PreparedFile
        The data.
    method : callable
        Ready for the file.
    label : str
        What progress and errors call it.
    progress : Progress
        Shows the images passed.
    split : {"test", "train"}
        Which samples.
    indices : numpy.ndarray, optional
        Of the samples, (n,), in the order of the scores; all of the split by default.

    Returns
    -------
    Scores
        One number an image.

    Raises
    ------
    InputError
        If the split is empty.
    RunError
        If an estimate is not finite.
    """
    part, layout = file.split(split), file.layout
    require_test_split(file)
    rows = np.arange(len(part)) if indices is None else indices
    parts = []
    with progress.task(f"scoring {label}", len(rows)) as task:
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            solution = method(observe(part, block, layout))
            references = part.images(block)
            claims = certified_samples(solution.certificates, len(references))
            try:
                parts.append(
                    score(
                        solution.estimate,
                        references,
                        data_range=layout.data_range,
                        certified=claims,
                        unique_up_to_scale=unique_samples(solution.certificates, len(references)),
                    )
                )
            except RunError as error:
                raise RunError(f"{label} on {file.path}: {error}") from None
            task.advance(len(references))
    return concatenate_scores(parts)


@takes_options(EvaluateCommand)
def evaluate(
    data: str | os.PathLike[str],
    methods: Sequence[str] = (),
    runs: Sequence[str | os.PathLike[str]] = (),
    *,
    device: str = "auto",
    dtype: Literal["float64", "float32"] = "float64",
    sheet: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score methods and training runs over the test split of a prepared file.

    Parameters
    ----------
    data : path
        A prepared file with at least one test sample.
    methods : sequence of str
        Names of methods, see `phasegan.reconstruct`; `zero`, `mean-image`,
        `unit-magnitude`, `mean-magnitude` and `auto` if neither methods nor runs
        are given. Their statistics come from the whole training split.
    runs : sequence of path
        Run folders.
    device : {"auto", "cpu", "cuda", "mps"}
        For runs and iterative methods.
    dtype : {"float64", "float32"}
        Precision of iterative methods.
    sheet : path, optional
        A PNG to draw: six test images, chosen evenly by the error of the best
        run, with the estimate of every method and run and the MSE under it.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    Evaluation
        One row a method, then one a run, in the order given.

    Raises
    ------
    InputError
        If the file, a method, a run or the sheet's name does not fit.

    Examples
    --------
    >>> import phasegan
    >>> _ = phasegan.prepare("builtin", "tiny.h5", size=32, samples=4, test=2)
    >>> result = phasegan.evaluate("tiny.h5", methods=["zero", "mean-magnitude"])
    >>> [row.method for row in result.rows]
    ['zero', 'mean-magnitude']
    """
    progress = progress or Progress()
    methods = [methods] if isinstance(methods, str) else methods
    runs = [runs] if isinstance(runs, str | os.PathLike) else runs
    names = list(methods) or ([] if runs else [*BASELINES, "auto"])
    if sheet is not None:
        check_png_target(sheet)
    with PreparedFile(data) as file:
        for name in names:
            check_method(name)
        require_test_split(file)
        settings = Settings(dtype=dtype, device=device)
        learned = [open_run(run, file, choose_device(device)) for run in runs]
        usable = USES_STATISTICS if len(file.train) else NEEDS_STATISTICS
        statistics = gather_statistics(file) if usable & set(names) else None
        problem = problem_of(file, statistics, settings)
        for name in names:
            reason = incompatibility(name, problem, phase_error(file.layout))
            if reason is not None:
                raise InputError(f"{file.path}: {reason}")
        sources = file.test.sources()
        _warn_if_narrow(file, progress)
        classical = [make_method(name, problem) for name in names]
        rows = [
            row_from_scores(name, score_method(file, method, name, progress))
            for name, method in zip(names, classical, strict=True)
        ]
        for method in learned:
            config, status = method.config, method.status
            finished = status.state == "finished"
            label = run_label(config)
            if not finished:
                label += f", unfinished ({status.step} of {config.steps} steps)"
            if status.fell_back:
                label += f", fell back {len(status.fell_back)}×"
            rows.append(
                row_from_scores(
                    label,
                    score_method(file, method, method.label, progress),
                    run=str(method.folder.path),
                    samples=config.samples,
                    epochs=_row_epochs(config, status),
                    schedule=config.epochs_text if config.extended_at else None,
                    seed=config.seed,
                    seconds=status.seconds,
                    status="ok" if finished else "unfinished",
                    reason="; ".join(status.fell_back) or None,
                )
            )
        if sheet is not None:
            picture = compare_methods(
                file, evaluation_sheet_columns(rows), [*classical, *learned]
            ).draw()
            with atomic_file(sheet) as temporary:
                picture.save(temporary, format="PNG")
        smoke = is_smoke_test(file.attributes)
        layout = file.layout
    for row in rows:
        wrong = row.values["certified_wrong"]
        if wrong:
            progress.warn(f"{row.method}: {wrong} certificates are wrong; please report this")
    if "auto" in names:
        progress.say(f"auto takes {choose_method(problem, phase_error(layout))} here")
    if layout.degraded:
        progress.say(f"{data}: {layout.describe()}")
    return Evaluation(str(data), rows, smoke, sources)


def _row_epochs(config: TrainConfig, status: RunStatus) -> int | None:
    """Return the epochs of a row; None for an extended run, which is none of so many epochs."""
    if config.extended_at:
        return None
    return config.epochs if status.state == "finished" else status.epoch


def _warn_if_narrow(file: PreparedFile, progress: Progress) -> None:
    """Warn where images of 16 bits take a small part of the range that errors are given on."""
    if file.layout.bits < 16:
        return
    images = file.test.images(slice(0, MAX_CHECKED_IMAGES))
    notice = narrow_range([value_range(image) for image in images], 0, file.layout.data_range)
    if notice is not None:
        progress.warn(f"{file.path}: {notice[0]}; errors on the whole range look small")
