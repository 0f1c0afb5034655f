"""Sources of images and their loaders: arrays, and photographs inside scikit-image."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.data.images.decoding import read_image
from phasegan.data.images.pixels import Pixels, UnreadableImageError
from phasegan.data.images.resizing import to_shape
from phasegan.errors import InputError
from phasegan.io.untrusted import UnreadableFileError, read_regular

if TYPE_CHECKING:
    from phasegan.data.recipes import PhotographSource

SPLITS = ("train", "test")
MAX_CROPS = 1_000_000


class SourceItem(NamedTuple):
    """An image of a source."""

    name: str
    split: str | None
    """`train`, `test`, or None where the source does not say."""
    number: int


class LoadedImage(NamedTuple):
    """A decoded image."""

    name: str
    pixels: Pixels
    sha256: str
    """SHA-256 of the file that the image came from."""
    notices: tuple[str, ...] = ()
    """Notices of the decoder."""


class Loader(ABC):
    """Decoder of a source's images; it can be pickled for worker processes."""

    def with_limits(self, limits: tuple[float, float] | None) -> Loader:
        """Return a loader that stores these values as 0 and 65535.

        Parameters
        ----------
        limits : (float, float) or None
            None leaves values as they are.

        Returns
        -------
        Loader
            This one, where images are 8 or 16 bit in any case.
        """
        return self

    @abstractmethod
    def load(self, job: Any) -> LoadedImage:
        """Decode one image in its own size and depth.

        Parameters
        ----------
        job : Any
            Result of `Source.job`.

        Returns
        -------
        LoadedImage
            Pixels, name and hash of the file.

        Raises
        ------
        UnreadableImageError
            If it cannot be decoded; the message is the reason alone.
        """

    def load_fitted(
        self, job: Any, shape: tuple[int, int], channels: str, bits: int, how: str
    ) -> LoadedImage:
        """Decode one image and fit it to N₁×N₂ pixels.

        Parameters
        ----------
        job : Any
            Result of `Source.job`.
        shape : (int, int)
            (N₁, N₂), rows and columns.
        channels : {"gray", "rgb"}
            Channels of the result.
        bits : {8, 16}
            Depth of the result.
        how : {"crop", "pad", "stretch"}
            As of `phasegan.data.images.resizing.fit`.

        Returns
        -------
        LoadedImage
            Pixels (N₁, N₂[, 3]), uint8 or uint16.

        Raises
        ------
        UnreadableImageError
            If it cannot be decoded, or is smaller than that.
        """
        loaded = self.load(job)
        return loaded._replace(pixels=to_shape(loaded.pixels, shape, channels, bits, how))


class Source(ABC):
    """Where images come from, in an order that depends on nothing but the contents."""

    external = False
    """Whether images are files that somebody else made and may change."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.ignored = 0
        """Files that are not images by their name."""
        self.linked: list[str] = []
        """Links that lead to folders that are read anyway."""
        self.followed: list[str] = []
        """Links to other folders, whose images are read."""
        self.stacks = 0
        """Files of several images."""
        self.unlisted: list[tuple[str, str]] = []
        """Name of each folder that cannot be listed, and why."""

    @abstractmethod
    def splits(self) -> dict[str | None, range]:
        """Return the numbers of each split's items; None: of those without one."""

    @abstractmethod
    def item(self, number: int) -> SourceItem:
        """Return name and split of an image.

        Parameters
        ----------
        number : int
            From 0; of the ranges that `splits` returns.

        Returns
        -------
        SourceItem
            Its name as files store it, and its split.
        """

    @abstractmethod
    def job(self, number: int) -> Any:
        """Return the argument of `Loader.load` for an image.

        Parameters
        ----------
        number : int
            From 0.

        Returns
        -------
        Any
            Picklable; a path, or a name with pixels.
        """

    @abstractmethod
    def loader(self) -> Loader:
        """Return the loader; it can be pickled."""

    @abstractmethod
    def depth(self) -> int:
        """Return 16 if any image has more than 8 bits, else 8."""

    def limits(self) -> tuple[float, float] | None:
        """Return the least and the largest value, if no image has 8 or 16 bit; else None."""
        return None

    @abstractmethod
    def listing(self) -> str:
        """Return a digest that changes when files come, go or change their size."""

    @abstractmethod
    def max_name_bytes(self) -> int:
        """Return the length in bytes, UTF-8, of the longest name of a sample's source."""

    @abstractmethod
    def sha256(self, number: int) -> str:
        """Return the SHA-256 of an image's file.

        Parameters
        ----------
        number : int
            From 0.

        Returns
        -------
        str
            64 hexadecimal digits; empty if the file cannot be read.
        """

    def matches(self, number: int, sha256: str) -> bool:
        """Compare an image with the content that it had before.

        Parameters
        ----------
        number : int
            From 0.
        sha256 : str
            As `sha256` returned it.

        Returns
        -------
        bool
            Whether the content is the same.
        """
        return self.sha256(number) == sha256


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Read an image file; never waits for a pipe.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    bytes
        Its content.

    Raises
    ------
    UnreadableImageError
        If it cannot be read, is not a regular file or too large; the message is the
        reason alone.
    """
    try:
        return read_regular(path)
    except UnreadableFileError as error:
        raise UnreadableImageError(str(error)) from None


def safe_name(name: str) -> str:
    r"""Return a path as files store it: slashes, bytes that are not UTF-8 as `\xff`.

    Parameters
    ----------
    name : str
        A path as the operating system gives it.

    Returns
    -------
    str
        Valid UTF-8.
    """
    if os.sep != "/":
        name = name.replace(os.sep, "/")
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class ArrayLoader(Loader):
    """Loader of arrays: a job is a name and its pixels."""

    def load(self, job: tuple[str, Pixels]) -> LoadedImage:
        """Return one image."""
        name, pixels = job
        return LoadedImage(name, np.ascontiguousarray(pixels), _pixel_hash(pixels))


def _pixel_hash(pixels: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


class ArrayImages(Source):
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
        super().__init__("the array")
        self._images = images

    def splits(self) -> dict[str | None, range]:
        """Return one range: there are no splits."""
        return {None: range(len(self._images))}

    def item(self, number: int) -> SourceItem:
        """Return an image's name, `array[3]`."""
        return SourceItem(f"array[{number}]", None, number)

    def job(self, number: int) -> tuple[str, Pixels]:
        """Return name and pixels."""
        return f"array[{number}]", self._images[number]

    def loader(self) -> ArrayLoader:
        """Return a loader that passes pixels through."""
        return ArrayLoader()

    def depth(self) -> int:
        """Return the bits of the dtype."""
        return 8 * self._images.dtype.itemsize

    def listing(self) -> str:
        """Hash all pixels."""
        digest = hashlib.sha256(f"{self._images.shape} {self._images.dtype}".encode())
        for image in self._images:
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def max_name_bytes(self) -> int:
        """Return the length of the last name."""
        return len(f"array[{len(self._images)}]")

    def sha256(self, number: int) -> str:
        """Hash an image's pixels."""
        return _pixel_hash(self._images[number])


class PhotographLoader(Loader):
    """Loader of crops: a job is a photograph's name, the crop's split and its number."""

    def __init__(self, root: Path, shape: tuple[int, int], seed: int) -> None:
        self._root, self._shape, self._seed = root, shape, seed
        self._kept: dict[str, tuple[Pixels, str]] = {}

    def photograph(self, name: str) -> tuple[Pixels, str]:
        """Decode a photograph, once.

        Parameters
        ----------
        name : str
            File name inside scikit-image.

        Returns
        -------
        (numpy.ndarray, str)
            Pixels, uint8, (rows, columns[, 3]), and the SHA-256 of the file.
        """
        if name not in self._kept:
            data = (self._root / name).read_bytes()
            self._kept[name] = read_image(data), hashlib.sha256(data).hexdigest()
        return self._kept[name]

    def load(self, job: tuple[str, str, int]) -> LoadedImage:
        """Cut one crop; its name says where: `coffee.png#row,column,side`.

        Of a rectangle it says `#row,column,rowsxcolumns`.
        """
        name, split, number = job
        pixels, digest = self.photograph(name)
        rows, columns = pixels.shape[:2]
        size = max(self._shape)
        longest = min(rows * size // self._shape[0], columns * size // self._shape[1])
        rng = np.random.default_rng([self._seed, SPLITS.index(split), number])
        side = int(rng.integers(min(max(size, longest // 3), longest), longest + 1))
        height, width = (side * n // size for n in self._shape)
        row = int(rng.integers(0, rows - height + 1))
        column = int(rng.integers(0, columns - width + 1))
        crop = pixels[row : row + height, column : column + width]
        extent = f"{side}" if height == width else f"{height}x{width}"
        return LoadedImage(f"{name}#{row},{column},{extent}", crop, digest)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": {}}


class PhotographCrops(Source):
    """Seeded crops of the photographs that ship inside scikit-image, which take turns.

    Parameters
    ----------
    source : PhotographSource
        File names for training and for testing.
    counts : dict
        Crops for `train` and `test`.
    shape : (int, int)
        (N₁, N₂): no crop is smaller, and all have its aspect ratio.
    seed : int
        Seed of the crops' places and sizes.

    Raises
    ------
    InputError
        If scikit-image lacks a photograph.
    """

    def __init__(
        self, source: PhotographSource, counts: dict[str, int], shape: tuple[int, int], seed: int
    ) -> None:
        super().__init__("scikit-image")
        root = Path(str(resources.files("skimage.data")))
        if max(counts.values()) > MAX_CROPS:
            raise InputError(
                f"{max(counts.values())} crops asked for: the photographs inside scikit-image "
                f"give at most {MAX_CROPS} a split; ask for fewer with --samples and --test"
            )
        for name in source.train + source.test:
            if not name or not (root / name).is_file():
                raise InputError(f"the photograph {name!r} is not in this scikit-image")
        self._names = {"train": source.train, "test": source.test}
        self._place = "#row,column,side" if shape[0] == shape[1] else "#row,column,rowsxcolumns"
        self._counts, self._loader = counts, PhotographLoader(root, shape, seed)

    def splits(self) -> dict[str | None, range]:
        """Return the numbers of `train`, then those of `test`."""
        train, test = (self._counts[split] for split in SPLITS)
        return {"train": range(train), "test": range(train, train + test)}

    def item(self, number: int) -> SourceItem:
        """Return the photograph that a crop is cut from."""
        name, split, _ = self.job(number)
        return SourceItem(name, split, number)

    def job(self, number: int) -> tuple[str, str, int]:
        """Return photograph, split, and the crop's number in the split."""
        split = "train" if number < self._counts["train"] else "test"
        index = number - (self._counts["train"] if split == "test" else 0)
        names = self._names[split]
        return names[index % len(names)], split, index

    def loader(self) -> PhotographLoader:
        """Return the loader that cuts crops."""
        return self._loader

    def depth(self) -> int:
        """Return 8, which all photographs have."""
        return 8

    def listing(self) -> str:
        """Hash the contents of the photographs in use."""
        digest = hashlib.sha256()
        used = {self.job(i)[0] for numbers in self.splits().values() for i in numbers}
        for name in sorted(used):
            digest.update(f"{name}\0{self._loader.photograph(name)[1]}\n".encode())
        return digest.hexdigest()

    def max_name_bytes(self) -> int:
        """Return the length of the longest file name with the place of a crop."""
        names = [name for split_names in self._names.values() for name in split_names]
        return max(len(name.encode()) for name in names) + len(self._place) + 3

    def sha256(self, number: int) -> str:
        """Return the hash of the photograph's file."""
        return self._loader.photograph(self.job(number)[0])[1]
