"""Two domains of images whose pixel formats are known: from files, or from a scan of all images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phasegan.config.resolve.facts import DomainFacts
from phasegan.config.translation import DomainConfig, TranslationConfig
from phasegan.data.domain_folders import DomainPair, ImageSubset
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import NoticeCounter, narrow_range
from phasegan.data.images.pixel_format import (
    ImageInfo,
    Limits,
    PixelFormat,
    Planes,
    common_format,
    image_info,
    notices_for,
    to_planes,
    to_unit_range,
)
from phasegan.data.images.resizing import resize_to_load
from phasegan.data.samplers import choose_subset
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.resources import available_cores


class DomainData(NamedTuple):
    """Two domains whose images have been scanned.

    Attributes
    ----------
    domains : DomainPair
        As opened.
    kinds : (PixelFormat, PixelFormat)
        The common pixel formats of A and of B.
    train : (ImageSubset, ImageSubset)
        The training images that can be read.
    """

    domains: DomainPair
    kinds: tuple[PixelFormat, PixelFormat]
    train: tuple[ImageSubset, ImageSubset]

    @property
    def facts(self) -> tuple[DomainFacts, DomainFacts]:
        """What the configuration of a training depends on, of A and of B."""
        fit = None if self.domains.prepared is None else self.domains.prepared[1]
        a, b = (
            DomainFacts(part.label, len(part), part.digest(), *kind, fit=fit)
            for part, kind in zip(self.train, self.kinds, strict=True)
        )
        return a, b

    def training_images(self, config: TranslationConfig, domain: int) -> ImageSubset:
        """Return the images of a domain that are trained on: the first of a seeded shuffle.

        Parameters
        ----------
        config : TranslationConfig
            Numbers of images, seed.
        domain : {0, 1}
            A or B.

        Returns
        -------
        ImageSubset
            In the shuffle's order.
        """
        count = (config.data.a, config.data.b)[domain].pictures
        part = self.train[domain]
        return part.subset(choose_subset(len(part), count, config.seed).tolist())

    def validation_images(self, config: TranslationConfig, domain: int) -> ImageSubset:
        """Return the images of a domain that validate: the last of the same shuffle.

        Parameters
        ----------
        config : TranslationConfig
            Number of images, seed.
        domain : {0, 1}
            A or B.

        Returns
        -------
        ImageSubset
            In the shuffle's order.
        """
        part, count = self.train[domain], config.validation.samples
        return part.subset(choose_subset(len(part), len(part), config.seed)[-count:].tolist())


def scan_domains(
    domains: DomainPair,
    progress: Progress,
    *,
    alpha: bool = False,
    limits: tuple[Limits | None, Limits | None] = (None, None),
) -> DomainData:
    """Scan all training images once.

    Parameters
    ----------
    domains : DomainPair
        As opened.
    progress : Progress
        Told of images that cannot be read, and of unused ranges.
    alpha : bool
        Keep alpha as a channel.
    limits : ((float, float) or None, (float, float) or None)
        Values of A and of B that become −1 and 1; by default those of the pixel format.

    Returns
    -------
    DomainData
        Both domains.

    Raises
    ------
    InputError
        If the images of a domain have no common pixel format.
    """
    scans = [
        scan(part, alpha=alpha, limits=limit, option=f"--range-{name}", progress=progress)
        for name, part, limit in zip("ab", domains.train, limits, strict=True)
    ]
    return DomainData(domains, (scans[0][0], scans[1][0]), (scans[0][1], scans[1][1]))


def domain_format(domain: DomainConfig) -> PixelFormat:
    """Return the pixel format of images that a run was trained on.

    Parameters
    ----------
    domain : DomainConfig
        The domain's part of its configuration.

    Returns
    -------
    PixelFormat
        Channels, dtype and range.
    """
    return PixelFormat(domain.channels, domain.dtype, domain.low, domain.high, domain.alpha)


def centre_square(planes: Planes, size: int) -> Planes:
    """Resize an image by its short side, and return the middle square.

    Parameters
    ----------
    planes : numpy.ndarray
        (C, rows, columns).
    size : int
        Side of the square, pixels.

    Returns
    -------
    numpy.ndarray
        (C, size, size), of the same dtype.
    """
    planes = resize_to_load(planes, size, "short-side")
    top, left = ((side - size) // 2 for side in planes.shape[1:])
    return planes[:, top : top + size, left : left + size]


def centre_squares(
    part: ImageSubset,
    kind: PixelFormat,
    size: int,
    rows: Iterable[int],
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the middle squares of some images, in [−1, 1].

    Parameters
    ----------
    part : ImageSubset
        The images of a domain.
    kind : PixelFormat
        Pixel format to convert to.
    size : int
        Side of the squares, pixels.
    rows : iterable of int
        Indices into `part`.
    progress : Progress, optional
        Told of images that lose information in the conversion; silent by default.

    Returns
    -------
    numpy.ndarray
        (n, C, size, size), float32.
    """
    squares, infos, names = [], {}, part.names
    for row in rows:
        image = part.read(row)
        squares.append(to_unit_range(centre_square(to_planes(image, kind), size), kind))
        if progress is not None:
            infos[names[row]] = image_info(image)
    if progress is not None:
        warn_of_images(part, infos, kind, "training with --range-a or --range-b", progress)
    return np.stack(squares)


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
    infos = {row: info for row, info in enumerate(results) if isinstance(info, ImageInfo)}
    for result in results:
        if isinstance(result, str):
            progress.warn(f"left out {result}")
    pixel_format = common_image_format(part, list(infos.values()), alpha=alpha, limits=limits)
    names = part.names
    named = {names[row]: info for row, info in infos.items()}
    warn_of_images(part, named, pixel_format, "" if limits else option, progress)
    shapes = np.array([(info.rows, info.columns) for info in infos.values()])
    return pixel_format, part.subset(list(infos), shapes)


def common_image_format(
    part: ImageSubset, infos: Sequence[ImageInfo], *, alpha: bool, limits: Limits | None = None
) -> PixelFormat:
    """Return the pixel format of a domain from its training images.

    Parameters
    ----------
    part : ImageSubset
        The images.
    infos : sequence of ImageInfo
        Properties of those that can be read.
    alpha, limits
        As of `scan`.

    Returns
    -------
    PixelFormat
        The common format.

    Raises
    ------
    InputError
        If none can be read, or they do not fit together.
    """
    if not infos:
        raise InputError(f"{part.label}: none of its {len(part)} pictures can be read")
    return common_format(infos, part.label, alpha=alpha, limits=limits)


def warn_of_images(
    part: ImageSubset,
    infos: Mapping[str, ImageInfo],
    pixel_format: PixelFormat,
    option: str,
    progress: Progress,
) -> None:
    """Warn of what conversion to a pixel format leaves out, and of a range that is hardly used.

    Parameters
    ----------
    part : ImageSubset
        The domain.
    infos : mapping of ImageInfo
        Properties of its images by their names.
    pixel_format : PixelFormat
        Their common format.
    option : str
        Option that sets another range; empty: one was asked for.
    progress : Progress
        Receives the warnings.
    """
    notices = NoticeCounter()
    for name, info in infos.items():
        notices.add(notices_for(info, pixel_format), f"{part.label}/{name}")
    notices.report(progress)
    part.warn_ignored(progress)
    ranges = [info.value_range for info in infos.values()]
    narrow = narrow_range(ranges, pixel_format.low, pixel_format.high) if option else None
    if narrow is not None:
        message, low, high = narrow
        progress.warn(
            f"{part.label}: {message}; {option} {low:.10g} {high:.10g} makes them fill it"
        )


def _looker(part: ImageSubset) -> Callable[[int], ImageInfo | str]:
    def looked(index: int) -> ImageInfo | str:
        try:
            return image_info(part.read(index))
        except InputError as error:
            return str(error)

    return looked
