"""From a source of images to a prepared file."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError, RunError
from phasegan.files import atomic_file, locked, remove_leftovers
from phasegan.progress import Progress
from phasegan.settings import differences
from phasegan.spectra.fourier import padded_size
from phasegan.store.encode import encode_item, ordered_map
from phasegan.store.pictures import quiet_decoders
from phasegan.store.plan import Plan
from phasegan.store.reader import PreparedFile, check_replaceable
from phasegan.store.recipes import Preprocessing, Recipe, override, resolve_recipe
from phasegan.store.schema import Layout
from phasegan.store.sources import ArrayPictures, Item, Source, open_source
from phasegan.store.writer import PreparedWriter, Sample


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
        Threads that decode and transform; one a core by default.
    overwrite : bool
        Replace a file that holds something else.
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
    if workers is not None and workers < 1:
        raise InputError(f"workers = {workers}: must be at least 1")
    wanted = recipe.preprocessing
    padded = padded_size(wanted.size, wanted.oversample)
    opened = ArrayPictures(source) if isinstance(source, np.ndarray) else open_source(recipe)
    with quiet_decoders():
        bits = opened.depth()
    layout = wanted.layout(padded, bits)
    plan = Plan.make(opened.items(), recipe)
    if dry_run:
        return PrepareReport(
            path, layout, plan.expected("train"), plan.expected("test"),
            ignored=opened.ignored, written=False,
        )  # fmt: skip
    described = _described(recipe)
    start = time.monotonic()
    with locked(path.with_name(f".{path.name}.lock"), str(path)):
        remove_leftovers(path.parent, path.name)
        if path.exists():
            if not overwrite:
                return _existing(path, described, opened)
            check_replaceable(path)
        _check_space(path, plan, layout)
        with (
            quiet_decoders(),
            atomic_file(path) as temporary,
            PreparedWriter(temporary, layout) as writer,
        ):
            outcome = _fill(writer, plan, opened, layout, recipe, workers, progress)
            checksum = outcome.source_checksum()
            if recipe.source.checksum not in (None, checksum):
                raise InputError(
                    f"{opened.label}: its pictures have checksum {checksum}, the recipe "
                    f"{recipe.name} asks for {recipe.source.checksum}; they are not the same set"
                )
            writer.finish(described, opened.listing(), checksum)
    return PrepareReport(
        path=path,
        layout=layout,
        train=outcome.counts["train"],
        test=outcome.counts["test"],
        skipped=outcome.skipped,
        ignored=opened.ignored,
        shared=len(outcome.hashes["train"].intersection(outcome.test_hashes)),
        seconds=time.monotonic() - start,
    )


def _described(recipe: Recipe) -> dict[str, Any]:
    values = recipe.model_dump(mode="json")
    if recipe.source.kind == "folder":
        values["source"]["path"] = Path(recipe.source.path).name
    return values


def _completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """Give a stored recipe the options that are newer than its file, at their defaults."""
    known = Preprocessing().model_dump(mode="json") | recipe["preprocessing"]
    return recipe | {"preprocessing": known}


def _check_space(path: Path, plan: Plan, layout: Layout) -> None:
    needed = (plan.expected("train") + plan.expected("test")) * layout.sample_bytes
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f"{path}: needs about {needed / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB free; "
            "free some space, or choose another -o or fewer --samples"
        )


def _existing(path: Path, described: dict[str, Any], source: Source) -> PrepareReport:
    try:
        opened = PreparedFile(path)
    except InputError as error:
        raise InputError(f"{error}; it is in the way, choose another -o") from None
    with opened as file:
        changed = differences(_completed(file.attributes["recipe"]), described)
        if changed:
            raise InputError(
                f"{path} is there and was prepared otherwise ({'; '.join(changed)}); "
                "choose another -o, or add --overwrite"
            )
        same = file.attributes["source_listing"] == source.listing() and all(
            source.holds(name, sha256)
            for part in (file.train, file.test)
            for name, sha256 in zip(part.sources(), part.source_sha256(), strict=True)
        )
        if not same:
            raise InputError(
                f"{path} is there, but the source's files have changed since; "
                "choose another -o, or add --overwrite"
            )
        return PrepareReport(path, file.layout, len(file.train), len(file.test), written=False)


@dataclass
class _Outcome:
    counts: dict[str, int] = field(default_factory=lambda: {"train": 0, "test": 0})
    skipped: list[tuple[str, str]] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=lambda: {"train": set(), "test": set()})
    test_hashes: list[str] = field(default_factory=list)
    _digest: Any = field(default_factory=hashlib.sha256)

    def accept(self, split: str, sample: Sample) -> None:
        self.counts[split] += 1
        self.hashes[split].add(sample.source_sha256)
        if split == "test":
            self.test_hashes.append(sample.source_sha256)
        self._digest.update(f"{split} {sample.source} {sample.source_sha256}\n".encode())

    def opposite(self, split: str) -> str:
        return "train" if split == "test" else "test"

    def stands_opposite(self, split: str, sample: Sample) -> bool:
        return sample.source_sha256 in self.hashes[self.opposite(split)]

    def source_checksum(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def _fill(
    writer: PreparedWriter,
    plan: Plan,
    source: Source,
    layout: Layout,
    recipe: Recipe,
    workers: int | None,
    progress: Progress,
) -> _Outcome:
    def work(item: Item) -> Sample | str:
        return encode_item(source, item, layout, recipe.preprocessing.fit, recipe.split.seed)

    outcome = _Outcome()
    total = sum(plan.expected(split) for split in ("train", "test"))
    threads = workers or os.cpu_count() or 1
    with progress.task("preparing", total) as task, ThreadPoolExecutor(threads) as pool:
        for splits, queue in plan.queues:
            open_splits = [s for s in splits if plan.targets[s] != 0]
            for item, result in ordered_map(pool, work, queue, 4 * threads):
                if not open_splits:
                    break
                split = plan.take(sum(outcome.counts.values()), open_splits)
                if isinstance(result, str):
                    reason = result
                elif item.split is None and outcome.stands_opposite(split, result):
                    reason = f"the same file stands in the {outcome.opposite(split)} split"
                else:
                    writer.add(split, result)
                    outcome.accept(split, result)
                    if outcome.counts[split] == plan.targets[split]:
                        open_splits.pop(0)
                    task.advance()
                    continue
                outcome.skipped.append((item.name, reason))
                progress.warn(f"skipped {item.name}: {reason}")
                task.advance()
    _check_outcome(outcome, plan, source)
    return outcome


def _check_outcome(outcome: _Outcome, plan: Plan, source: Source) -> None:
    skipped = f", {len(outcome.skipped)} skipped" if outcome.skipped else ""
    if outcome.counts["train"] == 0:
        raise InputError(
            f"{source.label}: no usable picture for training{skipped}; nothing written"
        )
    for split, target in plan.targets.items():
        if target is not None and outcome.counts[split] < target:
            flag = "--test" if split == "test" else "--samples"
            raise InputError(
                f"{source.label}: {flag} {target} asked for, {outcome.counts[split]} usable"
                f"{skipped}; nothing written, ask for fewer"
            )
