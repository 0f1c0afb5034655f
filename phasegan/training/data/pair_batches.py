"""Unpaired batches of phase images and images from a prepared file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.data.hdf5.reader import PreparedFile
from phasegan.fourier.encoding import decode
from phasegan.models.domains import normalise_images, phase_image
from phasegan.training.data.cache_policy import CachePolicy, to_device
from phasegan.training.data.micro_batches import Batches, BatchSlice, full_batch

_SUBSET, _ORDER = 0, 1


def choose_subset(total: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Return the first samples of a seeded shuffle.

    Subsets of the same seed are nested: 50 samples are the first 50 of 200.

    Parameters
    ----------
    total : int
        Samples to choose from.
    samples : int
        Samples to choose, at most `total`.
    seed : int
        Of the shuffle.

    Returns
    -------
    numpy.ndarray
        (samples,), int64, in 0..total−1.
    """
    return np.random.default_rng([seed, _SUBSET]).permutation(total)[:samples]


class UnpairedBatches(Batches):
    """Batches of domain A and of domain B, shuffled independently of each other.

    Parameters
    ----------
    file : PreparedFile
        The phases and images; M must equal N.
    indices : numpy.ndarray
        Training samples to use.
    batch_size : int
        Samples of each domain in a batch; the last of an epoch may be smaller.
    seed : int
        The order of epoch e depends on (seed, e, domain) and nothing else.
    device : torch.device
        Of the batches.
    resident : {"device", "memory", "disk"}, optional
        Where the data are kept between steps; by default by their size.
    """

    def __init__(
        self,
        file: PreparedFile,
        indices: NDArray[np.int64],
        batch_size: int,
        seed: int,
        device: torch.device | None = None,
        resident: str | None = None,
    ) -> None:
        self._file, self._indices = file, indices
        self._batch_size, self._seed = batch_size, seed
        self._device = device or torch.device("cpu")
        policy, layout = CachePolicy(self._device, resident), file.layout
        self._codes = self._images = None
        self._on_device: tuple[Tensor, Tensor] | None = None
        if policy.in_memory(len(indices) * layout.sample_bytes):
            self._codes = file.train.codes(indices)
            self._images = file.train.images(indices)
        channels = 3 if layout.channels == "rgb" else 1
        size = 2 * len(indices) * channels * layout.size**2 * np.float32().nbytes
        if self._codes is not None and policy.on_device(size):
            every = np.arange(len(indices))
            self._on_device = (
                self._phases_at(every).to(self._device),
                self._images_at(every).to(self._device),
            )

    @property
    def needs_prefetch(self) -> bool:
        """Whether every step copies its batch to a GPU."""
        return self._device.type == "cuda" and self._on_device is None

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
            A permutation of the positions in `indices`.
        """
        rng = np.random.default_rng([self._seed, _ORDER, epoch, domain])
        return rng.permutation(len(self._indices))

    def _phases_at(self, positions: NDArray[np.int64]) -> Tensor:
        if self._codes is not None:
            codes = self._codes[positions]
        else:
            codes = self._file.train.codes(self._indices[positions])
        return torch.from_numpy(phase_image(decode(codes, np.float32)))

    def _images_at(self, positions: NDArray[np.int64]) -> Tensor:
        if self._images is not None:
            images = self._images[positions]
        else:
            images = self._file.train.images(self._indices[positions])
        return torch.from_numpy(normalise_images(images, self._file.layout.data_range))

    def count(self, step: int) -> int:
        """Return the number of samples of each domain in a batch."""
        return min(self._batch_size, len(self._indices) - step * self._batch_size)

    def load(self, epoch: int, step: int, part: BatchSlice | None = None) -> tuple[Tensor, Tensor]:
        """Return phase images and images, each (batch, C, N, N), float32 in [−1, 1]."""
        part = part or full_batch(self.count(step))
        first = step * self._batch_size
        rows = slice(first + part.start, first + part.stop)
        order_a, order_b = self.order(epoch, 0)[rows], self.order(epoch, 1)[rows]
        if self._on_device is None:
            loaded = self._phases_at(order_a), self._images_at(order_b)
            return to_device(loaded[0], self._device), to_device(loaded[1], self._device)
        index = [torch.from_numpy(order).to(self._device) for order in (order_a, order_b)]
        phases, images = self._on_device
        return phases.index_select(0, index[0]), images.index_select(0, index[1])
