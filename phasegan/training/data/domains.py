"""Two domains of pictures as training sees them: what they have in common, and batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
from phasegan.training.data.micro_batches import Part as Rows
from phasegan.training.data.micro_batches import whole
from phasegan.training.data.pair_batches import choose_subset

_ORDER, _CROP = 1, 2

Limits = tuple[float, float] | None


class PictureData(NamedTuple):
    """Two domains, looked at.

    Attributes
    ----------
    domains : DomainPair
        As opened.
    kinds : (PixelFormat, PixelFormat)
        What the pictures of A and of B have in common.
    train : (ImageSubset, ImageSubset)
        The training pictures that can be read.
    """

    domains: DomainPair
    kinds: tuple[PixelFormat, PixelFormat]
    train: tuple[ImageSubset, ImageSubset]

    def describe(self, domain: int, pictures: int) -> DomainConfig:
        """Return what a configuration keeps of a domain."""
        kind = self.kinds[domain]
        return DomainConfig(
            digest=self.train[domain].digest(),
            pictures=pictures,
            channels=kind.channels,
            dtype=kind.dtype,
            low=kind.low,
            high=kind.high,
            alpha=kind.alpha,
        )


def look_at(
    domains: DomainPair,
    progress: Progress,
    *,
    alpha: bool = False,
    limits: tuple[Limits, Limits] = (None, None),
) -> PictureData:
    """Look at all training pictures once; see `phasegan.data.domain_folders.scan`."""
    found = [
        scan(part, alpha=alpha, limits=limit, option=f"--range-{name}", progress=progress)
        for name, part, limit in zip("ab", domains.train, limits, strict=True)
    ]
    return PictureData(domains, (found[0][0], found[1][0]), (found[0][1], found[1][1]))


def kind_of(domain: DomainConfig) -> PixelFormat:
    """Return the kind of pictures that a run was trained on."""
    return PixelFormat(domain.channels, domain.dtype, domain.low, domain.high, domain.alpha)


def chosen_pictures(config: TranslationConfig, data: PictureData, domain: int) -> ImageSubset:
    """Return the pictures of a domain that are trained on."""
    part, count = data.train[domain], (config.data.a, config.data.b)[domain].pictures
    return part.subset(choose_subset(len(part), count, config.seed).tolist())


def held_out(config: TranslationConfig, data: PictureData, domain: int) -> ImageSubset:
    """Return the pictures of a domain that validate: the last of the same shuffle."""
    part, count = data.train[domain], config.validation.samples
    return part.subset(choose_subset(len(part), len(part), config.seed)[-count:].tolist())


def centred(planes: Planes, size: int) -> Planes:
    """Return the middle square of planes whose short side was brought to `size`."""
    planes = resize_to_load(planes, size, "short-side")
    top, left = ((side - size) // 2 for side in planes.shape[1:])
    return planes[:, top : top + size, left : left + size]


def squares(
    part: ImageSubset,
    kind: PixelFormat,
    size: int,
    rows: Iterable[int],
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return the middle squares of some pictures, (n, C, size, size) in [−1, 1].

    Parameters
    ----------
    part, kind, size, rows
        Which pictures, what they become, and how large.
    progress : Progress, optional
        Told what is left out of the pictures; silent by default.
    """
    found, notices, looks, names = [], NoticeCounter(), [], part.names
    for row in rows:
        picture = part.read(row)
        found.append(to_unit_range(centred(to_planes(picture, kind), size), kind))
        if progress is not None:
            looks.append(image_info(picture))
            notices.add(notices_for(looks[-1], kind), f"{part.label}/{names[row]}")
    if progress is not None:
        notices.report(progress)
        part.warn_ignored(progress)
        warn_narrow_range(looks, kind, part.label, "training with --range-a or --range-b", progress)
    return np.stack(found)


class DomainBatches:
    """Batches of two domains, each in an order of its own, cropped and mirrored at random.

    An epoch is as long as the larger domain; the smaller one begins again, in another
    order, as often as that takes.

    Parameters
    ----------
    data : PictureData
        The domains.
    config : TranslationConfig
        Which pictures, and how they become squares.
    device : torch.device
        Where batches go.
    resident : {"device", "memory", "disk"}, optional
        Whether pictures, once loaded, are kept in memory; by their size.
    """

    def __init__(
        self,
        data: PictureData,
        config: TranslationConfig,
        device: torch.device,
        resident: str | None = None,
    ) -> None:
        self._config, self._device = config, device
        self._parts = [chosen_pictures(config, data, domain) for domain in (0, 1)]
        self._kinds = [kind_of(config.data.a), kind_of(config.data.b)]
        size = sum(
            len(part) * kind.channels * config.data.load**2 * np.dtype(kind.dtype).itemsize
            for part, kind in zip(self._parts, self._kinds, strict=True)
        )
        keeps = CachePolicy(device, resident).in_memory(size) and config.data.fit != "none"
        self._kept: dict[tuple[int, int], Planes] | None = {} if keeps else None

    @property
    def from_host(self) -> bool:
        """Whether batches come to a GPU from elsewhere in every step."""
        return self._device.type == "cuda"

    def count(self, step: int) -> int:
        """Return how many pictures of each domain are in the batch of a step of an epoch."""
        return min(self._config.batch_size, self._config.samples - step * self._config.batch_size)

    def at(self, epoch: int, step: int, part: Rows | None = None) -> tuple[Tensor, Tensor]:
        """Return the batches of a step.

        Parameters
        ----------
        epoch, step : int
            Both from 0.
        part : Part, optional
            Only these rows.

        Returns
        -------
        (torch.Tensor, torch.Tensor)
            Pictures of A and of B, each (batch, C, size, size), float32 in [−1, 1], on
            the device.
        """
        part = part or whole(self.count(step))
        first = step * self._config.batch_size
        positions = range(first + part.start, first + part.stop)
        found = []
        for domain in (0, 1):
            pictures = [self._crop(epoch, domain, position) for position in positions]
            found.append(to_device(torch.from_numpy(np.stack(pictures)), self._device))
        return found[0], found[1]

    def _row(self, epoch: int, domain: int, position: int) -> int:
        """Return which picture stands at a position of an epoch."""
        rounds, place = divmod(position, len(self._parts[domain]))
        rng = np.random.default_rng([self._config.seed, _ORDER, epoch, domain, rounds])
        return int(rng.permutation(len(self._parts[domain]))[place])

    def _crop(self, epoch: int, domain: int, position: int) -> NDArray[np.float32]:
        planes = self._loaded(domain, self._row(epoch, domain, position))
        data = self._config.data
        rng = np.random.default_rng([self._config.seed, _CROP, epoch, domain, position])
        missing = [max(0, data.size - side) for side in planes.shape[1:]]
        if any(missing):
            around = [(0, 0), *((m // 2, m - m // 2) for m in missing)]
            planes = np.pad(planes, around, mode="symmetric")
        top, left = (int(rng.integers(side - data.size + 1)) for side in planes.shape[1:])
        crop = planes[:, top : top + data.size, left : left + data.size]
        if data.flip and rng.random() < 0.5:
            crop = crop[..., ::-1]
        return to_unit_range(crop, self._kinds[domain])

    def _loaded(self, domain: int, row: int) -> Planes:
        """Return a picture at the size that crops are taken from."""
        if self._kept is not None and (domain, row) in self._kept:
            return self._kept[domain, row]
        planes = self._ready(domain, row)
        if self._kept is not None:
            self._kept[domain, row] = planes
        return planes

    def _ready(self, domain: int, row: int) -> Planes:
        data: PicturesConfig = self._config.data
        picture = self._parts[domain].read(row)
        return resize_to_load(to_planes(picture, self._kinds[domain]), data.load, data.fit)
