"""Checkpoints: everything that a resumed run needs, in one file."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from phasegan.errors import InputError
from phasegan.files import atomic_file

CHECKPOINT_FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    state : dict
        Tensors and plain Python values only.
    """
    with atomic_file(path) as temporary:
        torch.save({"format": CHECKPOINT_FORMAT, **state, "random": _random_state()}, temporary)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint and set torch's random states from it.

    Parameters
    ----------
    path : pathlib.Path
        The file; nothing in it is executed (`weights_only`).
    device : torch.device
        Where the tensors go; random states stay on the CPU.

    Raises
    ------
    InputError
        If it is missing, damaged or of another format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint")
    with damaged_checkpoint(path):
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"the checksum of {broken} does not match")
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT:
        raise InputError(f"{path}: not a checkpoint of this phasegan's format {CHECKPOINT_FORMAT}")
    with damaged_checkpoint(path):
        torch.set_rng_state(state["random"]["cpu"])
        if device.type == "cuda" and state["random"]["cuda"]:
            torch.cuda.set_rng_state_all(state["random"]["cuda"])
    return state


@contextlib.contextmanager
def damaged_checkpoint(path: Path) -> Iterator[None]:
    """Turn whatever a damaged checkpoint raises into one line.

    Raises
    ------
    InputError
        Naming the file and what to do.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged archives fail in many ways inside torch
        reason = str(error).split("\n", 1)[0][:120] or type(error).__name__
        raise InputError(
            f"{path}: damaged checkpoint ({reason}); remove the run folder and train again"
        ) from None


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
