"""Folders of images as a source, a list of their files for jobs that share it; open_source."""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phasegan.config.options.size import rows_columns
from phasegan.data.images.decoding import (
    PNG_SIGNATURE,
    bit_depth,
    image_suffixes,
    read_fitted,
    read_image,
)
from phasegan.data.images.notices import ImageNotices, ignored_lines
from phasegan.data.images.pixels import Pixels, UnreadableImageError, set_pixel_limit
from phasegan.data.sources import (
    SPLITS,
    LoadedImage,
    Loader,
    PhotographCrops,
    Source,
    SourceItem,
    read_file,
    safe_name,
)
from phasegan.errors import InputError
from phasegan.io.atomic import atomic_file
from phasegan.io.untrusted import points_to_folder, read_head

if TYPE_CHECKING:
    from phasegan.data.recipes import Recipe

DEFAULT_CROPS = {"train": 200, "test": 50}
_FORMAT = "phasegan list of pictures 2"
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


@dataclass(frozen=True)
class FileLoader(Loader):
    """Loader of files below a folder: a job is the path from there."""

    root: Path

    def load(self, job: str) -> LoadedImage:
        """Read and decode one image."""
        return self._loaded(job, read_image)

    def load_fitted(
        self, job: str, shape: tuple[int, int], channels: str, bits: int, how: str
    ) -> LoadedImage:
        """Read, decode and fit one image."""
        return self._loaded(
            job, lambda data, notes: read_fitted(data, shape, channels, bits, how, notes)
        )

    def _loaded(self, job: str, decode: Callable[[bytes, ImageNotices], Pixels]) -> LoadedImage:
        data, notes = read_file(os.path.join(self.root, job)), ImageNotices()
        pixels, sha256 = decode(data, notes), hashlib.sha256(data).hexdigest()
        return LoadedImage(safe_name(job), pixels, sha256, tuple(sorted(notes.notices)))


class ImageFolder(Source):
    """Images in a folder and the folders below it.

    Parameters
    ----------
    root : path
        The folder. Where it holds `train` and `test`, those are the split and
        everything else in it is ignored.

    Raises
    ------
    InputError
        If there is no such folder or it holds no images.
    """

    external = True

    def __init__(self, root: str | os.PathLike[str]) -> None:
        super().__init__(str(root))
        set_pixel_limit()
        self.root = Path(root)
        self._depth: int | None = None
        self._listing: str | None = None
        self._max_name_bytes: int | None = None
        self._folders: list[tuple[str, int]] = []
        self._splits: dict[str | None, range] = {}
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        presplit = all((self.root / name).is_dir() for name in SPLITS)
        self._names = PathList(self._walk(SPLITS if presplit else (None,)))
        self.linked.sort()
        if not self._names.blocks:
            ignored = f" ({self.ignored} other files)" if self.ignored else ""
            hints = "".join(f"; {line}" for line in ignored_lines(self.linked, ()))
            raise InputError(f"{root}: no pictures in it or below it{ignored}{hints}")

    def _walk(self, splits: Iterable[str | None]) -> Iterator[str]:
        """Yield paths from the root, in each split ordered as tuples of their parts."""
        count = 0
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
                    count += 1
                    yield path
                else:
                    pending.pop()
            self._splits[split] = range(start, count)

    def _entries(self, folder: str) -> Iterator[str]:
        """Yield the names of a folder's images and, each ended by a zero, folders, in order."""
        try:
            mtime = os.stat(os.path.join(self.root, folder)).st_mtime_ns
            entries = os.scandir(os.path.join(self.root, folder))
        except OSError as error:
            self.unlisted.append((safe_name(folder), error.strerror or "cannot be listed"))
            return
        self._folders.append((folder, mtime))
        folders: list[str] = []
        with entries:
            names = self._images(folder, entries, folders)
            sorted_runs = iter(lambda: sorted(islice(names, _RUN)), [])
            runs = [PathList(run) if len(run) == _RUN else run for run in sorted_runs]
        yield from heapq.merge(sorted(folders), *runs)

    def _images(
        self, folder: str, entries: Iterable[os.DirEntry[str]], folders: list[str]
    ) -> Iterator[str]:
        """Yield names of images, collect folders and count the others; no link is followed."""
        suffixes = image_suffixes()
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{entry.name}\0")
            elif _is_file(entry):
                if os.path.splitext(entry.name)[1].lower() in suffixes:
                    yield entry.name
                else:
                    self.ignored += 1
            elif points_to_folder(entry):
                self.linked.append(safe_name(os.path.join(folder, entry.name)))

    def splits(self) -> dict[str | None, range]:
        """Return ranges in the order of paths."""
        return self._splits

    def item(self, number: int) -> SourceItem:
        """Find the split by the number."""
        split = next(split for split, numbers in self._splits.items() if number in numbers)
        return SourceItem(safe_name(self._names[number]), split, number)

    def job(self, number: int) -> str:
        """Return the path from the folder."""
        return self._names[number]

    def loader(self) -> FileLoader:
        """Return the loader of files."""
        return FileLoader(self.root)

    def depth(self) -> int:
        """Read the headers, once."""
        if self._depth is None:
            self._depth = 16 if any(map(self.is_deep, self._names)) else 8
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
        path = os.path.join(self.root, name)
        try:
            data = read_head(path, 32)
            if data[:2] != b"\xff\xd8" and not data.startswith(PNG_SIGNATURE):
                data = read_file(path)
        except (OSError, InputError, UnreadableImageError):
            return False
        return bit_depth(data) == 16

    def listing(self) -> str:
        """Hash relative paths and sizes, once."""
        if self._listing is None:
            digest = hashlib.sha256()
            for name in self._names:
                try:
                    size = os.stat(os.path.join(self.root, name)).st_size
                except OSError:
                    size = -1  # it is named when it is loaded
                digest.update(f"{safe_name(name)}\0{size}\n".encode())
            self._listing = digest.hexdigest()
        return self._listing

    def max_name_bytes(self) -> int:
        """Return the length of the longest path."""
        if self._max_name_bytes is None:
            self._max_name_bytes = max(len(safe_name(name).encode()) for name in self._names)
        return self._max_name_bytes

    def sha256(self, number: int) -> str:
        """Hash the file."""
        try:
            data = read_file(os.path.join(self.root, self._names[number]))
        except (OSError, UnreadableImageError):
            return ""
        return hashlib.sha256(data).hexdigest()

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
    def restore(cls, root: str | os.PathLike[str], path: Path) -> ImageFolder | None:
        """Read a list that another job wrote.

        A folder that names came to or went from since then shows it by its time of change,
        unless it is the one that the list itself is in.

        Parameters
        ----------
        root : path
            The folder of images.
        path : pathlib.Path
            The list's file.

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
            folder.root, folder.label = Path(root), str(root)
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

    def __init__(self, path: Path) -> None:
        Source.__init__(self, str(path))
        self.root, self._names = path.parent, PathList([path.name])
        self._splits, self._folders = {None: range(1)}, []
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
        return ImageFolder(recipe.source.path)
    if recipe.source.kind == "array":
        raise InputError(f"recipe {recipe.name}: arrays are given to phasegan.prepare, not named")
    split, shape = recipe.split, rows_columns(recipe.preprocessing.size)
    counts = {
        "train": DEFAULT_CROPS["train"] if split.samples is None else split.samples,
        "test": DEFAULT_CROPS["test"] if split.test is None else split.test,
    }
    return PhotographCrops(recipe.source, counts, shape, split.seed)
