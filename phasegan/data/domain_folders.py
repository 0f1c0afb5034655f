"""Two unpaired domains of images: folders, subsets, and files that hold both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.pair_layout import DOMAIN_NAMES
from phasegan.data.hdf5.pair_reader import PairFile
from phasegan.data.images.decoding import file_suffix, page_count, pixel_suffixes, read_full_depth
from phasegan.data.images.notices import found_lines, ignored_lines
from phasegan.data.images.pixel_format import PixelFormat
from phasegan.data.images.pixels import DecodedImage, UnreadableImageError, set_pixel_limit
from phasegan.data.images.reading import (
    DEFAULT,
    PAGE_MARK,
    Reading,
    page_name,
    pages_of,
    values_digest,
)
from phasegan.errors import InputError, printable
from phasegan.io.untrusted import UnreadableFileError, read_regular, walk
from phasegan.progress import Progress

_LONGEST_NAME = 32
TRAIN_NAMES = ("trainA", "trainB")
TEST_NAMES = ("testA", "testB")


T = TypeVar("T")


class ImageSet(Protocol):
    """Images of a domain, in an order that depends on their names alone.

    Attributes
    ----------
    label : str
        The set, for messages.
    names : list of str
        Names of the images.
    pixel_format : PixelFormat or None
        Common pixel format, where it is known without decoding.
    """

    label: str
    names: list[str]
    pixel_format: PixelFormat | None

    def read(self, index: int) -> DecodedImage:
        """Decode one image.

        Parameters
        ----------
        index : int
            From 0, in the order of `names`.

        Returns
        -------
        DecodedImage
            All channels, at full depth.

        Raises
        ------
        UnreadableImageError
            If it cannot be decoded; the message is the reason alone.
        """

    def path(self, index: int) -> Path | None:
        """Return the file of an image.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        pathlib.Path or None
            None where images have no files of their own.
        """

    def location(self, index: int) -> str | None:
        """Return the file of an image, and its page in it, as `split_page` reads it.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        str or None
            None where images have no files of their own.
        """

    def source_sha256(self, index: int) -> str:
        """Return the SHA-256 of the file that an image came from.

        Parameters
        ----------
        index : int
            From 0.

        Returns
        -------
        str
            64 hexadecimal digits.
        """

    def digest(self) -> str:
        """Return a digest that changes when images come, go or change their size."""

    def ignored_lines(self) -> list[str]:
        """Describe files and links that are not read, a line for each kind."""


class FolderImages(ImageSet):
    """The images and arrays in a folder and the folders below it, sorted by path.

    Parameters
    ----------
    root : path
        The folder.
    reading : Reading
        Pages, axes and missing values.

    Raises
    ------
    InputError
        If it is not there, or holds no image.
    """

    def __init__(self, root: Path, reading: Reading = DEFAULT) -> None:
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        set_pixel_limit()
        suffixes, self.label, self.root = pixel_suffixes(), str(root), root
        self.reading = reading
        linked: list[str] = []
        followed: list[str] = []
        paths: list[Path] = []
        others: list[Path] = []
        for path in walk(root, linked, followed):
            (paths if file_suffix(path.name) in suffixes else others).append(path)
        paths.sort()
        self.followed = sorted(os.path.relpath(path, root) for path in followed)
        self.linked = sorted(os.path.relpath(path, root) for path in linked)
        self.ignored = sorted(path.relative_to(root).as_posix() for path in others)
        if not paths:
            hints = "".join(f"; {line}" for line in self.ignored_lines())
            raise InputError(f"{root}: no pictures in it or below it{hints}")
        self._locations = [
            (path, page) for path in paths for page in pages_of(page_count(path, reading))
        ]
        self.stacks = sum(page == 0 for _, page in self._locations)
        self.names = [
            page_name(path.relative_to(root).as_posix(), page) for path, page in self._locations
        ]
        self.pixel_format: PixelFormat | None = None

    def ignored_lines(self) -> list[str]:
        """Describe files and links that are not read, a line for each kind."""
        return ignored_lines(self.linked, self.ignored)

    def read(self, index: int) -> DecodedImage:
        """Decode one image."""
        return read_full_depth(*self._locations[index], self.reading)

    def path(self, index: int) -> Path:
        """Return the file of an image."""
        return self._locations[index][0]

    def location(self, index: int) -> str:
        """Return the file of an image, and its page in it."""
        path, page = self._locations[index]
        return str(path) if page is None else f"{path}{PAGE_MARK}{page}"

    def source_sha256(self, index: int) -> str:
        """Return the SHA-256 of an image's file or page; it raises as `read` does."""
        if self._locations[index][1] is not None:
            return values_digest(self.read(index))
        try:
            return hashlib.sha256(read_regular(self.path(index))).hexdigest()
        except UnreadableFileError as error:
            raise UnreadableImageError(str(error)) from None

    def digest(self) -> str:
        """Return the SHA-256 over relative paths and sizes."""
        digest = hashlib.sha256()
        for name, (path, _) in zip(self.names, self._locations, strict=True):
            size = path.stat().st_size if path.exists() else "missing"
            digest.update(f"{name}\0{size}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


class ImageSubset(ImageSet):
    """Selected images of a set.

    Parameters
    ----------
    images : ImageSet
        The set.
    rows : sequence of int, optional
        Which of them; all by default.
    shapes : numpy.ndarray, optional
        (n, 2): rows and columns of each of them, where they are known.
    """

    def __init__(
        self,
        images: ImageSet,
        rows: Sequence[int] | None = None,
        shapes: NDArray[np.integer] | None = None,
    ) -> None:
        self._set = images
        self._rows = list(range(len(images.names)) if rows is None else rows)
        self.label, self.shapes = images.label, shapes
        self.pixel_format = images.pixel_format
        self.names = [images.names[row] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def subset(self, rows: Sequence[int], shapes: NDArray[np.integer] | None = None) -> ImageSubset:
        """Select some of these images.

        Parameters
        ----------
        rows : sequence of int
            Positions in this subset, from 0.
        shapes : numpy.ndarray, optional
            (n, 2): their rows and columns, if this subset does not know them.

        Returns
        -------
        ImageSubset
            Subset of the same set.
        """
        if shapes is None and self.shapes is not None:
            shapes = self.shapes[list(rows)]
        return ImageSubset(self._set, [self._rows[row] for row in rows], shapes)

    def read(self, index: int) -> DecodedImage:
        """Decode one image; an `InputError` names the image and the reason."""
        return self._take(self._set.read, index)

    def path(self, index: int) -> Path | None:
        """Return the file of an image."""
        return self._set.path(self._rows[index])

    def location(self, index: int) -> str | None:
        """Return the file of an image, and its page in it."""
        return self._set.location(self._rows[index])

    @property
    def reading(self) -> Reading:
        """How its files are read."""
        return getattr(self._set, "reading", DEFAULT)

    def source_sha256(self, index: int) -> str:
        """Return the SHA-256 of the file that an image came from; it raises as `read` does."""
        return self._take(self._set.source_sha256, index)

    def _take(self, function: Callable[[int], T], index: int) -> T:
        row = self._rows[index]
        try:
            return function(row)
        except UnreadableImageError as error:
            raise InputError(f"{self.label}/{self._set.names[row]}: {error}") from None

    def ignored_lines(self) -> list[str]:
        """Describe files and links of the set that are not read."""
        return self._set.ignored_lines()

    def warn_ignored(self, progress: Progress) -> None:
        """Warn of files and links beside the images that are not read.

        Parameters
        ----------
        progress : Progress
            Receives one warning for each kind.
        """
        for line in self.ignored_lines():
            progress.warn(f"{self.label}: {line}")
        for line in found_lines(self._set, len(self._set.names)):
            progress.say(f"{self.label}: {line}")

    def digest(self) -> str:
        """Return a digest of the set and of the selection."""
        set_digest = self._set.digest()
        if len(self._rows) == len(self._set.names):
            return set_digest
        return hashlib.sha256(f"{set_digest} {self._rows}".encode()).hexdigest()


class DomainPair(NamedTuple):
    """Two domains of images.

    Attributes
    ----------
    name : str
        Name of the data, for file names.
    train : tuple of ImageSubset
        Training images of A and of B.
    test : tuple of ImageSubset or None
        Test images, where there are some.
    prepared : (int, str), optional
        Settings of a prepared file: size and fit of training images,
        as `phasegan.data.images.resizing.resize_to_load` says.
    domain_names : (str, str)
        What figures and tables call the domains: their folders' names, where these tell
        them apart.
    """

    name: str
    train: tuple[ImageSubset, ImageSubset]
    test: tuple[ImageSubset | None, ImageSubset | None]
    prepared: tuple[int, str] | None = None
    domain_names: tuple[str, str] = DOMAIN_NAMES

    @property
    def paired(self) -> bool:
        """Whether test images have equal names in both domains, and so belong together."""
        a, b = self.test
        return (
            a is not None
            and b is not None
            and [_stem(n) for n in a.names] == [_stem(n) for n in b.names]
        )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(""))


def is_pair_folder(path: str | os.PathLike[str] | None) -> bool:
    """Tell whether a folder holds two domains, `trainA` and `trainB`.

    Parameters
    ----------
    path : path or None
        Any path.

    Returns
    -------
    bool
        False for None and for missing folders.
    """
    return path is not None and all((Path(path) / name).is_dir() for name in TRAIN_NAMES)


def open_domains(
    folder: str | os.PathLike[str] | None = None,
    domain_a: str | os.PathLike[str] | None = None,
    domain_b: str | os.PathLike[str] | None = None,
    reading: Reading = DEFAULT,
) -> DomainPair:
    """Open two domains of images.

    Parameters
    ----------
    folder : path, optional
        With `trainA` and `trainB`, perhaps `testA` and `testB`; or a file of them
        that `phasegan prepare` wrote.
    domain_a, domain_b : path, optional
        The domains' own folders instead, each with images, or with `train` and
        perhaps `test` in it.
    reading : Reading
        Pages, axes and missing values of the files.

    Returns
    -------
    DomainPair
        Training images, and test images where there are some.

    Raises
    ------
    InputError
        If a folder is missing or holds no images.
    """
    if folder is not None and (domain_a is not None or domain_b is not None):
        raise InputError("give FOLDER, or --domain-a and --domain-b, not both")
    if folder is not None:
        root = Path(folder)
        if root.is_file():
            return _from_file(root)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder")
        missing = [name for name in TRAIN_NAMES if not (root / name).is_dir()]
        if missing:
            raise InputError(
                f"{root}: holds no {' and no '.join(missing)}; two domains are folders trainA and "
                "trainB in it, or --domain-a DIR --domain-b DIR"
            )
        train = tuple(ImageSubset(FolderImages(root / name, reading)) for name in TRAIN_NAMES)
        test = tuple(
            ImageSubset(FolderImages(root / name, reading)) if (root / name).is_dir() else None
            for name in TEST_NAMES
        )
        return DomainPair(root.resolve().name, (train[0], train[1]), (test[0], test[1]))
    if domain_a is None or domain_b is None:
        raise InputError("two domains are --domain-a DIR and --domain-b DIR: give both")
    folders = [_own_folder(Path(root), reading) for root in (domain_a, domain_b)]
    a, b = (Path(root).resolve().name for root in (domain_a, domain_b))
    return DomainPair(
        f"{a}-{b}",
        (folders[0][0], folders[1][0]),
        (folders[0][1], folders[1][1]),
        domain_names=DOMAIN_NAMES if a == b or (a, b) == TRAIN_NAMES else (_short(a), _short(b)),
    )


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def _from_file(path: Path) -> DomainPair:
    file = PairFile(path)
    parts = [
        ImageSubset(group, shapes=group.shapes())
        for group in (file.groups[name] for name in TRAIN_NAMES)
    ]
    test = [
        ImageSubset(file.groups[name]) if len(file.groups.get(name, ())) else None
        for name in TEST_NAMES
    ]
    metadata = file.metadata
    return DomainPair(
        path.stem,
        (parts[0], parts[1]),
        (test[0], test[1]),
        (metadata.load, metadata.fit),
        metadata.domain_names,
    )


def _own_folder(root: Path, reading: Reading) -> tuple[ImageSubset, ImageSubset | None]:
    if (root / "train").is_dir():
        test = root / "test"
        return (
            ImageSubset(FolderImages(root / "train", reading)),
            ImageSubset(FolderImages(test, reading)) if test.is_dir() else None,
        )
    return ImageSubset(FolderImages(root, reading)), None
