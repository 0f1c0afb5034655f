"""The iteration of Hayes, Lim & Oppenheim."""

from __future__ import annotations

from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.projections import with_phase
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.solvers.iteration import Callback, fixed_point_method, iterate

ITERATIONS = 1000
"""At most, by default."""


def hayes_lim_oppenheim(
    operator: PhaseOperator,
    start: Tensor,
    *,
    iterations: int,
    tolerance: float,
    callback: Callback,
    progress: Portion = SILENT,
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
    callback : Callback
        Told of the progress.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂); iterations (n,), int64; converged (n,), bool.
    """

    def step(part: PhaseOperator, image: Tensor, _: dict[str, Tensor]) -> Tensor:
        return with_phase(part, image)

    return iterate(step, operator, start, iterations, tolerance, callback, progress=progress)


def method(problem: Problem) -> Method:
    """Make `hlo` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Sizes and settings.

    Returns
    -------
    callable
        The method.
    """
    return fixed_point_method(problem, "hlo", hayes_lim_oppenheim, ITERATIONS)
