"""Work of the processes that prepare two domains: scanning and conversion of images.

Each of them imports this module: keep its imports small.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from phasegan.data.file_loader import file_sha256
from phasegan.data.hdf5.records import digest
from phasegan.data.images.decoding import read_full_depth
from phasegan.data.images.pixel_format import ImageInfo, PixelFormat, Planes, image_info, to_planes
from phasegan.data.images.pixels import DecodedImage, UnreadableImageError
from phasegan.data.images.reading import DEFAULT, Reading, split_page, values_digest
from phasegan.data.images.resizing import resize_to_load
from phasegan.data.prepare.encode import BatchResult, ImageBatch
from phasegan.errors import InputError


class ScanResult(NamedTuple):
    """Hash and format of an image's file."""

    sha256: str
    info: ImageInfo | None
    """None: its contents are those that were known."""


class ConvertedImage(NamedTuple):
    """An image as it is written."""

    planes: Planes
    digest: bytes
    """SHA-256 of the planes."""


class ScanJob(NamedTuple):
    """An image to be scanned."""

    path: str
    known: str | None
    """SHA-256 of the contents at an earlier scan."""
    reading: Reading = DEFAULT

    def run(self) -> ScanResult:
        """Decode the image, unless its contents are known."""
        sha256, image = _opened(self.path, self.reading, self.known)
        return ScanResult(sha256, None if image is None else image_info(image))


class ConvertJob(NamedTuple):
    """An image to be converted to its pixel format and size."""

    path: str
    sha256: str
    """SHA-256 of the contents at the scan."""
    pixel_format: PixelFormat
    load: int
    fit: str
    reading: Reading = DEFAULT

    def run(self) -> ConvertedImage:
        """Decode and convert the image."""
        sha256, image = _opened(self.path, self.reading)
        if sha256 != self.sha256 or image is None:
            raise UnreadableImageError("it has changed since it was looked at")
        planes = resize_to_load(to_planes(image, self.pixel_format), self.load, self.fit)
        return ConvertedImage(planes, digest(planes))


def run_jobs(task: ImageBatch) -> BatchResult:
    """Run the jobs of a batch; return the result of each, or the reason why there is none."""
    results: Any = [_result(job) for job in task.jobs]
    return BatchResult(results, None)


def _result(job: ScanJob | ConvertJob) -> ScanResult | ConvertedImage | str:
    try:
        return job.run()
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except MemoryError:
        return "larger than the memory"


_Stamp = tuple[int, int, int]


def _stamp(path: str) -> _Stamp:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _opened(
    location: str, reading: Reading, known: str | None = None
) -> tuple[str, DecodedImage | None]:
    """Return the SHA-256 of an image's file or page, and the image unless it is known."""
    path, page = split_page(location)
    if page is None:
        sha256, stamp = _hashed(path)
        return sha256, None if sha256 == known else _decoded(path, stamp, reading)
    image = _decoded(path, _stamp(path), reading, page)
    sha256 = values_digest(image)
    return sha256, None if sha256 == known else image


def _hashed(path: str) -> tuple[str, _Stamp]:
    """Return the SHA-256 of a file, and a stamp that changes with every write."""
    stamp = _stamp(path)
    return file_sha256(path), stamp


def _decoded(path: str, stamp: _Stamp, reading: Reading, page: int | None = None) -> DecodedImage:
    image = read_full_depth(Path(path), page, reading)
    if _stamp(path) != stamp:
        raise UnreadableImageError("it changes while it is read")
    return image
