"""Encoding of images in memory, without a file."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

from phasegan.config.settings import build
from phasegan.data.folder_source import ImageFile, ImageFolder
from phasegan.data.hdf5.layout import Layout
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import NoticeCounter, ignored_lines, narrow_range, value_range
from phasegan.data.prepare.encode import Encoder, Sample
from phasegan.data.recipes import Preprocessing
from phasegan.errors import InputError
from phasegan.progress import Progress


def encode_images(
    path: Path,
    preprocessing: dict[str, Any],
    limit: int | None,
    progress: Progress,
    seed: int = 0,
) -> tuple[Layout, list[Sample]]:
    """Encode an image, or a folder of images, in memory.

    Parameters
    ----------
    path : pathlib.Path
        An image or a folder.
    preprocessing : dict
        Any of size, channels, fit, oversample, phase_dtype, phase_noise, phase_bits,
        images; the defaults for the rest, but float32 for the dtype.
    limit : int, optional
        Only the first so many; they, and those that are skipped before the last of them,
        decide between 8 and 16 bits. Of all others only the names are read.
    progress : Progress
        Receives the name and reason of each image that is skipped.
    seed : int
        Seed of the phase noise.

    Returns
    -------
    (Layout, list of Sample)
        In the order of their paths.

    Raises
    ------
    InputError
        If there is no usable image, or a value is out of range.
    """
    options = build(Preprocessing, {"phase_dtype": "float32", **preprocessing}, "preprocessing")
    if not path.is_dir() and not path.is_file():
        raise InputError(f"{path}: neither a regular file nor a folder")
    if options.rounding:
        progress.say(options.rounding)
    with quiet_decoders():
        return _encode_all(path, options, limit, progress, seed)


def _encode_all(
    path: Path,
    options: Preprocessing,
    limit: int | None,
    progress: Progress,
    seed: int,
) -> tuple[Layout, list[Sample]]:
    source = ImageFolder(path) if path.is_dir() else ImageFile(path)
    layout = options.layout(source.depth() if limit is None else 8)
    encoder = Encoder(source.loader(), layout, options.fit, seed)
    results = _encode_first(source, encoder, limit)
    if results is None:
        layout = options.layout(16)
        results = _encode_first(source, replace(encoder, layout=layout), limit) or []
    samples: list[Sample] = []
    notices = NoticeCounter()
    for number, result in results:
        if isinstance(result, str):
            progress.warn(f"skipped {source.item(number).name}: {result}")
        else:
            samples.append(result)
            notices.add(result.notices, source.item(number).name)
    if not samples:
        raise InputError(f"{path}: no usable picture")
    notices.report(progress)
    for line in ignored_lines(source.linked, ()):
        progress.warn(f"{path}: {line}")
    if source.ignored:
        progress.warn(f"{path}: ignored {source.ignored} files that are no pictures by their name")
    narrow = narrow_range([value_range(sample.images) for sample in samples], 0, layout.data_range)
    if narrow is not None:
        progress.warn(
            f"{path}: {narrow[0]}; they are taken as they are, which phases do not depend on"
        )
    return layout, samples


def _encode_first(
    source: ImageFolder, encoder: Encoder, limit: int | None
) -> list[tuple[int, Sample | str]] | None:
    """Encode images in order, up to a limit of usable ones; no header after it is read.

    None where one of those has more bits than the layout, which without a limit is of all.
    """
    results: list[tuple[int, Sample | str]] = []
    usable = 0
    for number in itertools.chain.from_iterable(source.splits().values()):
        if usable == limit:
            break
        if limit is not None and encoder.layout.bits == 8 and source.is_deep(source.job(number)):
            return None
        result = encoder.sample(source.job(number))
        usable += not isinstance(result, str)
        results.append((number, result))
    return results
