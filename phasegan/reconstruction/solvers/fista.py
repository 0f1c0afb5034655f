"""Projected, accelerated gradient descent on the convex misfit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.projections import project_onto_simplex
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.solvers.iteration import (
    Callback,
    extrapolate,
    fixed_point_method,
    iterate,
    momentum,
)

ITERATIONS = 500
"""At most, by default."""


def fista(
    operator: PhaseOperator,
    start: Tensor,
    *,
    iterations: int,
    tolerance: float,
    callback: Callback,
    progress: Portion = SILENT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise ½ ‖Im s‖² + ½ ‖min(Re s, 0)‖², s = e^{−iφ} F P x, over x ≥ 0 of mean 1.

    Beck & Teboulle 2009 (FISTA), doi:10.1137/080716542, eq. 4.1 to 4.3 with step
    1, F P being an isometry; the projection onto the constraints is exact. The
    momentum starts afresh where a step turns against it (O'Donoghue & Candès
    2015, doi:10.1007/s10208-013-9150-3).

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    start : torch.Tensor
        (n, N₁, N₂).
    iterations : int
        At most so many.
    tolerance : float
        A sample has converged when its residual ‖A x‖ / ‖x‖ is at most this.
    callback : Callback
        Told of the progress.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂) of mean 1; iterations (n,), int64; converged (n,), bool.
    """

    def step(part: PhaseOperator, image: Tensor, state: dict[str, Tensor]) -> Tensor:
        extrapolated = state["extrapolated"]
        aligned = part.aligned(extrapolated)
        wrong = torch.complex(aligned.real.clamp(max=0.0), aligned.imag)
        following = project_onto_simplex(extrapolated - part.unaligned(wrong))
        extrapolate(following, image, state)
        return following

    start_image = project_onto_simplex(start / start.mean((-2, -1), keepdim=True))
    return iterate(
        step,
        operator,
        start_image,
        iterations,
        tolerance,
        callback,
        momentum(start_image),
        progress,
    )


def method(problem: Problem) -> Method:
    """Make `fista` ready for a problem: from the positive part of the phase-only image.

    Parameters
    ----------
    problem : Problem
        Sizes and settings.

    Returns
    -------
    callable
        The method.
    """

    def solver(
        operator: PhaseOperator, start: Tensor, **options: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        return fista(operator, start.clamp(min=0.0) + 1.0, **options)

    return fixed_point_method(problem, "fista", solver, ITERATIONS)
