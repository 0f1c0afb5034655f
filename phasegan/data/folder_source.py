"""Folders of images as a source, a list of their files for jobs that share it; open_source."""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phasegan.config.options.size import rows_columns
from phasegan.data.file_loader import FileLoader, file_sha256, is_plain_file
from phasegan.data.images.decoding import (
    DEEP_SUFFIXES,
    STACK_SUFFIXES,
    bit_depth,
    file_suffix,
    image_suffixes,
    is_array,
    page_count,
    read_full_depth,
)
from phasegan.data.images.deep_png import PNG_SIGNATURE
from phasegan.data.images.notices import ignored_lines
from phasegan.data.images.pixels import UnreadableImageError, set_pixel_limit
from phasegan.data.images.reading import (
    DEFAULT,
    Reading,
    locations,
    page_name,
    split_page,
    values_digest,
)
from phasegan.data.sources import (
    SPLITS,
    PhotographCrops,
    Source,
    SourceItem,
    read_file,
    safe_name,
)
from phasegan.errors import InputError
from phasegan.io.atomic import atomic_file
from phasegan.io.untrusted import leads_back, points_to_folder, read_head

if TYPE_CHECKING:
    from phasegan.data.recipes import Recipe

DEFAULT_CROPS = {"train": 200, "test": 50}
_FORMAT = "phasegan list of pictures 3"
_BLOCK = 128
"""Paths in a block of a list."""
_RUN = 2**15
"""Names that are sorted at once."""


class PathList:
    """A compact list of paths, in compressed blocks: neighbours have most letters in common.

    Parameters
    ----------
    paths : iterable of str
        As the operating system gives them.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        paths = iter(paths)
        self.blocks: list[bytes] = []
        while joined := "\0".join(islice(paths, _BLOCK)):
            self.blocks.append(zlib.compress(os.fsencode(joined), 1))

    def __getitem__(self, number: int) -> str:
        return self._unpacked(self.blocks[number // _BLOCK])[number % _BLOCK]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(map(self._unpacked, self.blocks))

    def _unpacked(self, block: bytes) -> list[str]:
        return os.fsdecode(zlib.decompress(block)).split("\0")


class ImageFolder(Source):
    """Images in a folder and the folders below it.

    Parameters
    ----------
    root : path
        The folder. Where it holds `train` and `test`, those are the split and
        everything else in it is ignored. Arrays are images where there are no others.
    reading : Reading
        Pages, axes, missing values and limits.

    Raises
    ------
    InputError
        If there is no such folder or it holds no images.
    """

    external = True

    def __init__(self, root: str | os.PathLike[str], reading: Reading = DEFAULT) -> None:
        super().__init__(str(root))
        set_pixel_limit()
        self.root, self.reading = Path(root), reading
        self._seen: set[tuple[int, int]] = set()
        self._suffixes = image_suffixes()
        self._depth: int | None = None
        self._listing: str | None = None
        self._max_name_bytes: int | None = None
        self._folders: list[tuple[str, int]] = []
        self._splits: dict[str | None, range] = {}
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        presplit = all((self.root / name).is_dir() for name in SPLITS)
        splits = SPLITS if presplit else (None,)
        self._names = PathList(self._walk(splits))
        if not self._names.blocks and self._arrays:
            self._begin(DEEP_SUFFIXES)
            self._names = PathList(self._walk(splits))
        self.linked.sort()
        self.followed.sort()
        if not self._names.blocks:
            ignored = f" ({self.ignored} other files)" if self.ignored else ""
            hints = "".join(f"; {line}" for line in ignored_lines(self.linked, ()))
            raise InputError(f"{root}: no pictures in it or below it{ignored}{hints}")

    _arrays = 0
    """Arrays beside images, which are ignored."""

    def _begin(self, suffixes: frozenset[str]) -> None:
        """Forget a walk, for another one."""
        self._suffixes, self._folders, self._splits = suffixes, [], {}
        self._seen, self.ignored, self.linked, self.followed, self.unlisted = set(), 0, [], [], []

    def _walk(self, splits: Iterable[str | None]) -> Iterator[str]:
        """Yield paths from the root, in each split ordered as tuples of their parts."""
        count, prefix = 0, os.path.join(self.root, "")
        for split in splits:
            start = count
            pending = [(split or "", self._entries(split or ""))]
            while pending:
                folder, entries = pending[-1]
                for entry in entries:
                    path = os.path.join(folder, entry)
                    if path.endswith("\0"):
                        pending.append((path[:-1], self._entries(path[:-1])))
                        break
                    pages = page_count(f"{prefix}{path}", self.reading)
                    if pages is None:
                        count += 1
                        yield path
                    else:
                        self.stacks += 1
                        count += pages
                        yield from locations(path, pages)
                else:
                    pending.pop()
            self._splits[split] = range(start, count)

    def _entries(self, folder: str) -> Iterator[str]:
        """Yield the names of a folder's images and, each ended by a zero, folders, in order."""
        try:
            status = os.stat(os.path.join(self.root, folder))
            if (status.st_dev, status.st_ino) in self._seen:
                self.linked.append(safe_name(folder))
                if self.linked[-1] in self.followed:
                    self.followed.remove(self.linked[-1])
                return
            self._seen.add((status.st_dev, status.st_ino))
            entries = os.scandir(os.path.join(self.root, folder))
        except OSError as error:
            self.unlisted.append((safe_name(folder), error.strerror or "cannot be listed"))
            return
        self._folders.append((folder, status.st_mtime_ns))
        folders: list[str] = []
        with entries:
            names = self._images(folder, entries, folders)
            sorted_runs = iter(lambda: sorted(islice(names, _RUN)), [])
            runs = [PathList(run) if len(run) == _RUN else run for run in sorted_runs]
        yield from heapq.merge(sorted(folders), *runs)

    def _images(
        self, folder: str, entries: Iterable[os.DirEntry[str]], folders: list[str]
    ) -> Iterator[str]:
        """Yield names of images, collect folders and count the others."""
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{entry.name}\0")
            elif _is_file(entry):
                if file_suffix(entry.name) in self._suffixes:
                    yield entry.name
                else:
                    self.ignored += 1
                    self._arrays += is_array(entry.name)
            elif points_to_folder(entry):
                shown = safe_name(os.path.join(folder, entry.name))
                if leads_back(os.path.join(self.root, folder, entry.name), str(self.root)):
                    self.linked.append(shown)
                else:
                    self.followed.append(shown)
                    folders.append(f"{entry.name}\0")

    def splits(self) -> dict[str | None, range]:
        """Return ranges in the order of paths."""
        return self._splits

    def item(self, number: int) -> SourceItem:
        """Find the split by the number."""
        split = next(split for split, numbers in self._splits.items() if number in numbers)
        name, page = split_page(self._names[number])
        return SourceItem(page_name(safe_name(name), page), split, number)

    def job(self, number: int) -> str:
        """Return the path from the folder."""
        return self._names[number]

    def loader(self) -> FileLoader:
        """Return the loader of files."""
        return FileLoader(self.root, self.reading)

    def depth(self) -> int:
        """Read the headers, once."""
        if self._depth is None:
            deep = self.limits() is not None or any(map(self.is_deep, self._names))
            self._depth = 16 if deep else 8
        return self._depth

    def is_deep(self, name: str) -> bool:
        """Tell whether the header of an image says more than 8 bits.

        Parameters
        ----------
        name : str
            Its path from the folder.

        Returns
        -------
        bool
            False where it cannot be read.
        """
        name, page = split_page(name)
        path = os.path.join(self.root, name)
        try:
            if page is not None or is_array(name):
                image = read_full_depth(Path(path), page, self.reading)
                return image.pixels.dtype != np.uint8
            data = read_head(path, 32)
            if data[:2] != b"\xff\xd8" and not data.startswith(PNG_SIGNATURE):
                data = read_file(path)
        except (OSError, InputError, UnreadableImageError):
            return False
        return bit_depth(data) == 16

    def limits(self) -> tuple[float, float] | None:
        """Return those that were asked for, or the least and largest value of other numbers."""
        if self.reading.limits is not None:
            return self.reading.limits
        if self._limits is None:
            self._limits = (self._value_range(),)
        return self._limits[0]

    _limits: tuple[tuple[float, float] | None] | None = None

    def _value_range(self) -> tuple[float, float] | None:
        """Return the range of values of images none of which has 8 or 16 bit, else None."""
        low, high = math.inf, -math.inf
        for location in self._names:
            name, page = split_page(location)
            if file_suffix(name) not in STACK_SUFFIXES | DEEP_SUFFIXES:
                return None
            path = os.path.join(self.root, name)
            try:
                if page is None and not is_array(name) and is_plain_file(path):
                    return None
                pixels = read_full_depth(Path(path), page, self.reading).pixels
            except (OSError, InputError):
                continue  # it is named when it is loaded
            if pixels.dtype.kind != "f":
                return None
            low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        return (low, high) if low < high else None

    def listing(self) -> str:
        """Hash relative paths and sizes, once."""
        if self._listing is None:
            digest = hashlib.sha256()
            for location in self._names:
                name, page = split_page(location)
                try:
                    size = os.stat(os.path.join(self.root, name)).st_size
                except OSError:
                    size = -1  # it is named when it is loaded
                digest.update(f"{page_name(safe_name(name), page)}\0{size}\n".encode())
            self._listing = digest.hexdigest()
        return self._listing

    def max_name_bytes(self) -> int:
        """Return the length of the longest path."""
        if self._max_name_bytes is None:
            self._max_name_bytes = max(len(safe_name(name).encode()) for name in self._names)
        return self._max_name_bytes

    def sha256(self, number: int) -> str:
        """Hash the file, or the values of one of its pictures."""
        name, page = split_page(self._names[number])
        path = os.path.join(self.root, name)
        try:
            if page is None:
                return file_sha256(path)
            return values_digest(read_full_depth(Path(path), page, self.reading))
        except (OSError, UnreadableImageError):
            return ""

    def save(self, path: Path) -> None:
        """Write the list of images, for other jobs over the same folder.

        Parameters
        ----------
        path : pathlib.Path
            The list's file; replaced atomically.
        """
        head = {
            "format": _FORMAT,
            "root": str(self.root.resolve()),
            "splits": [
                [split, numbers.start, numbers.stop] for split, numbers in self._splits.items()
            ],
            "ignored": self.ignored,
            "linked": self.linked,
            "followed": self.followed,
            "stacks": self.stacks,
            "reading": self.reading,
            "limits": self.limits(),
            "unlisted": self.unlisted,
            "depth": self.depth(),
            "listing": self.listing(),
            "longest": self.max_name_bytes(),
            "folders": self._folders,
            "blocks": [len(block) for block in self._names.blocks],
        }
        parts = [json.dumps(head).encode() + b"\n", *self._names.blocks]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        with atomic_file(path) as temporary, open(temporary, "wb") as stream:
            stream.write(digest.hexdigest().encode() + b"\n")
            stream.writelines(parts)

    @classmethod
    def restore(
        cls, root: str | os.PathLike[str], path: Path, reading: Reading = DEFAULT
    ) -> ImageFolder | None:
        """Read a list that another job wrote.

        A folder that names came to or went from since then shows it by its time of change,
        unless it is the one that the list itself is in.

        Parameters
        ----------
        root : path
            The folder of images.
        path : pathlib.Path
            The list's file.
        reading : Reading
            As of the folder; a list of another one is out of date.

        Returns
        -------
        ImageFolder or None
            None if the list is missing, damaged or out of date.
        """
        try:
            with open(path, "rb") as stream:
                written = stream.readline().decode().strip()
                start = stream.tell()
                if hashlib.file_digest(stream, "sha256").hexdigest() != written:
                    return None
                stream.seek(start)
                head: dict[str, Any] = json.loads(stream.readline())
                if head["format"] != _FORMAT:
                    return None
                names = PathList()
                names.blocks = [stream.read(size) for size in head["blocks"]]
            folder = cls.__new__(cls)
            if head["reading"] != json.loads(json.dumps(reading)):
                return None
            folder.root, folder.label, folder.reading = Path(root), str(root), reading
            limits = head["limits"]
            folder._limits = (None if limits is None else (float(limits[0]), float(limits[1])),)
            folder.followed = list(map(str, head["followed"]))
            folder.stacks = int(head["stacks"])
            folder._splits = {split: range(a, b) for split, a, b in head["splits"]}
            folder.ignored, folder._depth = int(head["ignored"]), int(head["depth"])
            folder.linked = list(map(str, head["linked"]))
            folder.unlisted = [(name, reason) for name, reason in head["unlisted"]]
            folder._listing, folder._max_name_bytes = str(head["listing"]), int(head["longest"])
            folder._folders = [(subfolder, int(mtime)) for subfolder, mtime in head["folders"]]
            if head["root"] != str(folder.root.resolve()) or not folder._unchanged(path.parent):
                return None
            folder._names = names
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return folder

    def _unchanged(self, list_folder: Path) -> bool:
        """Tell whether no names came or went, in any folder but our own."""
        root, list_folder = self.root.resolve(), list_folder.resolve()
        return all(
            root / folder == list_folder or os.stat(root / folder).st_mtime_ns == mtime
            for folder, mtime in self._folders
        )


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


class ImageFile(ImageFolder):
    """A single image, whatever its suffix."""

    def __init__(self, path: Path, reading: Reading = DEFAULT) -> None:
        Source.__init__(self, str(path))
        self.root, self.reading = path.parent, reading
        count = page_count(path, reading)
        self.stacks = int(count is not None)
        names = list(locations(path.name, count))
        self._names = PathList(names)
        self._splits, self._folders = {None: range(len(names))}, []
        self._depth = self._listing = self._max_name_bytes = None


def open_source(recipe: Recipe) -> Source:
    """Open the source that a recipe names.

    Parameters
    ----------
    recipe : Recipe
        With a source of kind folder or scikit-image.

    Returns
    -------
    Source
        Its images.

    Raises
    ------
    InputError
        If the folder or a photograph is missing, or images are given as an array.
    """
    if recipe.source.kind == "folder":
        return ImageFolder(recipe.source.path, Reading.of(recipe.reading))
    if recipe.source.kind == "array":
        raise InputError(f"recipe {recipe.name}: arrays are given to phasegan.prepare, not named")
    split, shape = recipe.split, rows_columns(recipe.preprocessing.size)
    counts = {
        "train": DEFAULT_CROPS["train"] if split.samples is None else split.samples,
        "test": DEFAULT_CROPS["test"] if split.test is None else split.test,
    }
    return PhotographCrops(recipe.source, counts, shape, split.seed)
