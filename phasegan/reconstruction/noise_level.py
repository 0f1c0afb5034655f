"""Estimation of phase noise from the phases alone.

Symbols: σ, standard deviation of the noise, radians; N², pixels, and M², phases of a plane;
s and d as in `phasegan.fourier.map_estimate`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.fourier.map_estimate import maximum_posterior, reweight
from phasegan.fourier.operator import plane_weight
from phasegan.reconstruction.batching import Block, BlockSolution, solve_planes
from phasegan.reconstruction.protocol import Observation, Problem
from phasegan.reconstruction.solvers.posterior import prior_magnitude

WEAK_SPREAD = 2.0
"""Spread of the prior while noise is estimated: a stronger prior would leave misfits of its own."""
ABSORBED_SHARE = 0.97
"""Share of an image's unknowns that the phases decide, however weak the prior: measured."""
MIN_RESIDUAL_SHARE = 0.05
MOST_ITERATIONS = 2000


def residual_share(problem: Problem, trusted: float = 1.0) -> float:
    """Return the share of the phases' variance that the unknowns of an image do not absorb.

    1 − 0.97 · 2N²/M², with M² the phases that are trusted; at least 0.05.

    Parameters
    ----------
    problem : Problem
        Sizes.
    trusted : float
        Share of the phases that are trusted, above 0 to 1.

    Returns
    -------
    float
        0.05 to 1.
    """
    return max(1.0 - ABSORBED_SHARE * 2.0 / (problem.oversampling**2 * trusted), MIN_RESIDUAL_SHARE)


def estimate_noise(
    observation: Observation, problem: Problem, guess: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the standard deviation of the noise of each sample's phases.

    It is what the image of `maximum_posterior` under a weak prior leaves
    unexplained, σ² = Σ (Im s / d)² / Σ |s / d|² over `residual_share`, with d the
    image's own magnitude as in `maximum_posterior`. Measured on photographs at
    M/N = 1.5 and 2 and 0.01 to 0.3 rad, from guesses of half to twice the truth: mostly
    0.9 to 1.1 of it, at worst 1.5.

    Parameters
    ----------
    observation : Observation
        (n[, C], M₁, M₂ // 2 + 1), M/N ≥ √2.
    problem : Problem
        Sizes and statistics.
    guess : numpy.ndarray
        (n,): σ to start from, radians.

    Returns
    -------
    numpy.ndarray
        (n,), radians, two significant digits; the root mean square over channels.
    """
    planes = int(np.prod(observation.phase.shape[:-2]))
    channels = planes // len(observation)
    variance = np.zeros(planes)

    def solve(block: Block) -> BlockSolution:
        operator, prior = block.operator(torch.float64), prior_magnitude(block)
        sigma = torch.from_numpy(np.asarray(guess, np.float64)[block.planes // channels])
        solution = maximum_posterior(
            operator,
            prior,
            sigma.to(block.device)[:, None, None],
            spread=WEAK_SPREAD,
            iterations=problem.settings.iterations or MOST_ITERATIONS,
            progress=block.progress,
        )
        _, weight = reweight(operator, solution[0], prior.expand(operator.phasor.shape), None)
        aligned = operator.aligned(solution[0]) / weight
        count = plane_weight(problem.frame, block.device)
        across = (count * aligned.imag.square()).sum((-2, -1))
        total = (count * aligned.abs().square()).sum((-2, -1))
        trusted = 1.0 if block.trusted is None else float(block.trusted.double().mean())
        unexplained = torch.where(total > 0, across / total, 0.0).cpu().numpy()
        variance[block.planes] = unexplained / residual_share(problem, max(trusted, 1e-9))
        return BlockSolution(*solution)

    solve_planes(observation, problem, "noise", solve)
    told = ~observation.silent_planes.reshape(-1, channels)
    total_variance = np.where(told, variance.reshape(-1, channels), 0.0).sum(axis=1)
    noise = np.sqrt(total_variance / np.maximum(1, told.sum(axis=1)))
    return np.array([float(f"{sigma:.2g}") for sigma in noise])
