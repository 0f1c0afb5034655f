"""What training images say about images in general."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.spectra.fourier import forward
from phasegan.spectra.magnitude import RunningMean

if TYPE_CHECKING:
    from phasegan.store.reader import PreparedFile

_BLOCK = 64


@dataclass(frozen=True)
class Statistics:
    """Means over training images.

    Attributes
    ----------
    mean_image : numpy.ndarray
        ([C,] N, N), float64, pixel units.
    mean_magnitude : numpy.ndarray
        ([C,] M, M // 2 + 1), float64, mean |X| of the unnormalised transform.
    samples : int
        Images averaged over.
    data_range : int
        255 or 65535: white in those images.
    """

    mean_image: NDArray[np.float64]
    mean_magnitude: NDArray[np.float64]
    samples: int
    data_range: int

    def rescaled(self, data_range: int) -> Statistics:
        """Return the same statistics for images whose white is `data_range`."""
        factor = data_range / self.data_range
        return Statistics(
            self.mean_image * factor, self.mean_magnitude * factor, self.samples, data_range
        )


def gather_statistics(file: PreparedFile, indices: NDArray[np.int64] | None = None) -> Statistics:
    """Average over a file's training images.

    Parameters
    ----------
    file : PreparedFile
        The file.
    indices : numpy.ndarray, optional
        Training samples to use; all by default, and then the stored mean
        magnitude is taken.
    """
    count = len(file.train) if indices is None else len(indices)
    if count == 0:
        raise InputError(f"{file.path}: no training samples to take statistics from")
    order = np.arange(count) if indices is None else np.sort(indices)
    image, magnitude = RunningMean(), RunningMean()
    for start in range(0, count, _BLOCK):
        for picture in file.train.images(order[start : start + _BLOCK]):
            image.add(picture)
            if indices is not None:
                magnitude.add(np.abs(forward(picture.astype(np.float64), file.layout.frame)))
    mean_magnitude = file.mean_magnitude() if indices is None else magnitude.mean
    return Statistics(image.mean, mean_magnitude, count, file.layout.data_range)
