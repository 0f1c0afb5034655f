"""From a source of images to a prepared file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from phasegan._version import __version__
from phasegan.errors import InputError, Interrupted, RunError, room_for
from phasegan.files import locked, remove_leftovers, replace
from phasegan.progress import Progress
from phasegan.settings import differences
from phasegan.spectra.fourier import padded_size
from phasegan.store.encode import Encoder
from phasegan.store.fill import Filling, Outcome, worker_count
from phasegan.store.pictures import quiet_decoders
from phasegan.store.plan import Plan
from phasegan.store.reader import PreparedFile, check_replaceable
from phasegan.store.recipes import Preprocessing, Recipe, override, resolve_recipe
from phasegan.store.schema import Layout
from phasegan.store.sources import ArrayPictures, Source, open_source
from phasegan.store.unfinished import Names, Unfinished
from phasegan.store.writer import About, complete


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did, or with `dry_run` would do."""

    path: Path
    layout: Layout
    train: int
    """Training samples; with `dry_run` the candidates, before any is skipped."""
    test: int
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each picture that was left out."""
    ignored: int = 0
    """Files in the source that are not pictures by their name."""
    shared: int = 0
    """Test samples whose file also stands in the training split."""
    resumed: int = 0
    """Pictures that an interrupted preparation had done already."""
    seconds: float = 0.0
    written: bool = True
    """False if the file was already there, or with `dry_run`."""


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
    wanted = recipe.preprocessing
    padded = padded_size(wanted.size, wanted.oversample)
    opened = ArrayPictures(source) if isinstance(source, np.ndarray) else open_source(recipe)
    with quiet_decoders():
        bits = opened.depth()
    layout = wanted.layout(padded, bits)
    plan = Plan.make(opened.splits(), recipe)
    if dry_run:
        return PrepareReport(
            path, layout, plan.expected("train"), plan.expected("test"),
            ignored=opened.ignored, written=False,
        )  # fmt: skip
    job = Job(path, opened, plan, layout, recipe, worker_count(workers))
    with locked(path.with_name(f".{path.name}.lock"), str(path)):
        remove_leftovers(path.parent, path.name)
        if path.exists():
            if not overwrite:
                return _existing(job)
            check_replaceable(path)
        return job.run(progress, discard=overwrite and not resume)


@dataclass(frozen=True)
class Job:
    """A file that is to be prepared.

    Parameters
    ----------
    path : pathlib.Path
        Its name.
    source : Source
        The pictures.
    plan : Plan
        Which of them become which samples.
    layout : Layout
        Sizes and encodings.
    recipe : Recipe
        What was asked for.
    workers : int
        Processes that decode.
    """

    path: Path
    source: Source
    plan: Plan
    layout: Layout
    recipe: Recipe
    workers: int

    def run(self, progress: Progress, *, discard: bool) -> PrepareReport:
        """Begin or continue, and finish the file; its lock must be held.

        Parameters
        ----------
        progress : Progress
            Where to report.
        discard : bool
            Throw away what an interrupted preparation of something else left.

        Raises
        ------
        InputError
            If such a thing is in the way, or there are too few usable pictures.
        RunError
            If the disk is too small.
        """
        start = time.monotonic()
        listing, described = self.source.listing(), described_recipe(self.recipe)
        self._check_left(listing, discard)
        about = self._about(listing)
        capacity = {split: self.plan.expected(split) for split in ("train", "test")}
        if Unfinished.about(self.path) is None:
            check_space(self.path, sum(capacity.values()) * self.layout.sample_bytes)
        with told_how_to_go_on(self.path):
            unfinished = Unfinished(self.path, self.layout, capacity, about)
            hopeless = False
            try:
                outcome = self._fill(unfinished, listing, described, progress)
            except InputError:
                hopeless = True
                raise
            finally:
                unfinished.close()
                if hopeless:
                    unfinished.names.remove()
            replace(unfinished.names.part, self.path)
        unfinished.names.remove()
        return PrepareReport(
            path=self.path,
            layout=self.layout,
            train=outcome.counts["train"],
            test=outcome.counts["test"],
            skipped=outcome.skipped,
            ignored=self.source.ignored,
            shared=outcome.shared,
            resumed=outcome.resumed,
            seconds=time.monotonic() - start,
        )

    def _fill(
        self,
        unfinished: Unfinished,
        listing: str,
        described: dict[str, Any],
        progress: Progress,
    ) -> Outcome:
        wanted, seed = self.recipe.preprocessing, self.recipe.split.seed
        encoder = Encoder(self.source.loader(), self.layout, wanted.fit, seed)
        filling = Filling(unfinished, self.plan, self.source, encoder, self.workers, progress)
        with quiet_decoders():
            outcome = filling.run()
        checksum = outcome.source_checksum()
        if self.recipe.source.checksum not in (None, checksum):
            raise InputError(
                f"{self.source.label}: its pictures have checksum {checksum}, the recipe "
                f"{self.recipe.name} asks for {self.recipe.source.checksum}; they are not the "
                "same set"
            )
        unfinished.settle()
        mean = filling.magnitudes.mean(outcome.counts["train"]) if self.layout.has_images else None
        about = About(described, listing, checksum)
        complete(
            unfinished.names.part, self.layout, outcome.counts, unfinished.longest,
            unfinished.entries(), mean, about,
        )  # fmt: skip
        return outcome

    def _about(self, listing: str) -> dict[str, Any]:
        """Return what decides every byte of the file."""
        return {
            "recipe": described_recipe(self.recipe),
            "samples": {split: self.plan.expected(split) for split in ("train", "test")},
            "bits": self.layout.bits,
            "source_listing": listing,
            "phasegan": __version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        }

    def _check_left(self, listing: str, discard: bool) -> None:
        """Refuse, or throw away, what was left by a preparation of something else."""
        names, left = Names.of(self.path), Unfinished.about(self.path)
        if left is None:
            names.remove()
            return
        changed = differences(left, self._about(listing))
        if changed and not discard:
            raise InputError(
                f"{self.path}: an interrupted preparation is in the way, of something else "
                f"({'; '.join(changed)}); finish that one, or add --overwrite to throw it away"
            )
        if changed:
            names.remove()


@contextlib.contextmanager
def told_how_to_go_on(path: Path) -> Iterator[None]:
    """Say how to go on after an interruption or on a full disk; what is written stays."""
    try:
        with room_for(path):
            yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"{path}: interrupted; what is prepared so far is kept, continue with --resume",
            getattr(error, "number", signal.SIGINT),
        ) from None


def described_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as it is written into files: complete, but for where a folder stands."""
    values = recipe.model_dump(mode="json")
    if recipe.source.kind == "folder":
        values["source"]["path"] = Path(recipe.source.path).name
    return values


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """Give a stored recipe the options that are newer than its file, at their defaults."""
    known = Preprocessing().model_dump(mode="json") | recipe["preprocessing"]
    return recipe | {"preprocessing": known}


def check_space(path: Path, needed: int) -> None:
    """Refuse to begin what does not fit on the disk.

    Raises
    ------
    RunError
        Saying how much is missing.
    """
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f"{path}: needs about {needed / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB free; "
            "free some space, or choose another -o or fewer --samples"
        )


def _existing(job: Job) -> PrepareReport:
    path, source = job.path, job.source
    try:
        opened = PreparedFile(path)
    except InputError as error:
        raise InputError(f"{error}; it is in the way, choose another -o") from None
    with opened as file:
        changed = differences(_completed(file.attributes["recipe"]), described_recipe(job.recipe))
        if changed:
            raise InputError(
                f"{path} is there and was prepared otherwise ({'; '.join(changed)}); "
                "choose another -o, or add --overwrite"
            )
        if file.attributes["source_listing"] != source.listing() or not _unchanged(file, source):
            raise InputError(
                f"{path} is there, but the source's files have changed since; "
                "choose another -o, or add --overwrite"
            )
        Names.of(path).remove()
        return PrepareReport(path, file.layout, len(file.train), len(file.test), written=False)


def _unchanged(file: PreparedFile, source: Source) -> bool:
    """Tell whether the pictures of all samples are what they were."""
    if not source.external:
        return True  # the listing has seen every byte
    numbers = {source.item(i).name: i for own in source.splits().values() for i in own}
    return all(
        name in numbers and source.holds(numbers[name], sha256)
        for part in (file.train, file.test)
        for name, sha256 in zip(part.sources(), part.source_sha256(), strict=True)
    )
