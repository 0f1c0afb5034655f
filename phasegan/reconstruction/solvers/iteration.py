"""Fixed-point methods: the loop they share, with early stops per sample, and their start.

An iteration x ← g(x) works on images (n, N₁, N₂); its residual is ‖A x‖ / ‖F P x‖ of
`phasegan.fourier.operator`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.progress import SILENT, IterationProgress, Portion
from phasegan.reconstruction.batching import Block, BlockSolution, solve_planes
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.solvers.unit_magnitude import neutral_level

Callback = Callable[[int, Tensor, Tensor], None] | None
"""Called with the iteration, the indices (n′,) of the samples at work and their images."""
Step = Callable[[PhaseOperator, Tensor, dict[str, Any]], Tensor]
"""Takes the operator and images of the samples still at work, and a place for
state: tensors whose first axis is the sample."""

CHECK_EVERY = 10
TOLERANCE = 1e-7
"""Residual at which fixed-point methods end."""


class Solver(Protocol):
    """A fixed-point method: images (n, N₁, N₂), iterations and convergence (n,)."""

    def __call__(
        self,
        operator: PhaseOperator,
        start: Tensor,
        *,
        iterations: int,
        tolerance: float,
        callback: Callback,
        progress: Portion = ...,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Iterate from a start."""


def momentum(start: Tensor) -> dict[str, Any]:
    """Return the state with which `extrapolate` begins.

    Parameters
    ----------
    start : torch.Tensor
        (n, N₁, N₂).

    Returns
    -------
    dict
        `extrapolated`, as `start`, and `time`, (n, 1, 1) ones.
    """
    ones = torch.ones((len(start), 1, 1), dtype=start.dtype, device=start.device)
    return {"extrapolated": start, "time": ones}


def extrapolate(following: Tensor, image: Tensor, state: dict[str, Any]) -> None:
    """Extrapolate the point of the next step by Nesterov's rule.

    Where the step turns against the extrapolation the rule starts afresh
    (O'Donoghue & Candès 2015, doi:10.1007/s10208-013-9150-3).

    Parameters
    ----------
    following, image : torch.Tensor
        (n, N₁, N₂): the images after and before the step.
    state : dict
        `extrapolated`, where the step was made from, and `time`; both are replaced.
    """
    restart = ((state["extrapolated"] - following) * (following - image)).sum(
        (-2, -1), keepdim=True
    )
    time = torch.where(restart > 0, 1.0, state["time"])
    next_time = 0.5 * (1.0 + (1.0 + 4.0 * time**2).sqrt())
    state["extrapolated"] = following + (time - 1.0) / next_time * (following - image)
    state["time"] = next_time


def iterate(
    step: Step,
    operator: PhaseOperator,
    start: Tensor,
    iterations: int,
    tolerance: float,
    callback: Callback,
    state: dict[str, Tensor] | None = None,
    progress: Portion = SILENT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Apply a step until each sample's residual is small.

    Parameters
    ----------
    step : callable
        One iteration.
    operator : PhaseOperator
        For n phases.
    start : torch.Tensor
        (n, N₁, N₂).
    iterations : int
        At most so many.
    tolerance : float
        A sample has converged when ‖A x‖ / ‖x‖ is at most this.
    callback : callable, optional
        Called every ten iterations with the iteration, the indices and the
        images of the samples at work.
    state : dict of torch.Tensor, optional
        State that the step starts with besides the images.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂), those of least residual that a check saw; iterations
        (n,), int64; converged (n,), bool.
    """
    image, state = start, dict(state or {})
    count = len(start)
    index = torch.arange(count, device=start.device)
    best = start.clone()
    least = operator.residual(start)
    iterations_done = torch.zeros(count, dtype=torch.int64)
    converged = torch.zeros(count, dtype=torch.bool)
    steps, worst = IterationProgress(progress, iterations), float(least.max())
    for k in range(1, iterations + 1):
        image = step(operator, image, state)
        if steps.due():
            steps.report(k, worst, tolerance)
        if k % CHECK_EVERY and k != iterations:
            continue
        residual = operator.residual(image)
        worst = float(residual.max())
        better = residual <= least[index]
        best[index[better]], least[index[better]] = image[better], residual[better]
        iterations_done[index.cpu()] = k
        finished = residual <= tolerance
        converged[index[finished].cpu()] = True
        if callback is not None:
            callback(k, index, image)
        if bool(finished.all()):
            break
        if bool(finished.any()):
            unfinished = ~finished
            index, image, operator = (
                index[unfinished],
                image[unfinished],
                operator.select(unfinished),
            )
            state = {name: value[unfinished] for name, value in state.items()}
    return best, iterations_done, converged


def phase_only(operator: PhaseOperator, level: float) -> Tensor:
    """Return the phase-only image Pᵀ F⁻¹ (c e^{iφ}).

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    level : float
        c, the constant magnitude, in pixel units of the unnormalised transform.

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂), of the operator's dtype.
    """
    ones = torch.full(operator.phasor.shape, level, dtype=operator.dtype, device=operator.device)
    return operator.unaligned(ones)


def fixed_point_method(problem: Problem, name: str, solver: Solver, iterations: int) -> Method:
    """Make a method of a fixed-point iteration, started from the phase-only image.

    Parameters
    ----------
    problem : Problem
        Sizes, data range and settings.
    name : str
        The method's, for the progress.
    solver : callable
        The iteration.
    iterations : int
        At most so many, if the settings leave it open.

    Returns
    -------
    callable
        The method.
    """
    settings = problem.settings
    tolerance = TOLERANCE if settings.tolerance is None else settings.tolerance
    level = neutral_level(problem.frame, problem.data_range)

    def solve(block: Block) -> BlockSolution:
        operator = block.operator()
        return BlockSolution(
            *solver(
                operator,
                phase_only(operator, level),
                iterations=settings.iterations or iterations,
                tolerance=tolerance,
                callback=block.callback(),
                progress=block.progress,
            )
        )

    return lambda observation: solve_planes(observation, problem, name, solve)
