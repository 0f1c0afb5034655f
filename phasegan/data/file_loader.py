"""The loader of image files below a folder: plain files, pages of stacks, arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import cast

from phasegan.data.images.decoding import (
    is_array,
    read_fitted,
    read_full_depth,
    read_image,
    to_integers,
)
from phasegan.data.images.notices import FRAMES, ImageNotices
from phasegan.data.images.pixels import Pixels, UnreadableImageError
from phasegan.data.images.reading import DEFAULT, Reading, page_name, split_page, values_digest
from phasegan.data.images.resizing import to_shape
from phasegan.data.sources import LoadedImage, Loader, read_file, safe_name
from phasegan.io.untrusted import UnreadableFileError, open_regular


@dataclass(frozen=True)
class FileLoader(Loader):
    """Loader of files below a folder: a job is a location, the path from there or a page of it."""

    root: Path
    reading: Reading = DEFAULT

    def with_limits(self, limits: tuple[float, float] | None) -> FileLoader:
        """Return a loader that stores these values as 0 and 65535."""
        return replace(self, reading=self.reading._replace(limits=limits))

    def load(self, job: str) -> LoadedImage:
        """Read and decode one image."""
        return self._loaded(job, read_image, lambda pixels: pixels)

    def load_fitted(
        self, job: str, shape: tuple[int, int], channels: str, bits: int, how: str
    ) -> LoadedImage:
        """Read, decode and fit one image."""
        return self._loaded(
            job,
            lambda data, notes: read_fitted(data, shape, channels, bits, how, notes),
            lambda pixels: to_shape(pixels, shape, channels, bits, how),
        )

    def _loaded(
        self,
        job: str,
        decode: Callable[[bytes, ImageNotices], Pixels],
        fit: Callable[[Pixels], Pixels],
    ) -> LoadedImage:
        name, page = split_page(job)
        path, shown = os.path.join(self.root, name), page_name(safe_name(name), page)
        if page is None and self.reading.is_plain and not is_array(name):
            data, notes = read_file(path), ImageNotices()
            pixels, sha256 = decode(data, notes), hashlib.sha256(data).hexdigest()
            if FRAMES not in notes.notices or self.reading.pages == "first":
                return LoadedImage(shown, pixels, sha256, tuple(sorted(notes.notices)))
        image = read_full_depth(Path(path), page, self.reading)
        sha256 = file_sha256(path) if page is None else values_digest(image)
        pixels, notices = to_integers(image, self.reading)
        return LoadedImage(shown, fit(pixels), sha256, notices)


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a file, which is not read whole at once.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    UnreadableImageError
        If it cannot be read; the message is the reason alone.
    """
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(cast(BufferedReader, stream), "sha256").hexdigest()
    except UnreadableFileError as error:
        raise UnreadableImageError(str(error)) from None


def is_plain_file(path: str) -> bool:
    """Tell a file that `phasegan.data.images.decoding.read_image` takes.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    bool
        Whether it has 8 or 16 bit, and can be read.
    """
    try:
        read_image(read_file(path))
    except UnreadableImageError:
        return False
    return True
