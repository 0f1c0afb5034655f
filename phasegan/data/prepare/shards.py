"""Preparing in shards: by the jobs of an array, or by the workers of a dask cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import Future, as_completed
from pathlib import Path

from phasegan.data.prepare.job import PrepareReport
from phasegan.errors import InputError, PhaseganError, RunError
from phasegan.progress import Progress

MAX_SHARDS = 9999
CONNECT_SECONDS = 30.0
"""How long a scheduler is waited for."""
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx|ucxx)://\S+:\d+")


def shard_path(path: Path, number: int, total: int) -> Path:
    """Return the file of a shard: `set-0003-of-0016.h5` beside `set.h5`, counted from 0.

    Parameters
    ----------
    path : pathlib.Path
        The file that merges the shards.
    number : int
        From 0.
    total : int
        Number of shards.

    Returns
    -------
    pathlib.Path
        In the same folder.
    """
    return path.with_name(f"{path.stem}-{number:04d}-of-{total:04d}{path.suffix}")


def shard_paths(path: Path, total: int) -> list[Path]:
    """Return the files of all shards.

    Parameters
    ----------
    path : pathlib.Path
        The file that merges the shards.
    total : int
        Number of shards.

    Returns
    -------
    list of pathlib.Path
        In their order.
    """
    return [shard_path(path, number, total) for number in range(total)]


def listing_path(path: Path) -> Path:
    """Return the file in which the first job lists the images of the source.

    Parameters
    ----------
    path : pathlib.Path
        The file that merges the shards.

    Returns
    -------
    pathlib.Path
        Beside it, hidden.
    """
    return path.with_name(f".{path.name}.list")


def check_shards(shards: int | None, shard: int | None, scheduler: str | None) -> None:
    """Refuse options that contradict one another.

    Parameters
    ----------
    shards : int or None
        Number of shards.
    shard : int or None
        Which one to make.
    scheduler : str or None
        Address of a dask scheduler.

    Raises
    ------
    InputError
        Naming them.
    """
    if shard is not None and shards is None:
        raise InputError("--shard: say of how many, with --shards")
    if shard is not None and scheduler is not None:
        raise InputError("--shard belongs to jobs, --scheduler hands out all shards: give one")
    if shards is None:
        return
    if not 1 <= shards <= MAX_SHARDS:
        raise InputError(f"--shards {shards}: must be 1 to {MAX_SHARDS}")
    if shard is not None and not 0 <= shard < shards:
        raise InputError(f"--shard {shard}: must be 0 to {shards - 1}, of --shards {shards}")


def started_totals(path: Path) -> set[int]:
    """Return the numbers of shards into which preparations beside a file were cut.

    Parameters
    ----------
    path : pathlib.Path
        The file that merges the shards.

    Returns
    -------
    set of int
        By the names of finished and partial shards.
    """
    shard = re.compile(
        rf"\.?{re.escape(path.stem)}-\d{{4}}-of-(\d{{4}}){re.escape(path.suffix)}(\.part)?"
    )
    if not path.parent.is_dir():
        return set()
    matches = (shard.fullmatch(name) for name in os.listdir(path.parent))
    return {int(match[1]) for match in matches if match is not None}


def run_on_cluster(
    address: str,
    shards: int | None,
    most: int,
    make: Callable[[int, int], PrepareReport],
    progress: Progress,
) -> list[PrepareReport]:
    """Have all shards made by the workers of a dask cluster.

    Parameters
    ----------
    address : str
        Address of the scheduler, `tcp://host:8786`.
    shards : int or None
        How many; four for each thread of the cluster by default.
    most : int
        How many there can be.
    make : callable
        Given number and total, makes a shard; it can be pickled.
    progress : Progress
        Follows the shards.

    Returns
    -------
    list of PrepareReport
        Reports of each shard.

    Raises
    ------
    InputError
        If dask.distributed is not installed, or there is no such scheduler.
    PhaseganError
        Whatever a shard failed of; the others are finished or left as they are.
    """
    if not _ADDRESS.fullmatch(address):
        raise InputError(f"--scheduler {address}: give an address such as tcp://host:8786")
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--scheduler needs dask.distributed: pip install 'phasegan[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # addresses can be wrong in many ways
        reason = " ".join(str(error).split())
        raise InputError(f"--scheduler {address}: no scheduler answers there ({reason})") from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise RunError(f"--scheduler {address}: the cluster has no workers; start some first")
        total = shards or min(4 * threads, most, MAX_SHARDS)
        executor = client.get_executor(pure=False)
        numbers = {executor.submit(_make, make, i, total): i for i in range(total)}
        reports: dict[int, PrepareReport] = {}
        try:
            with progress.task("shards", total) as task:
                for future in as_completed(numbers):
                    number = numbers[future]
                    reports[number] = report = _result(future, number)
                    for name, reason in report.skipped:
                        progress.warn(f"skipped {name}: {reason}")
                    task.advance()
        finally:
            executor.shutdown(wait=False)  # cancels what has not begun
    return [reports[number] for number in range(total)]


def _make(
    make: Callable[[int, int], PrepareReport], number: int, total: int
) -> PrepareReport | tuple[int, str]:
    """Make a shard, in a worker of a cluster; return exit status and message if it fails."""
    try:
        return make(number, total)
    except PhaseganError as error:
        return error.exit_status, str(error)


def _result(future: Future[PrepareReport | tuple[int, str]], number: int) -> PrepareReport:
    try:
        result = future.result()
    except Exception as error:  # whatever ends a worker, or keeps it from beginning
        reason = " ".join(str(error).split())
        raise RunError(f"shard {number}: {type(error).__name__}: {reason}") from None
    if isinstance(result, PrepareReport):
        return result
    status, message = result
    if status == InputError.exit_status:
        raise InputError(f"shard {number}: {message}")
    raise RunError(f"shard {number}: {message}")
