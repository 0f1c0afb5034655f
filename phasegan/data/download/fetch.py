"""Download of a pair of domains by its name, laid out as folders of images."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from phasegan.data.download.archives import unpack
from phasegan.data.download.http import ResumingDownload
from phasegan.data.images.decoding import image_suffixes
from phasegan.data.recipes import (
    ADDRESS,
    PAIR_FOLDERS,
    Download,
    PairLayout,
    PairRecipe,
    load_pair,
)
from phasegan.errors import InputError, Interrupted, RunError
from phasegan.io.atomic import atomic_folder, read_json, remove_leftovers, write_json, write_text
from phasegan.io.locking import file_lock
from phasegan.io.output_paths import check_different, check_folder_name
from phasegan.progress import Progress

MARKER_FILE = "dataset.json"
"""Record in a fetched folder; it is written when the folder is complete."""


@dataclass(frozen=True)
class FetchedFolder:
    """Record in a fetched folder: the pair's name and its counts of images."""

    path: Path
    name: str
    pictures: dict[str, int]
    """Counts of trainA, trainB, testA and testB."""


def fetch(
    name: str,
    output: str | os.PathLike[str] | None = None,
    *,
    url: str | None = None,
    keep_archive: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Download a pair of domains and lay it out as trainA, trainB, testA and testB.

    The archive is kept beside the folder while it comes. A download that was
    interrupted is resumed; one that is complete is checked
    against its SHA-256, unpacked into a temporary folder, and only then gets
    its name. An archive of that name that is there already, put there by hand
    perhaps, is used if its checksum is right.

    Where the recipe states no checksum, that of the first download is written
    to `<archive>.sha256`, in the form that sha256sum reads, and asked for from
    then on.

    Parameters
    ----------
    name : str
        As in `known_pairs()`, or the path of a recipe (.toml).
    output : path, optional
        The folder; `./<name>` by default.
    url : str, optional
        Another address of the same archive, http or https.
    keep_archive : bool
        Leave the archive beside the folder.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    pathlib.Path
        The folder. With it, as it says itself, complete, nothing is done.

    Raises
    ------
    InputError
        If there is no such pair, the folder holds something else, or the
        archive is not the one that is asked for, is damaged or hostile.
    RunError
        If it cannot be downloaded, or the disk is full.
    Interrupted
        If Ctrl-C is pressed; the bytes received so far are kept.

    Examples
    --------
    An archive that is there is not downloaded.

    >>> import numpy, pathlib, phasegan, shutil
    >>> from PIL import Image
    >>> for name in ("dusk", "dawn"):
    ...     folder = pathlib.Path("skies", name)
    ...     folder.mkdir(parents=True)
    ...     for i in range(5):
    ...         Image.fromarray(numpy.full((32, 32, 3), 40 * i, "uint8")).save(folder / f"{i}.png")
    >>> _ = shutil.make_archive("skies", "zip", ".", "skies")
    >>> recipe = '''
    ... name = "sky"
    ... [download]
    ... url = "https://example.org/skies.zip"
    ... archive = "zip"
    ... [layout]
    ... A = "skies/dusk"
    ... B = "skies/dawn"
    ... test_share = 0.2
    ... '''
    >>> _ = pathlib.Path("sky.toml").write_text(recipe)
    >>> folder = phasegan.fetch("sky.toml", keep_archive=True)
    >>> sorted(path.name for path in folder.iterdir() if path.is_dir())
    ['testA', 'testB', 'trainA', 'trainB']
    """
    progress = progress or Progress()
    recipe = load_pair(name)
    address = recipe.download.url if url is None else url
    if not re.fullmatch(ADDRESS, address):
        raise InputError(f"{address!r}: not an address such as https://example.org/{name}.zip")
    folder = Path(recipe.name if output is None else output)
    if not folder.name:
        raise InputError(f"{folder}: give the name of a folder to make")
    check_folder_name(folder, "folders of pictures")
    archive = folder.parent / recipe.download.file_name
    check_different(folder, archive)
    with (
        file_lock(folder.with_name(f".{folder.name}.lock"), str(folder)),
        file_lock(archive.with_name(f".{archive.name}.lock"), str(archive)),
    ):
        if _is_there(folder, recipe):
            progress.say(f"{folder} is there already, complete")
            return folder
        download = ResumingDownload(
            archive, recipe.download.bytes, spare=recipe.download.bytes or 0, progress=progress
        )
        with _interruptible(archive, download):
            checksum = _downloaded(recipe.download, address, archive, download)
            _lay_out(recipe, address, archive, checksum, folder, progress)
    if download.started:
        download.forget()
        if not keep_archive:
            archive.unlink()
    return folder


def read_fetched(folder: str | os.PathLike[str]) -> FetchedFolder | None:
    """Read the record of a fetched folder.

    Parameters
    ----------
    folder : path
        A folder, perhaps fetched.

    Returns
    -------
    FetchedFolder or None
        None without a record, or where its counts are not those of the folder.
    """
    path = Path(folder)
    try:
        values = read_json(path / MARKER_FILE)
        folder_record = FetchedFolder(path, str(values["name"]), dict(values["pictures"]))
    except (InputError, KeyError, TypeError, ValueError):
        return None
    return folder_record if folder_record.pictures == _count(path) else None


def _is_there(folder: Path, recipe: PairRecipe) -> bool:
    """Tell whether the folder is complete; refuse one that holds something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    record = read_fetched(folder)
    if record is not None and record.name == recipe.name:
        return True
    if record is None and (folder / MARKER_FILE).is_file():
        raise InputError(
            f"{folder}: pictures are missing from it, or were added; remove the folder and "
            "fetch it again, or choose another -o"
        )
    raise InputError(f"{folder} is there already and is not {recipe.name}; choose another -o")


@contextmanager
def _interruptible(archive: Path, download: ResumingDownload) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        for path in (archive, download.part):
            if path.exists() and path.stat().st_size and download.started:
                size = path.stat().st_size / 1e6
                raise Interrupted(
                    f"interrupted; {size:,.1f} MB are kept in {path}, the same command goes on "
                    "from there",
                    2,
                ) from None
        raise


def _downloaded(recipe: Download, address: str, archive: Path, download: ResumingDownload) -> str:
    """Have the archive on disk, and return its SHA-256."""
    import pooch  # type: ignore[import-untyped]

    record = archive.with_name(f"{archive.name}.sha256")
    expected = recipe.sha256 or _recorded(record)
    if archive.exists():
        if download.part.exists():  # then it came another way, and is not to be removed
            download.forget()
        checksum = pooch.file_hash(archive)
        if expected and checksum != expected:
            raise InputError(
                f"{archive}: has the checksum {checksum}, not {expected}: another file, or "
                "damaged; move it away"
            )
    else:
        staging = archive.with_name(f".{archive.name}.{secrets.token_hex(8)}.tmp")
        remove_leftovers(archive.parent, archive.name)
        logger = pooch.get_logger()
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            pooch.retrieve(
                address,
                known_hash=f"sha256:{expected}" if expected else None,
                fname=archive.name,
                path=staging,
                downloader=download,
            )
            (staging / archive.name).replace(archive)
        except ValueError as error:
            if isinstance(error, InputError) or "hash" not in str(error):
                raise
            download.forget()
            raise InputError(
                f"{address}: what came does not have the checksum {expected}: it is damaged, or "
                "another file; it was removed"
            ) from None
        finally:
            logger.setLevel(level)
            shutil.rmtree(staging, ignore_errors=True)
        checksum = expected or pooch.file_hash(archive)
    if not expected:
        write_text(record, f"{checksum}  {archive.name}\n")
    return checksum


def _recorded(record: Path) -> str:
    try:
        words = record.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        words = []
    if len(words) < 2 or len(words[0]) != 64:
        raise InputError(f"{record}: not a checksum as sha256sum writes it; remove the file")
    return words[0].lower()


def _lay_out(
    recipe: PairRecipe, address: str, archive: Path, checksum: str, folder: Path, progress: Progress
) -> None:
    size = archive.stat().st_size
    free = shutil.disk_usage(archive.parent).free
    if free < size:
        raise RunError(
            f"{folder}: unpacking needs about {size / 1e6:,.1f} MB, its disk has "
            f"{free / 1e6:,.1f} MB free; free some space"
        )
    remove_leftovers(folder.parent, folder.name)
    with atomic_folder(folder) as temporary:
        unpack(
            archive,
            temporary,
            recipe.download.archive,
            lambda path: _place(recipe.layout, path),
            progress=progress,
        )
        if recipe.layout.A is not None:
            _split(temporary, recipe.layout)
        pictures = _count(temporary)
        for name, count in pictures.items():
            if not count:
                raise InputError(
                    f"{archive}: has no pictures for {name}; its folders are not those of the "
                    f"recipe {recipe.name}"
                )
        write_json(
            temporary / MARKER_FILE,
            {
                "format": 1,
                "name": recipe.name,
                "title": recipe.title,
                "licence": recipe.licence,
                "url": address,
                "sha256": checksum,
                "bytes": size,
                "fetched": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "pictures": pictures,
            },
        )


def _place(layout: PairLayout, path: PurePosixPath) -> PurePosixPath | None:
    """Return where a member of the archive goes."""
    if str(path) in layout.keep:
        return PurePosixPath(path.name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    if hidden or path.suffix.lower() not in image_suffixes():
        return None
    for folder, name in layout.folders.items():
        if path.is_relative_to(folder):
            inside = str(path.relative_to(folder))
            return PurePosixPath(name, inside.replace(":", "-") if os.name == "nt" else inside)
    return None


def _split(folder: Path, layout: PairLayout) -> None:
    """Turn A and B into training and test folders.

    The test pictures are those whose names hash to the smallest numbers: the
    choice depends on the seed and the names, not on a random generator.
    """
    for domain in ("A", "B"):
        source = folder / domain
        if not source.is_dir():
            continue
        names = [path.relative_to(source).as_posix() for path in _pictures(source)]
        names.sort(key=lambda name: hashlib.sha256(f"{layout.seed}/{name}".encode()).digest())
        test = max(1, round(layout.test_share * len(names)))
        for position, name in enumerate(names):
            target = folder / f"{'test' if position < test else 'train'}{domain}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (source / name).rename(target)
        shutil.rmtree(source)


def _pictures(folder: Path) -> list[Path]:
    suffixes = image_suffixes()
    return [p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file()]


def _count(folder: Path) -> dict[str, Any]:
    return {name: len(_pictures(folder / name)) for name in PAIR_FOLDERS}
