"""Preparation of one file of phases: started or resumed, completed, or reported if it exists."""

from __future__ import annotations

import functools
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from phasegan._version import __version__
from phasegan.config.reading import ReadingConfig
from phasegan.config.settings import differences
from phasegan.data.hdf5.layout import SPLITS, Layout
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import found_lines, ignored_lines
from phasegan.data.prepare.encode import Encoder
from phasegan.data.prepare.loop import PrepareLoop, PrepareTally
from phasegan.data.prepare.partial import (
    PartialFile,
    PartialPaths,
    check_disk_space,
    check_partial,
    prepare_once,
    resumable_output,
)
from phasegan.data.prepare.plan import Partition, Plan
from phasegan.data.prepare.sample_file import PartialSamples, Provenance, complete
from phasegan.data.recipes import Preprocessing, Recipe
from phasegan.data.sources import Source
from phasegan.errors import InputError
from phasegan.fourier.exact_sum import fraction_bits
from phasegan.progress import Progress


@dataclass(frozen=True)
class PrepareReport:
    """Result of `prepare`; with `dry_run` the expected one."""

    path: Path
    layout: Layout
    train: int
    """Training samples; with `dry_run` the candidates, before any is skipped."""
    test: int
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each image that was left out."""
    ignored: int = 0
    """Files in the source that are not images by their name."""
    shared: int = 0
    """Test samples whose file also stands in the training split."""
    resumed: int = 0
    """Images that an interrupted preparation had done already."""
    seconds: float = 0.0
    known: int = 0
    """Images that the file held already, when some were added to it."""
    added: tuple[int, int] | None = None
    """Training and test samples that were added to those of the file; None: it is a new one."""
    shards: tuple[int, int] | None = None
    """How many shards are there, and of how many; None without shards."""
    written: bool = True
    """False if the file was already there, or with `dry_run`."""


@dataclass(frozen=True)
class PrepareJob:
    """One file to be prepared.

    Parameters
    ----------
    path : pathlib.Path
        Its name.
    source : Source
        The images.
    plan : Plan
        Which of them become which samples.
    layout : Layout
        Sizes and encodings.
    recipe : Recipe
        All options.
    workers : int
        Processes that decode.
    train_total : int
        Training samples of all shares.
    share : Partition, optional
        Number of the shard and their count; None for a file of everything.
    """

    path: Path
    source: Source
    plan: Plan
    layout: Layout
    recipe: Recipe
    workers: int
    train_total: int
    share: Partition | None = None

    @property
    def shard(self) -> str:
        """Number of the shard as the file states it, `3 of 16`; empty for a file of everything."""
        return "" if self.share is None else f"{self.share.number} of {self.share.total}"

    def run(self, progress: Progress, *, discard: bool) -> PrepareReport:
        """Start or resume, and complete the file; its lock must be held.

        Parameters
        ----------
        progress : Progress
            Where to report.
        discard : bool
            Remove the partial files of a preparation of something else.

        Returns
        -------
        PrepareReport
            Counts, and the images that were skipped.

        Raises
        ------
        InputError
            If such a thing is in the way, or there are too few usable images.
        RunError
            If the disk is too small.
        """
        start = time.monotonic()
        fingerprint = self._fingerprint()
        resuming = check_partial(self.path, fingerprint, discard=discard)
        if not resuming:
            needed = sum(self._capacity.values()) * self.layout.sample_bytes
            check_disk_space(self.path, needed, "fewer --samples")
        for name, reason in self.source.unlisted:
            progress.warn(f"left out the folder {name or '.'}: {reason}")
        describe_source(self.source, progress)
        with resumable_output(self.path, fingerprint) as partial:
            tally = self.fill(self.allocate(partial), progress)
        return PrepareReport(
            path=self.path,
            layout=self.layout,
            train=tally.counts["train"],
            test=tally.counts["test"],
            skipped=tally.skipped,
            ignored=self.source.ignored,
            shared=tally.shared,
            resumed=tally.resumed,
            seconds=time.monotonic() - start,
        )

    @property
    def _capacity(self) -> dict[str, int]:
        return {split: self.plan.expected_count(split) for split in SPLITS}

    @functools.cached_property
    def _listing(self) -> str:
        return self.source.listing()

    def allocate(self, partial: PartialFile) -> PartialSamples:
        """Allocate places for all samples in a partial file."""
        return PartialSamples(partial, self.layout, self._capacity)

    def fill(self, samples: PartialSamples, progress: Progress) -> PrepareTally:
        """Read, encode and write the samples, and complete their file.

        Parameters
        ----------
        samples : PartialSamples
            Allocated; those that are written are kept.
        progress : Progress
            Where to report.

        Returns
        -------
        PrepareTally
            Counts, and the images that were skipped.

        Raises
        ------
        InputError
            If there are too few usable images, or others than the recipe asks for.
        """
        loader = self.source.loader().with_limits(self.recipe.reading.limits)
        options, seed = self.recipe.preprocessing, self.recipe.split.seed
        steps = fraction_bits(
            math.prod(self.layout.shape) * self.layout.data_range, self.train_total
        )
        encoder = Encoder(loader, self.layout, options.fit, seed, steps)
        loop = PrepareLoop(samples, self.plan, self.source, encoder, self.workers, progress)
        with quiet_decoders():
            tally = loop.run()
        checksum = tally.source_checksum()
        if self.share is None and self.recipe.source.checksum not in (None, checksum):
            raise InputError(
                f"{self.source.label}: its pictures have checksum {checksum}, the recipe "
                f"{self.recipe.name} asks for {self.recipe.source.checksum}; they are not the "
                "same set"
            )
        samples.clear_rest()
        samples.file.sync()
        mean = loop.magnitudes.mean(tally.counts["train"]) if self.layout.has_images else None
        record = recipe_record(self.recipe)
        provenance = Provenance(record, self._listing, checksum, steps, self.shard)
        complete(
            samples.file.paths.part, self.layout, tally.counts, self.source.max_name_bytes(),
            (entry for _, entry in samples.entries() if entry), mean, provenance,
        )  # fmt: skip
        return tally

    def _fingerprint(self) -> dict[str, Any]:
        """Return everything that decides the bytes of the file."""
        return {
            "recipe": recipe_record(self.recipe),
            "samples": self._capacity,
            "shard": self.shard,
            "bits": self.layout.bits,
            "source_listing": self._listing,
            "phasegan": __version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        }


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as files store it: complete, but without a folder's parents.

    Parameters
    ----------
    recipe : Recipe
        Any.

    Returns
    -------
    dict
        Plain values, for JSON.
    """
    values = recipe.model_dump(mode="json")
    if recipe.reading == ReadingConfig():
        del values["reading"]  # as files of before have it
    if recipe.source.kind == "folder":
        values["source"]["path"] = Path(os.path.abspath(recipe.source.path)).name
    return values


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """Give a stored recipe the options that are newer than its file, at their defaults."""
    options = Preprocessing().model_dump(mode="json") | recipe["preprocessing"]
    reading = ReadingConfig().model_dump(mode="json") | recipe.get("reading", {})
    return recipe | {"preprocessing": options, "reading": reading}


def describe_source(source: Source, progress: Progress) -> None:
    """Say which links are followed and which are not, and what files of several images are.

    Parameters
    ----------
    source : Source
        The images.
    progress : Progress
        Where to report.
    """
    for line in ignored_lines(source.linked, ()):
        progress.warn(f"{source.label}: {line}")
    for line in found_lines(source, sum(map(len, source.splits().values()))):
        progress.say(f"{source.label}: {line}")
    limits = source.limits()
    if limits is not None:
        low, high = limits
        progress.say(
            f"{source.label}: values {low:.10g} to {high:.10g} are stored as 0 to 65535 "
            "(--range LOW HIGH sets others)"
        )


def existing_report(job: PrepareJob, *, thorough: bool) -> PrepareReport:
    """Report an existing file, if a job would write the same.

    Parameters
    ----------
    job : PrepareJob
        The job.
    thorough : bool
        Read all images again, to see whether they are the same; otherwise their names
        and sizes are enough.

    Returns
    -------
    PrepareReport
        With `written` false.

    Raises
    ------
    InputError
        If it is something else, or the images have changed.
    """
    path, source = job.path, job.source
    try:
        opened = PreparedFile(path)
    except InputError as error:
        raise InputError(f"{error}; it is in the way, choose another -o") from None
    with opened as file:
        changes = differences(
            _completed(file.attributes["recipe"]), _completed(recipe_record(job.recipe))
        )
        if changes:
            raise InputError(
                f"{path} is there and was prepared otherwise ({'; '.join(changes)}); "
                "choose another -o, or add --overwrite"
            )
        if file.attributes.get("shard", "") != job.shard:
            raise InputError(
                f"{path} is there and is not what its name says; add --overwrite to replace it"
            )
        same_listing = file.attributes["source_listing"] == source.listing()
        if not same_listing or (thorough and not _unchanged(file, source)):
            raise InputError(
                f"{path} is there, but the source's files have changed since; "
                "choose another -o, or add --overwrite"
            )
        PartialPaths.of(path).remove()
        return PrepareReport(path, file.layout, len(file.train), len(file.test), written=False)


def _unchanged(file: PreparedFile, source: Source) -> bool:
    """Tell whether the images of all samples are unchanged."""
    if not source.external:
        return True  # the listing has seen every byte
    unseen = {
        name: sha256
        for part in (file.train, file.test)
        for name, sha256 in zip(part.sources(), part.source_sha256(), strict=True)
    }
    for numbers in source.splits().values():
        for number in numbers:
            sha256 = unseen.pop(source.item(number).name, None)
            if sha256 is not None and not source.matches(number, sha256):
                return False
    return not unseen


@dataclass(frozen=True)
class Preparation:
    """A call of `prepare` that writes one file."""

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
            describe_source(source, progress)
            return self._dry_run(source, None)
        return self._prepare(source, None, progress, thorough=thorough)

    def _path(self, share: Partition | None) -> Path:
        """Return the file of a share; None: of everything."""
        return self.path

    def _plan(self, source: Source) -> Plan:
        return Plan.make(source.splits(), self.recipe)

    def job(self, source: Source, share: Partition | None = None) -> PrepareJob:
        """Return the work on one file.

        Parameters
        ----------
        source : Source
            The images.
        share : Partition, optional
            Which shard; by default all is one file.

        Returns
        -------
        PrepareJob
            Not begun.
        """
        options = self.recipe.preprocessing
        with quiet_decoders():
            bits, limits = source.depth(), source.limits()
        if limits is not None:
            reading = self.recipe.reading.model_copy(update={"limits": limits})
            recipe = self.recipe.model_copy(update={"reading": reading})
        else:
            recipe = self.recipe
        layout = options.layout(bits)
        full_plan = self._plan(source)
        plan = full_plan if share is None else full_plan.shard(share)
        count = full_plan.expected_count("train")
        path = self._path(share)
        return PrepareJob(path, source, plan, layout, recipe, self.workers, count, share)

    def _dry_run(self, source: Source, share: Partition | None) -> PrepareReport:
        job = self.job(source, share)
        return PrepareReport(
            job.path, job.layout, job.plan.expected_count("train"), job.plan.expected_count("test"),
            ignored=source.ignored, written=False,
        )  # fmt: skip

    def _prepare(
        self,
        source: Source,
        share: Partition | None,
        progress: Progress,
        *,
        thorough: bool,
        wait: bool = False,
    ) -> PrepareReport:
        job = self.job(source, share)
        return prepare_once(
            job.path,
            lambda: existing_report(job, thorough=thorough),
            lambda: job.run(progress, discard=self.overwrite and not self.resume),
            overwrite=self.overwrite,
            wait=wait,
        )
