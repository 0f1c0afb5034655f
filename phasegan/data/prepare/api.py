"""The function `prepare`: from a source of images to a prepared file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.config.options.data import PrepareCommand
from phasegan.config.options.keywords import takes_options
from phasegan.config.options.size import Size
from phasegan.data.folder_source import open_source
from phasegan.data.images.reading import pixel_limit
from phasegan.data.prepare.append import append_images
from phasegan.data.prepare.loop import worker_count
from phasegan.data.prepare.partial import check_output
from phasegan.data.prepare.pipeline import Preparation, PrepareReport
from phasegan.data.prepare.shards import ShardedPreparation, check_shards
from phasegan.data.prepare.worker_pool import prestarted_workers
from phasegan.data.recipes import Preprocessing, Recipe, override, resolve_recipe
from phasegan.data.sources import ArrayImages
from phasegan.errors import InputError
from phasegan.progress import Progress


@takes_options(PrepareCommand)
def prepare(
    source: str | os.PathLike[str] | NDArray[np.integer] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    size: Size | None = None,
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
    limits: tuple[float, float] | None = None,
    pages: str | None = None,
    channel_axis: str | None = None,
    variable: str | None = None,
    nodata: str | None = None,
    max_pixels: int | None = None,
    add: bool = False,
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

    Each picture is fitted to N₁×N₂, rounded to the integers that are stored,
    zero-padded to M₁×M₂ and transformed in float64; the phase is that of the
    stored image, unless noise or rounding is asked for.

    Parameters
    ----------
    source : path, str or numpy.ndarray, optional
        A folder of pictures, a recipe's path or name, or images as an array,
        (n, rows, columns) or (n, rows, columns, 3), uint8 or uint16; `builtin`
        by default.
    output : path, optional
        The HDF5 file; `<name of the source>.h5` in the working folder by default.
    size : int or (int, int), optional
        N, pixels along both sides, or (rows, columns), 2 to 8192. Default 128, or
        the recipe's.
    channels : {"gray", "rgb"}, optional
        Default gray: rec. 601 luma as in Pillow's mode L.
    fit : {"crop", "pad", "stretch"}, optional
        Default crop, the largest centred rectangle of the size's aspect ratio.
    oversample : float, optional
        M/N, 1 to 4, on both axes; the nearest M is taken. Default 1, no padding.
    samples, test : int, optional
        How many pictures become training and test samples, chosen by the seed;
        all, and for a folder without a split a tenth of it, by default.
    seed : int, optional
        Seed of the choice, the split and the phase noise. Default 0.
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
    limits : (float, float), optional
        Values that are stored as 0 and 65535. Pictures of 8 and 16 bit are taken as they are
        by default; where all have other numbers, their least and largest value.
    pages : {"auto", "samples", "channels", "first"}, optional
        Pages, frames and slices of a file are pictures of their own, channels of one, or
        all but the first are left out. Default auto: an axis that a TIFF calls C is channels.
    channel_axis : {"first", "last"}, optional
        Of arrays; the shorter one by default.
    variable : str, optional
        Name of the array in `.npz` and `.mat` files; the only one by default.
    nodata : str, optional
        `mean`, `nearest` or a number, which missing values (NaN, or as GDAL_NODATA marks
        them) become; they are refused by default.
    max_pixels : int, optional
        Pixels that a picture may have; Pillow's limit by default.
    add : bool
        Add to the output the pictures that it does not hold yet, by their content;
        options that it was prepared with need not be said again. What it holds stays
        as it is and comes first; `samples` and `test` count new ones.
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
    reading = {
        "pages": pages,
        "channel_axis": channel_axis,
        "variable": variable,
        "nodata": nodata,
        "limits": limits,
    }
    recipe = override(resolve_recipe(source), options | reading)
    path = Path(output) if output is not None else Path(f"{recipe.name}.h5")
    check_output(path)
    check_shards(shards, shard, scheduler)
    progress = progress or Progress()
    with pixel_limit(max_pixels):
        if add:
            if shards is not None or scheduler is not None or overwrite or dry_run:
                raise InputError(
                    "--add goes without --shards, --scheduler, --overwrite and --dry-run"
                )
            opened = ArrayImages(source) if isinstance(source, np.ndarray) else open_source(recipe)
            asked = {name: options[name] for name in Preprocessing.model_fields} | reading
            return append_images(path, opened, recipe, asked, worker_count(workers), progress)
        if recipe.preprocessing.rounding:
            progress.say(recipe.preprocessing.rounding)
        return _prepare(
            source, recipe, path, shards, shard, scheduler, workers, resume, overwrite, dry_run,
            progress,
        )  # fmt: skip


def _prepare(
    source: Any, recipe: Recipe, path: Path, shards: int | None, shard: int | None,
    scheduler: str | None, workers: int | None, resume: bool, overwrite: bool, dry_run: bool,
    progress: Progress,
) -> PrepareReport:  # fmt: skip
    """Prepare a new file, perhaps of shards."""
    preparation = Preparation(recipe, path, worker_count(workers), resume, overwrite)
    if isinstance(source, np.ndarray):
        if shards is not None or scheduler is not None:
            raise InputError("images in an array are prepared in one piece, without shards")
        return preparation.run_single(ArrayImages(source), progress, dry_run=dry_run)
    sharded = ShardedPreparation(recipe, path, worker_count(workers), resume, overwrite)
    if scheduler is not None and not dry_run:
        return replace(sharded, workers=workers or 1).run_on_cluster(scheduler, shards, progress)
    if shards is not None:
        if dry_run:
            return sharded.dry_run_shards(shards, shard)
        return sharded.run_shards(shards, shard, progress)
    idle = dry_run or recipe.source.kind != "folder" or (path.exists() and not overwrite)
    with prestarted_workers(0 if idle else worker_count(workers)):
        return preparation.run_single(open_source(recipe), progress, dry_run=dry_run)
