"""Measure one row of a bench."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.benchmark.estimates import RowEstimate
from phasegan.benchmark.plan import NO_STATISTICS, PlannedRow
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.samplers import choose_subset
from phasegan.errors import Interrupted
from phasegan.evaluation.evaluate import open_baseline, open_run, score_method
from phasegan.evaluation.provenance import provenance
from phasegan.evaluation.records import Cost, ResultRow, row_from_scores
from phasegan.metrics.image_metrics import Scores
from phasegan.progress import Progress
from phasegan.reconstruction.protocol import Method
from phasegan.resources import Meter
from phasegan.training.api import train_setup
from phasegan.training.presets import TrainingSetup


def scored_samples(row: PlannedRow, file: PreparedFile) -> NDArray[np.int64] | None:
    """Choose the samples of its split on which a row is scored.

    Of the training split these are the first of the seed's shuffle, on which it is trained before
    others, and as many as there are test images.

    Parameters
    ----------
    row : PlannedRow
        Of the plan.
    file : PreparedFile
        Its data.

    Returns
    -------
    numpy.ndarray or None
        (n,), int64; None: all of the test split.
    """
    if row.split == "test":
        return None
    count = min(len(file.test), len(file.train))
    return choose_subset(len(file.train), count, row.seed)


def measure_row(
    row: PlannedRow,
    file: PreparedFile,
    folder: Path,
    device: torch.device,
    estimate: RowEstimate,
    progress: Progress,
) -> ResultRow:
    """Train where the row is a training, then score.

    Parameters
    ----------
    row : PlannedRow
        A baseline or a training.
    file : PreparedFile
        The data.
    folder : pathlib.Path
        Of the results; run folders are in its `runs/`.
    device : torch.device
        Where it is trained.
    estimate : RowEstimate
        From before it begins; the row keeps it.
    progress : Progress
        Shows training and scoring.

    Returns
    -------
    ResultRow
        With scores, cost and machine.

    Raises
    ------
    Interrupted
        After Ctrl-C or SIGTERM; a training is saved.
    RunError
        If a loss or an estimate is not finite, or memory runs out.
    """
    known: dict[str, Any] = {
        "samples": row.samples,
        "split": row.split,
        "key": row.key(file, device),
        "machine": provenance(),
    }
    meter = Meter(torch.device("cpu") if row.config is None else device)
    if row.config is None:
        method = open_baseline(row.method, file, row.samples, row.seed)
        scores, spent = _score(row, file, method, progress)
        wall, used = meter.seconds()
        cost = Cost(wall, used, meter.peak_bytes(), spent, len(scores.mse) / spent)
        seed = None if row.method in NO_STATISTICS else row.seed
        return _row(row, scores, cost=cost, seed=seed, **known)
    run = folder / "runs" / row.run_name(file, device)
    config, training = row.config, estimate.training
    if row.method != config.label:
        progress.say(f"{row.method}, seed {row.seed}:")
    try:
        setup = TrainingSetup(config, file, device)
        train_setup(setup, run, resume=True, estimate=training, progress=progress)
    except Interrupted as error:
        raise Interrupted(
            f"interrupted while training {row.label}; what was done is kept in {folder}, the same "
            "bench command goes on from there",
            error.exit_status - 128,
        ) from None
    status = RunFolder(run).read_status()
    meter = Meter(device)
    scores, spent = _score(row, file, open_run(run, file, device), progress)
    wall, used = meter.seconds()
    peaks = [peak for peak in (status.peak_bytes, meter.peak_bytes()) if peak is not None]
    cost = Cost(
        wall_seconds=status.seconds + wall,
        device_seconds=None if status.device_seconds is None else status.device_seconds + used,
        peak_bytes=max(peaks, default=None),
        scoring_seconds=spent,
        scored_per_second=len(scores.mse) / spent,
        trained_per_second=config.samples * config.epochs / max(status.seconds, 1e-3),
    )
    return _row(
        row,
        scores,
        run=run.relative_to(folder).as_posix(),
        epochs=config.epochs,
        seed=row.seed,
        seconds=status.seconds,
        estimate=training,
        cost=cost,
        reason="; ".join(status.fell_back) or None,
        **known,
    )


def _score(
    row: PlannedRow, file: PreparedFile, method: Method, progress: Progress
) -> tuple[Scores, float]:
    start = time.perf_counter()
    scores = score_method(file, method, row.method, progress, row.split, scored_samples(row, file))
    return scores, max(time.perf_counter() - start, 1e-6)


def _row(row: PlannedRow, scores: Scores, **known: Any) -> ResultRow:
    result = row_from_scores(row.method, scores, **known)
    if row.split == "train" and row.samples is not None:
        result.values.update(_seen(scores.mse, row.samples))
    return result


def _seen(mse: NDArray[np.float64], samples: int) -> dict[str, Any]:
    """Return the means over the images that were trained on, and over the others."""
    seen, others = mse[:samples], mse[samples:]
    return {
        "seen_images": len(seen),
        "mse_seen": float(seen.mean()),
        "mse_unseen": float(others.mean()) if len(others) else None,
    }
