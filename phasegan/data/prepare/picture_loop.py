"""The loop that fills a partial file of two image domains: the one process that writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phasegan.data.domain_folders import ImageSubset
from phasegan.data.domain_scan import common_image_format, warn_of_images
from phasegan.data.images.pixel_format import PixelFormat, incompatibility
from phasegan.data.images.resizing import load_size
from phasegan.data.prepare.encode import BatchResult, ImageBatch
from phasegan.data.prepare.picture_file import ImageGroup, PartialPictures, ScannedImage
from phasegan.data.prepare.picture_jobs import ConvertedImage, ConvertJob, ScanJob, run_jobs
from phasegan.data.prepare.worker_pool import WorkerPool, map_in_order
from phasegan.data.sources import safe_name
from phasegan.errors import RunError
from phasegan.progress import Progress, ProgressTask

_TASK = 16
"""Images that one process gets at once, at most."""
_TASK_BYTES = 2**22
"""Bytes of pixels that are sent between processes at once, but for larger images."""


@dataclass
class PictureTally:
    """Groups of a file, and the images that were left out."""

    groups: list[ImageGroup] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each image that was left out."""
    scanned_before: int = 0
    """Images that an earlier process had scanned."""
    resumed: int = 0
    """Images that it had written."""


class PictureLoop:
    """One run over the images of two domains.

    Parameters
    ----------
    partial : PartialPictures
        Receives the images; those it holds already are kept if their checksums match.
    parts : mapping of ImageSubset
        The images by group.
    load, fit
        Size of training images, as of `phasegan.data.images.resizing.resize_to_load`.
    alpha : bool
        Keep alpha where a domain has it.
    workers : int
        Processes.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        partial: PartialPictures,
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
        self._scanned: dict[str, dict[int, ScannedImage | str]] = {name: {} for name in parts}
        self.tally = PictureTally()

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
            common_image_format(
                self._parts[name],
                [s.info for s in self._scanned[name].values() if isinstance(s, ScannedImage)],
                alpha=self._alpha,
            )
            for name in ("trainA", "trainB")
        )
        for name in self._parts:
            group = self._group(name, format_a if name.endswith("A") else format_b)
            self.tally.groups.append(group)
            self._warn(group)
        return format_a, format_b

    def _scan_set(self, name: str, part: ImageSubset, pool: WorkerPool, task: ProgressTask) -> None:
        previous, scanned = self._partial.scanned[name], self._scanned[name]

        def job(row: int) -> ScanJob:
            image = previous.get(row)
            return ScanJob(
                str(part.location(row)), None if image is None else image.sha256, part.reading
            )

        for rows, results in _run(pool, _batches((row, 0) for row in range(len(part))), job):
            new: list[tuple[int, ScannedImage]] = []
            for row, result in zip(rows, results, strict=True):
                task.advance()
                if isinstance(result, str):
                    scanned[row] = result
                elif result.info is None:
                    scanned[row] = previous[row]
                    self.tally.scanned_before += 1
                else:
                    scanned[row] = image = ScannedImage(result.sha256, result.info)
                    new.append((row, image))
            self._partial.record_scans(name, new)

    def _group(self, name: str, pixel_format: PixelFormat) -> ImageGroup:
        """Return a group of all images that can be converted to a pixel format."""
        part, fit = self._parts[name], self._fit if name.startswith("train") else "none"
        rows: list[int] = []
        names: list[str] = []
        hashes: list[str] = []
        shapes: list[tuple[int, int]] = []
        for row, name_in_set in enumerate(part.names):
            image, readable = self._scanned[name][row], safe_name(name_in_set)
            reason = image if isinstance(image, str) else incompatibility(image.info, pixel_format)
            if isinstance(image, str) or reason is not None:
                self._progress.warn(f"left out {part.label}/{name_in_set}: {reason}")
                self.tally.left_out.append((readable, str(reason)))
                continue
            rows.append(row)
            names.append(readable)
            hashes.append(image.sha256)
            shapes.append(load_size(image.info.rows, image.info.columns, self._load, fit))
        table = np.array(shapes, np.int32).reshape(-1, 2)
        return ImageGroup(name, part, pixel_format, self._load, fit, rows, names, hashes, table)

    def _warn(self, group: ImageGroup) -> None:
        infos = {}
        for row, name in zip(group.rows, group.names, strict=True):
            scanned = self._scanned[group.name][row]
            assert isinstance(scanned, ScannedImage)
            infos[name] = scanned.info
        option = f"training with --range-{group.name[-1].lower()}"
        warn_of_images(group.part, infos, group.pixel_format, option, self._progress)

    def convert(self, pool: WorkerPool) -> None:
        """Convert and write the images; one that cannot be used any more is a `RunError`."""
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
            location, sha256 = str(group.part.location(group.rows[row])), group.hashes[row]
            return ConvertJob(
                location, sha256, group.pixel_format, group.load, group.fit, group.part.reading
            )

        sizes = ((row, self._partial.nbytes(group.name, row)) for row in missing)
        for rows, results in _run(pool, _batches(sizes), job):
            images: list[tuple[int, ConvertedImage]] = []
            for row, result in zip(rows, results, strict=True):
                if isinstance(result, str):
                    raise RunError(
                        f"{group.label}/{group.names[row]}: {result}; what is prepared so far "
                        "is kept, give the same command again"
                    )
                images.append((row, result))
            self._partial.write(group.name, images)
            task.advance(len(images))


def _run(
    pool: WorkerPool, batches: Iterable[list[int]], job: Callable[[int], Any]
) -> Iterator[tuple[list[int], list[Any]]]:
    """Yield the rows of each batch with their results."""

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
