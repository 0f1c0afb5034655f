"""Maximum a posteriori with a Gaussian prior on magnitudes: for noisy or too few phases."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from phasegan.spectra.operator import PhaseOperator, inner_product

FLATNESS = 0.3
"""Share of the prior magnitude below which an estimated magnitude is not believed."""
RAYLEIGH = 0.5
"""Standard deviation of a magnitude over its mean; the Rayleigh distribution's is 0.52."""
LEAST_NOISE = 1e-3
REWEIGHTED_ITERATIONS = 150
"""Of each solve where there are several: more change nothing that noise leaves."""
MILD, STRONG = 0.05, 0.2
"""Phase noise, radians, between which the prior's part is chosen by M/N."""
COMFORTABLE = 1.7
"""M/N from which the phases need little of the prior."""
REWEIGHTED_FROM = 0.02
"""Phase noise, radians, from which weights by the estimate's own spectrum pay."""

Trace = Callable[[int, Tensor], None]
"""Called with the number of the step and the images (n, N₁, N₂)."""


def maximum_posterior(
    operator: PhaseOperator,
    magnitude: Tensor,
    noise: float,
    *,
    spread: float = 2 * RAYLEIGH,
    rounds: int = 1,
    limits: tuple[float, float] | None = None,
    iterations: int = 400,
    tolerance: float | None = None,
    callback: Trace | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise Σₖ Im(sₖ)² / (σ dₖ)² + (Re(sₖ) − mₖ)² / (τ mₖ)², s = e^{−iφ} F P x.

    The imaginary part of the aligned spectrum s is what phase noise of standard
    deviation σ makes of a magnitude dₖ; its real part is the magnitude, which
    images have with mean mₖ and standard deviation τ mₖ. dₖ is mₖ at first and
    then, `rounds` times, √(|Xₖ|² + (0.3 c mₖ)²) of the estimate, with the prior
    c mₖ scaled to it by least squares and 2τ in the place of τ: noise is weighted
    by the image's own spectrum, and the prior, which fixes the scale, keeps the
    collapse to a flat image out that weights of 1/|X|² alone have. The minimiser
    is that of a linear system, solved by conjugate gradients preconditioned with
    its diagonal in the aligned spectrum, which is exact without padding.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases, float64.
    magnitude : torch.Tensor
        (n, M₁, M₂ // 2 + 1) or without n, m > 0.
    noise : float
        σ, radians; at least 1e-3 is used, for the conditioning.
    spread : float
        τ.
    rounds : int
        Re-weightings.
    limits : (float, float), optional
        Least and largest pixel: the constraint is kept by alternating directions
        (ADMM, Boyd et al. 2011, doi:10.1561/2200000016).
    iterations : int
        Of each linear solve, at most; with `rounds` and σ ≥ 0.05, at most 150.
    tolerance : float, optional
        Relative residual of the preconditioned system at which a solve ends; a
        hundredth of σ by default.
    callback : callable, optional
        Called after each solve.

    Returns
    -------
    (torch.Tensor, torch.Tensor, torch.Tensor)
        Images (n, N₁, N₂), in the units of `magnitude`; iterations (n,), int64;
        converged (n,), bool.
    """
    sigma = max(noise, LEAST_NOISE)
    tolerance = 0.01 * sigma if tolerance is None else tolerance
    prior = magnitude.expand(operator.phasor.shape)
    system = QuadraticSystem(operator, prior, prior, sigma, spread)
    if rounds and noise >= MILD:
        iterations = min(iterations, REWEIGHTED_ITERATIONS)
    image, used, converged = system.solve(None, iterations, tolerance)
    if callback is not None:
        callback(0, image)
    for step in range(1, rounds + 1):
        found = operator.spectrum(image).abs()
        scale = (found * prior).sum((-2, -1), keepdim=True)
        prior = prior * (scale / (prior * prior).sum((-2, -1), keepdim=True))
        weight = (found**2 + (FLATNESS * prior) ** 2).sqrt()
        system = QuadraticSystem(operator, prior, weight, sigma, 2 * spread)
        image, more, converged = system.solve(image, iterations, tolerance)
        used = used + more
        if callback is not None:
            callback(step, image)
    if limits is not None:
        left = iterations - int(used.max())
        image, spent, converged = _within(system, image, limits, left, callback)
        used = used + spent
    return image, used, converged


FEW_ITERATIONS = (20, 40)
OWN_FLATNESS, OWN_SPREAD = 0.1, 0.5


def few_steps(
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
    iterations = round(min(max(4 / sigma, FEW_ITERATIONS[0]), FEW_ITERATIONS[1]))
    largest = magnitude.amax((-2, -1), keepdim=True)
    prior = torch.maximum(magnitude, 1e-6 * largest + LEAST_NOISE**4)
    system = QuadraticSystem(operator, prior, prior, sigma, 2 * RAYLEIGH)
    image, _, _ = system.solve(start.contiguous(), iterations, LEAST_NOISE)
    for _ in range(rounds):
        found = operator.spectrum(image).abs()
        scale = (found * prior).sum((-2, -1), keepdim=True)
        scale = scale / (prior * prior).sum((-2, -1), keepdim=True)
        own = (found**2 + (OWN_FLATNESS * scale * prior) ** 2).sqrt()
        own = torch.maximum(own, LEAST_NOISE**2 * prior)
        system = QuadraticSystem(operator, own, own, sigma, OWN_SPREAD)
        image, _, _ = system.solve(image, iterations, LEAST_NOISE)
    return image


ADMM_STEPS = 80
PENALTY = 0.005
"""ρ over the geometric mean of the prior's weights: pixels leave the range by low
frequencies, whose weights are the smallest."""
NEARLY = 0.02
"""Share of the range by which pixels may leave it when the iteration has converged."""


def _within(
    system: QuadraticSystem,
    image: Tensor,
    limits: tuple[float, float],
    iterations: int,
    callback: Trace | None,
) -> tuple[Tensor, int, Tensor]:
    """Solve under least ≤ x ≤ largest by ADMM with unscaled penalty `system.middle`."""
    kept, dual, spent = image.clamp(*limits), torch.zeros_like(image), 0
    penalty = PENALTY * system.middle
    for step in range(ADMM_STEPS):
        if spent >= iterations:
            break
        image, used, _ = system.solve(
            image, min(10, iterations - spent), 1e-4, penalty, kept - dual
        )
        spent += max(1, int(used.max()))
        before, kept = kept, (image + dual).clamp(*limits)
        dual = dual + image - kept
        apart, moved = (
            inner_product(image - kept, image - kept),
            inner_product(kept - before, kept - before),
        )
        factor = torch.where(apart > 100 * moved, 2.0, torch.where(moved > 100 * apart, 0.5, 1.0))
        penalty, dual = penalty * factor, dual / factor
        if callback is not None:
            callback(step + 2, image)
    outside = (image - kept).abs().amax((-2, -1)) / (limits[1] - limits[0])
    return image, spent, (outside < NEARLY).cpu()


class QuadraticSystem:
    """The linear system H x = g of one such objective, multiplied by `unit`, the mean of m².

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    prior, weight : torch.Tensor
        (n, M₁, M₂ // 2 + 1): m and d.
    sigma, spread : float
        σ and τ.
    """

    def __init__(
        self, operator: PhaseOperator, prior: Tensor, weight: Tensor, sigma: float, spread: float
    ) -> None:
        self.operator = operator
        self.unit = prior.square().mean((-2, -1), keepdim=True)
        self.across = self.unit / (sigma * weight).square()
        self.along = self.unit / (spread * prior).square()
        self.target = self.along * prior
        self.middle = self.along.log().mean((-2, -1), keepdim=True).exp()

    def solve(
        self,
        start: Tensor | None,
        iterations: int,
        tolerance: float,
        penalty: Tensor | None = None,
        pull: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Solve (H + ρ) x = g + ρ v by preconditioned conjugate gradients."""
        operator = self.operator

        def apply(image: Tensor) -> Tensor:
            s = operator.aligned(image)
            product = operator.unaligned(torch.complex(self.along * s.real, self.across * s.imag))
            return product if penalty is None else product + penalty * image

        more = 0.0 if penalty is None else penalty

        def precondition(image: Tensor) -> Tensor:
            s = operator.aligned(image)
            return operator.unaligned(
                torch.complex(s.real / (self.along + more), s.imag / (self.across + more))
            )

        goal = operator.unaligned(torch.complex(self.target, torch.zeros_like(self.target)))
        if penalty is not None and pull is not None:
            goal = goal + penalty * pull
        image = torch.zeros_like(goal) if start is None else start
        residual = goal - apply(image)
        better = precondition(residual)
        direction, power = better.clone(), inner_product(residual, better)
        first = inner_product(goal, precondition(goal))
        used = torch.zeros(len(goal), dtype=torch.int64)
        working = power > tolerance**2 * first
        for _ in range(iterations):
            if not bool(working.any()):
                break
            used += working.flatten().cpu()
            curved = apply(direction)
            bend = inner_product(direction, curved)
            length = torch.where(working & (bend > 0), power / bend, 0.0)
            image = image + length * direction
            residual = residual - length * curved
            better = precondition(residual)
            power, before = inner_product(residual, better), power
            turn = torch.where(working & (before > 0), power / before, 0.0)
            direction = better + turn * direction
            working = working & (power > tolerance**2 * first)
        return image, used, ~working.flatten().cpu()


def tuned(noise: float, oversampling: float, informed: bool) -> tuple[float, int]:
    """Return the spread and the number of re-weightings that serve a problem.

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
        Whether the prior comes from training images.
    """
    if oversampling**2 < 2:
        return RAYLEIGH, 0
    if not informed:
        return 4 * RAYLEIGH, 2 if noise >= REWEIGHTED_FROM else 0
    tight = noise >= STRONG or (oversampling < COMFORTABLE and noise > MILD)
    spread = RAYLEIGH if tight else 2 * RAYLEIGH
    if noise < REWEIGHTED_FROM:
        return 2 * spread, 0
    if noise > 0.7 or (tight and oversampling < COMFORTABLE):
        return spread, 0
    return spread, 1
