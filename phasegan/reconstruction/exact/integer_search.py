"""The integer image behind an estimate: found by its scale, or mended pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.reconstruction.exact.certificate import Measured, misfit
from phasegan.reconstruction.exact.integers import integer_scales, without_common_factor
from phasegan.reconstruction.exact.support import Window
from phasegan.reconstruction.solvers.cg import TOLERANCE

LEAST_GAP = 1e-6
MENDING_ROUNDS = 6
NEAR = 0.2


@dataclass(frozen=True)
class Scene:
    """What is known of a stack of planes."""

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
    def floor(self) -> float:
        """‖A x‖ / ‖x‖ that the accuracy of the phases explains, with a margin."""
        return 1.5 * self.accuracy / np.sqrt(3.0) + 1e-8

    @property
    def least_gap(self) -> float:
        """Singular values below this cannot be told from 0."""
        return max(self.accuracy, LEAST_GAP)


def explaining_integers(
    image: NDArray[np.float64], measured: Measured, scene: Scene, window: Window
) -> list[NDArray[np.int64]]:
    """Return the integer images that an image may be a multiple of and that give every phase.

    Parameters
    ----------
    image : numpy.ndarray
        The content of the window.
    measured, scene : Measured, Scene
        The phases.
    window : (int, int, int, int)
        Where the content stands in the whole support.

    Returns
    -------
    list of numpy.ndarray
        (N₁, N₂), int64; one, where the phases are good enough.
    """
    candidates = (placed(c, scene, window) for c in integer_scales(image, scene.data_range))
    return [full for full in candidates if misfit(full, measured, scene.frame) == 0]


def placed(content: NDArray[np.int64], scene: Scene, window: Window) -> NDArray[np.int64]:
    """Return the image, (N₁, N₂), whose window has this content and that is 0 elsewhere."""
    full = np.zeros(scene.shape, dtype=np.int64)
    full[window[0] : window[1], window[2] : window[3]] = content
    return full


def mend(
    operator: PhaseOperator, image: Tensor, measured: Measured, scene: Scene, window: Window
) -> NDArray[np.int64] | None:
    """Fix the pixels that are near integers and solve for the others."""
    for candidate in integer_scales(image.cpu().numpy(), scene.data_range)[:2]:
        whole = torch.from_numpy(candidate).double().to(image.device)
        scale = (whole * whole).sum() / (whole * image).sum()
        current = scale * image
        for _ in range(MENDING_ROUNDS):
            nearest = current.round()
            free = (current - nearest).abs() > NEAR
            if not bool(free.any()):
                break
            current = torch.where(free, current, nearest)
            current = _solve_free(operator, current[None], free[None])[0]
        mended = without_common_factor(current.round().cpu().numpy().astype(np.int64))
        full = placed(mended, scene, window)
        within = full.min() >= 0 and full.max() <= scene.data_range
        if within and misfit(full, measured, scene.frame) == 0:
            return full
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
