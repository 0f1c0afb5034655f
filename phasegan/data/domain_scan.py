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
    seen: list[ImageInfo | str] = []
    with (
        quiet_decoders(),
        ThreadPoolExecutor(available_cores()) as pool,
        progress.task(f"looking at {part.label}", len(part)) as task,
    ):
        for found in pool.map(_looker(part), range(len(part))):
            seen.append(found)
            task.advance()
    good = [row for row, found in enumerate(seen) if isinstance(found, ImageInfo)]
    for found in seen:
        if isinstance(found, str):
            progress.warn(f"left out {found}")
    looks = [found for found in seen if isinstance(found, ImageInfo)]
    if not looks:
        raise InputError(f"{part.label}: none of its {len(part)} pictures can be read")
    kind = common_format(looks, part.label, alpha=alpha, limits=limits)
    notices, names = NoticeCounter(), part.names
    for row, own in zip(good, looks, strict=True):
        notices.add(notices_for(own, kind), f"{part.label}/{names[row]}")
    notices.report(progress)
    part.warn_ignored(progress)
    if limits is None:
        warn_narrow_range(looks, kind, part.label, option, progress)
    return kind, part.subset(good) if len(good) < len(part) else part


def warn_narrow_range(
    looks: Iterable[ImageInfo], kind: PixelFormat, label: str, option: str, progress: Progress
) -> None:
    """Warn where pictures take a small part of their kind's range only."""
    found = narrow_range([seen.value_range for seen in looks], kind.low, kind.high)
    if found is not None:
        said, low, high = found
        progress.warn(f"{label}: {said}; {option} {low:.10g} {high:.10g} makes them fill it")


def _looker(part: ImageSubset) -> Callable[[int], ImageInfo | str]:
    def looked(index: int) -> ImageInfo | str:
        try:
            return image_info(part.read(index))
        except InputError as error:
            return str(error)

    return looked
