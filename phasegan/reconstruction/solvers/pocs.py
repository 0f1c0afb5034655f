"""Alternating projections onto the sign, support and range sets."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.projections import project_onto_phase, project_onto_range
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.solvers.iteration import (
    Callback,
    extrapolate,
    fixed_point_method,
    iterate,
    momentum,
)

ITERATIONS, ACCELERATED_ITERATIONS = 1000, 500
"""At most, by default."""


def alternating_projections(
    operator: PhaseOperator,
    start: Tensor,
    largest: float,
    *,
    iterations: int,
    tolerance: float,
    callback: Callback,
    accelerated: bool = False,
    progress: Portion = SILENT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Iterate x ← P_range Pᵀ F⁻¹ (max(Re(e^{−iφ} F P x), 0) e^{iφ}).

    Levi & Stark 1983, "Signal restoration from phase by projections onto convex
    sets", doi:10.1364/JOSA.73.000810. All three sets are convex, so the distance
    to every image in their intersection never grows.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    start : torch.Tensor
        (n, N₁, N₂).
    largest : float
        Pixels are kept in 0..largest.
    iterations : int
        At most so many.
    tolerance : float
        A sample has converged when its residual ‖A x‖ / ‖x‖ is at most this.
    callback : Callback
        Told of the progress.
    accelerated : bool
        Extrapolate by Nesterov's rule, and start it afresh where the step turns
        against the extrapolation (O'Donoghue & Candès 2015,
        doi:10.1007/s10208-013-9150-3). The law above is then given up for speed.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂); iterations (n,), int64; converged (n,), bool.
    """

    def project(part: PhaseOperator, image: Tensor) -> Tensor:
        return project_onto_range(project_onto_phase(part, image), 0.0, largest)

    def plain(part: PhaseOperator, image: Tensor, _: dict[str, Tensor]) -> Tensor:
        return project(part, image)

    def fast(part: PhaseOperator, image: Tensor, state: dict[str, Tensor]) -> Tensor:
        following = project(part, state["extrapolated"])
        extrapolate(following, image, state)
        return following

    state = momentum(start) if accelerated else None
    return iterate(
        fast if accelerated else plain,
        operator,
        start,
        iterations,
        tolerance,
        callback,
        state,
        progress,
    )


def method(problem: Problem, accelerated: bool = False) -> Method:
    """Make `pocs`, or `pocs-accelerated`, ready for a problem.

    Parameters
    ----------
    problem : Problem
        Sizes, data range and settings.
    accelerated : bool
        As in `alternating_projections`.

    Returns
    -------
    callable
        The method.
    """
    solver = partial(
        alternating_projections, largest=float(problem.data_range), accelerated=accelerated
    )
    if accelerated:
        return fixed_point_method(problem, "pocs-accelerated", solver, ACCELERATED_ITERATIONS)
    return fixed_point_method(problem, "pocs", solver, ITERATIONS)
