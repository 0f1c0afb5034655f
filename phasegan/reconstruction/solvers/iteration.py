"""The loop that fixed-point methods share: early stops per sample, callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator

Watch = Callable[[int, Tensor, Tensor], None] | None
Step = Callable[[PhaseOperator, Tensor, dict[str, Any]], Tensor]
"""Takes the operator and images of the samples still at work, and a place for
state: tensors whose first axis is the sample."""

CHECK_EVERY = 10


def momentum(start: Tensor) -> dict[str, Any]:
    """Return the state with which `extrapolate` begins."""
    ones = torch.ones((len(start), 1, 1), dtype=start.dtype, device=start.device)
    return {"ahead": start, "time": ones}


def extrapolate(following: Tensor, image: Tensor, state: dict[str, Any]) -> None:
    """Move the point of the next step ahead by Nesterov's rule.

    Where the step turns against the extrapolation the rule starts afresh
    (O'Donoghue & Candès 2015, doi:10.1007/s10208-013-9150-3).

    Parameters
    ----------
    following, image : torch.Tensor
        (n, N₁, N₂): the images after and before the step.
    state : dict
        `ahead`, where the step was made from, and `time`; both are replaced.
    """
    against = ((state["ahead"] - following) * (following - image)).sum((-2, -1), keepdim=True)
    time = torch.where(against > 0, 1.0, state["time"])
    later = 0.5 * (1.0 + (1.0 + 4.0 * time**2).sqrt())
    state["ahead"] = following + (time - 1.0) / later * (following - image)
    state["time"] = later


def iterate(
    step: Step,
    operator: PhaseOperator,
    start: Tensor,
    iterations: int,
    tolerance: float,
    watch: Watch,
    state: dict[str, Tensor] | None = None,
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
    watch : callable, optional
        Called every ten iterations with the iteration, the indices and the
        images of the samples at work.
    state : dict of torch.Tensor, optional
        What the step starts with besides the images.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂), those of least residual that a check saw; iterations
        (n,), int64; converged (n,), bool.
    """
    image, kept = start, dict(state or {})
    count = len(start)
    index = torch.arange(count, device=start.device)
    best = start.clone()
    least = operator.residual(start)
    iterations_done = torch.zeros(count, dtype=torch.int64)
    converged = torch.zeros(count, dtype=torch.bool)
    for k in range(1, iterations + 1):
        image = step(operator, image, kept)
        if k % CHECK_EVERY and k != iterations:
            continue
        residual = operator.residual(image)
        better = residual <= least[index]
        best[index[better]], least[index[better]] = image[better], residual[better]
        iterations_done[index.cpu()] = k
        done = residual <= tolerance
        converged[index[done].cpu()] = True
        if watch is not None:
            watch(k, index, image)
        if bool(done.all()):
            break
        if bool(done.any()):
            left = ~done
            index, image, operator = index[left], image[left], operator.select(left)
            kept = {name: value[left] for name, value in kept.items()}
    return best, iterations_done, converged
