"""The smallest window that a picture with black borders must fill.

Where a picture leaves empty borders on *opposite* sides of its frame, any
symmetric kernel with a positive spectrum that fits into them blurs it without
changing its phase. On the smallest window that still has a solution no kernel
but a point fits, and the solution is unique again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.solvers.cg import conjugate_gradients

Window = tuple[int, int, int, int]
"""Rows and columns [r₀, r₁, c₀, c₁) of the support."""

ITERATIONS = 1200
STAGNANT = 0.985
"""A residual that falls by less than this factor over a check has come to rest."""
REST = 0.8
"""Share of the remaining work that a window is taken to leave, for the progress."""


def shift_to_corner(phase: Tensor, frame: tuple[int, int], window: Window) -> Tensor:
    """Return the phase that the content of a window has when it is moved to the corner.

    Parameters
    ----------
    phase : torch.Tensor
        (…, M₁, M₂ // 2 + 1), radians.
    frame : (int, int)
        (M₁, M₂).
    window : (int, int, int, int)
        [r₀, r₁, c₀, c₁).

    Returns
    -------
    torch.Tensor
        As `phase`, not wrapped.
    """
    rows = torch.fft.fftfreq(frame[0], dtype=torch.float64, device=phase.device)[:, None]
    columns = torch.arange(frame[1] // 2 + 1, dtype=torch.float64, device=phase.device)
    return phase + 2 * np.pi * (rows * window[0] + columns / frame[1] * window[2])


def centrosymmetry(phase: Tensor, frame: tuple[int, int], trusted: Tensor | None = None) -> Tensor:
    """Return how nearly images equal themselves turned by 180° about some point, 0 to 1.

    A centrosymmetric image has e^{2iφ} = e^{−2i k·c}, a pure shift, whose
    inverse transform is a single peak of height 1. Its phase then says nothing
    but signs: half of all directions are free at any oversampling.

    Parameters
    ----------
    phase : torch.Tensor
        (n, M₁, M₂ // 2 + 1), radians.
    frame : (int, int)
        (M₁, M₂).
    trusted : torch.Tensor, optional
        As `phase`, bool; where it is False the phase is left out.

    Returns
    -------
    torch.Tensor
        (n,), the height of the peak.
    """
    weight = torch.ones_like(phase) if trusted is None else trusted.to(phase.dtype)
    twist = torch.polar(weight, 2.0 * phase)
    share = torch.fft.irfftn(weight.to(twist.dtype), s=frame, dim=(-2, -1))[:, 0, 0]
    return torch.fft.irfftn(twist, s=frame, dim=(-2, -1)).amax((-2, -1)) / share


def window_fits(
    phase: Tensor,
    frame: tuple[int, int],
    window: Window,
    residual_floor: float,
    trusted: Tensor | None = None,
    progress: Portion = SILENT,
) -> bool:
    """Return whether an image inside a window has the phase, to within a residual.

    Parameters
    ----------
    phase : torch.Tensor
        (1, M₁, M₂ // 2 + 1), radians.
    frame : (int, int)
        (M₁, M₂).
    window : (int, int, int, int)
        [r₀, r₁, c₀, c₁).
    residual_floor : float
        ‖A x‖ / ‖x‖ below which it fits.
    trusted : torch.Tensor, optional
        As `phase`, bool.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    bool
        False also where the iterations do not suffice.
    """
    shape = (window[1] - window[0], window[3] - window[2])
    operator = PhaseOperator(shift_to_corner(phase, frame, window), frame, shape, trusted)
    ones = torch.ones((1, *shape), dtype=torch.float64, device=phase.device)
    previous, slow, fitting = 1.0, 0, False

    def check(_: int, __: Tensor, image: Tensor) -> Tensor:
        nonlocal previous, slow, fitting
        residual = float(operator.residual(image)[0])
        fitting = residual <= residual_floor
        slow = slow + 1 if residual > STAGNANT * previous and residual > 2 * residual_floor else 0
        previous = residual
        return torch.tensor([fitting or slow >= 2])

    conjugate_gradients(
        operator,
        ones / ones.numel(),
        ones,
        iterations=ITERATIONS,
        callback=check,
        every=50,
        progress=progress,
    )
    return fitting


def tightest_support(
    phase: Tensor,
    frame: tuple[int, int],
    shape: tuple[int, int],
    residual_floor: float,
    trusted: Tensor | None = None,
    progress: Portion = SILENT,
) -> Window:
    """Find the smallest window that still has a solution.

    Each side is moved inwards, first by doubling steps and then by halving
    them, as far as the residual stays at the level of the phases' own accuracy.
    An axis without a border on one of its sides is left as it is: a kernel
    has no room there.

    Parameters
    ----------
    phase : torch.Tensor
        (1, M₁, M₂ // 2 + 1), radians.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).
    residual_floor : float
        ‖A x‖ / ‖x‖ of a solution, from the accuracy of the phases.
    trusted : torch.Tensor, optional
        As `phase`, bool.
    progress : Portion
        Told of the windows and of the iterations in each.

    Returns
    -------
    (int, int, int, int)
        [r₀, r₁, c₀, c₁).
    """
    window, number = [0, shape[0], 0, shape[1]], count()
    for axis in (0, 1):
        low, high = 2 * axis, 2 * axis + 1
        size = shape[axis]

        def inside(side: int, depth: int) -> bool:
            trial = list(window)
            trial[side] = depth if side % 2 == 0 else shape[side // 2] - depth
            candidate = (trial[0], trial[1], trial[2], trial[3])
            tried = next(number)
            stage = progress.stage(
                1.0 - REST**tried, 1.0 - REST ** (tried + 1), f"window {tried + 1}: "
            )
            return window_fits(phase, frame, candidate, residual_floor, trusted, stage)

        if not (inside(low, 1) and inside(high, 1)):
            continue
        window[low] = _largest_depth(partial(inside, low), 1, size - 1)
        window[high] = size - _largest_depth(partial(inside, high), 0, size - 1 - window[low])
    return window[0], window[1], window[2], window[3]


def _largest_depth(holds: Callable[[int], bool], inside: int, limit: int) -> int:
    """Return the largest depth up to a limit for which a falling condition holds.

    It is known to hold at the depth `inside`.
    """
    step = 1
    while inside + step <= limit and holds(inside + step):
        inside += step
        step *= 2
    outside = min(inside + step, limit + 1)
    while outside - inside > 1:
        centre = (inside + outside) // 2
        inside, outside = (centre, outside) if holds(centre) else (inside, centre)
    return inside
