"""A run folder before it is trained in: new, to be continued, finished, or in the way."""

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
    """How far a run is.

    Attributes
    ----------
    finished : RunStatus or None
        The status of a run that is finished.
    goes_on : bool
        Whether there is a checkpoint to continue from.
    done : int
        Optimiser steps until there.
    """

    finished: RunStatus | None
    goes_on: bool
    done: int


def find_run_state(run: RunFolder, config: TrainConfig, resume: bool) -> RunState:
    """Make a run folder ready for a configuration.

    Parameters
    ----------
    run : RunFolder
        The folder.
    config : TrainConfig
        What is to be trained.
    resume : bool
        Whether an unfinished run may be continued.

    Raises
    ------
    InputError
        If it holds a run of another configuration, or an unfinished one that is not to
        be or cannot be continued, or a link where a folder is written to.
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
            return RunState(finished, goes_on=False, done=config.steps)
    else:
        run.write_config(config)
    goes_on = Checkpoints(run.checkpoints_path).newest() is not None
    known = goes_on and run.status_path.is_file()
    return RunState(None, goes_on, run.read_status().step if known else 0)


def _check(folder: RunFolder, config: TrainConfig, resume: bool) -> RunStatus | None:
    """Return the status of a finished run; refuse one that is in the way."""
    old = folder.read_config()
    changed = differences(old.model_dump(mode="json"), config.model_dump(mode="json"))
    if changed:
        way = ""
        if isinstance(config, TranslationConfig):
            way = f" (with --start-from {folder.path} it begins with the weights of this one)"
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
