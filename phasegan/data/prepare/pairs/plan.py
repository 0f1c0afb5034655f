"""Plan of a file of two domains: its images, and the place of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.data.domain_folders import ImageSubset
from phasegan.data.images.conversion import PixelFormat, load_size
from phasegan.data.images.pixel_format import ImageInfo, common_format, incompatibility
from phasegan.errors import InputError


class ScannedImage(NamedTuple):
    """Hash and format of an image's file."""

    sha256: str
    look: ImageInfo


@dataclass(frozen=True)
class ImageGroup:
    """The images of a group, in their order."""

    name: str
    """trainA, trainB, testA or testB."""
    part: ImageSubset
    pixel_format: PixelFormat
    load: int
    fit: str
    rows: list[int]
    """Which images of the part."""
    names: list[str]
    hashes: list[str]
    """SHA-256 of their files."""
    shapes: NDArray[np.int32]
    """(n, 2), rows and columns."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n + 1,), elements before each image and in all."""
        counts = self.pixel_format.channels * self.shapes.astype(np.int64).prod(1)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Dtype of the pixels."""
        return np.dtype(self.pixel_format.dtype)

    def size(self, row: int) -> int:
        """Return the bytes of an image.

        Parameters
        ----------
        row : int
            In the group.

        Returns
        -------
        int
            Bytes of its pixels.
        """
        rows, columns = map(int, self.shapes[row])
        return self.pixel_format.channels * rows * columns * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return int(self.offsets[-1]) * self.dtype.itemsize

    def layout_digest(self) -> str:
        """Return a digest that changes when any image gets another place."""
        head = f"{self.name} {self.pixel_format.channels} {self.pixel_format.dtype} {self.rows}"
        return hashlib.sha256(head.encode() + self.shapes.tobytes()).hexdigest()


Left = Callable[[str, str, str], None]
"""Called with label, name and reason of an image that is left out."""


def domain_format(
    part: ImageSubset, scanned: Mapping[int, ScannedImage | str], alpha: bool
) -> PixelFormat:
    """Return the pixel format of a domain from its training images.

    Parameters
    ----------
    part : ImageSubset
        The images.
    scanned : mapping
        By row: the scan, or why there is none.
    alpha : bool
        Keep alpha where any image has it.

    Returns
    -------
    PixelFormat
        The common format.

    Raises
    ------
    InputError
        If none can be read, or they do not fit together.
    """
    infos = [image.look for image in scanned.values() if isinstance(image, ScannedImage)]
    if not infos:
        raise InputError(f"{part.label}: none of its {len(part)} pictures can be read")
    return common_format(infos, part.label, alpha=alpha)


def make_group(
    name: str,
    part: ImageSubset,
    scanned: Mapping[int, ScannedImage | str],
    pixel_format: PixelFormat,
    load: int,
    fit: str,
    on_left_out: Left,
) -> ImageGroup:
    """Return a group of all images that can be converted to a pixel format.

    Parameters
    ----------
    name : str
        Name of the group.
    part : ImageSubset
        The images.
    scanned : mapping
        By row: the scan, or why there is none.
    pixel_format : PixelFormat
        Pixel format of the domain.
    load, fit
        Size of the images, as of `phasegan.data.images.conversion.resize_to_load`.
    on_left_out : callable
        Called with label, name and reason of each image that is left out.

    Returns
    -------
    ImageGroup
        In the order of `part`.
    """
    rows: list[int] = []
    names: list[str] = []
    hashes: list[str] = []
    shapes: list[tuple[int, int]] = []
    for row, name_in_set in enumerate(part.names):
        image, readable = scanned[row], printable_name(name_in_set)
        reason = image if isinstance(image, str) else incompatibility(image.look, pixel_format)
        if isinstance(image, str) or reason is not None:
            on_left_out(f"{part.label}/{name_in_set}", readable, str(reason))
            continue
        rows.append(row)
        names.append(readable)
        hashes.append(image.sha256)
        shapes.append(load_size(image.look.rows, image.look.columns, load, fit))
    table = np.array(shapes, np.int32).reshape(-1, 2)
    return ImageGroup(name, part, pixel_format, load, fit, rows, names, hashes, table)


def printable_name(name: str) -> str:
    r"""Return a name as it is stored: UTF-8, other bytes as `\xff`.

    Parameters
    ----------
    name : str
        As the operating system gives it.

    Returns
    -------
    str
        Valid UTF-8.
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
