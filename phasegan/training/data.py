"""Unpaired batches of phase pictures and images from a prepared file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.models.domains import image_picture, phase_picture
from phasegan.spectra.encoding import decode
from phasegan.store.reader import PreparedFile

RESIDENT_BYTES = 2 * 2**30
"""Data sets up to this size are read into memory once."""

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
    """

    def __init__(
        self, file: PreparedFile, indices: NDArray[np.int64], batch_size: int, seed: int
    ) -> None:
        self._file, self._indices = file, indices
        self._batch_size, self._seed = batch_size, seed
        self._codes = self._images = None
        if len(indices) * file.layout.sample_bytes <= RESIDENT_BYTES:
            self._codes = file.train.codes(indices)
            self._images = file.train.images(indices)

    def order(self, epoch: int, domain: int) -> NDArray[np.int64]:
        """Return the order of an epoch: positions in `indices`; domain 0 is A, 1 is B."""
        rng = np.random.default_rng([self._seed, _ORDER, epoch, domain])
        return rng.permutation(len(self._indices))

    def batch(
        self, order_a: NDArray[np.int64], order_b: NDArray[np.int64], step: int
    ) -> tuple[Tensor, Tensor]:
        """Return one batch of each domain.

        Parameters
        ----------
        order_a, order_b : numpy.ndarray
            From `order`.
        step : int
            Within the epoch, from 0.

        Returns
        -------
        (torch.Tensor, torch.Tensor)
            Phase pictures and images, each (batch, C, N, N), float32, on the CPU.
        """
        part = slice(step * self._batch_size, (step + 1) * self._batch_size)
        layout = self._file.layout
        if self._codes is not None and self._images is not None:
            codes, images = self._codes[order_a[part]], self._images[order_b[part]]
        else:
            codes = self._file.train.codes(self._indices[order_a[part]])
            images = self._file.train.images(self._indices[order_b[part]])
        phase = phase_picture(decode(codes, np.float32))
        image = image_picture(images, layout.data_range)
        return torch.from_numpy(phase), torch.from_numpy(image)

    def at(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Return the batches of a step of an epoch, both from 0."""
        return self.batch(self.order(epoch, 0), self.order(epoch, 1), step)
