"""How the two domains look to a network.

Domain A is the phase picture: the full M×M plane, zero frequency in the
middle, φ/π in (−1, 1]. Domain B is the image, 2x/range − 1 in [−1, 1]. Both
are float32, (batch, channel, row, column), within the reach of a tanh.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.phase import centred

Pixels = TypeVar("Pixels", Tensor, NDArray[np.floating])


def phase_picture(phase: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return phases as pictures of domain A.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M, M // 2 + 1), radians in (−π, π].

    Returns
    -------
    numpy.ndarray
        (n, C, M, M), float32, values in (−1, 1].
    """
    size = phase.shape[-2]
    picture = (centred(phase, (size, size)) / np.pi).astype(np.float32)
    return picture.reshape(len(phase), -1, size, size)


def image_picture(images: NDArray[np.generic], data_range: float) -> NDArray[np.float32]:
    """Return images, (n[, C], N, N) in 0..data_range, as pictures of domain B."""
    picture = images.astype(np.float32) * np.float32(2.0 / data_range) - np.float32(1.0)
    return picture.reshape(len(images), -1, *images.shape[-2:])


def picture_to_image(picture: Pixels, data_range: float) -> Pixels:
    """Return pictures of domain B in pixel units, 0..data_range; not clipped or rounded."""
    return (picture + 1.0) * (data_range / 2.0)
