"""Methods that do not look at the phase: what any other must beat."""

from __future__ import annotations

import numpy as np

from phasegan.reconstruction.protocol import Estimate, Phase


def zero(phase: Phase, shape: tuple[int, int]) -> Estimate:
    """Return black images: their MSE is the mean squared pixel value of the data.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1); only its leading axes matter.
    shape : (int, int)
        (N, N).
    """
    return np.zeros((*phase.shape[:-2], *shape))


def mean_image(phase: Phase, image: Estimate) -> Estimate:
    """Return the same image for every phase.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1); only n matters.
    image : numpy.ndarray
        ([C,] N, N), pixel units: the mean of training images.
    """
    return np.broadcast_to(image, (len(phase), *image.shape)).copy()
