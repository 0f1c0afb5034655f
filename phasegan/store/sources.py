"""Sources of images: what there is, and how one of them is loaded."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.store.deep import PNG_SIGNATURE, UnreadablePictureError
from phasegan.store.pictures import (
    Pixels,
    bit_depth,
    picture_suffixes,
    read_picture,
    read_square,
    square,
)

if TYPE_CHECKING:
    from phasegan.store.recipes import PhotographSource, Recipe

SPLITS = ("train", "test")
MAX_CROPS = 1_000_000
DEFAULT_CROPS = {"train": 200, "test": 50}
MAX_FILE_BYTES = 2**30
"""No picture file is larger: 16-bit RGB of Pillow's limit on pixels takes half of it."""


class Item(NamedTuple):
    """One thing that may become a sample."""

    name: str
    split: str | None
    """`train`, `test`, or None where the source does not say."""
    number: int


class Loaded(NamedTuple):
    """A decoded picture."""

    name: str
    pixels: Pixels
    sha256: str
    """Of the file that the picture came from."""


class Loader(Protocol):
    """How things are loaded: what another process is given to do the work."""

    def load(self, ticket: Any) -> Loaded:
        """Decode one; raises UnreadablePictureError with the reason."""

    def square(self, ticket: Any, size: int, channels: str, bits: int, how: str) -> Loaded:
        """Decode one and fit it, as `phasegan.store.pictures.square` does."""


class Source(Protocol):
    """Where images come from, in an order that depends on nothing but the contents."""

    label: str
    ignored: int
    """Files that are not pictures by their name."""
    external: bool
    """Whether pictures are files that somebody else made and may change."""

    def splits(self) -> dict[str | None, range]:
        """Return the numbers of each split's items; None: of those without one."""

    def item(self, number: int) -> Item:
        """Return what stands at a number."""

    def ticket(self, number: int) -> Any:
        """Return what a loader needs to load it."""

    def loader(self) -> Loader:
        """Return the loader; it can be pickled."""

    def depth(self) -> int:
        """Return 16 if any picture has more than 8 bits, else 8."""

    def listing(self) -> str:
        """Return a digest that changes when files come, go or change their size."""

    def holds(self, number: int, sha256: str) -> bool:
        """Tell whether the item of that number still has that content."""


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return what a file holds; never waits for a pipe.

    Raises
    ------
    UnreadablePictureError
        If it is not a regular file, or larger than `MAX_FILE_BYTES`.
    OSError
        If it cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnreadablePictureError("not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise UnreadablePictureError(f"larger than the limit of {MAX_FILE_BYTES:,} bytes")
        return stream.read(MAX_FILE_BYTES)


def _safe_name(name: str) -> str:
    if os.sep != "/":
        name = name.replace(os.sep, "/")
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class FileLoader:
    """Loads pictures below a folder; a ticket is the path from there."""

    root: Path

    def load(self, ticket: str) -> Loaded:
        """Read and decode one picture."""
        data = read_file(os.path.join(self.root, ticket))
        return Loaded(_safe_name(ticket), read_picture(data), hashlib.sha256(data).hexdigest())

    def square(self, ticket: str, size: int, channels: str, bits: int, how: str) -> Loaded:
        """Read, decode and fit one picture."""
        data = read_file(os.path.join(self.root, ticket))
        pixels = read_square(data, size, channels, bits, how)
        return Loaded(_safe_name(ticket), pixels, hashlib.sha256(data).hexdigest())


class PictureFolder:
    """Pictures in a folder and the folders below it.

    Parameters
    ----------
    root : path
        The folder. Where it holds `train` and `test`, those are the split and
        nothing else in it is looked at.

    Raises
    ------
    InputError
        If there is no such folder or it holds no pictures.
    """

    external = True

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.label = str(root)
        self.ignored = 0
        self._names: list[str] = []
        self._splits: dict[str | None, range] = {}
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        presplit = all((self.root / name).is_dir() for name in SPLITS)
        for split in SPLITS if presplit else (None,):
            found = sorted(self._walk(split or ""), key=lambda name: name.split(os.sep))
            self._splits[split] = range(len(self._names), len(self._names) + len(found))
            self._names += found
        if not self._names:
            ignored = f" ({self.ignored} other files)" if self.ignored else ""
            raise InputError(f"{root}: no pictures in it or below it{ignored}")

    def _walk(self, base: str) -> Iterator[str]:
        """Yield paths from the root; links to folders are not followed."""
        suffixes = picture_suffixes()
        folders = [base]
        while folders:
            folder = folders.pop()
            try:
                entries = os.scandir(os.path.join(self.root, folder))
            except OSError:
                continue
            with entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(os.path.join(folder, entry.name))
                    elif _is_file(entry):
                        if os.path.splitext(entry.name)[1].lower() in suffixes:
                            yield os.path.join(folder, entry.name)
                        else:
                            self.ignored += 1

    def splits(self) -> dict[str | None, range]:
        """Return the pictures' numbers, in the order of their paths."""
        return self._splits

    def item(self, number: int) -> Item:
        """Return a picture's name and split."""
        split = next(split for split, own in self._splits.items() if number in own)
        return Item(_safe_name(self._names[number]), split, number)

    def ticket(self, number: int) -> str:
        """Return the path from the folder."""
        return self._names[number]

    def loader(self) -> FileLoader:
        """Return what reads and decodes."""
        return FileLoader(self.root)

    def depth(self) -> int:
        """Look at headers until a picture with more than 8 bits turns up."""
        for name in self._names:
            try:
                path = os.path.join(self.root, name)
                with open(path, "rb") as stream:
                    data = stream.read(32)
                if data[:2] != b"\xff\xd8" and not data.startswith(PNG_SIGNATURE):
                    data = read_file(path)
            except (OSError, UnreadablePictureError):
                continue
            if bit_depth(data) == 16:
                return 16
        return 8

    def listing(self) -> str:
        """Digest of the relative paths and sizes."""
        digest = hashlib.sha256()
        for name in self._names:
            size = os.stat(os.path.join(self.root, name)).st_size
            digest.update(f"{_safe_name(name)}\0{size}\n".encode())
        return digest.hexdigest()

    def holds(self, number: int, sha256: str) -> bool:
        """Hash the file again."""
        try:
            data = read_file(os.path.join(self.root, self._names[number]))
        except (OSError, UnreadablePictureError):
            return False
        return hashlib.sha256(data).hexdigest() == sha256


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False


class PictureFile(PictureFolder):
    """A single picture, whatever its suffix."""

    def __init__(self, path: Path) -> None:
        self.root, self.label, self.ignored = path.parent, str(path), 0
        self._names, self._splits = [path.name], {None: range(1)}


class _Fitted:
    """Loaders that have pixels at hand fit them in two steps."""

    def load(self, ticket: Any) -> Loaded:
        raise NotImplementedError

    def square(self, ticket: Any, size: int, channels: str, bits: int, how: str) -> Loaded:
        """Load one and fit it."""
        loaded = self.load(ticket)
        return loaded._replace(pixels=square(loaded.pixels, size, channels, bits, how))


class ArrayLoader(_Fitted):
    """Takes images as they come: a ticket is a name and its pixels."""

    def load(self, ticket: tuple[str, Pixels]) -> Loaded:
        """Return one image."""
        name, pixels = ticket
        pixels = np.ascontiguousarray(pixels)
        return Loaded(name, pixels, hashlib.sha256(pixels.data).hexdigest())


class ArrayPictures:
    """Images in an array.

    Parameters
    ----------
    images : numpy.ndarray
        (n, rows, columns) or (n, rows, columns, 3), uint8 or uint16.

    Raises
    ------
    InputError
        If the array is of another shape or dtype, or empty.
    """

    external = False

    def __init__(self, images: NDArray[np.integer]) -> None:
        colour = images.ndim == 4 and images.shape[3] == 3
        if not (images.ndim == 3 or colour) or images.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"images of shape {images.shape} and dtype {images.dtype}: expected (n, rows, "
                "columns) or (n, rows, columns, 3), uint8 or uint16"
            )
        if not len(images):
            raise InputError("an array without images")
        self.label, self.ignored, self._images = "the array", 0, images

    def splits(self) -> dict[str | None, range]:
        """Return the images' numbers."""
        return {None: range(len(self._images))}

    def item(self, number: int) -> Item:
        """Return an image's name."""
        return Item(f"array[{number}]", None, number)

    def ticket(self, number: int) -> tuple[str, Pixels]:
        """Return an image with its name."""
        return f"array[{number}]", self._images[number]

    def loader(self) -> ArrayLoader:
        """Return what takes the images."""
        return ArrayLoader()

    def depth(self) -> int:
        """Of the array's dtype."""
        return 8 * self._images.dtype.itemsize

    def listing(self) -> str:
        """Digest of the images."""
        digest = hashlib.sha256(f"{self._images.shape} {self._images.dtype}".encode())
        for image in self._images:
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def holds(self, number: int, sha256: str) -> bool:
        """Hash the image again."""
        pixels = np.ascontiguousarray(self._images[number])
        return hashlib.sha256(pixels.data).hexdigest() == sha256


class PhotographLoader(_Fitted):
    """Cuts crops: a ticket is a photograph's name, the crop's split and number."""

    def __init__(self, root: Path, size: int, seed: int) -> None:
        self._root, self._size, self._seed = root, size, seed
        self._kept: dict[str, tuple[Pixels, str]] = {}

    def photograph(self, name: str) -> tuple[Pixels, str]:
        """Return a photograph and the hash of its file."""
        if name not in self._kept:
            data = (self._root / name).read_bytes()
            self._kept[name] = read_picture(data), hashlib.sha256(data).hexdigest()
        return self._kept[name]

    def load(self, ticket: tuple[str, str, int]) -> Loaded:
        """Cut one crop; its name says where: `coffee.png#row,column,side`."""
        name, split, number = ticket
        pixels, digest = self.photograph(name)
        rows, columns = pixels.shape[:2]
        longest = min(rows, columns)
        rng = np.random.default_rng([self._seed, SPLITS.index(split), number])
        side = int(rng.integers(min(max(self._size, longest // 3), longest), longest + 1))
        row = int(rng.integers(0, rows - side + 1))
        column = int(rng.integers(0, columns - side + 1))
        crop = pixels[row : row + side, column : column + side]
        return Loaded(f"{name}#{row},{column},{side}", crop, digest)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}}


class Photographs:
    """Seeded square crops of the photographs that ship inside scikit-image.

    Parameters
    ----------
    source : PhotographSource
        File names for training and for testing.
    counts : dict
        Crops for `train` and `test`.
    size : int
        N: no crop is smaller.
    seed : int
        Of the crops' places and sizes.

    Raises
    ------
    InputError
        If scikit-image lacks a photograph.
    """

    external = False

    def __init__(
        self, source: PhotographSource, counts: dict[str, int], size: int, seed: int
    ) -> None:
        self.label = "scikit-image"
        self.ignored = 0
        self._names = {"train": source.train, "test": source.test}
        self._root = Path(str(resources.files("skimage.data")))
        if max(counts.values()) > MAX_CROPS:
            raise InputError(
                f"{max(counts.values())} crops asked for: the photographs inside scikit-image "
                f"give at most {MAX_CROPS} a split; ask for fewer with --samples and --test"
            )
        for name in source.train + source.test:
            if not name or not (self._root / name).is_file():
                raise InputError(f"the photograph {name!r} is not in this scikit-image")
        self._counts = counts
        self._loader = PhotographLoader(self._root, size, seed)

    def splits(self) -> dict[str | None, range]:
        """Return the crops' numbers: those of `train`, then those of `test`."""
        train, test = (self._counts[split] for split in SPLITS)
        return {"train": range(train), "test": range(train, train + test)}

    def item(self, number: int) -> Item:
        """Return the photograph that a crop is cut from; they take turns."""
        name, split, _ = self.ticket(number)
        return Item(name, split, number)

    def ticket(self, number: int) -> tuple[str, str, int]:
        """Return the photograph's name, the split and the crop's number in it."""
        split = "train" if number < self._counts["train"] else "test"
        own = number - (self._counts["train"] if split == "test" else 0)
        names = self._names[split]
        return names[own % len(names)], split, own

    def loader(self) -> PhotographLoader:
        """Return what cuts the crops."""
        return self._loader

    def depth(self) -> int:
        """All of them have 8 bits."""
        return 8

    def listing(self) -> str:
        """Digest of the photographs' contents."""
        digest = hashlib.sha256()
        used = {self.ticket(i)[0] for own in self.splits().values() for i in own}
        for name in sorted(used):
            digest.update(f"{name}\0{self._loader.photograph(name)[1]}\n".encode())
        return digest.hexdigest()

    def holds(self, number: int, sha256: str) -> bool:
        """Compare with the hash of the photograph's file."""
        return self._loader.photograph(self.ticket(number)[0])[1] == sha256


def open_source(recipe: Recipe) -> Source:
    """Open the source that a recipe names."""
    if recipe.source.kind == "folder":
        return PictureFolder(recipe.source.path)
    if recipe.source.kind == "array":
        raise InputError(f"recipe {recipe.name}: arrays are given to phasegan.prepare, not named")
    split = recipe.split
    counts = {
        "train": DEFAULT_CROPS["train"] if split.samples is None else split.samples,
        "test": DEFAULT_CROPS["test"] if split.test is None else split.test,
    }
    return Photographs(recipe.source, counts, recipe.preprocessing.size, split.seed)
