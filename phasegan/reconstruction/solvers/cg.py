"""Least squares by conjugate gradients: min ‖A x‖² subject to ⟨c, x⟩ = 1.

Symbols: x, image (n, N₁, N₂), any unit; c, linear functional (n, N₁, N₂) that fixes the
brightness; A, `phasegan.fourier.operator`, AᵀA with eigenvalues in [0, 1]; Q, the
projection orthogonal to c. Hestenes & Stiefel 1952, doi:10.6028/jres.049.044, on Q AᵀA Q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator, inner_product
from phasegan.progress import SILENT, IterationProgress, Portion

TOLERANCE = 1e-11
CHECK_EVERY = 25


@dataclass
class Iterates:
    """Where an iteration stopped; arrays have shape (n, …)."""

    image: Tensor
    """(n, N₁, N₂), float64."""
    iterations: Tensor
    """(n,), int64."""
    converged: Tensor
    """(n,), bool."""


Callback = Callable[[int, Tensor, Tensor], Tensor | None]
"""Called with the iteration, the indices (n′,) of the samples still at work and
their images (n′, N₁, N₂); it may return (n′,) bool: which of them to stop."""


def conjugate_gradients(
    operator: PhaseOperator,
    anchor: Tensor,
    start: Tensor,
    *,
    iterations: int,
    tolerance: float = TOLERANCE,
    callback: Callback | None = None,
    every: int = CHECK_EVERY,
    progress: Portion = SILENT,
    likely_end: float = 0.0,
) -> Iterates:
    """Minimise ‖A x‖² subject to ⟨c, x⟩ = 1.

    A is that of `phasegan.fourier.operator`: the condition of Hayes, Lim &
    Oppenheim 1980 (doi:10.1109/TASSP.1980.1163463) that a phase puts on a
    finite image is linear and homogeneous, so that one linear functional has
    to be fixed. The directions are kept orthogonal to c, the gradient is
    computed afresh in float64 at every check, and a sample ends when its
    gradient is at the level of rounding or its objective no longer falls: more
    iterations never give a worse image.

    Parameters
    ----------
    operator : PhaseOperator
        A for n phases, float64 or float32; with float32 the directions are
        computed in float32, images and fresh gradients in float64.
    anchor : torch.Tensor
        (n, N₁, N₂), float64: c.
    start : torch.Tensor
        (n, N₁, N₂), float64: where to start; scaled to ⟨c, x⟩ = 1.
    iterations : int
        At most so many.
    tolerance : float
        A sample has converged when ‖Q AᵀA x‖ ≤ tolerance · ‖x‖, Q being the
        projection orthogonal to c.
    callback : callable, optional
        Called at every check.
    every : int
        Iterations between two checks.
    progress : Portion
        Told of the iterations.
    likely_end : float
        Relative gradient at which the callback is likely to stop a sample: for the
        estimate of the progress alone.

    Returns
    -------
    Iterates
        The image of least objective that a check saw, for each sample.
    """
    double = operator if operator.dtype == torch.float64 else operator.as_double()
    state = _State.start(operator, double, anchor, start)
    count = len(start)
    result = Iterates(
        state.image.clone(),
        torch.zeros(count, dtype=torch.int64),
        torch.zeros(count, dtype=torch.bool),
    )
    steps = IterationProgress(progress, iterations)
    for k in range(1, iterations + 1):
        state.step()
        if steps.due():
            gradient = state.relative_gradient()
            steps.report(k, gradient, likely_end if gradient > likely_end else tolerance)
        if k % every and k != iterations:
            continue
        relative_gradient = state.refresh()
        stop = relative_gradient <= tolerance
        converged = stop.clone()
        stop |= state.stalled
        if callback is not None:
            requested = callback(k, state.index, state.best)
            if requested is not None:
                stop |= requested.to(stop.device)
        result.image[state.index] = state.best
        result.iterations[state.index.cpu()] = k
        result.converged[state.index.cpu()] = converged.cpu()
        if bool(stop.all()):
            break
        if bool(stop.any()):
            state.keep(~stop)
    return result


class _State:
    """The vectors of the samples still at work."""

    def __init__(self) -> None:
        self.operator: PhaseOperator
        self.double: PhaseOperator
        self.index: Tensor
        self.anchor: Tensor
        self.unit: Tensor
        self.image: Tensor
        self.best: Tensor
        self.objective: Tensor
        self.update: Tensor
        self.residual: Tensor
        self.direction: Tensor
        self.power: Tensor
        self.stalled: Tensor

    @classmethod
    def start(
        cls, operator: PhaseOperator, double: PhaseOperator, anchor: Tensor, start: Tensor
    ) -> _State:
        state = cls()
        state.operator, state.double = operator, double
        state.index = torch.arange(len(start), device=start.device)
        state.anchor = anchor / inner_product(anchor, anchor).sqrt()
        state.unit = state.anchor.to(operator.dtype)
        state.image = start / inner_product(anchor, start)
        state.best = state.image
        state.objective = torch.full((len(start), 1, 1), torch.inf, dtype=torch.float64)
        state.objective = state.objective.to(start.device)
        state.update = torch.zeros_like(state.image, dtype=operator.dtype)
        state.refresh()
        state.direction = state.residual.clone()
        return state

    def step(self) -> None:
        """Advance every sample by one iteration."""
        product = self.operator.normal(self.direction)
        product.addcmul_(self.unit, -inner_product(self.unit, product))
        curvature = inner_product(self.direction, product)
        step_size = torch.where(curvature > 0, self.power / curvature, 0.0)
        self.update.addcmul_(self.direction, step_size)
        self.residual.addcmul_(product, -step_size)
        power = inner_product(self.residual, self.residual)
        beta = torch.where(self.power > 0, power / self.power, 0.0)
        self.direction.mul_(beta).add_(self.residual)
        self.power = power

    def relative_gradient(self) -> float:
        """Return the largest ‖Q AᵀA x‖ / ‖x‖, by the recursion."""
        return float((self.power / inner_product(self.image, self.image)).max()) ** 0.5

    def refresh(self) -> Tensor:
        """Recompute gradient and objective in float64; return ‖Q AᵀA x‖ / ‖x‖, (n,)."""
        self.image = self.image + self.update
        self.update.zero_()
        gradient = self.double.normal(self.image)
        energy = inner_product(self.image, self.image)
        objective = inner_product(self.image, gradient) / energy
        gradient.addcmul_(self.anchor, -inner_product(self.anchor, gradient))
        improved = objective <= self.objective
        self.stalled = ~improved.flatten()
        self.best = torch.where(improved, self.image, self.best)
        self.objective = torch.minimum(objective, self.objective)
        self.residual = -gradient.to(self.operator.dtype)
        self.power = inner_product(self.residual, self.residual)
        return (inner_product(gradient, gradient) / energy).sqrt().flatten()

    def keep(self, chosen: Tensor) -> None:
        """Go on with some of the samples only."""
        same = self.double is self.operator
        self.operator = self.operator.select(chosen)
        self.double = self.operator if same else self.double.select(chosen)
        for name in (
            "index", "anchor", "unit", "image", "best", "objective", "update", "residual",
            "direction", "power",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name)[chosen])
