"""The two domains as a network sees them.

Domain A is the phase image: the full M₁×M₂ plane, zero frequency in the middle, φ/π in
(−1, 1]. Domain B is the image, 2x/range − 1 in [−1, 1]. Both are float32, (batch,
channel, row, column), within the range of a tanh.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.phase import centred

Pixels = TypeVar("Pixels", Tensor, NDArray[np.floating])


def phase_image(phase: NDArray[np.floating], frame: tuple[int, int]) -> NDArray[np.float32]:
    """Return phases as images of domain A.

    Parameters
    ----------
    phase : numpy.ndarray
        (n[, C], M₁, M₂ // 2 + 1), radians in (−π, π].
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    numpy.ndarray
        (n, C, M₁, M₂), float32, values in (−1, 1].
    """
    plane = (centred(phase, frame) / np.pi).astype(np.float32)
    return plane.reshape(len(phase), -1, *frame)


def normalise_images(images: NDArray[np.generic], data_range: float) -> NDArray[np.float32]:
    """Return images as those of domain B.

    Parameters
    ----------
    images : numpy.ndarray
        (n[, C], N₁, N₂), any real dtype, in 0..data_range.
    data_range : float
        White, such as 255.

    Returns
    -------
    numpy.ndarray
        (n, C, N₁, N₂), float32 in [−1, 1].
    """
    scaled = images.astype(np.float32) * np.float32(2.0 / data_range) - np.float32(1.0)
    return scaled.reshape(len(images), -1, *images.shape[-2:])


def denormalise_images(images: Pixels, data_range: float) -> Pixels:
    """Return images of domain B in pixel units, neither clipped nor rounded.

    Parameters
    ----------
    images : numpy.ndarray or torch.Tensor
        Values in about [−1, 1], any shape.
    data_range : float
        White, such as 255.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Same shape and type, in about 0..data_range.
    """
    return (images + 1.0) * (data_range / 2.0)
