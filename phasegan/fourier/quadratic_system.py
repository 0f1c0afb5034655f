"""The linear systems of maximum a posteriori, solved by preconditioned conjugate gradients.

Symbols as in `phasegan.fourier.map_estimate`. With u the mean of m² and weights along and
across the phase, a = u / (τ m)² and b = u / (σ d)², the normal equations of its objective are

    H x = g,    H x = Pᵀ F⁻¹ (e^{iφ} (a Re s + i b Im s)),    g = Pᵀ F⁻¹ (e^{iφ} a m).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator, in_transform_order, inner_product
from phasegan.progress import SILENT, IterationProgress, Portion

ESTIMATE_DELAY = 10
"""Iterations over which the error of an iterate is estimated."""
STALL_SHARE = 1e-3
"""Share of all that was gained below which the last gains must be, besides: at first
conjugate gradients may stand still before they find the scale."""
ROUNDING_TOLERANCE = 1e-10
"""Relative residual at which nothing but rounding is left."""

FEW_HUNDRED = 300
"""Iterations that are expected before gains say more, for the progress."""
CHECK_STEPS = 8
"""Iterations after which it is read from a GPU whether all samples have ended."""


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
    circulant : bool
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
        circulant: bool = False,
    ) -> None:
        self.operator = operator
        self.unit = prior.square().mean((-2, -1), keepdim=True)
        self.across = self.unit / (sigma * weight).square()
        self.along = self.unit / (spread * prior).square()
        self.target = self.along * prior
        self.mean_along = self.along.log().mean((-2, -1), keepdim=True).exp()
        self.circulant = None
        if circulant:
            frame, shape = operator.frame, operator.shape
            ratio = (frame[0] * frame[1] / (shape[0] * shape[1])) ** 0.5
            mean, half = (self.along + self.across) / 2, (self.along - self.across) / 2
            phasor = operator.phasor
            self.circulant, self._direct, self._conjugate = (
                in_transform_order(weight, frame, shape, operator.dtype)
                for weight in (
                    smooth_log(mean, frame, ratio - 0.5),
                    mean * (phasor.real.square() + phasor.imag.square()),
                    half * phasor.square(),
                )
            )

    def apply(self, image: Tensor) -> Tensor:
        """Return H x.

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂): x.

        Returns
        -------
        torch.Tensor
            (n, N₁, N₂).
        """
        if self.circulant is not None:  # the same with half the passes over spectra
            spectrum = self.operator.spectrum(image)
            turned = torch.conj_physical(spectrum).mul_(self._conjugate)
            return self.operator.image(spectrum.mul_(self._direct).add_(turned))
        s = self.operator.aligned(image)
        return self.operator.unaligned(torch.complex(self.along * s.real, self.across * s.imag))

    def right_hand_side(self) -> Tensor:
        """Return g."""
        return self.operator.unaligned(torch.complex(self.target, torch.zeros_like(self.target)))

    def rescaled(self, image: Tensor) -> Tensor:
        """Return the multiple of an image that minimises the objective.

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂).

        Returns
        -------
        torch.Tensor
            (n, N₁, N₂), each sample by its own factor ⟨x, g⟩ / ⟨x, H x⟩.
        """
        curvature = inner_product(image, self.apply(image))
        scale = inner_product(image, self.right_hand_side()) / curvature
        return torch.where(curvature > 0, scale, 1.0) * image

    def solve(
        self,
        start: Tensor | None,
        iterations: int | Tensor,
        tolerance: float | None,
        penalty: Tensor | None = None,
        target_image: Tensor | None = None,
        deficit: float = 0.0,
        progress: Portion = SILENT,
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
        penalty, target_image : torch.Tensor, optional
            ρ, (n, 1, 1), and v, (n, N₁, N₂).
        deficit : float
            Without a tolerance, a sample ends when its logarithm of the posterior
            was raised by less than that, and by less than a thousandth of all that was
            gained, in ten iterations: an estimate, from below,
            of what it lacked before them (Strakoš & Tichý 2002, "On error estimation
            in the conjugate gradient method and why it works in finite precision
            computations", Electron. Trans. Numer. Anal. 13, 56–80).
        progress : Portion
            Told of the iterations.

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
            if self.circulant is not None:
                return operator.image(operator.spectrum(image).div_(self.circulant + more))
            s = operator.aligned(image)
            return operator.unaligned(
                torch.complex(s.real / (self.along + more), s.imag / (self.across + more))
            )

        rhs = self.right_hand_side()
        if penalty is not None and target_image is not None:
            rhs = rhs + penalty * target_image
        image = torch.zeros_like(rhs) if start is None else start
        residual = rhs - apply(image)
        preconditioned = precondition(residual)
        direction, power = preconditioned.clone(), inner_product(residual, preconditioned)
        first = inner_product(rhs, precondition(rhs))
        iterations_done = torch.zeros(len(rhs), dtype=torch.int64, device=rhs.device)
        least = (ROUNDING_TOLERANCE if tolerance is None else tolerance) ** 2 * first
        if isinstance(iterations, Tensor):
            limit, most = iterations.to(rhs.device)[:, None, None], int(iterations.max())
        else:
            limit, most = torch.full_like(first, iterations, dtype=torch.int64), iterations
        # the objective is a sum over the full plane: twice that of independent samples, and
        # minus twice the logarithm
        nats = operator.frame[0] * operator.frame[1] / (4 * self.unit)
        gains: list[Tensor] = []
        total_gain = inner_product(rhs, image) * nats  # of a rescaled start, over zeros
        unfinished = power > least
        followed, behind = (
            IterationProgress(progress, most, FEW_HUNDRED),
            power / least.clamp(min=1e-300),
        )
        check_steps = 1 if rhs.device.type == "cpu" else CHECK_STEPS
        for step in range(most):
            active = unfinished & (limit > step)
            if step % check_steps == 0 and not bool(active.any()):
                break
            iterations_done += active.flatten()
            if followed.due():
                followed.report(step + 1, float(torch.where(active, behind, 0.0).max()))
            product = apply(direction)
            curvature = inner_product(direction, product)
            step_size = torch.where(active & (curvature > 0), power / curvature, 0.0)
            image = image + step_size * direction
            residual = residual - step_size * product
            gains = [*gains[1 - ESTIMATE_DELAY :], step_size * power * nats]
            preconditioned = precondition(residual)
            power, previous_power = inner_product(residual, preconditioned), power
            beta = torch.where(active & (previous_power > 0), power / previous_power, 0.0)
            direction = preconditioned + beta * direction
            done = power <= least
            behind = power / least.clamp(min=1e-300)
            if tolerance is None:
                total_gain = total_gain + gains[-1]
                recent_gain = torch.stack(gains).sum(0)
                enough = torch.clamp(STALL_SHARE * total_gain, max=deficit)
                stalled, behind = recent_gain <= enough, recent_gain / enough.clamp(min=1e-300)
                done = done | (stalled & (power < first) & (len(gains) == ESTIMATE_DELAY))
            unfinished = unfinished & ~(done & active)
        return image, iterations_done.cpu(), ~unfinished.flatten().cpu()


def smooth_log(values: Tensor, frame: tuple[int, int], width: float) -> Tensor:
    """Smooth positive values over frequencies, in the logarithm.

    Parameters
    ----------
    values : torch.Tensor
        (n, M₁, M₂ // 2 + 1), of a real image's magnitudes: equal at k and −k.
    frame : (int, int)
        (M₁, M₂).
    width : float
        Standard deviation of the Gaussian, samples of the spectrum.

    Returns
    -------
    torch.Tensor
        As `values`, > 0.
    """
    cepstrum = torch.fft.irfft2(values.log(), s=frame)
    for axis, size in zip((-2, -1), frame, strict=True):
        position = torch.fft.fftfreq(size, dtype=values.dtype, device=values.device)
        window = torch.exp(-2 * (np.pi * width * position) ** 2)
        cepstrum = cepstrum * (window[:, None] if axis == -2 else window)
    return torch.fft.rfft2(cepstrum).real.exp()
