"""Unpaired batches for the preset `physics`: phases of domain A, images of domain B."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.config.physics import PhysicsConfig
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.fourier.convention import forward
from phasegan.fourier.encoding import decode
from phasegan.fourier.magnitude import RunningMean
from phasegan.training.data.augmentation import augment
from phasegan.training.data.cache_policy import CachePolicy, as_planes, levels, to_device
from phasegan.training.data.encoder import Images, PhaseEncoder, Phases
from phasegan.training.data.micro_batches import Part, whole
from phasegan.training.data.pair_batches import choose_subset

_ORDER, _CHANGES = 1, 2  # streams of a seed; 0 chooses the samples
_BLOCK = 64
FOLDS = 4
FOLDED_BELOW = 1000
"""Photographs up to which what is fitted to them fits them visibly better than others."""


def choose_domains(
    config: PhysicsConfig, file: PreparedFile, images: PreparedFile | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training samples of domain A and of domain B; parameters as `PhysicsBatches`."""
    data = config.data
    indices_a = choose_subset(len(file.train), config.samples_a, config.seed)
    if images is not None:
        return indices_a, choose_subset(len(images.train), data.samples, config.seed)
    chosen = choose_subset(len(file.train), data.samples, config.seed)
    return indices_a, chosen[config.samples_a :] if config.disjoint else chosen


class _Kept:
    """Some datasets of a split, and where they are between steps.

    Images go to the device with as few bytes as they have in the file, once if they
    fit there and every time if not.
    """

    def __init__(
        self,
        file: PreparedFile,
        indices: NDArray[np.int64],
        datasets: tuple[str, ...],
        place: CachePolicy,
    ) -> None:
        self.file, self.indices = file, indices
        self.white = file.layout.data_range
        self._resident: dict[str, NDArray[np.generic]] = {}
        self._on_device: Tensor | None = None
        if place.in_memory(len(indices) * file.layout.sample_bytes):
            self._resident = {name: getattr(file.train, name)(indices) for name in datasets}
        if "images" in self._resident:
            images = as_planes(self._resident["images"])
            if place.on_device(images.nbytes):
                self._on_device = torch.from_numpy(images).to(place.device)

    @property
    def on_device(self) -> bool:
        """Whether images stay on the device."""
        return self._on_device is not None

    def take(self, dataset: str, positions: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return rows of a dataset."""
        if dataset in self._resident:
            return self._resident[dataset][positions]
        return getattr(self.file.train, dataset)(self.indices[positions])

    def pictures(self, positions: NDArray[np.int64], device: torch.device) -> Tensor:
        """Return images as (n, C, N, N), float32 in 0..1."""
        if self._on_device is not None:
            rows = torch.from_numpy(positions).to(device)
            pixels = self._on_device.index_select(0, rows)
        else:
            pixels = torch.from_numpy(as_planes(self.take("images", positions)))
            pixels = to_device(pixels, device)
        return levels(pixels) / self.white


class PhysicsBatches:
    """Batches of both domains, shuffled independently of each other.

    Domain B are images, augmented. Domain A are the phases of images that are
    augmented too, transformed and degraded as the file's; or the stored phases
    as they are, where nothing is augmented or they come from a file of their own.

    Parameters
    ----------
    config : PhysicsConfig
        Samples, halves, augmentation, seed. Everything random depends on the
        seed, the epoch and the step alone.
    file : PreparedFile
        The phases, and the images where `images` is None.
    images : PreparedFile, optional
        Another file that the images come from.
    device : torch.device
        Where batches are made.
    resident : {"device", "memory", "disk"}, optional
        Where the data are between steps; by their size.
    """

    def __init__(
        self,
        config: PhysicsConfig,
        file: PreparedFile,
        images: PreparedFile | None,
        device: torch.device,
        resident: str | None = None,
    ) -> None:
        self.config, self.device = config, device
        data, place = config.data, CachePolicy(device, resident)
        self.indices_a, self.indices_b = choose_domains(config, file, images)
        self.stored = images is not None or not config.augmentation.active
        self._encode = PhaseEncoder(data.padded, data.phase_noise, data.phase_bits, device)
        self._b = _Kept(images or file, self.indices_b, ("images",), place)
        if self.stored:
            used = ("codes", "undefined") if config.period else ()
            self._a = _Kept(file, self.indices_a, used, place)
        elif config.disjoint:
            self._a = _Kept(file, self.indices_a, ("images",) if config.period else (), place)
        else:
            self._a = self._b

        self._shared = images is None and not config.disjoint
        self._folds: Tensor | None = None

    @property
    def from_host(self) -> bool:
        """Whether batches come to a GPU from elsewhere in every step."""
        everything = self._b.on_device and (self._a.on_device or not self.config.period)
        return self.device.type == "cuda" and not everything

    def divide(self) -> list[NDArray[np.int64]]:
        """Divide domain B into folds, so that a method can be fitted without a sample.

        Returns
        -------
        list of numpy.ndarray
            Positions outside each fold; none if there are too many samples for
            it to matter, or too few. Crops of one photograph are in one fold.
        """
        split = self._b.file.train
        found = split.source_sha256(np.sort(self.indices_b))
        names = dict(zip(np.sort(self.indices_b).tolist(), found, strict=True))
        numbers = {
            name: i
            for i, name in enumerate(dict.fromkeys(names[i] for i in self.indices_b.tolist()))
        }
        self.photographs = len(numbers)
        if not 2 * FOLDS <= self.photographs <= FOLDED_BELOW:
            return []
        folds = np.array([numbers[names[i]] % FOLDS for i in self.indices_b.tolist()])
        self._folds = torch.from_numpy(folds)
        return [np.flatnonzero(folds != fold) for fold in range(FOLDS)]

    def _fold(self, positions: NDArray[np.int64]) -> Tensor | None:
        return None if self._folds is None else self._folds[torch.from_numpy(positions)]

    def images(self, positions: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return images of domain B as they are in the file, (n, C, N, N)."""
        pixels = self._b.take("images", positions)
        return pixels.reshape(len(pixels), -1, *pixels.shape[-2:])

    @property
    def white(self) -> int:
        """The largest pixel of `images`."""
        return self._b.file.layout.data_range

    def order(self, epoch: int, domain: int) -> NDArray[np.int64]:
        """Return the order of an epoch: positions in the samples; domain 0 is A, 1 is B."""
        rng = np.random.default_rng([self.config.seed, _ORDER, epoch, domain])
        return rng.permutation(len(self.indices_b if domain else self.indices_a))

    def count(self, step: int) -> int:
        """Return how many images are in the batch of a step of an epoch."""
        size = self.config.batch_size
        return min(size, len(self.indices_b) - step * size)

    def at(self, epoch: int, step: int, part: Part | None = None) -> tuple[Phases | None, Images]:
        """Return the batches of a step of an epoch, both from 0.

        Parameters
        ----------
        epoch, step : int
            Both from 0.
        part : Part, optional
            Only these rows, each as it would be in the whole batch.

        Returns
        -------
        (Phases or None, Images)
            Phases are None in steps that leave domain A out.
        """
        config, size = self.config, self.config.batch_size
        part = part or whole(self.count(step))
        order_b = self.order(epoch, 1)[step * size : (step + 1) * size][part.rows]
        rng = np.random.default_rng([config.seed, _CHANGES, epoch, step, 1])
        real_b = Images(self._images(self._b, order_b, rng, part), self._fold(order_b))
        done = epoch * config.steps_per_epoch + step
        if not config.period or done % config.period:
            return None, real_b
        order_a = self.order(epoch, 0)
        rows = step * size + np.arange(part.start, part.stop)
        positions = order_a[rows % len(order_a)]
        fold = self._fold(positions) if self._shared else None
        return self._phases(positions, epoch, step, part)._replace(fold=fold), real_b

    def _phases(self, positions: NDArray[np.int64], epoch: int, step: int, part: Part) -> Phases:
        if self.stored:
            phase = decode(self._a.take("codes", positions), np.float32)
            undefined = self._a.take("undefined", positions)
            shape = (len(phase), -1, *phase.shape[-2:])
            known = torch.from_numpy(~undefined.astype(bool)).reshape(shape)
            return Phases(torch.from_numpy(phase).reshape(shape), known).to(self.device)
        rng = np.random.default_rng([self.config.seed, _CHANGES, epoch, step, 0])
        images = self._images(self._a, positions, rng, part)
        source = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        noise = self._encode.fresh(part.total, images.shape[1], source)
        return self._encode(images, None if noise is None else noise[part.rows])

    def _images(
        self, kept: _Kept, positions: NDArray[np.int64], rng: np.random.Generator, part: Part
    ) -> Tensor:
        images = kept.pictures(positions, self.device)
        return augment(images, self.config.augmentation, rng, kept.white, part)

    def mean_statistics(self, limit: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the means over the images of domain B as they are in the file.

        Parameters
        ----------
        limit : int, optional
            Only over so many of them.

        Returns
        -------
        (torch.Tensor, torch.Tensor)
            Mean magnitude, (C, M, M // 2 + 1), and mean image, (C, N, N),
            float32, of images in 0..1.
        """
        magnitude, image = RunningMean(), RunningMean()
        frame = (self.config.data.padded,) * 2
        split, white = self._b.file.train, self._b.file.layout.data_range
        order = np.sort(self.indices_b[:limit])
        for start in range(0, len(order), _BLOCK):
            for picture in split.images(order[start : start + _BLOCK]):
                scaled = picture.reshape(-1, *picture.shape[-2:]).astype(np.float64) / white
                image.add(scaled)
                magnitude.add(np.abs(forward(scaled, frame)))
        means = magnitude.mean.astype(np.float32), image.mean.astype(np.float32)
        return torch.from_numpy(means[0]), torch.from_numpy(means[1])
