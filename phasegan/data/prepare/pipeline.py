"""Runs of `prepare`: one file, shards, or shards on a cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from phasegan.data.folder_source import ImageFolder, open_source
from phasegan.data.hdf5.reader import PreparedFile, check_replaceable
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import ignored_lines
from phasegan.data.prepare.job import PrepareJob, PrepareReport, existing_report, recipe_record
from phasegan.data.prepare.merge import ShardMismatchError, is_merged, merge_shards
from phasegan.data.prepare.partial import prepare_once, resume_hint
from phasegan.data.prepare.plan import Partition, Plan
from phasegan.data.prepare.shards import (
    listing_path,
    run_on_cluster,
    shard_path,
    shard_paths,
    started_totals,
)
from phasegan.data.recipes import Recipe
from phasegan.data.sources import Source
from phasegan.errors import InputError, RunError, disk_full_guard
from phasegan.fourier.convention import padded_size
from phasegan.io.atomic import remove_leftovers
from phasegan.io.locking import file_lock
from phasegan.progress import Progress


@dataclass(frozen=True)
class Preparation:
    """A call of `prepare`, done in one piece or in shards."""

    recipe: Recipe
    path: Path
    workers: int
    resume: bool
    overwrite: bool

    def run_single(
        self, source: Source, progress: Progress, *, dry_run: bool = False, thorough: bool = True
    ) -> PrepareReport:
        """Prepare one file of everything.

        Parameters
        ----------
        source : Source
            The images.
        progress : Progress
            Where to report.
        dry_run : bool
            Only report the expected counts.
        thorough : bool
            Where the file is there already, read the images again to compare them.

        Returns
        -------
        PrepareReport
            With `written` false for a dry run, or where the file is there already.
        """
        if dry_run:
            for line in ignored_lines(source.linked, ()):
                progress.warn(f"{source.label}: {line}")
            return self._dry_run(source, None, self.path)
        return self._prepare(source, progress, None, thorough)

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
            report = self._dry_run(source, Partition(0, total), self.path)
            plan = self._plan(source)
            train, test = plan.expected_count("train"), plan.expected_count("test")
            return replace(report, train=train, test=test, shards=(0, total))
        return self._dry_run(source, Partition(number, total), shard_path(self.path, number, total))

    def _plan(self, source: Source) -> Plan:
        return Plan.make(source.splits(), self.recipe)

    def _job(self, source: Source, share: Partition | None) -> PrepareJob:
        options = self.recipe.preprocessing
        with quiet_decoders():
            bits = source.depth()
        layout = options.layout(padded_size(options.size, options.oversample), bits)
        full_plan = self._plan(source)
        plan = full_plan if share is None else full_plan.shard(share)
        path = self.path if share is None else shard_path(self.path, *share)
        count = full_plan.expected_count("train")
        return PrepareJob(path, source, plan, layout, self.recipe, self.workers, count, share)

    def _dry_run(self, source: Source, share: Partition | None, path: Path) -> PrepareReport:
        job = self._job(source, share)
        return PrepareReport(
            path, job.layout, job.plan.expected_count("train"), job.plan.expected_count("test"),
            ignored=source.ignored, written=False,
        )  # fmt: skip

    def _prepare(
        self,
        source: Source,
        progress: Progress,
        share: Partition | None,
        thorough: bool,
        wait: bool = False,
    ) -> PrepareReport:
        job = self._job(source, share)
        return prepare_once(
            job.path,
            lambda: existing_report(job, thorough=thorough),
            lambda: job.run(progress, discard=self.overwrite and not self.resume),
            overwrite=self.overwrite,
            wait=wait,
        )

    def shared_source(self) -> Source:
        """Return the source; a folder is walked by the first job alone, which writes a list."""
        if self.recipe.source.kind != "folder":
            return open_source(self.recipe)
        folder, listing = self.recipe.source.path, listing_path(self.path)
        with (
            disk_full_guard(self.path),
            file_lock(listing.with_name(f"{listing.name}.lock"), str(listing), wait=True),
        ):
            remove_leftovers(listing.parent, listing.name)
            source = ImageFolder.restore(folder, listing)
            if source is None:
                source = ImageFolder(folder)
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
        source = self.shared_source()
        reports = [
            self._prepare(source, progress, Partition(i, total), thorough=False)
            for i in (range(total) if number is None else [number])
        ]
        return self._merge_if_complete(total, reports, progress, partial=number is not None)

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
            reports = run_on_cluster(address, total, plan.max_shards, absolute.run_shard, progress)
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
        share = Partition(number, total)
        return self._prepare(self.shared_source(), Progress(), share, thorough=False, wait=True)

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
        """Join the shards if all are there.

        Parameters
        ----------
        total : int
            How many there are to be.
        reports : sequence of PrepareReport
            Reports of the shards that were made now.
        progress : Progress
            Where to report.
        partial : bool
            Whether other jobs make the others.
        """
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
