"""The function `prepare_domains`: one file of two image domains."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from phasegan._version import __version__
from phasegan.config.reading import FileReading
from phasegan.config.settings import build, differences
from phasegan.data.domain_folders import DomainPair, ImageSubset, open_domains
from phasegan.data.hdf5.pair_layout import GROUPS, PairMetadata
from phasegan.data.hdf5.pair_reader import PairFile
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.pixel_format import PixelFormat
from phasegan.data.images.reading import DEFAULT, Reading, pixel_limit
from phasegan.data.images.resizing import FITS
from phasegan.data.prepare.loop import worker_count
from phasegan.data.prepare.partial import (
    PartialPaths,
    check_disk_space,
    check_output,
    check_partial,
    prepare_once,
    resumable_output,
)
from phasegan.data.prepare.picture_file import PartialPictures
from phasegan.data.prepare.picture_loop import PictureLoop, PictureTally
from phasegan.data.sources import safe_name
from phasegan.errors import InputError
from phasegan.progress import Progress

DEFAULT_LOAD = 286
_ALPHA = ("drop", "keep")


@dataclass(frozen=True)
class DomainsReport:
    """Result of `prepare_domains`; with `dry_run` the expected one."""

    path: Path
    counts: dict[str, int]
    """Pictures by group; with `dry_run` the candidates, before any is left out."""
    kinds: tuple[PixelFormat, PixelFormat] | None
    """Pixel formats of A and of B; None with `dry_run`."""
    load: int
    fit: str
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason of each picture that was left out."""
    shared: int = 0
    """Test pictures whose file also stands among the training pictures."""
    resumed: int = 0
    """Pictures that an interrupted preparation had written already; where there were
    none, those that it had scanned."""
    seconds: float = 0.0
    written: bool = True
    """False if the file was already there, or with `dry_run`."""


def prepare_domains(
    folder: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    domain_a: str | os.PathLike[str] | None = None,
    domain_b: str | os.PathLike[str] | None = None,
    load: int | None = None,
    fit: str | None = None,
    alpha: str | None = None,
    pages: str | None = None,
    channel_axis: str | None = None,
    variable: str | None = None,
    nodata: str | None = None,
    max_pixels: int | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> DomainsReport:
    """Write two domains of pictures into one HDF5 file for training.

    Training pictures are decoded and resized once and for all, exactly as training
    from the folders would do it each time; test pictures keep their own size.

    Parameters
    ----------
    folder : path, optional
        With `trainA` and `trainB`, perhaps `testA` and `testB`.
    output : path, optional
        The HDF5 file; `<name of the data>.h5` in the working folder by default.
    domain_a, domain_b : path, optional
        The domains' own folders instead, see `phasegan.data.domain_folders.open_domains`.
    load : int, optional
        Size of training images, pixels, 8 to 16384. Default 286.
    fit : {"stretch", "short-side", "none"}, optional
        Whether both sides or the short one become `load`, or pictures keep their
        size. Default stretch.
    alpha : {"drop", "keep"}, optional
        Drop alpha, or keep it as the last channel. Default drop.
    pages : {"auto", "samples", "channels", "first"}, optional
        What pages, frames and slices of a file are, see `phasegan.config.reading`.
    channel_axis : {"first", "last"}, optional
        Of arrays; the shorter one by default.
    variable : str, optional
        Name of the array in `.npz` and `.mat` files.
    nodata : str, optional
        `mean`, `nearest` or a number, which missing values become; refused by default.
    max_pixels : int, optional
        Pixels that a picture may have; Pillow's limit by default.
    workers : int, optional
        Processes that decode; one a core by default.
    resume : bool
        Never throw away what an interrupted preparation left. One of the same
        pictures and options is continued in any case.
    overwrite : bool
        Replace a file that holds something else, and throw away what an
        interrupted preparation of something else left.
    dry_run : bool
        Count the pictures and say what would be done, write nothing.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    DomainsReport
        Counts, the domains' pixel formats, and the images that were left out.

    Raises
    ------
    InputError
        If the folders, an option or an existing output does not fit.
    RunError
        If the disk is too small or becomes full, or a picture changes meanwhile.

    Examples
    --------
    >>> import numpy, pathlib, phasegan
    >>> from PIL import Image
    >>> rng = numpy.random.default_rng(0)
    >>> for name in ("trainA", "trainB", "testA", "testB"):
    ...     folder = pathlib.Path("pair", name)
    ...     folder.mkdir(parents=True)
    ...     for i in range(4):
    ...         pixels = rng.integers(0, 256, (32, 32, 3), "uint8")
    ...         Image.fromarray(pixels).save(folder / f"{i}.png")
    >>> report = phasegan.prepare_domains("pair", load=36)
    >>> str(report.path), report.counts["trainA"]
    ('pair.h5', 4)

    Notes
    -----
    Killed at any moment, it leaves no file or a whole one, and continues when
    called again; the file is then, byte by byte, that of an uninterrupted run.
    """
    progress = progress or Progress()
    load, fit, alpha = load or DEFAULT_LOAD, fit or "stretch", alpha or "drop"
    _check(load, fit, alpha)
    count = worker_count(workers)
    options = {"pages": pages, "channel_axis": channel_axis, "variable": variable}
    options["nodata"] = nodata
    reading = build(
        FileReading, {k: v for k, v in options.items() if v is not None}, "prepare_domains"
    )
    with pixel_limit(max_pixels):
        return _prepare(
            open_domains(folder, domain_a, domain_b, Reading.of(reading)),
            folder, output, load, fit, alpha, count, resume, overwrite, dry_run, progress,
        )  # fmt: skip


def _prepare(
    domains: DomainPair, folder: Any, output: Any, load: int, fit: str, alpha: str, count: int,
    resume: bool, overwrite: bool, dry_run: bool, progress: Progress,
) -> DomainsReport:  # fmt: skip
    """Prepare two opened domains."""
    if domains.prepared is not None:
        raise InputError(f"{folder}: is a prepared file already; train on it as it is")
    path = Path(output) if output is not None else Path(f"{domains.name}.h5")
    check_output(path)
    parts = _parts(domains)
    counts = {name: len(part) for name, part in parts.items()}
    if dry_run:
        for part in parts.values():
            part.warn_ignored(progress)
        return DomainsReport(path, counts, None, load, fit, written=False)
    job = _Job(path, domains.name, parts, load, fit, alpha, count, domains.domain_names)
    discard = overwrite and not resume
    return prepare_once(
        path, job.existing_report, lambda: job.run(progress, discard=discard), overwrite=overwrite
    )


@dataclass(frozen=True)
class _Job:
    """A file that is to be prepared."""

    path: Path
    name: str
    parts: dict[str, ImageSubset]
    load: int
    fit: str
    alpha: str
    workers: int
    domain_names: tuple[str, str]

    def run(self, progress: Progress, *, discard: bool) -> DomainsReport:
        """Begin or continue, and finish the file; its lock must be held."""
        start, listings = time.monotonic(), self._listings()
        fingerprint = self._fingerprint(listings)
        check_partial(self.path, fingerprint, discard=discard)
        with resumable_output(self.path, fingerprint) as partial:
            kinds, tally = self._fill(PartialPictures(partial), listings, progress)
        hashes = {group.name: set(group.hashes) for group in tally.groups}
        trained = hashes["trainA"] | hashes["trainB"]
        tested = hashes.get("testA", set()) | hashes.get("testB", set())
        return DomainsReport(
            path=self.path,
            counts={group.name: len(group.rows) for group in tally.groups},
            kinds=kinds,
            load=self.load,
            fit=self.fit,
            left_out=tally.left_out,
            shared=len(trained & tested),
            resumed=tally.resumed or tally.scanned_before,
            seconds=time.monotonic() - start,
        )

    def _fill(
        self, partial: PartialPictures, listings: dict[str, str], progress: Progress
    ) -> tuple[tuple[PixelFormat, PixelFormat], PictureTally]:
        keep_alpha = self.alpha == "keep"
        loop = PictureLoop(
            partial, self.parts, self.load, self.fit, keep_alpha, self.workers, progress
        )
        with quiet_decoders(), loop.pool() as pool:
            kinds = loop.scan(pool)
            groups = loop.tally.groups
            if not partial.is_allocated(groups):
                needed = sum(group.records.nbytes for group in groups)
                check_disk_space(self.path, needed, "a smaller --load")
            partial.allocate(groups)
            loop.convert(pool)
        versions = {"phasegan": __version__, "pillow": PIL.__version__}
        partial.complete(
            PairMetadata(
                name=self.name,
                kinds=kinds,
                load=self.load,
                fit=self.fit,
                alpha=self.alpha,
                listings=listings,
                checksums={},
                intact=True,
                versions=versions,
                domain_names=self.domain_names,
            )
        )
        return kinds, loop.tally

    def _listings(self) -> dict[str, str]:
        return {name: part.digest() for name, part in self.parts.items()}

    def _fingerprint(self, listings: dict[str, str]) -> dict[str, Any]:
        """Return everything that decides the bytes of the file."""
        reading = next(iter(self.parts.values())).reading
        return {
            "name": self.name,
            "load": self.load,
            "fit": self.fit,
            "alpha": self.alpha,
            **({} if reading == DEFAULT else {"reading": list(reading)}),
            "source_listings": listings,
            "phasegan": __version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        }

    def existing_report(self) -> DomainsReport:
        """Report an existing file, if this job would write the same."""
        path = self.path
        try:
            file = PairFile(path)
        except InputError as error:
            raise InputError(f"{error}; it is in the way, choose another -o") from None
        file.close()
        metadata = file.metadata
        changes = differences(
            {
                "name": metadata.name,
                "load": metadata.load,
                "fit": metadata.fit,
                "alpha": metadata.alpha,
            },
            {"name": self.name, "load": self.load, "fit": self.fit, "alpha": self.alpha},
        )
        if changes:
            raise InputError(
                f"{path} is there and was prepared otherwise ({'; '.join(changes)}); "
                "choose another -o, or add --overwrite"
            )
        if metadata.listings != self._listings() or not self._unchanged(file):
            raise InputError(
                f"{path} is there, but the folders' files have changed since; "
                "choose another -o, or add --overwrite"
            )
        PartialPaths.of(path).remove()
        counts = {group: len(pictures) for group, pictures in file.groups.items()}
        return DomainsReport(path, counts, metadata.kinds, self.load, self.fit, written=False)

    def _unchanged(self, file: PairFile) -> bool:
        """Tell whether the files of all images are unchanged."""
        for name, group in file.groups.items():
            part, hashes = self.parts[name], group.all_source_sha256()
            rows = {safe_name(image_name): row for row, image_name in enumerate(part.names)}
            for image_name, sha256 in zip(group.names, hashes, strict=True):
                try:
                    if image_name not in rows or part.source_sha256(rows[image_name]) != sha256:
                        return False
                except InputError:
                    return False
        return True


def _check(load: int, fit: str, alpha: str) -> None:
    if not 8 <= load <= 16384:
        raise InputError(f"load = {load}: must be 8 to 16384")
    for name, value, choices in (("fit", fit, FITS), ("alpha", alpha, _ALPHA)):
        if value not in choices:
            raise InputError(f"{name} {value!r}: choose one of {', '.join(choices)} for pictures")


def _parts(domains: DomainPair) -> dict[str, ImageSubset]:
    subsets = dict(zip(GROUPS, (*domains.train, *domains.test), strict=True))
    return {name: part for name, part in subsets.items() if part is not None}
