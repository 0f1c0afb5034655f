"""The loop that fills a partial file of two image domains: the one process that writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from phasegan.data.domain_folders import ImageSubset
from phasegan.data.domain_scan import warn_narrow_range
from phasegan.data.images.conversion import PixelFormat
from phasegan.data.images.notices import NoticeCounter
from phasegan.data.images.pixel_format import notices_for
from phasegan.data.prepare.encode import BatchResult, ImageBatch
from phasegan.data.prepare.pairs.partial import PartialPairFile
from phasegan.data.prepare.pairs.plan import ImageGroup, ScannedImage, domain_format, make_group
from phasegan.data.prepare.pairs.work import ConvertedImage, ConvertJob, ScanJob, run_jobs
from phasegan.data.prepare.worker_pool import WorkerPool, map_in_order
from phasegan.errors import RunError
from phasegan.progress import Progress, ProgressTask

_TASK = 16
"""Images that one process gets at once, at most."""
_TASK_BYTES = 2**22
"""Bytes of pixels that are sent between processes at once, but for larger images."""


@dataclass
class PairTally:
    """Groups of a file, and the images that were left out."""

    groups: list[ImageGroup] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each image that was left out."""
    scanned_before: int = 0
    """Images that an earlier process had scanned."""
    resumed: int = 0
    """Images that it had written."""


class PairPrepareLoop:
    """One run over the images of two domains.

    Parameters
    ----------
    partial : PartialPairFile
        Receives the images; those it holds already are kept if their checksums match.
    parts : mapping of ImageSubset
        The images by group.
    load, fit
        Size of training images, as of `phasegan.data.images.conversion.resize_to_load`.
    alpha : bool
        Keep alpha where a domain has it.
    workers : int
        Processes.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        partial: PartialPairFile,
        parts: Mapping[str, ImageSubset],
        load: int,
        fit: str,
        alpha: bool,
        workers: int,
        progress: Progress,
    ) -> None:
        self._partial, self._parts = partial, parts
        self._load, self._fit, self._alpha = load, fit, alpha
        self._progress = progress
        total = sum(map(len, parts.values()))
        self._count = max(1, min(workers, math.ceil(total / _TASK)))
        self._seen: dict[str, dict[int, ScannedImage | str]] = {name: {} for name in parts}
        self.tally = PairTally()

    def pool(self) -> WorkerPool:
        """Start the processes, for the two steps that follow."""
        return WorkerPool(run_jobs, self._count)

    def scan(self, pool: WorkerPool) -> tuple[PixelFormat, PixelFormat]:
        """Scan all images, and decide which go where.

        Parameters
        ----------
        pool : WorkerPool
            As `pool` returned it.

        Returns
        -------
        (PixelFormat, PixelFormat)
            Formats of the domains A and B.

        Raises
        ------
        InputError
            If the training images of a domain cannot be read or do not fit together.
        """
        for name, part in self._parts.items():
            with self._progress.task(f"looking at {part.label}", len(part)) as task:
                self._scan_set(name, part, pool, task)
        format_a, format_b = (
            domain_format(self._parts[name], self._seen[name], self._alpha)
            for name in ("trainA", "trainB")
        )
        for name, part in self._parts.items():
            fit = self._fit if name.startswith("train") else "none"
            pixel_format = format_a if name.endswith("A") else format_b
            group = make_group(
                name, part, self._seen[name], pixel_format, self._load, fit, self._leave_out
            )
            self.tally.groups.append(group)
            self._warn(group)
        return format_a, format_b

    def _warn(self, group: ImageGroup) -> None:
        """Warn of notices on the images of a group."""
        notices, part, infos = NoticeCounter(), group.part, []
        for row, name in zip(group.rows, group.names, strict=True):
            scanned = self._seen[group.name][row]
            assert isinstance(scanned, ScannedImage)
            infos.append(scanned.look)
            notices.add(notices_for(scanned.look, group.pixel_format), f"{part.label}/{name}")
        notices.report(self._progress)
        part.warn_ignored(self._progress)
        option = f"training with --range-{group.name[-1].lower()}"
        warn_narrow_range(infos, group.pixel_format, part.label, option, self._progress)

    def _leave_out(self, label: str, name: str, reason: str) -> None:
        self._progress.warn(f"left out {label}: {reason}")
        self.tally.left_out.append((name, reason))

    def _scan_set(self, name: str, part: ImageSubset, pool: WorkerPool, task: ProgressTask) -> None:
        previous, scanned = self._partial.scanned[name], self._seen[name]
        batches = _batches((row, 0) for row in range(len(part)))
        for rows, results in self._run_jobs(
            pool, batches, lambda row: self._scan_job(part, previous, row)
        ):
            new: list[tuple[int, ScannedImage]] = []
            for row, result in zip(rows, results, strict=True):
                task.advance()
                if isinstance(result, str):
                    scanned[row] = result
                elif result.look is None:
                    scanned[row] = previous[row]
                    self.tally.scanned_before += 1
                else:
                    image = ScannedImage(result.sha256, result.look)
                    scanned[row] = image
                    new.append((row, image))
            self._partial.record_scans(name, new)

    def _scan_job(
        self, part: ImageSubset, previous: Mapping[int, ScannedImage], row: int
    ) -> ScanJob:
        image = previous.get(row)
        return ScanJob(str(part.path(row)), None if image is None else image.sha256)

    def convert(self, pool: WorkerPool) -> None:
        """Convert the images to their pixel format and size, and write them.

        Parameters
        ----------
        pool : WorkerPool
            As `pool` returned it.

        Raises
        ------
        RunError
            If one cannot be used any more.
        """
        groups = self.tally.groups
        total = sum(len(group.rows) for group in groups)
        with self._progress.task("preparing", total) as task:
            for group in groups:
                self._convert_group(group, pool, task)

    def _convert_group(self, group: ImageGroup, pool: WorkerPool, task: ProgressTask) -> None:
        missing: list[int] = []
        for row in range(len(group.rows)):
            if self._partial.resume_image(group.name, row):
                self.tally.resumed += 1
                task.advance()
            else:
                missing.append(row)

        def job(row: int) -> ConvertJob:
            path, sha256 = str(group.part.path(group.rows[row])), group.hashes[row]
            return ConvertJob(path, sha256, group.pixel_format, group.load, group.fit)

        batches = _batches((row, group.size(row)) for row in missing)
        for rows, results in self._run_jobs(pool, batches, job):
            images: list[tuple[int, ConvertedImage]] = []
            for row, result in zip(rows, results, strict=True):
                if isinstance(result, str):
                    raise RunError(
                        f"{group.part.label}/{group.names[row]}: {result}; what is prepared so far "
                        "is kept, give the same command again"
                    )
                images.append((row, result))
            self._partial.write(group.name, images)
            task.advance(len(images))

    @staticmethod
    def _run_jobs(
        pool: WorkerPool, batches: Iterable[list[int]], job: Callable[[int], Any]
    ) -> Iterator[tuple[list[int], list[Any]]]:
        def submit(rows: list[int]) -> Future[BatchResult]:
            return pool.submit(ImageBatch([job(row) for row in rows], [False] * len(rows)))

        for rows, done in map_in_order(submit, batches, pool.ahead):
            yield rows, done.results


def _batches(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Yield rows that are served together, from each row and the bytes of its result."""
    rows: list[int] = []
    total = 0
    for row, size in sizes:
        if rows and (len(rows) == _TASK or total + size > _TASK_BYTES):
            yield rows
            rows, total = [], 0
        rows.append(row)
        total += size
    if rows:
        yield rows
