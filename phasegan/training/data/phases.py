"""Batches of the presets that train on a prepared file: phases (A) and images (B)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.physics import PhysicsConfig
from phasegan.config.run import PaperConfig
from phasegan.data.augmentation import augment
from phasegan.data.dataset import PhaseDataset, as_nchw, grey_levels
from phasegan.data.hdf5.columns import Batch as Columns
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.samplers import choose_subset
from phasegan.data.unpaired_sampler import BatchSlice, StepIndices, UnpairedSampler
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.fourier.convention import forward
from phasegan.fourier.magnitude import RunningMean
from phasegan.fourier.phase_encoder import PhaseEncoder
from phasegan.models.domains import normalise_images, phase_image
from phasegan.training.data.cache_policy import CachePolicy
from phasegan.training.data.loader import HostBatch, UnpairedBatches

_CHANGES = 2  # stream of a seed
_BLOCK = 64
FOLDS = 4
FOLDED_BELOW = 1000
"""Largest number of photographs whose fits are visibly better on them than on others."""


class Phases(NamedTuple):
    """Phases of domain A; both tensors (n, C, M₁, M₂ // 2 + 1)."""

    phase: Tensor
    """Radians in (−π, π], float32; 0 where it is undefined."""
    trusted: Tensor | None
    """Bool, False where undefined; None: all are defined."""
    fold: Tensor | None = None
    """(n,), int64, on the CPU: the cascade fitted without the sample; None: the full one."""


class Images(NamedTuple):
    """Images of domain B."""

    pixels: Tensor
    """(n, C, N₁, N₂), float32 in 0..1."""
    fold: Tensor | None = None
    """As `Phases.fold`."""


class _Source:
    """One tensor of each sample of a domain, read row by row or resident on the device."""

    def __init__(
        self,
        dataset: PhaseDataset,
        convert: Callable[[Columns], Tensor],
        device: torch.device,
        *,
        resident: bool = False,
    ) -> None:
        self.dataset, self._convert, self._device = dataset, convert, device
        self._resident: Tensor | None = None
        if resident:
            self._resident = self.values(np.arange(len(dataset))).to(device)

    @property
    def is_resident(self) -> bool:
        """Whether the device holds all samples."""
        return self._resident is not None

    def values(self, rows: NDArray[np.int64]) -> Tensor:
        """Return samples in memory."""
        return self._convert(self.dataset.read(rows))

    def read(self, rows: NDArray[np.int64]) -> Tensor:
        """Return what has to go to the device for some samples: them, or their numbers."""
        return torch.from_numpy(rows) if self.is_resident else self.values(rows)

    def to_device(self, values: Tensor) -> Tensor:
        """Return samples on the device, from what was read."""
        moved = values.to(self._device, non_blocking=True)
        return moved if self._resident is None else self._resident.index_select(0, moved)


def _dataset(
    file: PreparedFile, indices: NDArray[np.int64], fields: tuple[str, ...], policy: CachePolicy
) -> PhaseDataset:
    in_memory = policy.in_memory(len(indices) * file.layout.sample_bytes)
    return PhaseDataset(file, fields=fields, indices=indices, in_memory=in_memory)


def _phase_images(columns: Columns, frame: tuple[int, int]) -> Tensor:
    return torch.from_numpy(phase_image(columns["phase"], frame))


def _normalised(columns: Columns, data_range: int) -> Tensor:
    return torch.from_numpy(normalise_images(columns["images"], data_range))


def _planes(columns: Columns) -> Tensor:
    return torch.from_numpy(as_nchw(columns["images"]))


class PaperBatches(UnpairedBatches):
    """Phase images and images, each (n, C, N₁, N₂), float32 in [−1, 1].

    Parameters
    ----------
    config, file, images, device, execution, processes
        As of `TrainingSetup`; `images` is None, and M equals N.
    """

    def __init__(
        self,
        config: PaperConfig,
        file: PreparedFile,
        images: PreparedFile | None,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        count, size = config.data.samples, (config.batch_size, config.seed)
        shape = config.data.shape
        super().__init__(
            UnpairedSampler((count, count), count, *size, processes=processes), device, execution
        )
        self.indices = choose_subset(len(file.train), count, config.seed)
        policy = CachePolicy(device, execution.resident)
        phases = _dataset(file, self.indices, ("phase",), policy)
        pixels = _dataset(file, self.indices, ("images",), policy)
        resident = phases.in_memory and policy.on_device(
            2 * count * config.data.channel_count * math.prod(shape) * np.float32().nbytes
        )

        normalised = functools.partial(_normalised, data_range=file.layout.data_range)
        phase_images = functools.partial(_phase_images, frame=config.data.frame)
        self._a = _Source(phases, phase_images, device, resident=resident)
        self._b = _Source(pixels, normalised, device, resident=resident)

    @property
    def is_on_device(self) -> bool:
        """Whether all data are on the device, so that nothing is read."""
        return self._a.is_resident

    def read(self, indices: StepIndices) -> tuple[Tensor, Tensor]:
        """Read phase images and images, or their numbers where they are on the device."""
        assert indices.rows_a is not None
        return self._a.read(indices.rows_a), self._b.read(indices.rows_b)

    def to_device(self, batch: HostBatch, part: BatchSlice) -> tuple[Tensor, Tensor]:
        """Return phase images and images on the device."""
        rows = part.within(batch.indices.part)
        return self._a.to_device(batch.real_a[rows]), self._b.to_device(batch.real_b[rows])


class PhysicsBatches(UnpairedBatches):
    """Phases and images, augmented on the device.

    Domain B are images. Domain A are the phases of images that are augmented too, transformed
    and degraded as the file's; or the stored phases themselves, where nothing is augmented or
    they come from a file of their own.

    Everything random follows from seed, epoch and step alone.

    Parameters
    ----------
    config, file, images, device, execution, processes
        As of `TrainingSetup`.
    """

    def __init__(
        self,
        config: PhysicsConfig,
        file: PreparedFile,
        images: PreparedFile | None,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.config, data, seed = config, config.data, config.seed
        self.indices_a = choose_subset(len(file.train), config.samples_a, seed)
        self.indices_b = choose_subset(len((images or file).train), data.samples, seed)
        if images is None and config.disjoint:
            self.indices_b = self.indices_b[config.samples_a :]
        lengths = len(self.indices_a), len(self.indices_b)
        super().__init__(
            UnpairedSampler(
                lengths,
                len(self.indices_b),
                config.batch_size,
                seed,
                period=config.period,
                processes=processes,
            ),
            device,
            execution,
        )
        self.stored = images is not None or not config.augmentation.active
        self._encode = PhaseEncoder(data.frame, data.phase_noise, data.phase_bits, device)
        policy = CachePolicy(device, execution.resident)
        self._b = self._images_of(images or file, self.indices_b, policy)
        self.data_range = self._b.dataset.file.layout.data_range
        """White in `images`: 255 or 65535."""
        self._a: _Source | PhaseDataset | None = None
        if config.period and self.stored:
            self._a = _dataset(file, self.indices_a, ("phase", "undefined"), policy)
        elif config.period:
            self._a = self._images_of(file, self.indices_a, policy) if config.disjoint else self._b
        self._shared = images is None and not config.disjoint
        self._folds: Tensor | None = None

    def _images_of(
        self, file: PreparedFile, indices: NDArray[np.int64], policy: CachePolicy
    ) -> _Source:
        """Return images as they are stored, so that as few bytes as possible go to the device."""
        dataset, layout = _dataset(file, indices, ("images",), policy), file.layout
        size = len(indices) * int(np.prod(layout.image_shape)) * layout.image_dtype.itemsize
        resident = dataset.in_memory and policy.on_device(size)
        return _Source(dataset, _planes, self.device, resident=resident)

    @property
    def is_on_device(self) -> bool:
        """Whether all data are on the device, so that nothing is read."""
        sources = [self._b] if self._a is None else [self._a, self._b]
        return all(isinstance(source, _Source) and source.is_resident for source in sources)

    def read(self, indices: StepIndices) -> tuple[Any, Tensor]:
        """Read phases or images, None in steps without domain A, and images, as they are stored."""
        real_a: Any = None
        rows = indices.rows_a
        if rows is not None and isinstance(self._a, PhaseDataset):
            columns = self._a.read(rows)
            phase = as_nchw(columns["phase"])
            trusted = ~as_nchw(columns["undefined"]).astype(bool)
            real_a = torch.from_numpy(phase), torch.from_numpy(trusted)
        elif rows is not None and self._a is not None:
            real_a = self._a.read(rows)
        return real_a, self._b.read(indices.rows_b)

    def to_device(self, batch: HostBatch, part: BatchSlice) -> tuple[Phases | None, Images]:
        """Return phases and images on the device, augmented."""
        indices, rows = batch.indices, part.within(batch.indices.part)
        pixels = self._augmented(self._b, batch.real_b[rows], self._rng(indices, 1), part)
        real_b = Images(pixels, self._fold(indices.rows_b[rows]))
        if indices.rows_a is None:
            return None, real_b
        fold = self._fold(indices.rows_a[rows]) if self._shared else None
        if not isinstance(self._a, _Source):
            phase, trusted = (
                value[rows].to(self.device, non_blocking=True) for value in batch.real_a
            )
            return Phases(phase, trusted, fold), real_b
        rng = self._rng(indices, 0)
        images = self._augmented(self._a, batch.real_a[rows], rng, part)
        source = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        noise = self._encode.draw_noise(part.total, images.shape[1], source)
        own = None if noise is None else noise[part.rows]
        return Phases(*self._encode(images, own), fold), real_b

    def _rng(self, indices: StepIndices, domain: int) -> np.random.Generator:
        return np.random.default_rng(
            [self.config.seed, _CHANGES, indices.epoch, indices.step, domain]
        )

    def _augmented(
        self, source: _Source, values: Tensor, rng: np.random.Generator, part: BatchSlice
    ) -> Tensor:
        images = grey_levels(source.to_device(values)) / self.data_range
        return augment(images, self.config.augmentation, rng, self.data_range, part)

    def make_folds(self) -> list[NDArray[np.int64]]:
        """Divide domain B into folds, so that a method can be fitted without a sample.

        Returns
        -------
        list of numpy.ndarray
            Positions outside each fold; none if there are too many samples for
            it to matter, or too few. Crops of one photograph are in one fold.
        """
        split = self._b.dataset.samples
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
            (n, C, N₁, N₂), uint8 or uint16.
        """
        pixels = self._b.dataset.read(positions)["images"]
        return pixels.reshape(len(pixels), -1, *pixels.shape[-2:])

    def mean_statistics(self, limit: int | None = None) -> tuple[Tensor, Tensor]:
        """Return the means over the images of domain B, not augmented.

        Parameters
        ----------
        limit : int, optional
            Only over so many of them.

        Returns
        -------
        (torch.Tensor, torch.Tensor)
            Mean magnitude, (C, M₁, M₂ // 2 + 1), and mean image, (C, N₁, N₂),
            float32, of images in 0..1.
        """
        mean_magnitude, mean_image = RunningMean(), RunningMean()
        frame = self.config.data.frame
        split, order = self._b.dataset.samples, np.sort(self.indices_b[:limit])
        for start in range(0, len(order), _BLOCK):
            for image in split.images(order[start : start + _BLOCK]):
                scaled = image.reshape(-1, *image.shape[-2:]).astype(np.float64) / self.data_range
                mean_image.add(scaled)
                mean_magnitude.add(np.abs(forward(scaled, frame)))
        means = [mean.mean.astype(np.float32) for mean in (mean_magnitude, mean_image)]
        return torch.from_numpy(means[0]), torch.from_numpy(means[1])
