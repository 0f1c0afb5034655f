"""Maximum a posteriori: `phasegan.fourier.map_estimate` as a method."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.magnitude_prior import photograph_prior
from phasegan.fourier.map_estimate import default_tuning, maximum_posterior
from phasegan.reconstruction.batching import Block, BlockSolution, solve_planes
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution

ITERATIONS = 4000
"""At most, by default, all linear systems together."""


def prior_magnitude(block: Block) -> Tensor:
    """Return the prior mean magnitude of each plane: of training images, else of photographs.

    Parameters
    ----------
    block : Block
        n planes.

    Returns
    -------
    torch.Tensor
        (n, M₁, M₂ // 2 + 1), float64, > 0, pixel units of the unnormalised transform.
    """
    problem = block.problem
    if problem.statistics is None:
        prior = photograph_prior().magnitude(problem.frame, problem.shape, problem.data_range)
        return torch.from_numpy(prior).to(block.device).expand(block.phase.shape)
    mean: NDArray[np.float64] = problem.statistics.mean_magnitude
    planes = mean.reshape(-1, *mean.shape[-2:])
    floor = 1e-9 * planes.max()
    return torch.from_numpy(np.maximum(planes, floor)[block.channels]).to(block.device)


def posterior_method(
    problem: Problem, name: str, solver: Callable[..., tuple[Tensor, Tensor, Tensor]]
) -> Method:
    """Make a method of a solver that takes the arguments of `maximum_posterior`.

    Parameters
    ----------
    problem : Problem
        Sizes, noise, statistics and settings.
    name : str
        The method's, for the progress.
    solver : callable
        `maximum_posterior`, or one with the same arguments.

    Returns
    -------
    callable
        The method.
    """

    def run(observation: Observation) -> Solution:
        noise = problem.effective_noise(observation)
        informed = problem.statistics is not None
        tuning = default_tuning(noise, problem.oversampling, informed)._asdict()

        def solve(block: Block) -> BlockSolution:
            callback = block.callback()
            index = torch.arange(len(block.phase))
            solution = solver(
                block.operator(torch.float64),
                prior_magnitude(block),
                noise,
                **tuning,
                iterations=problem.settings.iterations or ITERATIONS,
                tolerance=problem.settings.tolerance,
                callback=None if callback is None else lambda k, image: callback(k, index, image),
                progress=block.progress,
            )
            return BlockSolution(*solution, free_scale=problem.is_determined)

        return solve_planes(observation, problem, name, solve)

    return run


def method(problem: Problem) -> Method:
    """Make `map` ready for a problem; too few phases are helped by the range of pixels.

    Parameters
    ----------
    problem : Problem
        Sizes, noise, statistics and settings.

    Returns
    -------
    callable
        The method.
    """
    limits = None if problem.is_determined else (0.0, float(problem.data_range))
    return posterior_method(problem, "map", partial(maximum_posterior, limits=limits))
