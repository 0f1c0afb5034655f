"""Encoding of images in memory, without a file."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from phasegan.config.settings import build
from phasegan.data.folder_source import ImageFile, ImageFolder
from phasegan.data.hdf5.layout import Layout
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import (
    NoticeCounter,
    ValueRange,
    ignored_lines,
    narrow_range,
    value_range,
)
from phasegan.data.prepare.encode import Encoder, Sample, reason_or
from phasegan.data.recipes import Preprocessing
from phasegan.data.sources import LoadedImage, Loader
from phasegan.errors import InputError
from phasegan.fourier.convention import rounding_note
from phasegan.progress import Progress

MAX_SIDE = 1024
"""Pixels along the longer side of an image that keeps its own size, at most."""
OWN = frozenset({"size", "channels"})
"""Options in which each image keeps what it has where they are not named."""
_MODE_NOTICES = {
    **dict.fromkeys(("LA", "La", "RGBA", "RGBa", "PA"), "alpha; the result has none"),
    "P": "a palette; the result is RGB",
    "CMYK": "CMYK colours; the result is RGB",
    "1": "one bit a pixel; the result is grey of 8 bits",
}
"""What becomes of Pillow's modes that are neither grey nor RGB."""


class EncodedImage(NamedTuple):
    """An encoded image with its layout."""

    layout: Layout
    sample: Sample


def encode_images(
    path: Path,
    preprocessing: dict[str, Any],
    limit: int | None,
    progress: Progress,
    seed: int = 0,
) -> Iterator[EncodedImage]:
    """Encode an image, or the images of a folder, in memory, one at a time.

    Parameters
    ----------
    path : pathlib.Path
        An image or a folder.
    preprocessing : dict
        Any of size, channels, fit, oversample, phase_dtype, phase_noise, phase_bits,
        images. Without `size` an image keeps its own, reduced to 1024 pixels along the
        longer side; without `channels` grey stays grey and all else becomes RGB. For the
        rest the defaults, but float32 for the dtype.
    limit : int, optional
        Only the first so many; of all that follow only the names are read.
    progress : Progress
        Receives the name and reason of each image that is skipped and, after the last
        one, counts of what was reduced, left out or taken as it is.
    seed : int
        Seed of the phase noise.

    Yields
    ------
    EncodedImage
        In the order of their paths, each in its own depth.

    Raises
    ------
    InputError
        If there is no usable image, or a value is out of range.
    """
    options = build(Preprocessing, {"phase_dtype": "float32", **preprocessing}, "preprocessing")
    own = OWN - preprocessing.keys()
    if "fit" in preprocessing and "size" in own:
        raise InputError("--fit: pictures keep their own shape; leave it out, or give --size too")
    if not path.is_dir() and not path.is_file():
        raise InputError(f"{path}: neither a regular file nor a folder")
    source = ImageFolder(path) if path.is_dir() else ImageFile(path)
    loader, counts = source.loader(), _Counts("size" in own)
    for number in itertools.chain.from_iterable(source.splits().values()):
        if counts.usable == limit:
            break
        name, job = source.item(number).name, source.job(number)
        with quiet_decoders():
            loaded = reason_or(partial(loader.load, job))
            encoded = loaded if isinstance(loaded, str) else _encode(loaded, options, own, seed)
        if isinstance(loaded, str) or isinstance(encoded, str):
            progress.warn(f"skipped {name}: {encoded}")
            continue
        counts.add(loaded, encoded, options.oversample, source.root / job)
        yield encoded
    if not counts.usable:
        raise InputError(f"{path}: no usable picture")
    counts.report(path, source, progress)


class _LoadedImages(Loader):
    """Loader whose jobs are images that are loaded already."""

    def load(self, job: LoadedImage) -> LoadedImage:
        """Return the image."""
        return job


def _encode(
    loaded: LoadedImage, options: Preprocessing, own: frozenset[str], seed: int
) -> EncodedImage | str:
    """Encode an image in its own depth; the reason where it cannot be used."""
    pixels = loaded.pixels
    values: dict[str, Any] = {}
    if "channels" in own:
        values["channels"] = "gray" if pixels.ndim == 2 else "rgb"
    if "size" in own:
        values |= {"size": _own_size(*pixels.shape[:2]), "fit": "stretch"}
    options = options.model_copy(update=values)
    layout = options.layout(8 * pixels.itemsize)
    sample = Encoder(_LoadedImages(), layout, options.fit, seed).sample(loaded)
    return sample if isinstance(sample, str) else EncodedImage(layout, sample)


def _own_size(rows: int, columns: int) -> tuple[int, int]:
    """Return the size of an image, reduced where its longer side is above `MAX_SIDE`."""
    scale = min(1.0, MAX_SIDE / max(rows, columns))
    return max(1, round(rows * scale)), max(1, round(columns * scale))


class _Counts:
    """What was done to images, reported once, after the last of them."""

    def __init__(self, keeps_size: bool) -> None:
        self.usable = self.reduced = 0
        self.keeps_size = keeps_size
        self.notices = NoticeCounter()
        self.ranges: list[ValueRange | None] = []
        self.roundings: list[str] = []

    def add(
        self, loaded: LoadedImage, encoded: EncodedImage, oversample: float, file: Path
    ) -> None:
        """Count an image, loaded and encoded, from a file."""
        self.usable += 1
        self.roundings.append(rounding_note(encoded.layout.shape, oversample))
        if self.keeps_size and max(loaded.pixels.shape[:2]) > MAX_SIDE:
            self.reduced += 1
        self.notices.add((*loaded.notices, *_mode_notices(file)), loaded.name)
        self.ranges.append(value_range(encoded.sample.images))

    def report(self, path: Path, source: ImageFolder, progress: Progress) -> None:
        """Report the counts of a source's images."""
        if self.reduced:
            subject = path if self.usable == 1 else f"{self.reduced} of {self.usable} pictures"
            verb = "are" if self.reduced > 1 else "is"
            progress.say(
                f"{subject} {verb} longer than {MAX_SIDE} pixels: reduced to {MAX_SIDE} along the "
                "longer side (--size ROWSxCOLUMNS takes more)"
            )
        notes = [note for note in self.roundings if note]
        if notes:
            count = f" (and others for {len(notes) - 1} more)" if len(set(notes)) > 1 else ""
            progress.say(f"{notes[0]}{count}")
        self.notices.report(progress)
        for line in ignored_lines(source.linked, ()):
            progress.warn(f"{path}: {line}")
        if source.ignored:
            progress.warn(
                f"{path}: ignored {source.ignored} files that are no pictures by their name"
            )
        narrow = narrow_range(self.ranges, 0, 65535)
        if narrow is not None:
            progress.warn(
                f"{path}: {narrow[0]}; they are taken as they are, which phases do not depend on"
            )


def _mode_notices(file: Path) -> list[str]:
    """Return what becomes of the mode of an image that is neither grey nor RGB, by its header."""
    with contextlib.suppress(Exception), Image.open(file) as image:
        return [_MODE_NOTICES[image.mode]] if image.mode in _MODE_NOTICES else []
    return []
