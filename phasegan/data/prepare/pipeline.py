"""What a call of `prepare` asks for, done in one piece or in shards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from phasegan.data.folder_source import PictureFolder
from phasegan.data.hdf5.reader import PreparedFile, check_replaceable
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import left_out
from phasegan.data.prepare.interruption import told_how_to_go_on
from phasegan.data.prepare.job import Job, PrepareReport, described_recipe, existing
from phasegan.data.prepare.merge import OtherShardError, is_joined, join
from phasegan.data.prepare.plan import Plan, Share
from phasegan.data.prepare.shards import begun, list_path, run_on_cluster, shard_path, shard_paths
from phasegan.data.recipes import Recipe
from phasegan.data.source_registry import open_source
from phasegan.data.sources import Source
from phasegan.errors import InputError, RunError, room_for
from phasegan.fourier.convention import padded_size
from phasegan.io.atomic import locked, remove_leftovers
from phasegan.io.output_paths import is_read_only
from phasegan.progress import Progress


@dataclass(frozen=True)
class Preparation:
    """What a call of `prepare` asks for."""

    recipe: Recipe
    path: Path
    workers: int
    resume: bool
    overwrite: bool

    def whole(
        self, source: Source, progress: Progress, *, dry_run: bool = False, thorough: bool = True
    ) -> PrepareReport:
        """Prepare one file of everything.

        Parameters
        ----------
        source : Source
            The pictures.
        progress : Progress
            Where to report.
        dry_run : bool
            Say what would be done.
        thorough : bool
            Where the file is there already, read the pictures again to compare them.
        """
        if dry_run:
            for line in left_out(source.linked, ()):
                progress.warn(f"{source.label}: {line}")
            return self._would(source, None, self.path)
        return self._prepare(source, progress, None, thorough)

    def would_shard(self, total: int, number: int | None) -> PrepareReport:
        """Say what a preparation in shards, or that of one of them, would do."""
        source = open_source(self.recipe)
        if number is None:
            report = self._would(source, Share(0, total), self.path)
            plan = self._plan(source)
            train, test = plan.expected("train"), plan.expected("test")
            return replace(report, train=train, test=test, shards=(0, total))
        return self._would(source, Share(number, total), shard_path(self.path, number, total))

    def _plan(self, source: Source) -> Plan:
        return Plan.make(source.splits(), self.recipe)

    def _job(self, source: Source, share: Share | None) -> Job:
        wanted = self.recipe.preprocessing
        with quiet_decoders():
            bits = source.depth()
        layout = wanted.layout(padded_size(wanted.size, wanted.oversample), bits)
        whole = self._plan(source)
        plan = whole if share is None else whole.share(share)
        path = self.path if share is None else shard_path(self.path, *share)
        count = whole.expected("train")
        return Job(path, source, plan, layout, self.recipe, self.workers, count, share)

    def _would(self, source: Source, share: Share | None, path: Path) -> PrepareReport:
        job = self._job(source, share)
        return PrepareReport(
            path, job.layout, job.plan.expected("train"), job.plan.expected("test"),
            ignored=source.ignored, written=False,
        )  # fmt: skip

    def _prepare(
        self,
        source: Source,
        progress: Progress,
        share: Share | None,
        thorough: bool,
        wait: bool = False,
    ) -> PrepareReport:
        job = self._job(source, share)
        path = job.path
        if path.exists() and not self.overwrite and is_read_only(path.parent):
            return existing(job, thorough=thorough)
        with locked(path.with_name(f".{path.name}.lock"), str(path), wait=wait):
            remove_leftovers(path.parent, path.name)
            if path.exists():
                if not self.overwrite:
                    return existing(job, thorough=thorough)
                check_replaceable(path)
            return job.run(progress, discard=self.overwrite and not self.resume)

    def listed(self) -> Source:
        """Return the source; a folder is walked by the first job alone, which writes a list."""
        if self.recipe.source.kind != "folder":
            return open_source(self.recipe)
        folder, noted = self.recipe.source.path, list_path(self.path)
        with (
            room_for(self.path),
            locked(noted.with_name(f"{noted.name}.lock"), str(noted), wait=True),
        ):
            remove_leftovers(noted.parent, noted.name)
            found = PictureFolder.restore(folder, noted)
            if found is None:
                found = PictureFolder(folder)
                with quiet_decoders():
                    found.save(noted)
        return found

    def shards(self, total: int, number: int | None, progress: Progress) -> PrepareReport:
        """Make one shard, or all that are missing; join them when the last one is there."""
        if self._finished(total):
            return self._already(total, progress, thorough=number is None)
        source = self.listed()
        reports = [
            self._prepare(source, progress, Share(i, total), thorough=False)
            for i in (range(total) if number is None else [number])
        ]
        return self._joined(total, reports, progress, partial=number is not None)

    def on_cluster(self, address: str, total: int | None, progress: Progress) -> PrepareReport:
        """Have the shards made by the workers of a dask cluster, and join them."""
        if self._finished(total):
            return self._already(total, progress, thorough=True)
        source = self.recipe.source
        if source.kind == "folder":
            source = source.model_copy(update={"path": str(Path(source.path).absolute())})
        recipe = self.recipe.model_copy(update={"source": source})
        there = replace(self, recipe=recipe, path=self.path.absolute())
        plan = self._plan(there.listed())
        known = begun(self.path)
        if total is None and len(known) == 1:
            total = known.pop()
        if total is not None:
            plan.share(Share(0, total))
        start = time.monotonic()
        with told_how_to_go_on(self.path):
            reports = run_on_cluster(address, total, plan.most_shards, there.shard, progress)
        missing = [p for p in shard_paths(self.path, len(reports)) if not p.exists()]
        if missing:
            raise RunError(
                f"{missing[0]}: a worker says that it made it, and it is not here; the folder must "
                "be the same place for all workers and this process"
            )
        report = self._joined(len(reports), reports, progress, partial=False)
        return replace(report, seconds=time.monotonic() - start)

    def shard(self, number: int, total: int) -> PrepareReport:
        """Make one shard and join nothing: for a worker of a cluster.

        Waits for a worker that makes the same shard: a scheduler cannot stop what has begun,
        so one may still be at it for a command that was interrupted.
        """
        share = Share(number, total)
        return self._prepare(self.listed(), Progress(), share, thorough=False, wait=True)

    def _finished(self, total: int | None) -> bool:
        """Tell whether there is a whole file: one that was joined may have lost shards since."""
        if not self.path.exists() or self.overwrite:
            return False
        paths = [] if total is None else shard_paths(self.path, total)
        return all(path.exists() for path in paths) or not is_joined(self.path)

    def _already(self, total: int | None, progress: Progress, thorough: bool) -> PrepareReport:
        report = self.whole(open_source(self.recipe), progress, thorough=thorough)
        list_path(self.path).unlink(missing_ok=True)
        return report

    def _joined(
        self, total: int, reports: Sequence[PrepareReport], progress: Progress, *, partial: bool
    ) -> PrepareReport:
        """Join the shards if all are there.

        Parameters
        ----------
        total : int
            How many there are to be.
        reports : sequence of PrepareReport
            Of those that were made now.
        progress : Progress
            Where to report.
        partial : bool
            Whether other jobs make the others.
        """
        paths = shard_paths(self.path, total)
        there = sum(path.exists() for path in paths)
        made = replace(
            reports[-1],
            skipped=[entry for report in reports for entry in report.skipped],
            resumed=sum(report.resumed for report in reports),
            seconds=sum(report.seconds for report in reports),
            shards=(there, total),
        )
        if there < total:
            return made
        lock = self.path.with_name(f".{self.path.name}.lock")
        with told_how_to_go_on(self.path), locked(lock, str(self.path), wait=True):
            remove_leftovers(self.path.parent, self.path.name)
            if self.path.exists():
                if not self.overwrite:
                    return self._as_joined(made)  # another job was as fast
                check_replaceable(self.path)
            try:
                joined = join(self.path, paths, self.recipe, described_recipe(self.recipe))
            except OtherShardError as error:
                if not (self.overwrite and partial):
                    raise
                progress.warn(f"not joined, which is for the last job to do: {error}")
                return made
            list_path(self.path).unlink(missing_ok=True)
        reason = "the same file stands in the train split"
        for name in joined.left_out:
            progress.warn(f"left out {name}: {reason}")
        return replace(
            made,
            path=self.path,
            train=joined.counts["train"],
            test=joined.counts["test"],
            skipped=[*made.skipped, *((name, reason) for name in joined.left_out)],
            shared=joined.shared,
            written=True,
        )

    def _as_joined(self, made: PrepareReport) -> PrepareReport:
        """Return the report of a file that is there, and whose shards it was joined from."""
        try:
            with PreparedFile(self.path) as file:
                train, test = len(file.train), len(file.test)
        except InputError as error:
            raise InputError(f"{error}; or remove {self.path} and prepare again") from None
        list_path(self.path).unlink(missing_ok=True)
        return replace(made, path=self.path, train=train, test=test, written=True)
