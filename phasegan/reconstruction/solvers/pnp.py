"""Plug and play: a denoiser in the place of a prior.

Symbols as in `phasegan.fourier.map_estimate`; z, the denoised image, and s, its error, in
the units of x.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.convention import is_determined
from phasegan.fourier.map_estimate import (
    MIN_NOISE,
    StepCallback,
    maximum_posterior,
    reweight,
)
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.quadratic_system import QuadraticSystem
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.solvers.posterior import posterior_method

STRENGTH = 0.5
"""Noise level passed to the denoiser, and error that its output is taken to have, both
over the estimated level."""
TOLERANCE = 1e-3
"""Relative residual at which the fit to the denoised image ends, by default."""
FITTED = 0.6
"""Share of the work that comes before the denoiser, for the progress."""
WIDTH = 2.0
"""Spread of magnitudes about the estimate's own, in the last step."""


def plug_and_play(
    operator: PhaseOperator,
    magnitude: Tensor,
    noise: float,
    *,
    spread: float,
    rounds: int,
    adaptation: float | None = None,
    iterations: int,
    tolerance: float | None = None,
    steps: int = 1,
    callback: StepCallback | None = None,
    progress: Portion = SILENT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Alternate a denoiser with the fit to the phases.

    Venkatakrishnan, Bouman & Wohlberg 2013, "Plug-and-play priors for model
    based reconstruction", doi:10.1109/GlobalSIP.2013.6737048, in its half
    quadratic form: z = D(x), x = argmin f(x) + ‖x − z‖² / 2s², where f is the
    objective of `maximum_posterior`, which also gives the first x, and D is
    scikit-image's non-local means (Buades, Coll & Morel 2005,
    doi:10.1109/CVPR.2005.38). The noise that is left in x comes from the images
    themselves (the median absolute deviation of Donoho & Johnstone 1994,
    doi:10.1093/biomet/81.3.425, of second differences).

    Parameters
    ----------
    operator : PhaseOperator
        For n phases, float64.
    magnitude : torch.Tensor
        (n, M₁, M₂ // 2 + 1) or without n: the prior m.
    noise : float
        σ of the phases, radians.
    spread, rounds, adaptation, iterations, tolerance, callback, progress
        As in `maximum_posterior`.
    steps : int
        How often to denoise; more than one or two removes texture.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂); iterations (n,), int64; converged (n,), bool.
    """
    image, iterations_done, converged = maximum_posterior(
        operator, magnitude, noise, spread=spread, rounds=rounds, adaptation=adaptation,
        iterations=iterations, tolerance=tolerance, callback=callback,
        progress=progress.stage(0.0, FITTED),
    )  # fmt: skip
    prior = magnitude.expand(operator.phasor.shape)
    prior, weight = reweight(operator, image, prior, adaptation)
    sigma = max(noise, MIN_NOISE)
    system = QuadraticSystem(
        operator, prior, weight, sigma, 2 * WIDTH, is_determined(operator.shape, operator.frame)
    )
    size = operator.frame[0] * operator.frame[1]
    for step in range(steps):
        start = FITTED + (1.0 - FITTED) * step / steps
        progress.update(start, "denoising")
        noise_level = estimate_noise_level(image)
        denoised = denoise(image, STRENGTH * noise_level)
        penalty = system.unit * (2.0 / size) / (STRENGTH * noise_level) ** 2
        remaining = (iterations - iterations_done).to(image.device)
        image, more, reached = system.solve(
            image, remaining, tolerance or TOLERANCE, penalty, denoised,
            progress=progress.stage(start, FITTED + (1.0 - FITTED) * (step + 1) / steps),
        )  # fmt: skip
        iterations_done, converged = iterations_done + more, converged & reached
        if callback is not None:
            callback(100 + step, image)
    return image, iterations_done, converged


def estimate_noise_level(image: Tensor) -> Tensor:
    """Estimate the standard deviation of noise in images.

    The median absolute value of diagonal second differences, over 0.6745 and
    the gain 2 of that filter.

    Parameters
    ----------
    image : torch.Tensor
        (n, N₁, N₂).

    Returns
    -------
    torch.Tensor
        (n, 1, 1), at least 1e-3 of each image's range.
    """
    if min(image.shape[-2:]) < 2:
        return image.abs().amax((-2, -1), keepdim=True) * 1e-3
    second = image[:, 1:, 1:] - image[:, 1:, :-1] - image[:, :-1, 1:] + image[:, :-1, :-1]
    noise_level = second.abs().flatten(1).median(dim=1).values / (0.6745 * 2.0)
    floor = 1e-3 * (image.amax((-2, -1)) - image.amin((-2, -1)))
    return torch.maximum(noise_level, floor)[:, None, None]


def denoise(image: Tensor, noise_level: Tensor) -> Tensor:
    """Apply non-local means to each image.

    Parameters
    ----------
    image : torch.Tensor
        (n, N₁, N₂).
    noise_level : torch.Tensor
        (n, 1, 1): standard deviation of the noise.

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂), float64.
    """
    from skimage.restoration import denoise_nl_means

    denoised = [
        denoise_nl_means(
            picture, patch_size=5, patch_distance=6, h=0.7 * sigma, sigma=sigma, fast_mode=True
        )
        for picture, sigma in zip(
            image.double().cpu().numpy(), noise_level.flatten().tolist(), strict=True
        )
    ]
    return torch.from_numpy(np.stack(denoised)).to(image.device)


def method(problem: Problem) -> Method:
    """Make `pnp` ready for a problem.

    Parameters
    ----------
    problem : Problem
        Sizes, noise, statistics and settings.

    Returns
    -------
    callable
        The method.
    """
    return posterior_method(problem, "pnp", plug_and_play)
