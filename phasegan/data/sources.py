"""Protocols of sources and loaders of images; arrays as a source."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from phasegan.data.images.decoding import Pixels
from phasegan.data.images.high_bit_depth import UnreadableImageError
from phasegan.data.images.resizing import to_square
from phasegan.errors import InputError
from phasegan.io.untrusted import UnreadableFileError, read_regular

SPLITS = ("train", "test")


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


class Loader(Protocol):
    """Decoder of a source's images; it can be pickled for worker processes."""

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

    def load_square(self, job: Any, size: int, channels: str, bits: int, how: str) -> LoadedImage:
        """Decode one image and fit it to N×N pixels.

        Parameters
        ----------
        job : Any
            Result of `Source.job`.
        size : int
            N, pixels along a side.
        channels : {"gray", "rgb"}
            Channels of the result.
        bits : {8, 16}
            Depth of the result.
        how : {"crop", "pad", "stretch"}
            As of `phasegan.data.images.resizing.fit`.

        Returns
        -------
        LoadedImage
            Pixels (N, N[, 3]), uint8 or uint16.

        Raises
        ------
        UnreadableImageError
            If it cannot be decoded, or is smaller than N.
        """


class Source(Protocol):
    """Where images come from, in an order that depends on nothing but the contents."""

    label: str
    ignored: int
    """Files that are not images by their name."""
    linked: list[str]
    """Links to folders, which are not followed."""
    unlisted: list[tuple[str, str]]
    """Name of each folder that cannot be listed, and why."""
    external: bool
    """Whether images are files that somebody else made and may change."""

    def splits(self) -> dict[str | None, range]:
        """Return the numbers of each split's items; None: of those without one."""

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

    def loader(self) -> Loader:
        """Return the loader; it can be pickled."""

    def depth(self) -> int:
        """Return 16 if any image has more than 8 bits, else 8."""

    def listing(self) -> str:
        """Return a digest that changes when files come, go or change their size."""

    def max_name_bytes(self) -> int:
        """Return the length in bytes, UTF-8, of the longest name of a sample's source."""

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


class TwoStepLoader(Loader, ABC):
    """Base of loaders that decode first and fit the pixels afterwards."""

    @abstractmethod
    def load(self, job: Any) -> LoadedImage:
        """Decode one image."""

    def load_square(self, job: Any, size: int, channels: str, bits: int, how: str) -> LoadedImage:
        """Load one and fit it."""
        loaded = self.load(job)
        return loaded._replace(pixels=to_square(loaded.pixels, size, channels, bits, how))


class ArrayLoader(TwoStepLoader):
    """Loader of arrays: a job is a name and its pixels."""

    def load(self, job: tuple[str, Pixels]) -> LoadedImage:
        """Return one image."""
        name, pixels = job
        pixels = np.ascontiguousarray(pixels)
        return LoadedImage(name, pixels, hashlib.sha256(pixels.data).hexdigest())


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
        self.linked: list[str] = []
        self.unlisted: list[tuple[str, str]] = []

    def splits(self) -> dict[str | None, range]:
        """Return the images' numbers."""
        return {None: range(len(self._images))}

    def item(self, number: int) -> SourceItem:
        """Return an image's name, `array[3]`."""
        return SourceItem(f"array[{number}]", None, number)

    def job(self, number: int) -> tuple[str, Pixels]:
        """Return an image's name and its pixels."""
        return f"array[{number}]", self._images[number]

    def loader(self) -> ArrayLoader:
        """Return the loader, which passes pixels through."""
        return ArrayLoader()

    def depth(self) -> int:
        """Return 8 or 16, by the dtype of the array."""
        return 8 * self._images.dtype.itemsize

    def listing(self) -> str:
        """Digest of the images."""
        digest = hashlib.sha256(f"{self._images.shape} {self._images.dtype}".encode())
        for image in self._images:
            digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def max_name_bytes(self) -> int:
        """Return the length of the last name."""
        return len(f"array[{len(self._images)}]")

    def sha256(self, number: int) -> str:
        """Hash the pixels of an image."""
        return hashlib.sha256(np.ascontiguousarray(self._images[number]).data).hexdigest()

    def matches(self, number: int, sha256: str) -> bool:
        """Hash the image again."""
        return self.sha256(number) == sha256
