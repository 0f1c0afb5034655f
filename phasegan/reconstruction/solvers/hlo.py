"""The iteration of Hayes, Lim & Oppenheim."""

from __future__ import annotations

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.projections import with_phase
from phasegan.reconstruction.solvers.iteration import Watch, iterate


def hayes_lim_oppenheim(
    operator: PhaseOperator, start: Tensor, *, iterations: int, tolerance: float, watch: Watch
) -> tuple[Tensor, Tensor, Tensor]:
    """Iterate x ← Pᵀ F⁻¹ (|F P x| e^{iφ}).

    Hayes, Lim & Oppenheim 1980, "Signal reconstruction from phase or
    magnitude", doi:10.1109/TASSP.1980.1163463: the magnitude of the estimate is
    kept, its phase replaced, and what falls outside the support cut off. It
    converges slowly, and where the phase determines the image to that image.

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
        Images (n, N₁, N₂); iterations (n,), int64; converged (n,), bool.
    """

    def step(part: PhaseOperator, image: Tensor, _: dict[str, Tensor]) -> Tensor:
        return with_phase(part, image)

    return iterate(step, operator, start, iterations, tolerance, watch)


def phase_only(operator: PhaseOperator, level: float) -> Tensor:
    """Return F⁻¹ (level · e^{iφ}) cropped to the support: a start for iterations."""
    ones = torch.full(operator.phasor.shape, level, dtype=operator.dtype, device=operator.device)
    return operator.unaligned(ones)
