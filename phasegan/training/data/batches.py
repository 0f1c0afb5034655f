"""Unpaired batches of the preset `physics`: phases of domain A, images of domain B."""

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
from phasegan.training.data.cache_policy import CachePolicy, as_nchw, grey_levels, to_device
from phasegan.training.data.encoder import Images, PhaseEncoder, Phases
from phasegan.training.data.micro_batches import Batches, BatchSlice, full_batch
from phasegan.training.data.pair_batches import choose_subset

_ORDER, _CHANGES = 1, 2  # streams of a seed; 0 chooses the samples
_BLOCK = 64
FOLDS = 4
FOLDED_BELOW = 1000
"""Largest number of photographs whose fits are visibly better on them than on others."""


def choose_domains(
    config: PhysicsConfig, file: PreparedFile, images: PreparedFile | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training samples of domain A and of domain B.

    Parameters
    ----------
    config : PhysicsConfig
        Numbers of samples, seed.
    file : PreparedFile
        The phases, and the images where `images` is None.
    images : PreparedFile, optional
        Another file that the images come from.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Indices into the training splits, int64.
    """
    data = config.data
    indices_a = choose_subset(len(file.train), config.samples_a, config.seed)
    if images is not None:
        return indices_a, choose_subset(len(images.train), data.samples, config.seed)
    subset = choose_subset(len(file.train), data.samples, config.seed)
    return indices_a, subset[config.samples_a :] if config.disjoint else subset


class _CachedSplit:
    """Some datasets of a training split, and where they are kept between steps.

    Images go to the device with as few bytes as they have in the file, once if they
    fit there and every time if not.
    """

    def __init__(
        self,
        file: PreparedFile,
        indices: NDArray[np.int64],
        datasets: tuple[str, ...],
        policy: CachePolicy,
    ) -> None:
        self.file, self.indices = file, indices
        self.data_range = file.layout.data_range
        self._resident: dict[str, NDArray[np.generic]] = {}
        self._on_device: Tensor | None = None
        if policy.in_memory(len(indices) * file.layout.sample_bytes):
            self._resident = {name: getattr(file.train, name)(indices) for name in datasets}
        if "images" in self._resident:
            images = as_nchw(self._resident["images"])
            if policy.on_device(images.nbytes):
                self._on_device = torch.from_numpy(images).to(policy.device)

    @property
    def on_device(self) -> bool:
        """Whether images stay on the device."""
        return self._on_device is not None

    def read(self, dataset: str, positions: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return rows of a dataset."""
        if dataset in self._resident:
            return self._resident[dataset][positions]
        return getattr(self.file.train, dataset)(self.indices[positions])

    def images(self, positions: NDArray[np.int64], device: torch.device) -> Tensor:
        """Return images as (n, C, N, N), float32 in 0..1."""
        if self._on_device is not None:
            rows = torch.from_numpy(positions).to(device)
            pixels = self._on_device.index_select(0, rows)
        else:
            pixels = torch.from_numpy(as_nchw(self.read("images", positions)))
            pixels = to_device(pixels, device)
        return grey_levels(pixels) / self.data_range


class PhysicsBatches(Batches):
    """Batches of both domains, shuffled independently of each other.

    Domain B are images, augmented. Domain A are the phases of images that are
    augmented too, transformed and degraded as the file's; or the stored phases
    themselves, where nothing is augmented or they come from a file of their own.

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
        Of the batches.
    resident : {"device", "memory", "disk"}, optional
        Where the data are kept between steps; by default by their size.
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
        data, policy = config.data, CachePolicy(device, resident)
        self.indices_a, self.indices_b = choose_domains(config, file, images)
        self.stored = images is not None or not config.augmentation.active
        self._encode = PhaseEncoder(data.padded, data.phase_noise, data.phase_bits, device)
        self._b = _CachedSplit(images or file, self.indices_b, ("images",), policy)
        if self.stored:
            used: tuple[str, ...] = ("codes", "undefined") if config.period else ()
            self._a = _CachedSplit(file, self.indices_a, used, policy)
        elif config.disjoint:
            used = ("images",) if config.period else ()
            self._a = _CachedSplit(file, self.indices_a, used, policy)
        else:
            self._a = self._b

        self._shared = images is None and not config.disjoint
        self._folds: Tensor | None = None

    @property
    def needs_prefetch(self) -> bool:
        """Whether every step copies its batch to a GPU."""
        everything = self._b.on_device and (self._a.on_device or not self.config.period)
        return self.device.type == "cuda" and not everything

    def make_folds(self) -> list[NDArray[np.int64]]:
        """Divide domain B into folds, so that a method can be fitted without a sample.

        Returns
        -------
        list of numpy.ndarray
            Positions outside each fold; none if there are too many samples for
            it to matter, or too few. Crops of one photograph are in one fold.
        """
        split = self._b.file.train
        sources = split.source_sha256(np.sort(self.indices_b))
        names = dict(zip(np.sort(self.indices_b).tolist(), sources, strict=True))
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
        """Return images of domain B as stored.

        Parameters
        ----------
        positions : numpy.ndarray
            (n,), int64, in domain B.

        Returns
        -------
        numpy.ndarray
            (n, C, N, N), uint8 or uint16.
        """
        pixels = self._b.read("images", positions)
        return pixels.reshape(len(pixels), -1, *pixels.shape[-2:])

    @property
    def data_range(self) -> int:
        """White in `images`: 255 or 65535."""
        return self._b.file.layout.data_range

    def order(self, epoch: int, domain: int) -> NDArray[np.int64]:
        """Return the order of an epoch.

        Parameters
        ----------
        epoch : int
            From 0.
        domain : {0, 1}
            A or B.

        Returns
        -------
        numpy.ndarray
            A permutation of the positions in the domain.
        """
        rng = np.random.default_rng([self.config.seed, _ORDER, epoch, domain])
        return rng.permutation(len(self.indices_b if domain else self.indices_a))

    def count(self, step: int) -> int:
        """Return the number of images of each domain in a batch."""
        size = self.config.batch_size
        return min(size, len(self.indices_b) - step * size)

    def load(
        self, epoch: int, step: int, part: BatchSlice | None = None
    ) -> tuple[Phases | None, Images]:
        """Return phases, None in steps without domain A, and images."""
        config, size = self.config, self.config.batch_size
        part = part or full_batch(self.count(step))
        order_b = self.order(epoch, 1)[step * size : (step + 1) * size][part.rows]
        rng = np.random.default_rng([config.seed, _CHANGES, epoch, step, 1])
        real_b = Images(self._images(self._b, order_b, rng, part), self._fold(order_b))
        global_step = epoch * config.steps_per_epoch + step
        if not config.period or global_step % config.period:
            return None, real_b
        order_a = self.order(epoch, 0)
        rows = step * size + np.arange(part.start, part.stop)
        positions = order_a[rows % len(order_a)]
        fold = self._fold(positions) if self._shared else None
        return self._phases(positions, epoch, step, part)._replace(fold=fold), real_b

    def _phases(
        self, positions: NDArray[np.int64], epoch: int, step: int, part: BatchSlice
    ) -> Phases:
        if self.stored:
            phase = decode(self._a.read("codes", positions), np.float32)
            undefined = self._a.read("undefined", positions)
            shape = (len(phase), -1, *phase.shape[-2:])
            trusted = torch.from_numpy(~undefined.astype(bool)).reshape(shape)
            return Phases(torch.from_numpy(phase).reshape(shape), trusted).to(self.device)
        rng = np.random.default_rng([self.config.seed, _CHANGES, epoch, step, 0])
        images = self._images(self._a, positions, rng, part)
        source = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        noise = self._encode.draw_noise(part.total, images.shape[1], source)
        return self._encode(images, None if noise is None else noise[part.rows])

    def _images(
        self,
        split: _CachedSplit,
        positions: NDArray[np.int64],
        rng: np.random.Generator,
        part: BatchSlice,
    ) -> Tensor:
        images = split.images(positions, self.device)
        return augment(images, self.config.augmentation, rng, split.data_range, part)

    def mean_statistics(self, limit: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the means over the images of domain B, not augmented.

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
        mean_magnitude, mean_image = RunningMean(), RunningMean()
        frame = (self.config.data.padded,) * 2
        split = self._b.file.train
        order = np.sort(self.indices_b[:limit])
        for start in range(0, len(order), _BLOCK):
            for image in split.images(order[start : start + _BLOCK]):
                scaled = image.reshape(-1, *image.shape[-2:]).astype(np.float64) / self.data_range
                mean_image.add(scaled)
                mean_magnitude.add(np.abs(forward(scaled, frame)))
        means = [mean.mean.astype(np.float32) for mean in (mean_magnitude, mean_image)]
        return torch.from_numpy(means[0]), torch.from_numpy(means[1])
