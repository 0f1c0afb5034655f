"""Folders of images as a source, and a list of their files for jobs that share it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phasegan.data.images.decoding import bit_depth, image_suffixes, read_image
from phasegan.data.images.high_bit_depth import PNG_SIGNATURE, Pixels, UnreadableImageError
from phasegan.data.images.notices import ImageNotices, ignored_lines
from phasegan.data.images.resizing import read_square
from phasegan.data.sources import (
    SPLITS,
    LoadedImage,
    Loader,
    Source,
    SourceItem,
    read_file,
    safe_name,
)
from phasegan.errors import InputError
from phasegan.io.atomic import atomic_file
from phasegan.io.untrusted import points_to_folder, read_head

_FORMAT = "phasegan list of pictures 1"
_PART = 2**24


class PathList:
    """A compact list of paths in one bytes object.

    Parameters
    ----------
    data : bytes
        Each path as the file system has it, ended by a zero byte.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        ends = [
            np.flatnonzero(np.frombuffer(data[start : start + _PART], np.uint8) == 0) + start
            for start in range(0, len(data), _PART)
        ]
        self._starts = np.concatenate([[0], *(positions + 1 for positions in ends)]).astype(
            np.int64
        )

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        return os.fsdecode(self.data[self._starts[number] : self._starts[number + 1] - 1])

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))


@dataclass(frozen=True)
class FileLoader(Loader):
    """Loader of files below a folder: a job is the path from there."""

    root: Path

    def load(self, job: str) -> LoadedImage:
        """Read and decode one image."""
        data, notes = read_file(os.path.join(self.root, job)), ImageNotices()
        pixels = read_image(data, notes)
        return _loaded(job, pixels, data, notes)

    def load_square(self, job: str, size: int, channels: str, bits: int, how: str) -> LoadedImage:
        """Read, decode and fit one image."""
        data, notes = read_file(os.path.join(self.root, job)), ImageNotices()
        pixels = read_square(data, size, channels, bits, how, notes)
        return _loaded(job, pixels, data, notes)


def _loaded(job: str, pixels: Pixels, data: bytes, notes: ImageNotices) -> LoadedImage:
    name, sha256 = safe_name(job), hashlib.sha256(data).hexdigest()
    return LoadedImage(name, pixels, sha256, tuple(sorted(notes.notices)))


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
        self.root = Path(root)
        self.label = str(root)
        self.ignored = 0
        self.linked: list[str] = []
        self.unlisted: list[tuple[str, str]] = []
        self._depth: int | None = None
        self._listing: str | None = None
        self._max_name_bytes: int | None = None
        self._folders: list[tuple[str, int]] = []
        self._splits: dict[str | None, range] = {}
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        presplit = all((self.root / name).is_dir() for name in SPLITS)
        names: list[str] = []
        for split in SPLITS if presplit else (None,):
            paths = sorted(self._walk(split or ""))
            self._splits[split] = range(len(names), len(names) + len(paths))
            names += paths
        self.linked.sort()
        if not names:
            ignored = f" ({self.ignored} other files)" if self.ignored else ""
            hints = "".join(f"; {line}" for line in ignored_lines(self.linked, ()))
            raise InputError(f"{root}: no pictures in it or below it{ignored}{hints}")
        data = bytearray()
        for name in names:
            data += _stored(name)
        del names
        self._names = PathList(bytes(data))

    def _walk(self, base: str) -> Iterator[str]:
        """Yield paths from the root, parted by zeros; links to folders are not followed."""
        suffixes = image_suffixes()
        folders = [base]
        while folders:
            folder = folders.pop()
            try:
                mtime = os.stat(os.path.join(self.root, folder)).st_mtime_ns
                entries = os.scandir(os.path.join(self.root, folder))
            except OSError as error:
                self.unlisted.append((safe_name(folder), error.strerror or "cannot be listed"))
                continue
            self._folders.append((folder, mtime))
            with entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(os.path.join(folder, entry.name))
                    elif _is_file(entry):
                        if os.path.splitext(entry.name)[1].lower() in suffixes:
                            yield os.path.join(folder, entry.name).replace(os.sep, "\0")
                        else:
                            self.ignored += 1
                    elif points_to_folder(entry):
                        self.linked.append(safe_name(os.path.join(folder, entry.name)))

    def splits(self) -> dict[str | None, range]:
        """Return the images' numbers, in the order of their paths."""
        return self._splits

    def item(self, number: int) -> SourceItem:
        """Return an image's name and split."""
        split = next(split for split, numbers in self._splits.items() if number in numbers)
        return SourceItem(safe_name(self._names[number]), split, number)

    def job(self, number: int) -> str:
        """Return the path from the folder."""
        return self._names[number]

    def loader(self) -> FileLoader:
        """Return the loader that reads and decodes files."""
        return FileLoader(self.root)

    def depth(self) -> int:
        """Return 16 if any header says more than 8 bits, else 8."""
        if self._depth is None:
            self._depth = 16 if any(map(self._is_deep, self._names)) else 8
        return self._depth

    def _is_deep(self, name: str) -> bool:
        path = os.path.join(self.root, name)
        try:
            data = read_head(path, 32)
            if data[:2] != b"\xff\xd8" and not data.startswith(PNG_SIGNATURE):
                data = read_file(path)
        except (OSError, InputError, UnreadableImageError):
            return False
        return bit_depth(data) == 16

    def listing(self) -> str:
        """Return the SHA-256 over relative paths and sizes, computed once."""
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
        """Return the length of the longest path, computed once."""
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

    def matches(self, number: int, sha256: str) -> bool:
        """Hash the file again."""
        return self.sha256(number) == sha256

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
        }
        data = json.dumps(head).encode() + b"\n"
        digest = hashlib.sha256(data)
        digest.update(self._names.data)
        with atomic_file(path) as temporary, open(temporary, "wb") as stream:
            stream.write(digest.hexdigest().encode() + b"\n" + data)
            stream.write(self._names.data)

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
                line = stream.readline()
                data = stream.read()
            digest = hashlib.sha256(line)
            digest.update(data)
            head: dict[str, Any] = json.loads(line)
            if digest.hexdigest() != written or head["format"] != _FORMAT:
                return None
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
        except (OSError, ValueError, KeyError, TypeError):
            return None
        folder._names = PathList(data)
        return folder

    def _unchanged(self, list_folder: Path) -> bool:
        """Tell whether no names came or went, in any folder but our own."""
        root, list_folder = self.root.resolve(), list_folder.resolve()
        return all(
            root / folder == list_folder or os.stat(root / folder).st_mtime_ns == mtime
            for folder, mtime in self._folders
        )


def _stored(name: str) -> bytes:
    return os.fsencode(name.replace("\0", os.sep)) + b"\0"


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


class ImageFile(ImageFolder):
    """A single image, whatever its suffix."""

    def __init__(self, path: Path) -> None:
        self.root, self.label, self.ignored = path.parent, str(path), 0
        self._names, self._splits = PathList(_stored(path.name)), {None: range(1)}
        self._depth = self._listing = self._max_name_bytes = None
        self._folders, self.unlisted, self.linked = [], [], []
