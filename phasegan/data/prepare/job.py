"""Preparing one file: begun or continued, filled, finished, or found to be there already."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from phasegan._version import __version__
from phasegan.config.settings import differences
from phasegan.data.hdf5.layout import Layout
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import left_out
from phasegan.data.prepare.encode import Encoder
from phasegan.data.prepare.interruption import check_left, check_space, made_whole
from phasegan.data.prepare.loop import Filling, Outcome
from phasegan.data.prepare.partial import Names, Unfinished
from phasegan.data.prepare.plan import Plan, Share
from phasegan.data.prepare.writer import About, complete
from phasegan.data.recipes import Preprocessing, Recipe
from phasegan.data.sources import Source
from phasegan.errors import InputError
from phasegan.fourier.exact_sum import fraction_bits
from phasegan.progress import Progress


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
    known: int = 0
    """Pictures that the file held already, when some were added to it."""
    added: tuple[int, int] | None = None
    """Training and test samples that were added to those of the file; None: it is a new one."""
    shards: tuple[int, int] | None = None
    """How many shards are there, and of how many; None without shards."""
    written: bool = True
    """False if the file was already there, or with `dry_run`."""


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
    whole : int
        Training samples of all shares.
    share : Share, optional
        The part of the whole that the file holds.
    """

    path: Path
    source: Source
    plan: Plan
    layout: Layout
    recipe: Recipe
    workers: int
    whole: int
    share: Share | None = None

    @property
    def shard(self) -> str:
        """What the file says of itself: `3 of 16`; empty for a file of everything."""
        return "" if self.share is None else f"{self.share.number} of {self.share.total}"

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
        about = self._about(listing)
        begun = check_left(self.path, about, discard=discard)
        capacity = {split: self.plan.expected(split) for split in ("train", "test")}
        if not begun:
            needed = sum(capacity.values()) * self.layout.sample_bytes
            check_space(self.path, needed, "fewer --samples")
        for name, reason in self.source.unlisted:
            progress.warn(f"left out the folder {name or '.'}: {reason}")
        for line in left_out(self.source.linked, ()):
            progress.warn(f"{self.source.label}: {line}")
        with made_whole(
            self.path, lambda: Unfinished(self.path, self.layout, capacity, about)
        ) as unfinished:
            outcome = self._fill(unfinished, listing, described, progress)
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
        steps = fraction_bits(self.layout.size**2 * self.layout.data_range, self.whole)
        encoder = Encoder(self.source.loader(), self.layout, wanted.fit, seed, steps)
        filling = Filling(unfinished, self.plan, self.source, encoder, self.workers, progress)
        with quiet_decoders():
            outcome = filling.run()
        checksum = outcome.source_checksum()
        if self.share is None and self.recipe.source.checksum not in (None, checksum):
            raise InputError(
                f"{self.source.label}: its pictures have checksum {checksum}, the recipe "
                f"{self.recipe.name} asks for {self.recipe.source.checksum}; they are not the "
                "same set"
            )
        unfinished.settle()
        mean = filling.magnitudes.mean(outcome.counts["train"]) if self.layout.has_images else None
        about = About(described, listing, checksum, steps, self.shard)
        complete(
            unfinished.names.part, self.layout, outcome.counts, self.source.longest(),
            unfinished.entries(), mean, about,
        )  # fmt: skip
        return outcome

    def _about(self, listing: str) -> dict[str, Any]:
        """Return what decides every byte of the file."""
        return {
            "recipe": described_recipe(self.recipe),
            "samples": {split: self.plan.expected(split) for split in ("train", "test")},
            "shard": self.shard,
            "bits": self.layout.bits,
            "source_listing": listing,
            "phasegan": __version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        }


def described_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as it is written into files: complete, but for where a folder stands."""
    values = recipe.model_dump(mode="json")
    if recipe.source.kind == "folder":
        values["source"]["path"] = Path(os.path.abspath(recipe.source.path)).name
    return values


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """Give a stored recipe the options that are newer than its file, at their defaults."""
    known = Preprocessing().model_dump(mode="json") | recipe["preprocessing"]
    return recipe | {"preprocessing": known}


def existing(job: Job, *, thorough: bool) -> PrepareReport:
    """Return what there is, if it is what a job would make.

    Parameters
    ----------
    job : Job
        What would be made.
    thorough : bool
        Read all pictures again, to see whether they are the same; otherwise their names
        and sizes are enough.

    Raises
    ------
    InputError
        If it is something else, or the pictures have changed.
    """
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
        if file.attributes.get("shard", "") != job.shard:
            raise InputError(
                f"{path} is there and is not what its name says; add --overwrite to replace it"
            )
        listed = file.attributes["source_listing"] == source.listing()
        if not listed or (thorough and not _unchanged(file, source)):
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
