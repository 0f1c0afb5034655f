"""From pictures to samples, one by one or on many threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.settings import build
from phasegan.spectra.fourier import padded_size
from phasegan.store.pictures import (
    UnreadablePictureError,
    fit,
    quiet_decoders,
    to_channels,
    to_depth,
)
from phasegan.store.recipes import Preprocessing
from phasegan.store.schema import Layout
from phasegan.store.sources import Item, PictureFile, PictureFolder, Source
from phasegan.store.writer import Sample, encode_sample

T = TypeVar("T")
R = TypeVar("R")


def encode_pictures(
    path: Path,
    preprocessing: dict[str, Any],
    limit: int | None,
    progress: Progress,
    seed: int = 0,
) -> tuple[Layout, list[Sample]]:
    """Encode a picture, or a folder of pictures, in memory.

    Parameters
    ----------
    path : pathlib.Path
        A picture or a folder.
    preprocessing : dict
        Any of size, channels, fit, oversample, phase_dtype, phase_noise, phase_bits,
        images; the defaults for the rest, but float32 for the dtype.
    limit : int, optional
        Only the first so many.
    progress : Progress
        Told what is skipped and why.
    seed : int
        Of the phase noise.

    Returns
    -------
    (Layout, list of Sample)
        In the order of their paths.

    Raises
    ------
    InputError
        If there is no usable picture, or a value is out of range.
    """
    wanted = build(Preprocessing, {"phase_dtype": "float32", **preprocessing}, "preprocessing")
    padded = padded_size(wanted.size, wanted.oversample)
    if not path.is_dir() and not path.is_file():
        raise InputError(f"{path}: neither a regular file nor a folder")
    with quiet_decoders():
        return _encode_all(path, wanted, padded, limit, progress, seed)


def _encode_all(
    path: Path,
    wanted: Preprocessing,
    padded: int,
    limit: int | None,
    progress: Progress,
    seed: int,
) -> tuple[Layout, list[Sample]]:
    source = PictureFolder(path) if path.is_dir() else PictureFile(path)
    layout = wanted.layout(padded, source.depth())
    samples: list[Sample] = []
    for item in source.items():
        if limit is not None and len(samples) == limit:
            break
        result = encode_item(source, item, layout, wanted.fit, seed)
        if isinstance(result, str):
            progress.warn(f"skipped {item.name}: {result}")
        else:
            samples.append(result)
    if not samples:
        raise InputError(f"{path}: no usable picture")
    return layout, samples


def encode_item(source: Source, item: Item, layout: Layout, how: str, seed: int) -> Sample | str:
    """Return a sample, or the reason why there is none; the seed is that of the phase noise."""
    try:
        loaded = source.load(item)
        pixels = to_depth(to_channels(loaded.pixels, layout.channels), layout.bits)
        pixels = fit(pixels, layout.size, how)
        return encode_sample(pixels, layout, loaded.name, loaded.sha256, seed)
    except UnreadablePictureError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def ordered_map(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], ahead: int
) -> Iterator[tuple[T, R]]:
    """Map in order with at most `ahead` results in memory; stops cleanly when closed."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    rest = iter(items)
    try:
        for item in rest:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
