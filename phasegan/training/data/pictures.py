"""Batches of two domains of images, cropped and mirrored at random."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from phasegan.config.execution import STANDARD, Execution
from phasegan.config.translation import TranslationConfig
from phasegan.data.dataset import as_nchw, grey_levels
from phasegan.data.domain_scan import DomainData, domain_format
from phasegan.data.image_dataset import ImageDataset
from phasegan.data.images.pixel_format import Planes, to_unit_range
from phasegan.data.unpaired_sampler import BatchSlice, StepIndices, UnpairedSampler
from phasegan.distributed import SINGLE_PROCESS, Processes
from phasegan.training.data.cache_policy import CachePolicy
from phasegan.training.data.loader import FORKS, HostBatch, UnpairedBatches

_CROP = 2  # stream of a seed


class ImageBatches(UnpairedBatches):
    """Images of A and of B, each (n, C, size, size), float32 in [−1, 1].

    An epoch is as long as the larger domain; the smaller one starts again, in another
    order, as often as that takes.

    Parameters
    ----------
    config, data, images, device, execution, processes
        As of `TrainingSetup`; `images` is None.
    """

    def __init__(
        self,
        config: TranslationConfig,
        data: DomainData,
        images: None,
        device: torch.device,
        execution: Execution = STANDARD,
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self._config = config
        domains = ((0, config.data.a), (1, config.data.b))
        self.datasets = [
            ImageDataset(
                data.training_images(config, domain),
                domain_format(about),
                config.data.load,
                config.data.fit,
            )
            for domain, about in domains
        ]
        sampler = UnpairedSampler(
            (len(self.datasets[0]), len(self.datasets[1])),
            config.samples,
            config.batch_size,
            config.seed,
            reshuffle=True,
            processes=processes,
        )
        super().__init__(sampler, device, execution)
        shapes = [dataset.shapes() for dataset in self.datasets]
        size = sum(
            int(known.prod(axis=1).sum()) * np.dtype(about.dtype).itemsize
            for known, (_, about) in zip(shapes, domains, strict=True)
            if known is not None
        )
        if CachePolicy(device, execution.resident).in_memory(size) and (FORKS or not self.workers):
            for dataset in self.datasets:
                dataset.keep_in_memory(shared=self.workers > 0)

    def read(self, indices: StepIndices) -> tuple[Tensor, Tensor]:
        """Read crops of both domains."""
        assert indices.rows_a is not None
        first = indices.step * self._config.batch_size + indices.part.start
        batch = []
        for domain, rows in enumerate((indices.rows_a, indices.rows_b)):
            crops = [
                self._crop(domain, int(row), indices.epoch, first + i) for i, row in enumerate(rows)
            ]
            batch.append(torch.from_numpy(as_nchw(np.stack(crops))))
        return batch[0], batch[1]

    def to_device(self, batch: HostBatch, part: BatchSlice) -> tuple[Tensor, Tensor]:
        """Return crops of both domains on the device, scaled there: they come as few bytes."""
        rows = part.within(batch.indices.part)
        real_a, real_b = (
            to_unit_range(
                grey_levels(values[rows].to(self.device, non_blocking=True)), dataset.pixel_format
            )
            for values, dataset in zip((batch.real_a, batch.real_b), self.datasets, strict=True)
        )
        return real_a, real_b

    def _crop(self, domain: int, row: int, epoch: int, place: int) -> Planes:
        """Return a crop of an image, which its place in the epoch decides."""
        planes, data = self.datasets[domain][row], self._config.data
        rng = np.random.default_rng([self._config.seed, _CROP, epoch, domain, place])
        missing = [max(0, data.size - side) for side in planes.shape[1:]]
        if any(missing):
            padding = [(0, 0), *((m // 2, m - m // 2) for m in missing)]
            planes = np.pad(planes, padding, mode="symmetric")
        top, left = (int(rng.integers(side - data.size + 1)) for side in planes.shape[1:])
        crop = planes[:, top : top + data.size, left : left + data.size]
        if data.flip and rng.random() < 0.5:
            crop = crop[..., ::-1]
        return crop
