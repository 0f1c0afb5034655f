"""Projected, accelerated gradient descent on the convex misfit."""

from __future__ import annotations

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.projections import project_onto_simplex
from phasegan.reconstruction.solvers.iteration import Watch, extrapolate, iterate, momentum


def fista(
    operator: PhaseOperator, start: Tensor, *, iterations: int, tolerance: float, watch: Watch
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
    watch : Watch
        Told of the progress.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂) of mean 1; iterations (n,), int64; converged (n,), bool.
    """

    def step(part: PhaseOperator, image: Tensor, state: dict[str, Tensor]) -> Tensor:
        ahead = state["ahead"]
        aligned = part.aligned(ahead)
        wrong = torch.complex(aligned.real.clamp(max=0.0), aligned.imag)
        following = project_onto_simplex(ahead - part.unaligned(wrong))
        extrapolate(following, image, state)
        return following

    first = project_onto_simplex(start / start.mean((-2, -1), keepdim=True))
    return iterate(step, operator, first, iterations, tolerance, watch, momentum(first))
