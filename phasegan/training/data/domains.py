"""Two domains of images for training: their common pixel formats, crops and batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.config.resolve.facts import DomainFacts
from phasegan.config.translation import DomainConfig, PicturesConfig, TranslationConfig
from phasegan.data.domain_folders import DomainPair, ImageSubset
from phasegan.data.domain_scan import scan, warn_narrow_range
from phasegan.data.images.conversion import (
    PixelFormat,
    Planes,
    resize_to_load,
    to_planes,
    to_unit_range,
)
from phasegan.data.images.notices import NoticeCounter
from phasegan.data.images.pixel_format import image_info, notices_for
from phasegan.progress import Progress
from phasegan.training.data.cache_policy import CachePolicy, to_device
from phasegan.training.data.micro_batches import Batches, BatchSlice, full_batch
from phasegan.training.data.pair_batches import choose_subset

_ORDER, _CROP = 1, 2

Limits = tuple[float, float] | None


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


def scan_domains(
    domains: DomainPair,
    progress: Progress,
    *,
    alpha: bool = False,
    limits: tuple[Limits, Limits] = (None, None),
) -> DomainData:
    """Scan all training images once; see `phasegan.data.domain_scan`.

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


def training_images(config: TranslationConfig, data: DomainData, domain: int) -> ImageSubset:
    """Return the images of a domain that are trained on: the first of a seeded shuffle.

    Parameters
    ----------
    config : TranslationConfig
        Numbers of images, seed.
    data : DomainData
        The domains.
    domain : {0, 1}
        A or B.

    Returns
    -------
    ImageSubset
        In the shuffle's order.
    """
    part, count = data.train[domain], (config.data.a, config.data.b)[domain].pictures
    return part.subset(choose_subset(len(part), count, config.seed).tolist())


def validation_images(config: TranslationConfig, data: DomainData, domain: int) -> ImageSubset:
    """Return the images of a domain that validate: the last of the same shuffle.

    Parameters
    ----------
    config : TranslationConfig
        Number of images, seed.
    data : DomainData
        The domains.
    domain : {0, 1}
        A or B.

    Returns
    -------
    ImageSubset
        In the shuffle's order.
    """
    part, count = data.train[domain], config.validation.samples
    return part.subset(choose_subset(len(part), len(part), config.seed)[-count:].tolist())


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
    squares, notices, infos, names = [], NoticeCounter(), [], part.names
    for row in rows:
        image = part.read(row)
        squares.append(to_unit_range(centre_square(to_planes(image, kind), size), kind))
        if progress is not None:
            infos.append(image_info(image))
            notices.add(notices_for(infos[-1], kind), f"{part.label}/{names[row]}")
    if progress is not None:
        notices.report(progress)
        part.warn_ignored(progress)
        warn_narrow_range(infos, kind, part.label, "training with --range-a or --range-b", progress)
    return np.stack(squares)


class DomainBatches(Batches):
    """Batches of two domains, each in an order of its own, cropped and mirrored at random.

    An epoch is as long as the larger domain; the smaller one starts again, in another
    order, as often as that takes.

    Parameters
    ----------
    data : DomainData
        The domains.
    config : TranslationConfig
        Numbers of images, size, crops, seed.
    device : torch.device
        Of the batches.
    resident : {"device", "memory", "disk"}, optional
        Whether decoded images are kept in memory; by default by their size.
    """

    def __init__(
        self,
        data: DomainData,
        config: TranslationConfig,
        device: torch.device,
        resident: str | None = None,
    ) -> None:
        self._config, self._device = config, device
        self._parts = [training_images(config, data, domain) for domain in (0, 1)]
        self._kinds = [domain_format(config.data.a), domain_format(config.data.b)]
        size = sum(
            len(part) * kind.channels * config.data.load**2 * np.dtype(kind.dtype).itemsize
            for part, kind in zip(self._parts, self._kinds, strict=True)
        )
        caches = CachePolicy(device, resident).in_memory(size) and config.data.fit != "none"
        self._cache: dict[tuple[int, int], Planes] | None = {} if caches else None

    @property
    def needs_prefetch(self) -> bool:
        """Whether every step copies its batch to a GPU."""
        return self._device.type == "cuda"

    def count(self, step: int) -> int:
        """Return the number of images of each domain in a batch."""
        return min(self._config.batch_size, self._config.samples - step * self._config.batch_size)

    def load(self, epoch: int, step: int, part: BatchSlice | None = None) -> tuple[Tensor, Tensor]:
        """Return images of A and of B, each (batch, C, size, size), float32 in [−1, 1]."""
        part = part or full_batch(self.count(step))
        first = step * self._config.batch_size
        positions = range(first + part.start, first + part.stop)
        batch = []
        for domain in (0, 1):
            crops = [self._crop(epoch, domain, position) for position in positions]
            batch.append(to_device(torch.from_numpy(np.stack(crops)), self._device))
        return batch[0], batch[1]

    def _row(self, epoch: int, domain: int, position: int) -> int:
        """Return the index of the image at a position of an epoch."""
        rounds, place = divmod(position, len(self._parts[domain]))
        rng = np.random.default_rng([self._config.seed, _ORDER, epoch, domain, rounds])
        return int(rng.permutation(len(self._parts[domain]))[place])

    def _crop(self, epoch: int, domain: int, position: int) -> NDArray[np.float32]:
        planes = self._resized(domain, self._row(epoch, domain, position))
        data = self._config.data
        rng = np.random.default_rng([self._config.seed, _CROP, epoch, domain, position])
        missing = [max(0, data.size - side) for side in planes.shape[1:]]
        if any(missing):
            padding = [(0, 0), *((m // 2, m - m // 2) for m in missing)]
            planes = np.pad(planes, padding, mode="symmetric")
        top, left = (int(rng.integers(side - data.size + 1)) for side in planes.shape[1:])
        crop = planes[:, top : top + data.size, left : left + data.size]
        if data.flip and rng.random() < 0.5:
            crop = crop[..., ::-1]
        return to_unit_range(crop, self._kinds[domain])

    def _resized(self, domain: int, row: int) -> Planes:
        """Return an image at the size that crops are taken from."""
        if self._cache is not None and (domain, row) in self._cache:
            return self._cache[domain, row]
        planes = self._decode(domain, row)
        if self._cache is not None:
            self._cache[domain, row] = planes
        return planes

    def _decode(self, domain: int, row: int) -> Planes:
        data: PicturesConfig = self._config.data
        image = self._parts[domain].read(row)
        return resize_to_load(to_planes(image, self._kinds[domain]), data.load, data.fit)
