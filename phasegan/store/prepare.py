"""From a source of images to a prepared file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.files import locked, remove_leftovers
from phasegan.progress import Progress
from phasegan.spectra.fourier import padded_size
from phasegan.store.fill import worker_count
from phasegan.store.folders import PictureFolder
from phasegan.store.interrupted import told_how_to_go_on
from phasegan.store.job import Job, PrepareReport, described_recipe, existing
from phasegan.store.join import join
from phasegan.store.opening import open_source
from phasegan.store.pictures import quiet_decoders
from phasegan.store.plan import Plan, Share
from phasegan.store.reader import check_replaceable
from phasegan.store.recipes import Recipe, override, resolve_recipe
from phasegan.store.shards import (
    check_shards,
    list_path,
    run_on_cluster,
    shard_path,
    shard_paths,
)
from phasegan.store.sources import ArrayPictures, Source


def prepare(
    source: str | os.PathLike[str] | NDArray[np.integer] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    size: int | None = None,
    channels: str | None = None,
    fit: str | None = None,
    oversample: float | None = None,
    samples: int | None = None,
    test: int | None = None,
    seed: int | None = None,
    phase_dtype: str | None = None,
    phase_noise: float | None = None,
    phase_bits: int | None = None,
    images: bool | None = None,
    shards: int | None = None,
    shard: int | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PrepareReport:
    """Turn images into phase-only spectra in an HDF5 file.

    Each picture is fitted to N×N, rounded to the integers that are stored,
    zero-padded to M×M and transformed in float64; the phase is that of the
    stored image, unless noise or rounding is asked for.

    Parameters
    ----------
    source : path, str or numpy.ndarray, optional
        A folder of pictures, a recipe's path or name, or images as an array,
        (n, rows, columns) or (n, rows, columns, 3), uint8 or uint16; `builtin`
        by default.
    output : path, optional
        The HDF5 file; `<name of the source>.h5` in the working folder by default.
    size : int, optional
        N, pixels along a side, 2 to 8192. Default 128, or the recipe's.
    channels : {"gray", "rgb"}, optional
        Default gray: rec. 601 luma as in Pillow's mode L.
    fit : {"crop", "pad", "stretch"}, optional
        Default crop, the centred square.
    oversample : float, optional
        M/N, 1 to 4; N·M/N must be an integer. Default 1, no padding.
    samples, test : int, optional
        How many pictures become training and test samples, chosen by the seed;
        all, and for a folder without a split a tenth of it, by default.
    seed : int, optional
        Of the choice, the split and the phase noise. Default 0.
    phase_dtype : {"uint16", "float16", "float32"}, optional
        Encoding of the phases. Default uint16, φ = 2πk/65536.
    phase_noise : float, optional
        σ of Gaussian noise added to the phases, radians, 0 to π. Default 0.
    phase_bits : int, optional
        Round phases, after the noise, to 2πk / 2^phase_bits, 1 to 16 bits; not
        rounded by default. uint16 keeps the rounded phases exactly, float16
        and float32 to their nearest. Images, the mean magnitude and what is
        undefined stay those without noise and rounding.
    images : bool, optional
        Keep the images beside their phases (default). False leaves a file of
        phases alone, as a measurement gives them: no images, and no mean
        magnitude, which is taken from them.
    shards : int, optional
        Write that many files, `<output>-0000-of-0016.h5`, …, and beside them the
        output, a small file that joins them: it is written when the last one is
        there, and is read as if it were one file. Without `shard`, those that are
        missing are made here, one after the other.
    shard : int, optional
        Make this one only, from 0: for the jobs of an array, which can run at once.
    scheduler : str, optional
        Address of a dask scheduler: its workers make the shards, four for each of
        their threads unless `shards` says how many. Source and output must be
        where all of them can reach them.
    workers : int, optional
        Processes that decode and transform; one a core by default.
    resume : bool
        Never throw away what an interrupted preparation left. One of the same
        pictures and options is continued in any case.
    overwrite : bool
        Replace a file that holds something else, and throw away what an
        interrupted preparation of something else left.
    dry_run : bool
        Look at the source and say what would be done, write nothing.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    PrepareReport
        Counts, and what was skipped and why.

    Raises
    ------
    InputError
        If the source, an option or an existing output does not fit.
    RunError
        If the disk is too small, or becomes full.

    Notes
    -----
    Killed at any moment, it leaves no file or a whole one, and continues when
    called again; the datasets are then those of an uninterrupted run.

    Examples
    --------
    >>> import phasegan
    >>> report = phasegan.prepare("builtin", "small.h5", size=64, samples=8, test=4)
    >>> report.train, report.test
    (8, 4)
    """
    progress = progress or Progress()
    options = {
        "size": size,
        "channels": channels,
        "fit": fit,
        "oversample": oversample,
        "samples": samples,
        "test": test,
        "seed": seed,
        "phase_dtype": phase_dtype,
        "phase_noise": phase_noise,
        "phase_bits": phase_bits,
        "images": images,
    }
    recipe = override(resolve_recipe(source), options)
    path = Path(output) if output is not None else Path(f"{recipe.name}.h5")
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the name of the HDF5 file to write")
    check_shards(shards, shard, scheduler)
    settings = _Settings(recipe, path, worker_count(workers), resume, overwrite)
    if isinstance(source, np.ndarray):
        if shards is not None or scheduler is not None:
            raise InputError("images in an array are prepared in one piece, without shards")
        return settings.prepare(ArrayPictures(source), progress, dry_run=dry_run)
    if shards is None and scheduler is None:
        return settings.prepare(open_source(recipe), progress, dry_run=dry_run)
    if dry_run:
        return settings.prepare(open_source(recipe), progress, dry_run=True)
    if scheduler is not None:
        if path.exists() and not overwrite:
            return settings.prepare(settings.listed(), progress)

        def arguments(number: int, total: int) -> dict[str, Any]:
            place = None if source is None else os.fspath(source)
            if place is not None and os.path.exists(place):
                place = os.path.abspath(place)
            return options | {
                "source": place, "output": os.path.abspath(path), "shards": total, "shard": number,
                "workers": workers or 1, "resume": resume, "overwrite": overwrite,
            }  # fmt: skip

        settings.listed()
        shards = run_on_cluster(scheduler, shards, arguments, progress)
    assert shards is not None
    return settings.shards(shards, shard, progress)


@dataclass(frozen=True)
class _Settings:
    """What a call of `prepare` asks for."""

    recipe: Recipe
    path: Path
    workers: int
    resume: bool
    overwrite: bool

    def prepare(
        self, source: Source, progress: Progress, *, share: Share | None = None,
        dry_run: bool = False,
    ) -> PrepareReport:  # fmt: skip
        """Prepare one file: of everything, or of a share."""
        wanted = self.recipe.preprocessing
        padded = padded_size(wanted.size, wanted.oversample)
        with quiet_decoders():
            bits = source.depth()
        layout = wanted.layout(padded, bits)
        whole = Plan.make(source.splits(), self.recipe)
        plan = whole if share is None else whole.share(share)
        path = self.path if share is None else shard_path(self.path, *share)
        if dry_run:
            return PrepareReport(
                path, layout, plan.expected("train"), plan.expected("test"),
                ignored=source.ignored, written=False,
            )  # fmt: skip
        count = whole.expected("train")
        job = Job(path, source, plan, layout, self.recipe, self.workers, count, share)
        with locked(path.with_name(f".{path.name}.lock"), str(path)):
            remove_leftovers(path.parent, path.name)
            if path.exists():
                if not self.overwrite:
                    return existing(job)
                check_replaceable(path)
            return job.run(progress, discard=self.overwrite and not self.resume)

    def listed(self) -> Source:
        """Return the source; a folder is walked by the first job alone, which writes a list."""
        if self.recipe.source.kind != "folder" or (self.path.exists() and not self.overwrite):
            return open_source(self.recipe)
        folder, noted = self.recipe.source.path, list_path(self.path)
        with locked(noted.with_name(f"{noted.name}.lock"), str(noted), wait=True):
            found = PictureFolder.restore(folder, noted)
            if found is None:
                found = PictureFolder(folder)
                with quiet_decoders():
                    found.save(noted)
        return found

    def shards(self, total: int, number: int | None, progress: Progress) -> PrepareReport:
        """Make one shard, or all that are missing; join them when the last one is there."""
        if self.path.exists() and not self.overwrite:
            return self.prepare(self.listed(), progress)
        source = self.listed()
        reports = []
        for i in range(total) if number is None else [number]:
            report = self.prepare(source, progress, share=Share(i, total))
            reports.append(report)
        paths = shard_paths(self.path, total)
        there = sum(path.exists() for path in paths)
        made = replace_fields(
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
            if self.path.exists():
                if not self.overwrite:
                    return made  # another job was as fast
                check_replaceable(self.path)
            joined = join(self.path, paths, described_recipe(self.recipe))
            list_path(self.path).unlink(missing_ok=True)
        for name in joined.left_out:
            progress.warn(f"left out {name}: the same file stands in the train split")
        return replace_fields(
            made,
            path=self.path,
            train=joined.counts["train"],
            test=joined.counts["test"],
            skipped=[
                *made.skipped,
                *((name, "the same file stands in the train split") for name in joined.left_out),
            ],
            shared=joined.shared,
            written=True,
        )
