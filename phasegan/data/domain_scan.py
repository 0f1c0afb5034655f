"""Common pixel format of a domain, from a scan of all its images."""

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
    """Decode every image once: find the common format, leave out damaged images.

    Parameters
    ----------
    part : ImageSubset
        The images.
    alpha : bool
        Keep alpha as the last channel, where any image has it.
    limits : (float, float), optional
        Values that become −1 and 1; black and white of integers, least and largest
        value of floats by default.
    option : str
        Option that sets other limits, for the warning on a narrow range.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    (PixelFormat, ImageSubset)
        The format, and the images that can be read.

    Raises
    ------
    InputError
        If none can be read, or their channels differ otherwise than grey and RGB.
    """
    progress = progress or Progress()
    if part.pixel_format is not None:
        pixel_format = part.pixel_format
        if pixel_format.alpha and not alpha:
            pixel_format = pixel_format._replace(channels=pixel_format.channels - 1, alpha=False)
        return (
            pixel_format if limits is None else pixel_format._replace(low=limits[0], high=limits[1])
        ), part
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
    pixel_format = common_format(infos, part.label, alpha=alpha, limits=limits)
    notices, names = NoticeCounter(), part.names
    for row, info in zip(readable, infos, strict=True):
        notices.add(notices_for(info, pixel_format), f"{part.label}/{names[row]}")
    notices.report(progress)
    part.warn_ignored(progress)
    if limits is None:
        warn_narrow_range(infos, pixel_format, part.label, option, progress)
    return pixel_format, part.subset(readable) if len(readable) < len(part) else part


def warn_narrow_range(
    infos: Iterable[ImageInfo],
    pixel_format: PixelFormat,
    label: str,
    option: str,
    progress: Progress,
) -> None:
    """Warn where the images take only a small part of their format's range.

    Parameters
    ----------
    infos : iterable of ImageInfo
        The images.
    pixel_format : PixelFormat
        Their common format.
    label : str
        The domain, for the message.
    option : str
        Option that sets other limits, for the message.
    progress : Progress
        Receives the warning.
    """
    narrow = narrow_range([info.value_range for info in infos], pixel_format.low, pixel_format.high)
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
