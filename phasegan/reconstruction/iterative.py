"""Iterative methods made ready for a problem."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.magnitude_prior import photograph_prior
from phasegan.fourier.map_estimate import default_tuning, maximum_posterior
from phasegan.reconstruction.batching import Block, Solved, over_planes
from phasegan.reconstruction.exact.certificate import Measured
from phasegan.reconstruction.exact.integer_search import Scene
from phasegan.reconstruction.exact.solver import reconstruct_exactly
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution
from phasegan.reconstruction.solvers.cg import TOLERANCE
from phasegan.reconstruction.solvers.fista import fista
from phasegan.reconstruction.solvers.hlo import hayes_lim_oppenheim, phase_only
from phasegan.reconstruction.solvers.pnp import plug_and_play
from phasegan.reconstruction.solvers.pocs import alternating_projections
from phasegan.reconstruction.solvers.unit_magnitude import neutral_level

DEFAULT_ITERATIONS = {
    "hlo": 1000,
    "pocs": 1000,
    "pocs-accelerated": 500,
    "cg": 1000,
    "cg-undetermined": 200,
    "fista": 500,
    "map": 4000,
    "pnp": 4000,
}
DEFAULT_TOLERANCE = 1e-7
"""Residual at which the fixed-point methods end."""


def _iterations(problem: Problem, method: str) -> int:
    return problem.settings.iterations or DEFAULT_ITERATIONS[method]


def _tolerance(problem: Problem, default: float = DEFAULT_TOLERANCE) -> float:
    given = problem.settings.tolerance
    return default if given is None else given


def effective_noise(observation: Observation, problem: Problem) -> float:
    """Return the standard deviation of phases by noise and rounding together, radians."""
    return float(np.hypot(problem.noise, observation.accuracy / np.sqrt(3.0)))


def phase_only_start(block: Block) -> Tensor:
    """Return the phase-only image at half the range: (n, N₁, N₂)."""
    level = neutral_level(block.problem.frame, block.problem.data_range)
    return phase_only(block.operator(), level)


def hlo(problem: Problem) -> Method:
    """Hayes–Lim–Oppenheim from the phase-only image."""

    def solve(block: Block) -> Solved:
        return Solved(
            *hayes_lim_oppenheim(
                block.operator(),
                phase_only_start(block),
                iterations=_iterations(problem, "hlo"),
                tolerance=_tolerance(problem),
                watch=block.callback(),
            )
        )

    return lambda observation: over_planes(observation, problem, "hlo", solve)


def pocs(problem: Problem, accelerated: bool = False) -> Method:
    """Alternating projections from the phase-only image."""
    name = "pocs-accelerated" if accelerated else "pocs"

    def solve(block: Block) -> Solved:
        return Solved(
            *alternating_projections(
                block.operator(),
                phase_only_start(block),
                float(problem.data_range),
                iterations=_iterations(problem, name),
                tolerance=_tolerance(problem),
                watch=block.callback(),
                accelerated=accelerated,
            )
        )

    return lambda observation: over_planes(observation, problem, name, solve)


def projected_fista(problem: Problem) -> Method:
    """FISTA from the positive part of the phase-only image."""

    def solve(block: Block) -> Solved:
        return Solved(
            *fista(
                block.operator(),
                phase_only_start(block).clamp(min=0.0) + 1.0,
                iterations=_iterations(problem, "fista"),
                tolerance=_tolerance(problem),
                watch=block.callback(),
            )
        )

    return lambda observation: over_planes(observation, problem, "fista", solve)


def exact(problem: Problem) -> Method:
    """Conjugate gradients, integers and certificates."""

    def method(observation: Observation) -> Solution:
        determined = problem.oversampling**2 >= 2
        iterations = _iterations(problem, "cg" if determined else "cg-undetermined")
        scene = Scene(
            frame=problem.frame,
            shape=problem.shape,
            data_range=problem.data_range,
            accuracy=observation.accuracy,
            dtype=torch.float32 if problem.settings.dtype == "float32" else torch.float64,
            iterations=iterations,
            tolerance=_tolerance(problem, TOLERANCE),
            tighten=problem.noise == 0 and determined,
        )

        def solve(block: Block) -> Solved:
            phase = block.phase.cpu().numpy()
            trusted = None if block.trusted is None else block.trusted.cpu().numpy()
            steps = block.half_step
            planes = [
                Measured(
                    phase[i],
                    None if trusted is None else trusted[i],
                    steps if isinstance(steps, float | int) else np.asarray(steps)[i],
                )
                for i in range(len(phase))
            ]
            found = reconstruct_exactly(planes, scene, block.device, block.callback())
            return Solved(found.estimate, found.iterations, found.converged, found.certificates)

        return over_planes(observation, problem, "cg", solve)

    return method


def prior_magnitude(block: Block) -> Tensor:
    """Return the prior of each plane, (n, M, M // 2 + 1): training images' or photographs'."""
    problem = block.problem
    if problem.statistics is None:
        prior = photograph_prior().magnitude(problem.frame, problem.shape, problem.data_range)
        return torch.from_numpy(prior).to(block.device).expand(block.phase.shape)
    mean: NDArray[np.float64] = problem.statistics.mean_magnitude
    planes = mean.reshape(-1, *mean.shape[-2:])
    least = 1e-9 * planes.max()
    return torch.from_numpy(np.maximum(planes, least)[block.channels]).to(block.device)


def posterior(problem: Problem, denoising: bool = False) -> Method:
    """Maximum a posteriori, with a denoiser or without."""
    name = "pnp" if denoising else "map"

    def method(observation: Observation) -> Solution:
        noise = effective_noise(observation, problem)
        determined = problem.oversampling**2 >= 2
        tuning = default_tuning(
            noise, problem.oversampling, problem.statistics is not None
        )._asdict()

        def solve(block: Block) -> Solved:
            told = block.callback()
            index = torch.arange(len(block.phase))
            trace = None if told is None else lambda k, image: told(k, index, image)
            arguments = (block.operator(torch.float64), prior_magnitude(block), noise)
            options = {
                **tuning,
                "iterations": _iterations(problem, name),
                "tolerance": problem.settings.tolerance,
                "callback": trace,
            }
            if denoising:
                found = plug_and_play(*arguments, **options)
            else:
                limits = None if determined else (0.0, float(problem.data_range))
                found = maximum_posterior(*arguments, limits=limits, **options)
            return Solved(*found, scaled=determined)

        return over_planes(observation, problem, name, solve)

    return method
