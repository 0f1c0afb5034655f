"""The linear systems of maximum a posteriori, solved by preconditioned conjugate gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator, in_transform_order, inner_product

DELAY = 10
"""Iterations over which the error of an iterate is estimated."""
STALLED = 1e-3
"""Share of all that was gained below which the last gains must be, besides: at first
conjugate gradients may stand still before they find the scale."""
ROUNDED = 1e-10
"""Relative residual at which nothing but rounding is left."""


class QuadraticSystem:
    """The linear system H x = g of one objective of `maximum_posterior`.

    Both sides are multiplied by `unit`, the mean of m², over M₁M₂.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    prior, weight : torch.Tensor
        (n, M₁, M₂ // 2 + 1): m and d.
    sigma : float or torch.Tensor
        σ, or of each sample, (n, 1, 1).
    spread : float
        τ.
    blind : bool
        How to precondition. True: by the mean of the weights along and across the
        phase, smoothed over neighbouring frequencies, for many phases on a small
        support. False: by both weights apart, which is exact without padding.
    """

    def __init__(
        self,
        operator: PhaseOperator,
        prior: Tensor,
        weight: Tensor,
        sigma: float | Tensor,
        spread: float,
        blind: bool = False,
    ) -> None:
        self.operator = operator
        self.unit = prior.square().mean((-2, -1), keepdim=True)
        self.across = self.unit / (sigma * weight).square()
        self.along = self.unit / (spread * prior).square()
        self.target = self.along * prior
        self.middle = self.along.log().mean((-2, -1), keepdim=True).exp()
        self.blind = None
        if blind:
            frame, shape = operator.frame, operator.shape
            ratio = (frame[0] * frame[1] / (shape[0] * shape[1])) ** 0.5
            mean, half = (self.along + self.across) / 2, (self.along - self.across) / 2
            phasor = operator.phasor
            self.blind, self._direct, self._turned = (
                in_transform_order(weight, frame, shape, operator.dtype)
                for weight in (
                    smoothed(mean, frame, ratio - 0.5),
                    mean * (phasor.real.square() + phasor.imag.square()),
                    half * phasor.square(),
                )
            )

    def apply(self, image: Tensor) -> Tensor:
        """Return H x."""
        if self.blind is not None:  # the same with half the passes over spectra
            spectrum = self.operator.spectrum(image)
            turned = torch.conj_physical(spectrum).mul_(self._turned)
            return self.operator.image(spectrum.mul_(self._direct).add_(turned))
        s = self.operator.aligned(image)
        return self.operator.unaligned(torch.complex(self.along * s.real, self.across * s.imag))

    def goal(self) -> Tensor:
        """Return g."""
        return self.operator.unaligned(torch.complex(self.target, torch.zeros_like(self.target)))

    def rescaled(self, image: Tensor) -> Tensor:
        """Return the multiple of an image that fits best: each system has its own scale."""
        bend = inner_product(image, self.apply(image))
        scale = inner_product(image, self.goal()) / bend
        return torch.where(bend > 0, scale, 1.0) * image

    def solve(
        self,
        start: Tensor | None,
        iterations: int | Tensor,
        tolerance: float | None,
        penalty: Tensor | None = None,
        pull: Tensor | None = None,
        deficit: float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Solve (H + ρ) x = g + ρ v; every sample stops for itself.

        Parameters
        ----------
        start : torch.Tensor, optional
            (n, N₁, N₂); zeros by default.
        iterations : int or torch.Tensor
            At most; or for each sample, (n,).
        tolerance : float, optional
            Relative residual of the preconditioned system at which a sample ends.
        penalty, pull : torch.Tensor, optional
            ρ, (n, 1, 1), and v, (n, N₁, N₂).
        deficit : float
            Without a tolerance, a sample ends when its logarithm of the posterior
            was raised by less than that, and by less than a thousandth of all that was
            gained, in ten iterations: an estimate, from below,
            of what it lacked before them (Strakoš & Tichý 2002, "On error estimation
            in the conjugate gradient method and why it works in finite precision
            computations", Electron. Trans. Numer. Anal. 13, 56–80).

        Returns
        -------
        (torch.Tensor, torch.Tensor, torch.Tensor)
            Images (n, N₁, N₂); iterations (n,), int64; whether the stop was
            reached (n,), bool.
        """
        operator = self.operator
        more = 0.0 if penalty is None else penalty

        def apply(image: Tensor) -> Tensor:
            product = self.apply(image)
            return product if penalty is None else product + penalty * image

        def precondition(image: Tensor) -> Tensor:
            if self.blind is not None:
                return operator.image(operator.spectrum(image).div_(self.blind + more))
            s = operator.aligned(image)
            return operator.unaligned(
                torch.complex(s.real / (self.along + more), s.imag / (self.across + more))
            )

        goal = self.goal()
        if penalty is not None and pull is not None:
            goal = goal + penalty * pull
        image = torch.zeros_like(goal) if start is None else start
        residual = goal - apply(image)
        better = precondition(residual)
        direction, power = better.clone(), inner_product(residual, better)
        first = inner_product(goal, precondition(goal))
        used = torch.zeros(len(goal), dtype=torch.int64)
        least = (ROUNDED if tolerance is None else tolerance) ** 2 * first
        limit = torch.as_tensor(iterations, device=goal.device).expand(len(goal))[:, None, None]
        # the objective is a sum over the full plane: twice that of independent samples, and
        # minus twice the logarithm
        nats = operator.frame[0] * operator.frame[1] / (4 * self.unit)
        gains: list[Tensor] = []
        gained = inner_product(goal, image) * nats  # of a rescaled start, over an image of zeros
        wanting = power > least
        for step in range(int(limit.max())):
            working = wanting & (limit > step)
            if not bool(working.any()):
                break
            used += working.flatten().cpu()
            curved = apply(direction)
            bend = inner_product(direction, curved)
            length = torch.where(working & (bend > 0), power / bend, 0.0)
            image = image + length * direction
            residual = residual - length * curved
            gains = [*gains[1 - DELAY :], length * power * nats]
            better = precondition(residual)
            power, before = inner_product(residual, better), power
            turn = torch.where(working & (before > 0), power / before, 0.0)
            direction = better + turn * direction
            done = power <= least
            if tolerance is None:
                gained = gained + gains[-1]
                lately = torch.stack(gains).sum(0)
                slow = (lately <= deficit) & (lately <= STALLED * gained) & (power < first)
                done = done | (slow & (len(gains) == DELAY))
            wanting = wanting & ~(done & working)
        return image, used, ~wanting.flatten().cpu()


def smoothed(values: Tensor, frame: tuple[int, int], width: float) -> Tensor:
    """Smooth positive values over frequencies, in the logarithm.

    Parameters
    ----------
    values : torch.Tensor
        (n, M₁, M₂ // 2 + 1), of a real image's magnitudes: equal at k and −k.
    frame : (int, int)
        (M₁, M₂).
    width : float
        Standard deviation of the Gaussian, samples of the spectrum.
    """
    cepstrum = torch.fft.irfft2(values.log(), s=frame)
    for axis, size in zip((-2, -1), frame, strict=True):
        place = torch.fft.fftfreq(size, dtype=values.dtype, device=values.device)
        window = torch.exp(-2 * (np.pi * width * place) ** 2)
        cepstrum = cepstrum * (window[:, None] if axis == -2 else window)
    return torch.fft.rfft2(cepstrum).real.exp()
