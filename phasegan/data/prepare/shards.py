"""Preparing in shards: all of them here, one by the job of an array, or on a dask cluster."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from phasegan.config.settings import differences
from phasegan.data.folder_source import ImageFolder, open_source
from phasegan.data.hdf5.reader import PreparedFile, check_replaceable
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.reading import Reading
from phasegan.data.prepare.merge import ShardMismatchError, is_merged, merge_shards
from phasegan.data.prepare.partial import resume_hint
from phasegan.data.prepare.pipeline import Preparation, PrepareReport, recipe_record
from phasegan.data.prepare.plan import Partition
from phasegan.data.sources import Source
from phasegan.errors import InputError, PhaseganError, RunError, disk_full_guard
from phasegan.io.atomic import remove_leftovers
from phasegan.io.locking import file_lock
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
    """Return the files of all shards, in their order."""
    return [shard_path(path, number, total) for number in range(total)]


def listing_path(path: Path) -> Path:
    """Return the hidden file in which the first job lists the images of the source."""
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
    """Return the numbers of shards into which preparations beside a file were cut."""
    shard = re.compile(
        rf"\.?{re.escape(path.stem)}-\d{{4}}-of-(\d{{4}}){re.escape(path.suffix)}(\.part)?"
    )
    if not path.parent.is_dir():
        return set()
    matches = (shard.fullmatch(name) for name in os.listdir(path.parent))
    return {int(match[1]) for match in matches if match is not None}


@dataclass(frozen=True)
class ShardedPreparation(Preparation):
    """A call of `prepare` that writes shards, and the file that merges them."""

    def _path(self, share: Partition | None) -> Path:
        return self.path if share is None else shard_path(self.path, *share)

    def dry_run_shards(self, total: int, number: int | None) -> PrepareReport:
        """Report what a preparation in shards, or of one of them, would do.

        Parameters
        ----------
        total : int
            Number of shards.
        number : int or None
            Number of one shard, from 0; None: all.

        Returns
        -------
        PrepareReport
            With `written` false.
        """
        source = open_source(self.recipe)
        if number is None:
            report = self._dry_run(source, Partition(0, total))
            plan = self._plan(source)
            train, test = plan.expected_count("train"), plan.expected_count("test")
            return replace(report, path=self.path, train=train, test=test, shards=(0, total))
        return self._dry_run(source, Partition(number, total))

    def shared_source(self) -> Source:
        """Return the source; a folder is walked by the first job alone, which writes a list."""
        if self.recipe.source.kind != "folder":
            return open_source(self.recipe)
        folder, listing = self.recipe.source.path, listing_path(self.path)
        reading = Reading.of(self.recipe.reading)
        with (
            disk_full_guard(self.path),
            file_lock(listing.with_name(f"{listing.name}.lock"), str(listing), wait=True),
        ):
            remove_leftovers(listing.parent, listing.name)
            source = ImageFolder.restore(folder, listing, reading)
            if source is None:
                source = ImageFolder(folder, reading)
                with quiet_decoders():
                    source.save(listing)
        return source

    def run_shards(self, total: int, number: int | None, progress: Progress) -> PrepareReport:
        """Make one shard, or all that are missing; merge them when the last one is there.

        Parameters
        ----------
        total : int
            Number of shards.
        number : int or None
            Number of one shard, from 0; None: all that are missing.
        progress : Progress
            Where to report.

        Returns
        -------
        PrepareReport
            Report of the shards, or of the merged file.
        """
        if self._is_complete(total):
            return self._existing(total, progress, thorough=number is None)
        if number is not None and not self.overwrite:
            self._check_fits(shard_paths(self.path, total), number)
        source = self.shared_source()
        reports = [
            self._prepare(source, Partition(i, total), progress, thorough=False)
            for i in (range(total) if number is None else [number])
        ]
        return self._merge_if_complete(total, reports, progress, partial=number is not None)

    def _check_fits(self, paths: Sequence[Path], number: int) -> None:
        """Refuse a shard that would not fit the first of the others, before it is made."""
        for path in (path for i, path in enumerate(paths) if i != number and path.exists()):
            try:
                with PreparedFile(path) as file:
                    changes = differences(file.attributes["recipe"], recipe_record(self.recipe))
            except InputError:
                continue  # it is named when the shards are joined
            if changes:
                raise InputError(
                    f"{paths[number]}: would not fit {path.name}, which was prepared otherwise "
                    f"({'; '.join(changes)}); give the same options, or prepare all shards again "
                    "with --overwrite"
                )
            return

    def run_on_cluster(self, address: str, total: int | None, progress: Progress) -> PrepareReport:
        """Make the shards on the workers of a dask cluster, and merge them.

        Parameters
        ----------
        address : str
            Address of the scheduler.
        total : int or None
            Number of shards; None: by the threads of the cluster.
        progress : Progress
            Where to report.

        Returns
        -------
        PrepareReport
            Report of the merged file.
        """
        if self._is_complete(total):
            return self._existing(total, progress, thorough=True)
        source = self.recipe.source
        if source.kind == "folder":
            source = source.model_copy(update={"path": str(Path(source.path).absolute())})
        recipe = self.recipe.model_copy(update={"source": source})
        absolute = replace(self, recipe=recipe, path=self.path.absolute())
        plan = self._plan(absolute.shared_source())
        totals = started_totals(self.path)
        if total is None and len(totals) == 1:
            total = totals.pop()
        if total is not None:
            plan.shard(Partition(0, total))
        start = time.monotonic()
        with resume_hint(self.path):
            reports = _run_on_cluster(address, total, plan.max_shards, absolute.run_shard, progress)
        missing = [p for p in shard_paths(self.path, len(reports)) if not p.exists()]
        if missing:
            raise RunError(
                f"{missing[0]}: a worker says that it made it, and it is not here; the folder must "
                "be the same place for all workers and this process"
            )
        report = self._merge_if_complete(len(reports), reports, progress, partial=False)
        return replace(report, seconds=time.monotonic() - start)

    def run_shard(self, number: int, total: int) -> PrepareReport:
        """Make one shard without merging: for a worker of a cluster.

        Waits for a worker that makes the same shard: a scheduler cannot stop a running task,
        so one may still be at it for a command that was interrupted.

        Parameters
        ----------
        number : int
            From 0.
        total : int
            Number of shards.

        Returns
        -------
        PrepareReport
            Report of the shard.
        """
        source, share = self.shared_source(), Partition(number, total)
        return self._prepare(source, share, Progress(), thorough=False, wait=True)

    def _is_complete(self, total: int | None) -> bool:
        """Tell whether the file is complete: a merged one may have lost shards since."""
        if not self.path.exists() or self.overwrite:
            return False
        paths = [] if total is None else shard_paths(self.path, total)
        return all(path.exists() for path in paths) or not is_merged(self.path)

    def _existing(self, total: int | None, progress: Progress, thorough: bool) -> PrepareReport:
        report = self.run_single(open_source(self.recipe), progress, thorough=thorough)
        listing_path(self.path).unlink(missing_ok=True)
        return report

    def _merge_if_complete(
        self, total: int, reports: Sequence[PrepareReport], progress: Progress, *, partial: bool
    ) -> PrepareReport:
        """Merge the shards if all are there; `partial`: other jobs make the others."""
        paths = shard_paths(self.path, total)
        done = sum(path.exists() for path in paths)
        report = replace(
            reports[-1],
            skipped=[entry for report in reports for entry in report.skipped],
            resumed=sum(report.resumed for report in reports),
            seconds=sum(report.seconds for report in reports),
            shards=(done, total),
        )
        if done < total:
            return report
        lock = self.path.with_name(f".{self.path.name}.lock")
        with resume_hint(self.path), file_lock(lock, str(self.path), wait=True):
            remove_leftovers(self.path.parent, self.path.name)
            if self.path.exists():
                if not self.overwrite:
                    return self._existing_merge(report)  # another job was as fast
                check_replaceable(self.path)
            try:
                merged = merge_shards(self.path, paths, self.recipe, recipe_record(self.recipe))
            except ShardMismatchError as error:
                if not (self.overwrite and partial):
                    raise
                progress.warn(f"not joined, which is for the last job to do: {error}")
                return report
            listing_path(self.path).unlink(missing_ok=True)
        reason = "the same file stands in the train split"
        for name in merged.left_out:
            progress.warn(f"left out {name}: {reason}")
        return replace(
            report,
            path=self.path,
            train=merged.counts["train"],
            test=merged.counts["test"],
            skipped=[*report.skipped, *((name, reason) for name in merged.left_out)],
            shared=merged.shared,
            written=True,
        )

    def _existing_merge(self, report: PrepareReport) -> PrepareReport:
        """Return the report of a file that is there, and whose shards it was joined from."""
        try:
            with PreparedFile(self.path) as file:
                train, test = len(file.train), len(file.test)
        except InputError as error:
            raise InputError(f"{error}; or remove {self.path} and prepare again") from None
        listing_path(self.path).unlink(missing_ok=True)
        return replace(report, path=self.path, train=train, test=test, written=True)


def _run_on_cluster(
    address: str,
    shards: int | None,
    most: int,
    make: Callable[[int, int], PrepareReport],
    progress: Progress,
) -> list[PrepareReport]:
    """Have all shards made by the workers of a dask cluster; return their reports in order."""
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
