"""The state of a run folder before training: new, resumable, finished, or of another run."""

from __future__ import annotations

from typing import NamedTuple

from phasegan.config.run import RunStatus, TrainConfig
from phasegan.config.run_folder import RunFolder
from phasegan.config.settings import differences
from phasegan.config.translation import TranslationConfig
from phasegan.errors import InputError
from phasegan.io.atomic import remove_leftovers
from phasegan.training.checkpoint import Checkpoints


class RunState(NamedTuple):
    """The state of a run folder.

    Attributes
    ----------
    finished : RunStatus or None
        The status of a finished run.
    resumable : bool
        Whether there is a checkpoint to resume from.
    step : int
        Optimiser steps at that checkpoint.
    """

    finished: RunStatus | None
    resumable: bool
    step: int


def find_run_state(run: RunFolder, config: TrainConfig, resume: bool) -> RunState:
    """Check a run folder against a configuration, and prepare it for training.

    Leftovers of killed processes are removed; in a new folder `config.json` is written.

    Parameters
    ----------
    run : RunFolder
        The folder.
    config : TrainConfig
        To be trained.
    resume : bool
        Whether an unfinished run may be resumed.

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
    if run.exists:
        finished = _check(run, config, resume)
        if finished is not None:
            return RunState(finished, resumable=False, step=config.steps)
    else:
        run.write_config(config)
    resumable = Checkpoints(run.checkpoints_path).newest() is not None
    has_status = resumable and run.status_path.is_file()
    return RunState(None, resumable, run.read_status().step if has_status else 0)


def _check(folder: RunFolder, config: TrainConfig, resume: bool) -> RunStatus | None:
    """Return the status of a finished run; refuse one of another configuration."""
    old = folder.read_config()
    changed = differences(old.model_dump(mode="json"), config.model_dump(mode="json"))
    if changed:
        way = ""
        if isinstance(config, TranslationConfig):
            way = f" (with --init-from {folder.path} it begins with the weights of this one)"
        raise InputError(
            f"{folder.path} holds a run of another configuration ({'; '.join(changed)}); "
            f"choose another -o{way}"
        )
    if not folder.status_path.is_file():
        return None  # killed before its first checkpoint was complete
    status = folder.read_status()
    if status.state == "finished":
        return status
    if not resume:
        raise InputError(
            f"{folder.path} holds an unfinished run (step {status.step} of {old.steps}); "
            "continue it with --resume, or choose another -o"
        )
    if Checkpoints(folder.checkpoints_path).newest() is None:
        raise InputError(
            f"{folder.checkpoints_path} holds no checkpoint, the run cannot be continued; choose "
            "another -o and train again"
        )
    return None
