"""Mean image and mean magnitude of training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import forward
from phasegan.fourier.magnitude import RunningMean

if TYPE_CHECKING:
    from phasegan.data.hdf5.reader import PreparedFile

_BLOCK = 64


@dataclass(frozen=True)
class Statistics:
    """Means over training images.

    Attributes
    ----------
    mean_image : numpy.ndarray
        ([C,] N₁, N₂), float64, pixel units.
    mean_magnitude : numpy.ndarray
        ([C,] M₁, M₂ // 2 + 1), float64, mean |X| of the unnormalised transform.
    samples : int
        Images averaged over.
    data_range : int
        255 or 65535: white in those images.
    training : callable, optional
        Takes a number and returns at most so many training images, (n[, C], N₁, N₂),
        evenly chosen: for methods that learn from more than means.
    photographs : int, optional
        Different source files among them, where crops of one are several samples.
    """

    mean_image: NDArray[np.float64]
    mean_magnitude: NDArray[np.float64]
    samples: int
    data_range: int
    training: Callable[[int], NDArray[np.generic]] | None = None
    photographs: int | None = None

    @property
    def can_train(self) -> bool:
        """Whether training images can be had."""
        return self.training is not None

    def training_images(self, count: int) -> NDArray[np.float64]:
        """Return training images, evenly chosen.

        Parameters
        ----------
        count : int
            At most so many.

        Returns
        -------
        numpy.ndarray
            (n[, C], N₁, N₂), float64, in pixel units of `data_range`.

        Raises
        ------
        InputError
            If the statistics hold means only.
        """
        if self.training is None:
            raise InputError("these statistics hold means only; take them from a prepared file")
        return self.training(count).astype(np.float64)

    def rescaled(self, data_range: int) -> Statistics:
        """Return the same statistics for another white.

        Parameters
        ----------
        data_range : int
            255 or 65535.

        Returns
        -------
        Statistics
            Statistics of the same images, scaled.
        """
        factor = data_range / self.data_range
        if factor == 1:
            return self
        training = self.training
        return Statistics(
            self.mean_image * factor,
            self.mean_magnitude * factor,
            self.samples,
            data_range,
            None if training is None else lambda count: training(count).astype(np.float64) * factor,
            self.photographs,
        )


def gather_statistics(file: PreparedFile, indices: NDArray[np.int64] | None = None) -> Statistics:
    """Average over a file's training images.

    Parameters
    ----------
    file : PreparedFile
        Open or closed; it opens again by itself.
    indices : numpy.ndarray, optional
        (k,), int64: training samples to use; all by default, and then the stored mean
        magnitude is taken.

    Returns
    -------
    Statistics
        In pixel units of the file.

    Raises
    ------
    InputError
        If the file has no training samples, or phases alone.
    """
    file.require_images(
        "statistics of training images come from another prepared file, --statistics OTHER.h5 "
        "(statistics=… in Python)"
    )
    count = len(file.train) if indices is None else len(indices)
    if count == 0:
        raise InputError(f"{file.path}: no training samples to take statistics from")
    order = np.arange(count) if indices is None else np.sort(indices)
    image_mean, magnitude_mean = RunningMean(), RunningMean()
    for start in range(0, count, _BLOCK):
        for image in file.train.images(order[start : start + _BLOCK]):
            image_mean.add(image)
            if indices is not None:
                magnitude_mean.add(np.abs(forward(image.astype(np.float64), file.layout.frame)))
    mean_magnitude = file.mean_magnitude() if indices is None else magnitude_mean.mean

    def training(most: int) -> NDArray[np.generic]:
        rows = order[np.linspace(0, count - 1, min(most, count)).round().astype(int)]
        return file.train.images(rows)

    photographs = len(set(file.train.source_sha256(order)))
    return Statistics(
        image_mean.mean, mean_magnitude, count, file.layout.data_range, training, photographs
    )
