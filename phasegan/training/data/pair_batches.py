"""Unpaired batches of phase pictures and images from a prepared file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.data.hdf5.reader import PreparedFile
from phasegan.fourier.encoding import decode
from phasegan.models.domains import image_picture, phase_picture
from phasegan.training.data.cache_policy import CachePolicy, to_device
from phasegan.training.data.micro_batches import Part, whole

_SUBSET, _ORDER = 0, 1


def choose_subset(total: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Return the first `samples` of a seeded shuffle of 0..total−1.

    Subsets of the same seed are nested: 50 samples are the first 50 of 200.
    """
    return np.random.default_rng([seed, _SUBSET]).permutation(total)[:samples]


class UnpairedBatches:
    """Batches of domain A and of domain B, shuffled independently of each other.

    Parameters
    ----------
    file : PreparedFile
        Where phases and images are; M must equal N.
    indices : numpy.ndarray
        Training samples to use.
    batch_size : int
        Samples of each domain in a batch; the last of an epoch may be smaller.
    seed : int
        The order of epoch e depends on (seed, e, domain) and nothing else.
    device : torch.device
        Where batches go.
    resident : {"device", "memory", "disk"}, optional
        Where the data are between steps; by their size.
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
        place, layout = CachePolicy(self._device, resident), file.layout
        self._codes = self._images = None
        self._pictures: tuple[Tensor, Tensor] | None = None
        if place.in_memory(len(indices) * layout.sample_bytes):
            self._codes = file.train.codes(indices)
            self._images = file.train.images(indices)
        channels = 3 if layout.channels == "rgb" else 1
        pictures = 2 * len(indices) * channels * layout.size**2 * np.float32().nbytes
        if self._codes is not None and place.on_device(pictures):
            every = np.arange(len(indices))
            self._pictures = (
                self._phases(every).to(self._device),
                self._reals(every).to(self._device),
            )

    @property
    def from_host(self) -> bool:
        """Whether batches come to a GPU from elsewhere in every step."""
        return self._device.type == "cuda" and self._pictures is None

    def order(self, epoch: int, domain: int) -> NDArray[np.int64]:
        """Return the order of an epoch: positions in `indices`; domain 0 is A, 1 is B."""
        rng = np.random.default_rng([self._seed, _ORDER, epoch, domain])
        return rng.permutation(len(self._indices))

    def _phases(self, positions: NDArray[np.int64]) -> Tensor:
        if self._codes is not None:
            codes = self._codes[positions]
        else:
            codes = self._file.train.codes(self._indices[positions])
        return torch.from_numpy(phase_picture(decode(codes, np.float32)))

    def _reals(self, positions: NDArray[np.int64]) -> Tensor:
        if self._images is not None:
            images = self._images[positions]
        else:
            images = self._file.train.images(self._indices[positions])
        return torch.from_numpy(image_picture(images, self._file.layout.data_range))

    def count(self, step: int) -> int:
        """Return how many samples of each domain are in the batch of a step of an epoch."""
        return min(self._batch_size, len(self._indices) - step * self._batch_size)

    def at(self, epoch: int, step: int, part: Part | None = None) -> tuple[Tensor, Tensor]:
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
            Phase pictures and images, each (batch, C, N, N), float32, on the device.
        """
        part = part or whole(self.count(step))
        first = step * self._batch_size
        rows = slice(first + part.start, first + part.stop)
        order_a, order_b = self.order(epoch, 0)[rows], self.order(epoch, 1)[rows]
        if self._pictures is None:
            found = self._phases(order_a), self._reals(order_b)
            return to_device(found[0], self._device), to_device(found[1], self._device)
        chosen = [torch.from_numpy(order).to(self._device) for order in (order_a, order_b)]
        phases, images = self._pictures
        return phases.index_select(0, chosen[0]), images.index_select(0, chosen[1])
