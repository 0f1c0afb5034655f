"""What the pictures of a domain have in common, found by looking at all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from phasegan.data.domain_folders import ImageSubset
from phasegan.data.images.conversion import PixelFormat
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import NoticeCounter, narrow_range
from phasegan.data.images.pixel_format import (
    ImageInfo,
    Limits,
    common_format,
    image_info,
    notices_for,
)
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.resources import available_cores


def scan(
    part: ImageSubset,
    *,
    alpha: bool = False,
    limits: Limits | None = None,
    option: str = "",
    progress: Progress | None = None,
) -> tuple[PixelFormat, ImageSubset]:
    """Decode every picture once: find what they have in common, leave out what is damaged.

    Parameters
    ----------
    part : ImageSubset
        The pictures.
    alpha : bool
        Keep alpha as the last channel, where any picture has it.
    limits : (float, float), optional
        Values that become −1 and 1; black and white of integers, least and largest
        value of floats by default.
    option : str
        What takes other limits, for a remark on values in a small part of the range.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    (PixelFormat, ImageSubset)
        And the pictures that can be read.

    Raises
    ------
    InputError
        If none can be read, or their channels differ otherwise than grey and RGB.
    """
    progress = progress or Progress()
    if part.kind is not None:
        kind = part.kind
        if kind.alpha and not alpha:
            kind = kind._replace(channels=kind.channels - 1, alpha=False)
        return (kind if limits is None else kind._replace(low=limits[0], high=limits[1])), part
    results: list[ImageInfo | str] = []
    with (
        quiet_decoders(),
        ThreadPoolExecutor(available_cores()) as pool,
        progress.task(f"looking at {part.label}", len(part)) as task,
    ):
        for result in pool.map(_looker(part), range(len(part))):
            results.append(result)
            task.advance()
    readable = [row for row, result in enumerate(results) if isinstance(result, ImageInfo)]
    for result in results:
        if isinstance(result, str):
            progress.warn(f"left out {result}")
    infos = [result for result in results if isinstance(result, ImageInfo)]
    if not infos:
        raise InputError(f"{part.label}: none of its {len(part)} pictures can be read")
    kind = common_format(infos, part.label, alpha=alpha, limits=limits)
    notices, names = NoticeCounter(), part.names
    for row, info in zip(readable, infos, strict=True):
        notices.add(notices_for(info, kind), f"{part.label}/{names[row]}")
    notices.report(progress)
    part.warn_ignored(progress)
    if limits is None:
        warn_narrow_range(infos, kind, part.label, option, progress)
    return kind, part.subset(readable) if len(readable) < len(part) else part


def warn_narrow_range(
    infos: Iterable[ImageInfo], kind: PixelFormat, label: str, option: str, progress: Progress
) -> None:
    """Warn where pictures take a small part of their kind's range only."""
    narrow = narrow_range([info.value_range for info in infos], kind.low, kind.high)
    if narrow is not None:
        message, low, high = narrow
        progress.warn(f"{label}: {message}; {option} {low:.10g} {high:.10g} makes them fill it")


def _looker(part: ImageSubset) -> Callable[[int], ImageInfo | str]:
    def looked(index: int) -> ImageInfo | str:
        try:
            return image_info(part.read(index))
        except InputError as error:
            return str(error)

    return looked
