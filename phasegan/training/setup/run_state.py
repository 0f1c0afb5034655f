"""The state of a run folder before training: new, resumable, finished, or of another run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from phasegan.config.run import RunStatus, TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.config.settings import differences
from phasegan.config.translation import TranslationConfig
from phasegan.errors import InputError
from phasegan.io.atomic import remove_leftovers
from phasegan.training.checkpoint import Checkpoints

_DATA = re.compile(r"data\.(?:[ab]\.)?(?:\w*digest|pictures|samples|phase_samples|low|high): ")
"""Differences that other training data make."""
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class RunState(NamedTuple):
    """The state of a run folder.

    Attributes
    ----------
    config : TrainConfig
        The run's: the one that was asked for, with what the folder says of extensions.
    finished : RunStatus or None
        The status of a finished run.
    resumable : bool
        Whether there is a checkpoint to resume from.
    step : int
        Optimiser steps at that checkpoint.
    """

    config: TrainConfig
    finished: RunStatus | None
    resumable: bool
    step: int


def find_run_state(
    run: RunFolder, config: TrainConfig, resume: bool, *, extend: bool = False
) -> RunState:
    """Check a run folder against a configuration, and prepare it for training.

    Leftovers of killed processes are removed; in a new folder `config.json` is written, and
    in one whose run is extended.

    Parameters
    ----------
    run : RunFolder
        The folder.
    config : TrainConfig
        To be trained.
    resume : bool
        Whether an unfinished run may be resumed.
    extend : bool
        Whether a run that is resumed may get more epochs.

    Returns
    -------
    RunState
        Of the folder.

    Raises
    ------
    InputError
        If it holds a run of another configuration, or an unfinished one that is not to be or
        cannot be resumed, or a link where training writes to a folder.
    """
    for folder in (run.checkpoints_path, run.samples_path, run.board_path):
        if folder.is_symlink():
            raise InputError(
                f"{folder}: a link to another folder, into which training would write; make it a "
                "folder, or keep the whole run elsewhere"
            )
    for folder in (run.path, run.samples_path):
        remove_leftovers(folder)
    finished = None
    if run.exists:
        config, finished = _check(run, config, resume, extend)
    else:
        run.write_config(config)
    if finished is not None:
        return RunState(config, finished, resumable=False, step=config.steps)
    resumable = Checkpoints(run.checkpoints_path).newest() is not None
    has_status = resumable and run.status_path.is_file()
    return RunState(config, None, resumable, run.read_status().step if has_status else 0)


def planned_epochs(run: RunFolder) -> int | None:
    """Return the epochs of the run in a folder.

    Parameters
    ----------
    run : RunFolder
        The folder.

    Returns
    -------
    int or None
        None where there is no run.

    Raises
    ------
    InputError
        If its configuration is damaged.
    """
    return run.read_config().epochs if run.exists else None


def _check(
    folder: RunFolder, config: TrainConfig, resume: bool, extend: bool
) -> tuple[TrainConfig, RunStatus | None]:
    """Return the run's configuration, extended if need be, and the status of a finished run."""
    old = folder.read_config()
    changed = differences(old.model_dump(mode="json"), config.model_dump(mode="json"))
    if extend or not resume:
        changed = [line for line in changed if not line.startswith("extended_at: ")]
        others = [line for line in changed if not line.startswith("epochs: ")]
    else:
        others = changed
    if others:
        same_options = all(map(_DATA.match, others))
        raise InputError(_another_configuration(folder.path, config, changed, same_options))
    status = folder.read_status() if folder.status_path.is_file() else None
    if config.epochs < old.epochs or (config.epochs > old.epochs and not resume):
        raise InputError(_other_epochs(folder.path, old, config.epochs, status))
    if status is None:
        return _extended(folder, old, config.epochs, None), None  # killed before its first save
    finished = status.state == "finished" and status.steps == old.steps
    if finished and config.epochs == old.epochs:
        return old, status
    if not resume:
        raise InputError(
            f"{folder.path} holds an unfinished run (step {status.step} of {old.steps}); "
            "continue it with --resume, or choose another -o"
        )
    if Checkpoints(folder.checkpoints_path).newest() is None:
        way = _with_its_weights(folder.path) if isinstance(config, TranslationConfig) else ""
        raise InputError(
            f"{folder.checkpoints_path} holds no checkpoint, the run cannot be continued; choose "
            f"another -o and train again{way}"
        )
    return _extended(folder, old, config.epochs, status if finished else None), None


def _extended(
    folder: RunFolder, old: TrainConfig, epochs: int, finished: RunStatus | None
) -> TrainConfig:
    """Return the configuration of a run with more epochs, and write it.

    They follow its planned ones, or those after which it stopped early.
    """
    if epochs == old.epochs:
        return old
    end = old.epochs if finished is None else finished.epoch
    lengths = (*(length for length in old.extended_at if length < end), end)
    config = old.model_copy(update={"epochs": epochs, "extended_at": lengths})
    if (folder.path.parent.parent / "rows").is_dir() and folder.path.parent.name == "runs":
        raise InputError(
            f"{folder.path}: a training of a bench, whose rows would no longer be its own; copy "
            "the run, and extend the copy"
        )
    folder.write_config(config)
    if folder.status_path.is_file():
        status = folder.read_status()
        update = {"state": "interrupted", "steps": config.steps, "schedule": config.epochs_text}
        folder.write_status(status.model_copy(update=update))
    return config


def _with_its_weights(path: Path) -> str:
    return f" (with --init-from {path} it begins with the weights of this one)"


def _another_configuration(
    path: Path, config: TrainConfig, changed: list[str], same_options: bool
) -> str:
    """Say in a line that a folder holds another run, and what to do."""
    pictures = isinstance(config, TranslationConfig)
    listed = "; ".join(_DIGEST.sub(r"\1…", line) for line in changed)
    if not same_options:
        return f"{path} holds a run of another configuration ({listed}); choose another -o" + (
            _with_its_weights(path) if pictures else ""
        )
    what = "pictures" if pictures else "data"
    new = f" with the weights of this one, --init-from {path}" if pictures else ""
    return (
        f"{path} holds a run of another configuration, on other {what} ({listed}): train on these "
        f"into another -o{new}; or continue it on the {what} as they were"
    )


def _other_epochs(path: Path, old: TrainConfig, epochs: int, status: RunStatus | None) -> str:
    done = 0 if status is None else status.epoch
    run = f"{path} holds a run of {old.epochs_text} epochs, {done} of them done"
    if epochs < old.epochs:
        return (
            f"{run}: it cannot become one of {epochs}; continue it with --resume --epochs "
            f"{old.epochs} or more, or choose another -o"
        )
    return (
        f"{run}: with --resume it goes on to {epochs}, as one of {old.epochs_text} + "
        f"{epochs - old.epochs}; or choose another -o"
    )
