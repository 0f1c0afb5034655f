"""Maximum a posteriori with a Gaussian prior on magnitudes: for noisy or too few phases.

Symbols: x, image (n, N₁, N₂), pixel units; s = e^{−iφ} F P x, its aligned spectrum
(n, M₁, M₂ // 2 + 1); m, prior mean magnitude, and d, weight, both as s and in its units;
σ, phase noise, radians; τ, standard deviation of magnitudes over m. `phasegan.fourier.operator`
has F and P. The objective is that of `maximum_posterior`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.convention import is_determined
from phasegan.fourier.operator import PhaseOperator, inner_product
from phasegan.fourier.quadratic_system import QuadraticSystem, smooth_log
from phasegan.progress import SILENT, IterationProgress, Portion

RELATIVE_FLOOR = 0.3
"""Share of the prior magnitude below which an estimated magnitude is not believed."""
RAYLEIGH = 0.5
"""Standard deviation of a magnitude over its mean; the Rayleigh distribution's is 0.52."""
MIN_NOISE = 1e-3
DEFICIT, FIRST_DEFICIT = 0.01, 0.3
"""Logarithm of the posterior that may be lacking where the last solve ends, and those
before it, whose images only give weights: at 0.01 the PSNR is within 0.1 dB of its limit."""
MILD, STRONG = 0.05, 0.2
"""Phase noise, radians, between which the prior's part is chosen by M/N."""
WELL_DETERMINED = 1.7
"""M/N from which the phases need little of the prior."""
MIN_REWEIGHTING_NOISE = 0.005
"""Phase noise, radians, from which weights by the estimate's own spectrum pay."""

StepCallback = Callable[[int, Tensor], None]
"""Called with the number of the step and the images (n, N₁, N₂)."""


def maximum_posterior(
    operator: PhaseOperator,
    magnitude: Tensor,
    noise: float | Tensor,
    *,
    spread: float = 2 * RAYLEIGH,
    rounds: int = 1,
    adaptation: float | None = None,
    limits: tuple[float, float] | None = None,
    iterations: int = 4000,
    tolerance: float | None = None,
    callback: StepCallback | None = None,
    progress: Portion = SILENT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise Σₖ Im(sₖ)² / (σ dₖ)² + (Re(sₖ) − mₖ)² / (τ mₖ)², s = e^{−iφ} F P x.

    The imaginary part of the aligned spectrum s is what phase noise of standard
    deviation σ makes of a magnitude dₖ; its real part is the magnitude, which
    images have with mean mₖ and standard deviation τ mₖ. dₖ is mₖ at first and
    then, `rounds` times, √(|Xₖ|² + (0.3 c mₖ)²) of the estimate, with the prior
    c mₖ scaled to it by least squares and 2τ in the place of τ: noise is weighted
    by the image's own spectrum, and the prior, which fixes the scale, keeps the
    collapse to a flat image out that weights of 1/|X|² alone have. The minimiser
    is that of a linear system, see `QuadraticSystem`; samples of a stack are
    solved as if alone.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases, float64.
    magnitude : torch.Tensor
        (n, M₁, M₂ // 2 + 1) or without n, m > 0.
    noise : float or torch.Tensor
        σ, radians, or of each sample, (n, 1, 1); at least 1e-3 is used, for the
        conditioning.
    spread : float
        τ.
    rounds : int
        Re-weightings.
    adaptation : float, optional
        In each re-weighting the prior is also multiplied by dₖ/mₖ, smoothed in the
        logarithm by a Gaussian of that standard deviation, samples of the spectrum:
        for a prior of other images than these.
    limits : (float, float), optional
        Least and largest pixel: the constraint is kept by alternating directions
        (ADMM, Boyd et al. 2011, doi:10.1561/2200000016).
    iterations : int
        For each sample, all solves together, at most.
    tolerance : float, optional
        Relative residual of the preconditioned system at which a solve ends; by
        default it ends where the logarithm of the posterior lacks 0.01.
    callback : callable, optional
        Called after each solve.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂), in the units of `magnitude`; iterations (n,), int64;
        converged (n,), bool: whether the last solve ended before the iterations did.
    """
    sigma = torch.as_tensor(noise, dtype=torch.float64, device=magnitude.device)
    sigma = sigma.clamp(min=MIN_NOISE)
    prior = magnitude.expand(operator.phasor.shape)
    circulant = is_determined(operator.shape, operator.frame)
    system = QuadraticSystem(operator, prior, prior, sigma, spread, circulant)
    solves = rounds + (1 if limits is None else BOUNDED_SOLVES + 1)
    image, iterations_done, converged = system.solve(
        None,
        iterations,
        tolerance,
        deficit=FIRST_DEFICIT if rounds else DEFICIT,
        progress=progress.stage(0.0, 1.0 / solves),
    )
    if callback is not None:
        callback(0, image)
    for step in range(1, rounds + 1):
        prior, weight = reweight(operator, image, prior, adaptation)
        system = QuadraticSystem(operator, prior, weight, sigma, 2 * spread, circulant)
        # samples whose iterations are used up keep their image, in its own scale
        start = torch.where(
            converged.to(image.device)[:, None, None], system.rescaled(image), image
        )
        image, more, reached = system.solve(
            start,
            torch.where(converged, iterations - iterations_done, 0).to(image.device),
            tolerance,
            deficit=DEFICIT if step == rounds else FIRST_DEFICIT,
            progress=progress.stage(step / solves, (step + 1) / solves),
        )
        iterations_done, converged = iterations_done + more, converged & reached
        if callback is not None:
            callback(step, image)
    if limits is not None:
        image, more, converged = _solve_bounded(
            system,
            image,
            limits,
            iterations - iterations_done,
            callback,
            progress.stage((rounds + 1) / solves, 1.0, "range of pixels: "),
        )
        iterations_done = iterations_done + more
    return image, iterations_done, converged


def reweight(
    operator: PhaseOperator, image: Tensor, prior: Tensor, adaptation: float | None
) -> tuple[Tensor, Tensor]:
    """Scale a prior to an estimate, and weight noise by the estimate's spectrum.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    image : torch.Tensor
        (n, N₁, N₂), the estimate.
    prior : torch.Tensor
        (n, M₁, M₂ // 2 + 1), m > 0.
    adaptation : float or None
        As in `maximum_posterior`.

    Returns
    -------
    (torch.Tensor, torch.Tensor)
        c m, with c by least squares, and d = √(|X|² + (0.3 c m)²), both as `prior`.
    """
    magnitude = operator.spectrum(image).abs()

    def scaled(prior: Tensor) -> Tensor:
        scale = (magnitude * prior).sum((-2, -1), keepdim=True)
        return prior * (scale / (prior * prior).sum((-2, -1), keepdim=True))

    prior = scaled(prior)
    if adaptation is not None:
        weight = (magnitude**2 + (RELATIVE_FLOOR * prior) ** 2).sqrt()
        prior = scaled(prior * smooth_log(weight / prior, operator.frame, adaptation))
    return prior, (magnitude**2 + (RELATIVE_FLOOR * prior) ** 2).sqrt()


TRUNCATED_ITERATIONS = (20, 40)
OWN_RELATIVE_FLOOR, OWN_SPREAD = 0.1, 0.5


def truncated_map(
    operator: PhaseOperator, magnitude: Tensor, noise: float, start: Tensor, rounds: int
) -> Tensor:
    """Return the posterior's mode after few iterations from a good start.

    As `maximum_posterior`, but in every re-weighting the estimate's own
    magnitude is the prior's mean too, and the first solve starts from an image:
    the mean magnitude's has what converges last, and 20 to 40 iterations a
    solve, the fewer the noisier, come near to what hundreds give.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    magnitude : torch.Tensor
        (n, M₁, M₂ // 2 + 1), m ≥ 0.
    noise : float
        σ, radians.
    start : torch.Tensor
        (n, N₁, N₂).
    rounds : int
        Re-weightings.

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂), of no particular scale.
    """
    sigma = max(noise, 0.02)
    iterations = round(min(max(4 / sigma, TRUNCATED_ITERATIONS[0]), TRUNCATED_ITERATIONS[1]))
    largest = magnitude.amax((-2, -1), keepdim=True)
    prior = torch.maximum(magnitude, 1e-6 * largest + MIN_NOISE**4)
    system = QuadraticSystem(operator, prior, prior, sigma, 2 * RAYLEIGH)
    image, _, _ = system.solve(start.contiguous(), iterations, MIN_NOISE)
    for _ in range(rounds):
        estimated = operator.spectrum(image).abs()
        scale = (estimated * prior).sum((-2, -1), keepdim=True)
        scale = scale / (prior * prior).sum((-2, -1), keepdim=True)
        own_magnitude = (estimated**2 + (OWN_RELATIVE_FLOOR * scale * prior) ** 2).sqrt()
        own_magnitude = torch.maximum(own_magnitude, MIN_NOISE**2 * prior)
        system = QuadraticSystem(operator, own_magnitude, own_magnitude, sigma, OWN_SPREAD)
        image, _, _ = system.solve(image, iterations, MIN_NOISE)
    return image


ADMM_STEPS = 80
"""At least; more where pixels are still outside, as long as there are iterations."""
PENALTY = 0.005
"""ρ over the geometric mean of the prior's weights: pixels leave the range by low
frequencies, whose weights are the smallest."""
BOUNDED_SOLVES = 4
"""Solves that the alternating directions take as long as, for the progress."""
BOUND_TOLERANCE = 0.02
"""Share of the range by which pixels may leave it when the iteration has converged."""


def _solve_bounded(
    system: QuadraticSystem,
    image: Tensor,
    limits: tuple[float, float],
    iterations: Tensor,
    callback: StepCallback | None,
    progress: Portion,
) -> tuple[Tensor, Tensor, Tensor]:
    """Solve under least ≤ x ≤ largest by ADMM in its scaled form.

    Boyd et al. 2011, doi:10.1561/2200000016, eq. 3.5 to 3.7, with the penalty balanced by
    both residuals, eq. 3.13.
    """
    bounded, dual = image.clamp(*limits), torch.zeros_like(image)
    iterations_done = torch.zeros_like(iterations)
    penalty = PENALTY * system.mean_along

    def inside() -> Tensor:
        outside = (image - bounded).abs().amax((-2, -1)) / (limits[1] - limits[0])
        return (outside < BOUND_TOLERANCE).cpu()

    followed = IterationProgress(progress, int(iterations.max()), ADMM_STEPS, "step")
    for step in count():
        if followed.due():
            followed.report(step + 1)
        remaining = (iterations - iterations_done).clamp(0, 10)
        if step >= ADMM_STEPS:
            remaining = torch.where(inside(), 0, remaining)
        if not bool(remaining.any()):
            break
        remaining = remaining.to(image.device)
        active = (remaining > 0)[:, None, None]
        image, iterations_run, _ = system.solve(image, remaining, 1e-4, penalty, bounded - dual)
        iterations_done = iterations_done + torch.where(
            remaining.cpu() > 0, iterations_run.clamp(min=1), 0
        )
        before, bounded = bounded, torch.where(active, (image + dual).clamp(*limits), bounded)
        dual = torch.where(active, dual + image - bounded, dual)
        primal, dual_change = (
            inner_product(image - bounded, image - bounded),
            inner_product(bounded - before, bounded - before),
        )
        factor = torch.where(
            primal > 100 * dual_change, 2.0, torch.where(dual_change > 100 * primal, 0.5, 1.0)
        )
        factor = torch.where(active, factor, 1.0)
        penalty, dual = penalty * factor, dual / factor
        if callback is not None:
            callback(step + 2, image)
    return image, iterations_done, inside()


class Tuning(NamedTuple):
    """Arguments of `maximum_posterior` that depend on noise and padding."""

    spread: float
    rounds: int
    adaptation: float | None


ADAPTATION = 4.0
"""Samples of the spectrum over which the prior of photographs in general is bent."""
MAX_ADAPTED_NOISE = 0.075
"""Phase noise, radians, from which that prior is left as it is where phases are few."""
NARROWING = (0.14, 0.2)
"""Phase noise, radians, between which its spread falls to a half where phases are not
few: without a step, as σ may be an estimate."""


NARROWING_FEW = (0.1, 0.2)
"""The same where they are few: between them it falls from 1.2 of `RAYLEIGH` to that."""


def _log_fraction(noise: float, low: float, high: float) -> float:
    """Return where σ lies between two levels, in the logarithm: 0 to 1."""
    position = np.log(max(noise, MIN_NOISE) / low) / np.log(high / low)
    return float(np.clip(position, 0.0, 1.0))


def default_tuning(noise: float, oversampling: float, informed: bool) -> Tuning:
    """Choose the spread, the re-weightings and the adaptation for a problem.

    Measured on photographs. Where phases alone nearly determine the image the
    prior, of the mean of all images, is a bias and gets a wide spread; under
    strong noise, and below M/N = √2, it counts as what it is.

    Parameters
    ----------
    noise : float
        σ, radians.
    oversampling : float
        M/N.
    informed : bool
        Whether the prior comes from training images like these.

    Returns
    -------
    Tuning
        Arguments of `maximum_posterior`.
    """
    if oversampling**2 < 2:
        return Tuning(RAYLEIGH, 0, None)
    few = oversampling < WELL_DETERMINED
    if informed:
        tight = noise >= STRONG or (few and noise > MILD)
        spread, rounds, adaptation = RAYLEIGH * (1 if tight else 2), int(not (tight and few)), None
    elif few:
        unadapted = noise >= MAX_ADAPTED_NOISE
        spread = 2 * RAYLEIGH
        if unadapted:
            spread = RAYLEIGH * 1.2 ** (1 - _log_fraction(noise, *NARROWING_FEW))
        rounds, adaptation = int(not unadapted), None if unadapted else ADAPTATION
    else:
        spread, rounds, adaptation = (
            2 * RAYLEIGH * 0.5 ** _log_fraction(noise, *NARROWING),
            1,
            ADAPTATION,
        )
    if noise < MIN_REWEIGHTING_NOISE:
        return Tuning(2 * spread, 0, None)
    return Tuning(spread, rounds if noise <= 0.7 else 0, adaptation)
