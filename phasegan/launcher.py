"""Launch of this process: alone, by torchrun, or by SLURM's srun."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from phasegan.errors import InputError

_FIRST_PORT, _PORTS = 15000, 20000


class Launch(NamedTuple):
    """How this process was launched, by its environment."""

    rank: int
    """Its number among all, from 0."""
    world: int
    """How many there are."""
    local: int
    """Its number on its machine: which GPU it takes."""
    method: str
    """Where the processes find one another: torch's `init_method`."""


def read_launch(environment: Mapping[str, str]) -> Launch | None:
    """Read how this process was launched.

    Parameters
    ----------
    environment : mapping
        torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; srun
        sets SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST,
        SLURM_JOB_ID and SLURM_STEP_ID.

    Returns
    -------
    Launch or None
        None if it is alone.

    Raises
    ------
    InputError
        If a variable is missing or no number.
    """

    def number(name: str, least: int = 0) -> int:
        text = environment.get(name, "")
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise InputError(
                f"{name} = {text!r} in the environment: start several processes with torchrun "
                "or srun, or unset it"
            )
        return int(text)

    if environment.get("WORLD_SIZE"):
        rank, count, local = number("RANK"), number("WORLD_SIZE", 1), number("LOCAL_RANK")
        if count > 1 and number("MASTER_PORT", 1) and not environment.get("MASTER_ADDR"):
            raise InputError("MASTER_ADDR is not in the environment: start with torchrun")
        method = "env://"
    elif environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        rank, count = number("SLURM_PROCID"), number("SLURM_STEP_NUM_TASKS", 1)
        local = number("SLURM_LOCALID")
        nodes = environment.get("SLURM_STEP_NODELIST", "")
        host = environment.get("MASTER_ADDR") or first_host(nodes)
        step = number("SLURM_STEP_ID") if environment.get("SLURM_STEP_ID") else 0
        port = _FIRST_PORT + (number("SLURM_JOB_ID") + step) % _PORTS
        if environment.get("MASTER_PORT"):
            port = number("MASTER_PORT", 1)
        method = f"tcp://{host}:{port}"
    else:
        return None
    if max(rank, local) >= count:
        raise InputError(
            f"process {rank} of {count}, {local} on its machine: the environment contradicts itself"
        )
    return Launch(rank, count, local, method) if count > 1 else None


def first_host(nodes: str) -> str:
    """Return the first name of a SLURM node list.

    Parameters
    ----------
    nodes : str
        Such as `gpu[07-09,12],login`.

    Returns
    -------
    str
        Such as `gpu07`.

    Raises
    ------
    InputError
        If the list is empty.
    """
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    if first is None:
        raise InputError("SLURM_STEP_NODELIST is empty: set MASTER_ADDR to the first machine")
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[0])


def is_main() -> bool:
    """Tell whether this process reports, by the environment alone."""
    try:
        launch = read_launch(os.environ)
    except InputError:
        return True
    return launch is None or launch.rank == 0
