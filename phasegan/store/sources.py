"""Sources of images: what there is, and how one of them is loaded."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.store.deep import PNG_SIGNATURE
from phasegan.store.pictures import Pixels, bit_depth, picture_suffixes, read_picture
from phasegan.store.recipes import PhotographSource, Recipe

SPLITS = ("train", "test")
MAX_CROPS = 1_000_000
DEFAULT_CROPS = {"train": 200, "test": 50}


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


class Source(Protocol):
    """Where images come from."""

    label: str
    ignored: int
    """Files that are not pictures by their name."""

    def items(self) -> list[Item]:
        """Return what there is, in an order that depends on nothing but the contents."""

    def load(self, item: Item) -> Loaded:
        """Decode one; raises UnreadablePictureError with the reason."""

    def depth(self) -> int:
        """Return 16 if any picture has more than 8 bits, else 8."""

    def listing(self) -> str:
        """Return a digest that changes when files come, go or change their size."""

    def holds(self, name: str, sha256: str) -> bool:
        """Tell whether the item of that name still has that content."""


def _safe_name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.label = str(root)
        self.ignored = 0
        self._paths: list[Path] = []
        self._by_name: dict[str, Path] | None = None
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder")
        presplit = all((self.root / name).is_dir() for name in SPLITS)
        self._items: list[Item] = []
        for split in SPLITS if presplit else (None,):
            base = self.root / split if split else self.root
            for path in sorted(self._walk(base)):
                self._items.append(Item(_safe_name(path, self.root), split, len(self._paths)))
                self._paths.append(path)
        if not self._paths:
            ignored = f" ({self.ignored} other files)" if self.ignored else ""
            raise InputError(f"{root}: no pictures in it or below it{ignored}")

    def _walk(self, base: Path) -> Iterator[Path]:
        suffixes = picture_suffixes()
        for folder, folders, names in os.walk(base):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in names:
                path = Path(folder, name)
                if name.startswith(".") or not path.is_file():
                    continue
                if path.suffix.lower() in suffixes:
                    yield path
                else:
                    self.ignored += 1

    def items(self) -> list[Item]:
        """Return the pictures sorted by path."""
        return self._items

    def load(self, item: Item) -> Loaded:
        """Read and decode one picture."""
        data = self._paths[item.number].read_bytes()
        return Loaded(item.name, read_picture(data), hashlib.sha256(data).hexdigest())

    def depth(self) -> int:
        """Look at headers until a picture with more than 8 bits turns up."""
        for path in self._paths:
            try:
                with open(path, "rb") as stream:
                    data = stream.read(32)
                    if data[:2] != b"\xff\xd8" and not data.startswith(PNG_SIGNATURE):
                        data += stream.read()
            except OSError:
                continue
            if bit_depth(data) == 16:
                return 16
        return 8

    def listing(self) -> str:
        """Digest of the relative paths and sizes."""
        digest = hashlib.sha256()
        for item, path in zip(self._items, self._paths, strict=True):
            digest.update(f"{item.name}\0{path.stat().st_size}\n".encode())
        return digest.hexdigest()

    def holds(self, name: str, sha256: str) -> bool:
        """Hash the file again."""
        if self._by_name is None:
            pairs = zip(self._items, self._paths, strict=True)
            self._by_name = {item.name: path for item, path in pairs}
        try:
            return hashlib.sha256(self._by_name[name].read_bytes()).hexdigest() == sha256
        except (KeyError, OSError):
            return False


class PictureFile(PictureFolder):
    """A single picture, whatever its suffix."""

    def __init__(self, path: Path) -> None:
        self.root, self.label, self.ignored = path.parent, str(path), 0
        self._paths = [path]
        self._items = [Item(_safe_name(path, self.root), None, 0)]
        self._by_name = None


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

    def items(self) -> list[Item]:
        """Return the images in order."""
        return [Item(f"array[{i}]", None, i) for i in range(len(self._images))]

    def load(self, item: Item) -> Loaded:
        """Return one image."""
        pixels = np.ascontiguousarray(self._images[item.number])
        return Loaded(item.name, pixels, hashlib.sha256(pixels.data).hexdigest())

    def depth(self) -> int:
        """Of the array's dtype."""
        return 8 * self._images.dtype.itemsize

    def listing(self) -> str:
        """Digest of the images."""
        digest = hashlib.sha256(f"{self._images.shape} {self._images.dtype}".encode())
        digest.update(np.ascontiguousarray(self._images).data)
        return digest.hexdigest()

    def holds(self, name: str, sha256: str) -> bool:
        """Return True: the listing has seen every pixel."""
        return True


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

    def __init__(
        self, source: PhotographSource, counts: dict[str, int], size: int, seed: int
    ) -> None:
        self.label = "scikit-image"
        self.ignored = 0
        self.size, self.seed = size, seed
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
        self._items = [
            Item(self._names[split][i % len(self._names[split])], split, i)
            for split in SPLITS
            for i in range(counts[split])
        ]
        self._photograph = functools.lru_cache(maxsize=16)(self._read)

    def _read(self, name: str) -> tuple[Pixels, str]:
        data = (self._root / name).read_bytes()
        return read_picture(data), hashlib.sha256(data).hexdigest()

    def items(self) -> list[Item]:
        """Return the crops, cycling through the photographs."""
        return self._items

    def load(self, item: Item) -> Loaded:
        """Cut one crop; its name says where: `coffee.png#row,column,side`."""
        pixels, digest = self._photograph(item.name)
        rows, columns = pixels.shape[:2]
        longest = min(rows, columns)
        stream = SPLITS.index(item.split or "train")
        rng = np.random.default_rng([self.seed, stream, item.number])
        side = int(rng.integers(min(max(self.size, longest // 3), longest), longest + 1))
        row = int(rng.integers(0, rows - side + 1))
        column = int(rng.integers(0, columns - side + 1))
        crop = pixels[row : row + side, column : column + side]
        return Loaded(f"{item.name}#{row},{column},{side}", crop, digest)

    def depth(self) -> int:
        """All of them have 8 bits."""
        return 8

    def listing(self) -> str:
        """Digest of the photographs' contents."""
        digest = hashlib.sha256()
        for name in sorted({item.name for item in self._items}):
            digest.update(f"{name}\0{self._photograph(name)[1]}\n".encode())
        return digest.hexdigest()

    def holds(self, name: str, sha256: str) -> bool:
        """Return True: the listing has seen every photograph."""
        return True


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
