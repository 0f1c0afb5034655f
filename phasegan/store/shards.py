"""Preparing in shards: by the jobs of an array, or by the workers of a dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from phasegan.errors import InputError, PhaseganError, RunError
from phasegan.progress import Progress

MAX_SHARDS = 9999


def shard_path(path: Path, number: int, total: int) -> Path:
    """Return the file of a shard: `set-0003-of-0016.h5` beside `set.h5`, counted from 0."""
    return path.with_name(f"{path.stem}-{number:04d}-of-{total:04d}{path.suffix}")


def shard_paths(path: Path, total: int) -> list[Path]:
    """Return the files of all shards."""
    return [shard_path(path, number, total) for number in range(total)]


def list_path(path: Path) -> Path:
    """Return where the first job writes down what the source holds."""
    return path.with_name(f".{path.name}.list")


def check_shards(shards: int | None, shard: int | None, scheduler: str | None) -> None:
    """Refuse options that contradict one another.

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


def run_on_cluster(
    address: str, shards: int | None, make: Callable[[int, int], dict[str, Any]], progress: Progress
) -> int:
    """Have all shards made by the workers of a dask cluster.

    Parameters
    ----------
    address : str
        Of its scheduler, `tcp://host:8786`.
    shards : int or None
        How many; four for each thread of the cluster by default.
    make : callable
        Given number and total, the arguments of `phasegan.prepare` for a shard.
    progress : Progress
        Follows the shards.

    Returns
    -------
    int
        How many shards.

    Raises
    ------
    InputError
        If dask.distributed is not installed, or there is no such scheduler.
    PhaseganError
        Whatever a shard failed of; the others are finished or left as they are.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--scheduler needs dask.distributed: pip install 'phasegan[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=30, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--scheduler {address}: no scheduler answers there ({reason})") from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise RunError(f"--scheduler {address}: the cluster has no workers; start some first")
        total = shards or 4 * threads
        check_shards(total, None, None)
        executor = client.get_executor(pure=False)
        futures = [executor.submit(_make, make(i, total)) for i in range(total)]
        try:
            with progress.task("shards", total) as task:
                for future in as_completed(futures):
                    failed = future.result()
                    if failed is not None:
                        raise _failure(*failed)
                    task.advance()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
    return total


def _make(arguments: dict[str, Any]) -> tuple[int, str] | None:
    """Make a shard, in a worker of a cluster; return exit status and message if it fails."""
    from phasegan.store.prepare import prepare

    try:
        prepare(**arguments)
    except PhaseganError as error:
        return error.exit_status, str(error)
    return None


def _failure(status: int, message: str) -> PhaseganError:
    return InputError(message) if status == InputError.exit_status else RunError(message)
