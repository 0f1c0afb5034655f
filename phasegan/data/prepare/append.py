"""Appending images to a prepared file without preparing its samples again."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from phasegan.config.reading import ReadingConfig
from phasegan.config.settings import differences
from phasegan.data.hdf5.layout import SPLITS
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.prepare.combine import Origin, Segment, combine
from phasegan.data.prepare.partial import PartialPaths, check_disk_space, resume_hint
from phasegan.data.prepare.pipeline import PrepareJob, PrepareReport, recipe_record
from phasegan.data.prepare.plan import Plan
from phasegan.data.prepare.worker_pool import map_in_order
from phasegan.data.recipes import Recipe
from phasegan.data.sources import Loader, Source, SourceItem
from phasegan.errors import InputError
from phasegan.io.atomic import remove_leftovers
from phasegan.io.locking import file_lock
from phasegan.progress import Progress
from phasegan.resources import available_cores


class NewImages(Source):
    """Images of a source that a prepared file does not hold, by their content.

    Parameters
    ----------
    source : Source
        All images.
    file : PreparedFile
        The file.
    progress : Progress
        Follows the reading.
    """

    def __init__(self, source: Source, file: PreparedFile, progress: Progress) -> None:
        self._source = source
        self.label, self.ignored, self.external = source.label, source.ignored, source.external
        self.linked, self.unlisted = source.linked, source.unlisted
        self.followed, self.stacks = source.followed, source.stacks
        hashes = {sha for split in (file.train, file.test) for sha in split.source_sha256()}
        numbers = [number for split_numbers in source.splits().values() for number in split_numbers]
        new: list[int] = []
        with (
            progress.task("looking for new pictures", len(numbers)) as task,
            ThreadPoolExecutor(available_cores()) as pool,
        ):
            for number, sha in map_in_order(lambda n: pool.submit(source.sha256, n), numbers, 256):
                if sha not in hashes:
                    new.append(number)
                task.advance()
        self.known = len(numbers) - len(new)
        self._numbers = new
        digest = hashlib.sha256(f"{source.listing()}\n{file.digest}\n".encode())
        self._listing = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._numbers)

    def splits(self) -> dict[str | None, range]:
        """Return the numbers of each split's new images; None: of those without a split."""
        ranges, start = {}, 0
        for split, numbers in self._source.splits().items():
            count = sum(number in numbers for number in self._numbers)
            ranges[split] = range(start, start + count)
            start += count
        return ranges

    def item(self, number: int) -> SourceItem:
        """Return name and split of a new image."""
        return self._source.item(self._numbers[number])._replace(number=number)

    def job(self, number: int) -> Any:
        """Return the argument of the loader."""
        return self._source.job(self._numbers[number])

    def loader(self) -> Loader:
        """Return the source's loader."""
        return self._source.loader()

    def depth(self) -> int:
        """Return the depth of the source."""
        return self._source.depth()

    def limits(self) -> tuple[float, float] | None:
        """Return the source's limits."""
        return self._source.limits()

    def listing(self) -> str:
        """Return a digest of the source's listing and of the file's data."""
        return self._listing

    def max_name_bytes(self) -> int:
        """Return the length of the source's longest name."""
        return self._source.max_name_bytes()

    def sha256(self, number: int) -> str:
        """Return the SHA-256 of the image's file."""
        return self._source.sha256(self._numbers[number])

    def matches(self, number: int, sha256: str) -> bool:
        """Tell whether the item still has that content."""
        return self._source.matches(self._numbers[number], sha256)


def append_images(
    path: Path, source: Source, recipe: Recipe, overrides: dict[str, Any], workers: int,
    progress: Progress,
) -> PrepareReport:  # fmt: skip
    """Append the images of a source that a prepared file does not hold yet.

    They are prepared into a file of their own, which an interruption leaves to be
    continued; then both are copied into one, which takes the place of the first.

    Parameters
    ----------
    path : pathlib.Path
        The prepared file.
    source : Source
        Old and new images.
    recipe : Recipe
        Recipe of the source; how images are prepared is taken from the file.
    overrides : dict
        Options of `Preprocessing` that the caller named; None for the others.
    workers : int
        Processes that decode.
    progress : Progress
        Where to report.

    Returns
    -------
    PrepareReport
        Report of the whole file; `added` counts the new samples.

    Raises
    ------
    InputError
        If there is no such file, it joins shards, or was prepared otherwise.
    RunError
        If the disk is too small.
    """
    start = time.monotonic()
    with file_lock(path.with_name(f".{path.name}.lock"), str(path)), quiet_decoders():
        remove_leftovers(path.parent, path.name)
        file = PreparedFile(path)
        _check_same(file, overrides)
        new_images = NewImages(source, file, progress)
        file_recipe = file.attributes["recipe"]
        recipe = recipe.model_copy(
            update={
                "preprocessing": recipe.preprocessing.model_validate(file_recipe["preprocessing"]),
                "reading": recipe.reading.model_validate(file_recipe.get("reading", {})),
            }
        )
        same = _names(recipe_record(recipe)) == _names(file_recipe)
        extra = path.with_name(f".{path.name}.added")
        if not len(new_images):
            file.close()
            extra.unlink(missing_ok=True)
            PartialPaths.of(extra).remove()
            return PrepareReport(
                path, file.layout, len(file.train), len(file.test), ignored=source.ignored,
                known=new_images.known, written=False,
            )  # fmt: skip
        if new_images.depth() > file.layout.bits:
            raise InputError(f"{path}: holds 8-bit images, {source.label} has pictures of 16 bit")
        with resume_hint(path):
            report = _prepare_extra(extra, new_images, file, recipe, workers, progress)
            with PreparedFile(extra) as added:
                listing = source.listing() if same else new_images.listing()
                held = [file, added]
                segments = [
                    Segment(i, j, 0, len(held[j].split(split)))
                    for i, split in enumerate(SPLITS)
                    for j in range(2)
                ]
                longest = max(new_images.max_name_bytes(), _max_name_bytes(file))
                origin = Origin(file_recipe, listing)
                combine(path, held, segments, origin, virtual=False, max_name_bytes=longest)
            extra.unlink()
        file.close()
    return replace(
        report,
        path=path,
        train=len(file.train) + report.train,
        test=len(file.test) + report.test,
        known=new_images.known,
        added=(report.train, report.test),
        seconds=time.monotonic() - start,
    )


def _check_same(file: PreparedFile, overrides: dict[str, Any]) -> None:
    if file.shards:
        raise InputError(
            f"{file.path}: joins shards; prepare the new pictures into a file of their own"
        )
    file_recipe = file.attributes["recipe"]
    reading = ReadingConfig().model_dump(mode="json") | file_recipe.get("reading", {})
    file_options = file_recipe["preprocessing"] | reading
    requested = {name: value for name, value in overrides.items() if value is not None}
    changes = differences({name: file_options.get(name) for name in requested}, requested)
    if changes:
        raise InputError(
            f"{file.path}: was prepared otherwise ({'; '.join(changes)}); add as it is"
        )


def _names(recipe: dict[str, Any]) -> tuple[Any, Any]:
    return recipe["name"], recipe["source"]


def _max_name_bytes(file: PreparedFile) -> int:
    kind = file.read(lambda opened: opened["train/source"].dtype)
    return int(kind.itemsize)


def _prepare_extra(
    extra: Path, new_images: NewImages, file: PreparedFile, recipe: Recipe, workers: int,
    progress: Progress,
) -> PrepareReport:  # fmt: skip
    """Prepare the new images, or resume their preparation."""
    layout = file.layout
    plan = Plan.make(new_images.splits(), recipe)
    needed = (len(file.train) + len(file.test) + 2 * len(new_images)) * layout.sample_bytes
    check_disk_space(extra, needed, "fewer pictures")
    total = len(file.train) + plan.expected_count("train")
    job = PrepareJob(extra, new_images, plan, layout, recipe, workers, total)
    if extra.exists():
        extra.unlink()
    return job.run(progress, discard=True)
