"""A whole training of `physics`, timed as users would see it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError, Interrupted, RunError
from phasegan.progress import TerminalProgress, format_duration

PUBLISHED = "4500x50"


def read_amount(wanted: str | None, device: torch.device) -> tuple[int, int] | None:
    """Return samples and epochs; None where no training is wanted.

    Raises
    ------
    InputError
        If it is not SAMPLESxEPOCHS, or the published amount without a GPU.
    """
    if wanted is None:
        return None
    parts = wanted.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise InputError(f"--whole {wanted}: expected SAMPLESxEPOCHS, say {PUBLISHED}")
    if wanted == PUBLISHED and device.type != "cuda":
        raise InputError(f"--whole {wanted} takes hours without a GPU; give less, say 50x2")
    return int(parts[0]), int(parts[1])


def train_whole(
    data: Path, run: Path, amount: tuple[int, int], deadline: float | None, **options: Any
) -> dict[str, Any]:
    """Time `phasegan.train` with its defaults; stop it at a time of `time.monotonic`."""
    begin, (samples, epochs) = time.monotonic(), amount
    known: dict[str, Any] = {"samples": samples, "epochs": epochs}
    try:
        with _alarm(deadline):
            done = phasegan.train(
                data, run, preset="physics", progress=TerminalProgress(), **known, **options
            )
    except RunError as error:
        return {**known, "finished": False, "failed": str(error), "outcome": f"failed: {error}"}
    except (KeyboardInterrupt, Interrupted) as error:
        return {**known, **_unfinished(run, str(error)), "wall_seconds": time.monotonic() - begin}
    estimate = None if done.estimate is None else done.estimate.describe()
    rate = samples * epochs / done.seconds
    return {
        **known,
        "finished": True,
        "networks": done.config.label,
        "precision": done.config.precision,
        "batch": done.config.batch_size,
        "seconds": done.seconds,
        "wall_seconds": time.monotonic() - begin,
        "estimate": estimate,
        "images_per_s": rate,
        "peak_bytes": None if done.status is None else done.status.peak_bytes,
        "outcome": (
            f"{format_duration(done.seconds)} measured, {rate:.4g} images/s with fits, checkpoints "
            f"and pictures ({done.config.label}, {done.config.precision}, batch "
            f"{done.config.batch_size}); estimated before: {estimate}"
        ),
    }


def _unfinished(run: Path, why: str) -> dict[str, Any]:
    """Return how far a training came."""
    try:
        status = RunFolder(run).read_status()
    except InputError:
        return {"finished": False, "outcome": f"not finished: {why or 'stopped before step 1'}"}
    passed = format_duration(status.seconds)
    outcome = f"not finished: step {status.step} of {status.steps} after {passed}"
    if status.step:
        whole = format_duration(status.seconds * status.steps / status.step)
        outcome += f"; all of it would take {whole} (extrapolated)"
    values = {"step": status.step, "steps": status.steps, "seconds": status.seconds}
    return {"finished": False, **values, "outcome": outcome}


@contextlib.contextmanager
def _alarm(deadline: float | None) -> Iterator[None]:
    """Send this process Ctrl-C at a time."""
    if deadline is None:
        yield
        return
    left = max(1.0, deadline - time.monotonic())
    timer = threading.Timer(left, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
