"""The integer image behind an estimate: by its scale, or repaired pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.reconstruction.exact.certificate import PlaneObservation, misfit
from phasegan.reconstruction.exact.integers import divide_by_gcd, integer_scales
from phasegan.reconstruction.exact.support import Window
from phasegan.reconstruction.solvers.cg import TOLERANCE

MIN_GAP = 1e-6
REPAIR_ROUNDS = 6
MAX_FIXED_DISTANCE = 0.2


@dataclass(frozen=True)
class CertificateConfig:
    """Sizes, accuracy and limits with which a stack of planes is solved and certified."""

    frame: tuple[int, int]
    shape: tuple[int, int]
    data_range: int
    accuracy: float
    """Largest error of the phases, radians."""
    dtype: torch.dtype
    iterations: int
    tolerance: float = TOLERANCE
    tighten: bool = True
    """Whether smaller windows are tried."""

    @property
    def residual_floor(self) -> float:
        """‖A x‖ / ‖x‖ that the accuracy of the phases explains, with a margin."""
        return 1.5 * self.accuracy / np.sqrt(3.0) + 1e-8

    @property
    def min_gap(self) -> float:
        """Singular values below this cannot be told from 0."""
        return max(self.accuracy, MIN_GAP)


def explaining_integers(
    image: NDArray[np.float64],
    observation: PlaneObservation,
    config: CertificateConfig,
    window: Window,
) -> list[NDArray[np.int64]]:
    """Return the integer images that an image may be a multiple of and that give every phase.

    Parameters
    ----------
    image : numpy.ndarray
        (rows, columns) of the window, in any scale.
    observation : PlaneObservation
        The phases.
    config : CertificateConfig
        Sizes and data range.
    window : (int, int, int, int)
        Where the content stands in the whole support.

    Returns
    -------
    list of numpy.ndarray
        (N₁, N₂), int64; one, where the phases are good enough.
    """
    candidates = (embed(c, config, window) for c in integer_scales(image, config.data_range))
    return [embedded for embedded in candidates if misfit(embedded, observation, config.frame) == 0]


def embed(
    content: NDArray[np.int64], config: CertificateConfig, window: Window
) -> NDArray[np.int64]:
    """Return the image whose window has some content and that is 0 elsewhere.

    Parameters
    ----------
    content : numpy.ndarray
        (r₁ − r₀, c₁ − c₀), int64.
    config : CertificateConfig
        Its shape is used.
    window : (int, int, int, int)
        [r₀, r₁, c₀, c₁).

    Returns
    -------
    numpy.ndarray
        (N₁, N₂), int64.
    """
    embedded = np.zeros(config.shape, dtype=np.int64)
    embedded[window[0] : window[1], window[2] : window[3]] = content
    return embedded


def repair_pixels(
    operator: PhaseOperator,
    image: Tensor,
    observation: PlaneObservation,
    config: CertificateConfig,
    window: Window,
) -> NDArray[np.int64] | None:
    """Repair an estimate: fix the pixels that are near integers and solve for the others.

    Parameters
    ----------
    operator : PhaseOperator
        A for this plane, on the window, float64.
    image : torch.Tensor
        (rows, columns) of the window, float64, in any scale.
    observation : PlaneObservation
        The phases.
    config : CertificateConfig
        Sizes and data range.
    window : (int, int, int, int)
        [r₀, r₁, c₀, c₁) of the support.

    Returns
    -------
    numpy.ndarray or None
        (N₁, N₂), int64, an image that gives every phase; None if none was reached.
    """
    for candidate in integer_scales(image.cpu().numpy(), config.data_range)[:2]:
        integers = torch.from_numpy(candidate).double().to(image.device)
        scale = (integers * integers).sum() / (integers * image).sum()
        current = scale * image
        for _ in range(REPAIR_ROUNDS):
            nearest = current.round()
            free = (current - nearest).abs() > MAX_FIXED_DISTANCE
            if not bool(free.any()):
                break
            current = torch.where(free, current, nearest)
            current = _solve_free(operator, current[None], free[None])[0]
        repaired = divide_by_gcd(current.round().cpu().numpy().astype(np.int64))
        embedded = embed(repaired, config, window)
        within = embedded.min() >= 0 and embedded.max() <= config.data_range
        if within and misfit(embedded, observation, config.frame) == 0:
            return embedded
    return None


def _solve_free(operator: PhaseOperator, image: Tensor, free: Tensor) -> Tensor:
    """Minimise ‖A x‖ over the free pixels by conjugate gradients."""
    residual = -operator.normal(image) * free
    direction, power = residual.clone(), (residual**2).sum()
    least = 1e-22 * (image**2).sum()
    for _ in range(200):
        if power <= least:
            break
        product = operator.normal(direction) * free
        step_size = power / (direction * product).sum()
        image = image + step_size * direction
        residual = residual - step_size * product
        previous_power, power = power, (residual**2).sum()
        direction = residual + power / previous_power * direction
    return image
