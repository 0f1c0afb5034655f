"""Checkpoints of a run: everything that a resumed run needs, and which of them are kept."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from phasegan.errors import InputError
from phasegan.io.atomic import remove_leftovers
from phasegan.io.tensor_tree import OtherFormatError, parse_trees, tree_tensors, write_trees
from phasegan.progress import Progress

CHECKPOINT_FORMAT = 2

_REMEDY = "continue with the phasegan that wrote it, or remove the run folder and train again"
_FILE = re.compile(r"step-([0-9]{9,})\.safetensors")


class DamagedCheckpointError(InputError):
    """A checkpoint that cannot be read.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    reason : str
        Why.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: damaged checkpoint ({reason}); remove the run folder and train again"
        )
        self.reason = reason


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically, with torch's random states.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    state : dict
        A tree, see `phasegan.io.tensor_tree`.

    Raises
    ------
    TypeError
        If there is anything else in it.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    trees = {"state": state, "random": {"cpu": torch.get_rng_state(), "cuda": cuda}}
    write_trees(path, CHECKPOINT_FORMAT, trees, {"state": "", "random": "torch_random"})


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint and restore torch's random states from it.

    Parameters
    ----------
    path : pathlib.Path
        The file; nothing in it is executed.
    device : torch.device
        Of the resumed run; the random states of GPUs are restored if it is one.

    Returns
    -------
    dict
        The argument of `save_checkpoint`, its tensors contiguous, on the CPU, each with
        memory of its own.

    Raises
    ------
    InputError
        If it is missing, damaged or of another format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint")
    with checkpoint_errors(path):
        trees = _parse(path)
        random = trees["random"]
        torch.set_rng_state(random["cpu"])
        if device.type == "cuda":
            for index, value in enumerate(random["cuda"][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(value, index)
        state: dict[str, Any] = trees["state"]
    return state


@contextlib.contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """Turn the exceptions that a damaged checkpoint causes into one line.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder, for the message.

    Yields
    ------
    None
        Inside, any exception but an `InputError` is taken for damage.

    Raises
    ------
    InputError
        Naming the file and a remedy.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files fail in many ways inside torch
        reason = str(error).split("\n", 1)[0][:120] or type(error).__name__
        raise DamagedCheckpointError(path, reason) from None


def is_finite(state: dict[str, Any]) -> bool:
    """Return whether all floating-point tensors of a state are finite.

    Parameters
    ----------
    state : dict
        A tree, see `phasegan.io.tensor_tree`.

    Returns
    -------
    bool
        False if a tensor holds a NaN or an infinity.
    """
    return all(bool(torch.isfinite(tensor).all()) for tensor in tree_tensors(state))


class Checkpoints:
    """The newest checkpoints of a run, `step-000001234.safetensors` in a folder of their own.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; it need not exist yet. A writer holds the run's lock.
    keep : int
        Number of checkpoints kept, at least 1.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep = {keep}")
        self.folder, self.keep = folder, keep

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint, then delete those that it replaces.

        These are all but the newest `keep`, and those of later steps: they are of a branch that
        was abandoned.

        Parameters
        ----------
        step : int
            Optimiser steps done.
        state : dict
            As of `save_checkpoint`.

        Returns
        -------
        pathlib.Path
            The file.
        """
        path = self.folder / f"step-{step:09d}.safetensors"
        if self.folder.is_dir():
            remove_leftovers(self.folder)
        save_checkpoint(path, state)
        paths = self.paths()
        here = paths.index(path) + 1
        for old in [*reversed(paths[here:]), *paths[: max(0, here - self.keep)]]:
            old.unlink(missing_ok=True)
        return path

    def paths(self) -> list[Path]:
        """Return the checkpoints by step; other files are ignored."""
        names = {p: _FILE.fullmatch(p.name) for p in self.folder.glob("step-*") if p.is_file()}
        steps = {path: int(match[1]) for path, match in names.items() if match}
        return sorted(steps, key=lambda path: (steps[path], path.name))

    def newest(self) -> Path | None:
        """Return the checkpoint of the latest step, None where there is none."""
        return next(reversed(self.paths()), None)

    def load(self, device: torch.device, progress: Progress) -> dict[str, Any]:
        """Read the newest intact checkpoint, as `load_checkpoint` does.

        Parameters
        ----------
        device : torch.device
            Of the resumed run.
        progress : Progress
            Warned of every damaged checkpoint that is skipped.

        Returns
        -------
        dict
            The state.

        Raises
        ------
        InputError
            If there is none, all are damaged, or one is of another format.
        """
        paths = self.paths()
        if not paths:
            raise InputError(f"{self.folder}: no checkpoint")
        while True:
            path = paths.pop()
            try:
                return load_checkpoint(path, device)
            except DamagedCheckpointError as error:
                if not paths:
                    raise
                progress.warn(
                    f"{path}: damaged checkpoint ({error.reason}); trying {paths[-1].name} instead"
                )


def _parse(path: Path) -> dict[str, Any]:
    data = path.read_bytes()  # not a map of the file: a failing disk is an error, not a signal
    if data.startswith(b"PK"):
        raise InputError(
            f"{path}: damaged checkpoint, or one of an older phasegan (format 1); {_REMEDY}"
        )
    try:
        return parse_trees(data, CHECKPOINT_FORMAT)
    except OtherFormatError:
        raise InputError(
            f"{path}: not a checkpoint of format {CHECKPOINT_FORMAT}, which this phasegan reads; "
            f"{_REMEDY}"
        ) from None
