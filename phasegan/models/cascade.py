"""Shrinkage cascade: an image from its unpadded phase, by regressions in closed form.

Without padding (M = N) the phase alone does not determine the image; what is
missing, the magnitudes, is estimated here from what photographs have in common.
The state is r ≥ 0 on the half-plane, first the mean magnitude of the training
images, and u = e^{iφ} stays as it was measured: the estimate e = F⁻¹(r u) has
the given phase after every step. S times a gain step and a shrinkage step,
then one last gain step,

    gains        r[k] ← max(0, r[k] · (1 + Σ_j G[b, j] f_j(e)))
    shrinkage    r[k] ← max(0, r[k] + Σ_c W[b, c] Re(u*[k] · F{T_c(e)}[k])),

with b = b(k) one of some twenty bands of frequencies (ring and direction). f_j
are statistics of the whole estimate: moments, quantiles, pixels out of range,
a 4×4 thumbnail, gradients, jumps across the border. T_c(e) are e itself,
clip(e) − e, and for each smoothing s and threshold t

    T_{s,t}(e) = G_s Dᵀ ψ_t(D G_s e),    ψ_t(d) = d · exp(−d² / 2t²),

with D the differences of neighbouring pixels inside the image and G_s a
Gaussian: gradients small against t are kept and large ones, the edges, left
out. As r enters linearly, G and W minimise the squared error of the image
(Parseval) over training images by ridge regression, step after step.

A cascade of shrinkage functions with learned weights is that of Schmidt & Roth
2014 ("Shrinkage Fields for Effective Image Restoration", CVPR,
doi:10.1109/CVPR.2014.349); to expand the unknown function linearly in a few
thresholds, so that least squares have a closed form, and to minimise in the
image domain is that of Blu & Luisier 2007 ("The SURE-LET Approach to Image
Denoising", IEEE TIP 16(11), doi:10.1109/TIP.2007.906002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.errors import InputError
from phasegan.fourier.convention import forward, half_plane, inverse

WHITE = 255.0
"""White inside a cascade; images of another depth are scaled to it."""

SMOOTHINGS = (0.0, 1.0, 2.0, 4.0)
"""Standard deviations of G_s, pixels."""

THRESHOLDS = (4.0, 16.0)
"""t of ψ_t, grey levels of 0..255."""

CLIPPING = 1
"""Index of clip(e) − e among the terms of `shrinkage_terms`."""

_CELLS = 32
_COARSE = 4
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_OUTLIER = 4.0
_BATCH_PIXELS = 2**18


@dataclass(frozen=True)
class Grid:
    """Bands and filters that depend on the frame alone."""

    frame: tuple[int, int]
    band: Tensor
    """(N₁, N₂ // 2 + 1), int64: b(k); 0 is the zero frequency by itself."""
    bands: int
    smoothing: Tensor
    """(scales, N₁, N₂ // 2 + 1), float32: transforms of G_s."""
    pools: tuple[Tensor, Tensor]
    """(cells, N) each: averages over cells along an axis, at most 32 of them."""
    coarse: tuple[Tensor, Tensor]
    """(4, cells) each."""


def make_grid(frame: tuple[int, int], device: torch.device | None = None) -> Grid:
    """Return the bands and filters of an N₁×N₂ frame.

    Bands are rings whose radius doubles, each in four parts: rows, columns, and the two
    axes, which carry the jump across the border.

    Parameters
    ----------
    frame : (int, int)
        (N₁, N₂).
    device : torch.device, optional
        Of the tensors; the CPU by default.

    Returns
    -------
    Grid
        For `run_cascade` and its steps.
    """
    fy = torch.fft.fftfreq(frame[0])[:, None]
    fx = torch.fft.rfftfreq(frame[1])[None]
    short = min(frame)
    edges = [1.5 * 2**i for i in range(32) if 1.5 * 2**i < 0.4 * short]
    ring = torch.bucketize((fy**2 + fx**2).sqrt() * short, torch.tensor(edges))
    part = torch.where(fy.abs() > fx, 2, 1)
    part[:, 0] = 0
    part[0] = 3
    code = 1 + 4 * ring + part
    code[0, 0] = 0
    codes, band = torch.unique(code, return_inverse=True)
    gaussians = [torch.exp(-2 * (math.pi * s) ** 2 * (fy**2 + fx**2)) for s in SMOOTHINGS]
    cells = [min(_CELLS, size) for size in frame]
    return Grid(
        frame,
        band.to(device),
        len(codes),
        torch.stack(gaussians).to(device),
        (_pool(frame[0], cells[0]).to(device), _pool(frame[1], cells[1]).to(device)),
        (_pool(cells[0], _COARSE).to(device), _pool(cells[1], _COARSE).to(device)),
    )


def _pool(size: int, cells: int) -> Tensor:
    edges = torch.arange(cells + 1) * (size / cells)
    pixel = torch.arange(size)
    right, left = torch.minimum(edges[1:, None], pixel + 1), torch.maximum(edges[:-1, None], pixel)
    overlap = (right - left).clamp(min=0)
    return overlap / overlap.sum(1, keepdim=True)


def image_statistics(estimate: Tensor, grid: Grid) -> Tensor:
    """Return the statistics f_j(e) of estimates; f_0 = 1.

    Parameters
    ----------
    estimate : torch.Tensor
        (n, N₁, N₂), float32, grey levels: e.
    grid : Grid
        Of N₁×N₂.

    Returns
    -------
    torch.Tensor
        (n, J), float32.
    """
    mean = estimate.mean((1, 2))
    centred = estimate - mean[:, None, None]
    pooled = grid.pools[0] @ centred @ grid.pools[1].T
    ordered = pooled.flatten(1).sort(1).values
    last = ordered.shape[1] - 1
    # Slices, as a list of indices would be copied to the device, and waited for.
    quantiles = torch.stack([ordered[:, round(share * last)] for share in _QUANTILES], 1)
    contrast = ordered.std(1, correction=0).clamp(min=1.0)
    relative = ordered / contrast[:, None]
    span = (quantiles[:, -2] - quantiles[:, 1]).clamp(min=1.0)
    thumbnail = (grid.coarse[0] @ pooled @ grid.coarse[1].T).flatten(1)
    single = [
        torch.ones_like(mean),
        mean,
        (-estimate).clamp(min=0).mean((1, 2)),
        (estimate - WHITE).clamp(min=0).mean((1, 2)),
        centred.square().mean((1, 2)).sqrt(),
        contrast,
        1 / contrast,
        1 / span,
        quantiles[:, 1] / span,
        quantiles[:, 4] / span,
        mean / contrast,
        (relative**3).mean(1),
        (relative**4).mean(1),
    ]
    for axis in (1, 2):
        slope = centred.diff(dim=axis).abs().mean((1, 2))
        jump = (centred.select(axis, 0) - centred.select(axis, -1)).abs().mean(1)
        single += [slope / contrast, jump / contrast, jump]
    several = [quantiles, quantiles / contrast[:, None], thumbnail, thumbnail / contrast[:, None]]
    return torch.cat([torch.stack(single, 1), *several], 1)


TERMS = len(SMOOTHINGS) * len(THRESHOLDS) + 2
"""Number of terms that `shrinkage_terms` returns."""


def statistics_count(frame: tuple[int, int]) -> int:
    """Return J, the number of statistics that `image_statistics` returns.

    Parameters
    ----------
    frame : (int, int)
        (N₁, N₂).

    Returns
    -------
    int
        J.
    """
    return image_statistics(torch.zeros((1, *frame)), make_grid(frame)).shape[1]


def standardise(described: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """Return statistics in standard deviations, clipped to ±4.

    Parameters
    ----------
    described : torch.Tensor
        (n, J), from `image_statistics`.
    centre, spread : torch.Tensor
        (J,): means and standard deviations.

    Returns
    -------
    torch.Tensor
        (n, J), in [−4, 4].
    """
    return ((described - centre) / spread).clamp(-_OUTLIER, _OUTLIER)


def shrinkage_terms(
    estimate: Tensor, magnitude: Tensor, phasor: Tensor, grid: Grid
) -> list[Tensor]:
    """Return Re(u* F{T_c(e)}) for every c.

    Parameters
    ----------
    estimate : torch.Tensor
        (n, N₁, N₂), float32, grey levels: e = F⁻¹(r u).
    magnitude, phasor : torch.Tensor
        (n, N₁, N₂ // 2 + 1): r ≥ 0 and u, |u| = 1.
    grid : Grid
        Of N₁×N₂.

    Returns
    -------
    list of torch.Tensor
        `TERMS` of them, shaped as r, float32.
    """
    aligned = phasor.conj()
    excess = forward(estimate.clamp(0, WHITE) - estimate, grid.frame)
    terms = [magnitude, (excess * aligned).real]
    for sigma, gaussian in zip(SMOOTHINGS, grid.smoothing, strict=True):
        smooth = inverse(magnitude * gaussian * phasor, grid.frame) if sigma else estimate
        for threshold in THRESHOLDS:
            field = torch.zeros_like(smooth)
            for axis in (1, 2):
                small = _keep_small(smooth.diff(dim=axis), threshold)
                field.narrow(axis, 0, small.shape[axis]).sub_(small)
                field.narrow(axis, 1, small.shape[axis]).add_(small)
            terms.append((forward(field, grid.frame) * aligned).real * gaussian)
    return terms


def _keep_small(slope: Tensor, threshold: float) -> Tensor:
    """Return ψ_t(d), without the denormal numbers that processors are slow at."""
    exponent = slope.square().div_(-2 * threshold**2).clamp_(min=-80.0)
    return exponent.exp_().mul_(slope)


def apply_gains(magnitude: Tensor, described: Tensor, gains: Tensor, grid: Grid) -> Tensor:
    """Return the magnitudes after a gain step.

    Parameters
    ----------
    magnitude : torch.Tensor
        (n, N₁, N₂ // 2 + 1): r ≥ 0.
    described : torch.Tensor
        (n, J), standardised.
    gains : torch.Tensor
        (bands, J): G of the step.
    grid : Grid
        Of N₁×N₂.

    Returns
    -------
    torch.Tensor
        Shaped as r, ≥ 0.
    """
    factor = (1 + described @ gains.T)[:, grid.band]
    return _admissible(magnitude * factor, grid)


def apply_shrinkage(magnitude: Tensor, terms: list[Tensor], weights: Tensor, grid: Grid) -> Tensor:
    """Return the magnitudes after a shrinkage step.

    Parameters
    ----------
    magnitude : torch.Tensor
        (n, N₁, N₂ // 2 + 1): r ≥ 0.
    terms : list of torch.Tensor
        From `shrinkage_terms`.
    weights : torch.Tensor
        (bands, terms): W of the step.
    grid : Grid
        Of N₁×N₂.

    Returns
    -------
    torch.Tensor
        Shaped as r, ≥ 0.
    """
    result = magnitude.clone()
    for term, weight in zip(terms, weights.T, strict=True):
        result.addcmul_(term, weight[grid.band])
    return _admissible(result, grid)


def _admissible(magnitude: Tensor, grid: Grid) -> Tensor:
    magnitude.clamp_(min=0)
    magnitude[:, 0, 0].clamp_(max=WHITE * grid.frame[0] * grid.frame[1])
    return magnitude


def batch_slices(count: int, frame: tuple[int, int]) -> list[slice]:
    """Return slices of a stack of images that bound the memory of one computation.

    Parameters
    ----------
    count : int
        Images in the stack.
    frame : (int, int)
        (N₁, N₂).

    Returns
    -------
    list of slice
        Consecutive, 2¹⁸ pixels each at most, at least one image.
    """
    size = max(1, _BATCH_PIXELS // (frame[0] * frame[1]))
    return [slice(i, min(count, i + size)) for i in range(0, count, size)]


@dataclass(frozen=True, eq=False)
class Cascade:
    """A fitted cascade; `fit_shrinkage` makes it.

    Attributes
    ----------
    frame : (int, int)
        (N₁, N₂) = (M₁, M₂).
    data_range : int
        White in the estimates.
    samples : int
        Images it was fitted to.
    mean_magnitude : numpy.ndarray
        (N₁, N₂ // 2 + 1), float32, of images scaled to 0..255: the first r.
    centre, spread : numpy.ndarray
        (S + 1, J), float32: means and standard deviations of the statistics.
    gains : numpy.ndarray
        (S + 1, bands, J), float32: G.
    weights : numpy.ndarray
        (S, bands, terms), float32: W.
    """

    frame: tuple[int, int]
    data_range: int
    samples: int
    mean_magnitude: NDArray[np.float32]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    gains: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __call__(
        self, phase: NDArray[np.floating], device: torch.device | str = "cpu"
    ) -> NDArray[np.float64]:
        """Reconstruct.

        Parameters
        ----------
        phase : numpy.ndarray
            (n, N₁, N₂ // 2 + 1), radians.
        device : torch.device or str
            Where to compute the magnitudes.

        Returns
        -------
        numpy.ndarray
            (n, N₁, N₂), float64, pixel units, clipped to 0..data_range; before
            that the estimates have the given phase.

        Raises
        ------
        InputError
            If the phases are of another shape.
        """
        phase = np.asarray(phase, np.float64)
        expected = half_plane(self.frame)
        if phase.ndim != 3 or phase.shape[1:] != expected:
            raise InputError(
                f"phase: shape {phase.shape}; this cascade takes unpadded phases of "
                f"{self.frame[0]}×{self.frame[1]} images, (n, {expected[0]}, {expected[1]})"
            )
        grid = make_grid(self.frame, torch.device(device))
        result = np.empty((len(phase), *self.frame))
        for part in batch_slices(len(phase), self.frame):
            spectrum = self._magnitude(phase[part], grid) * np.exp(1j * phase[part])
            result[part] = inverse(spectrum, self.frame)
        return np.clip(result, 0.0, self.data_range, out=result)

    def _magnitude(self, phase: NDArray[np.floating], grid: Grid) -> NDArray[np.float64]:
        """Return r ≥ 0 in pixel units, shaped as the phases."""
        angle = torch.from_numpy(phase.astype(np.float32)).to(grid.band.device)
        phasor = torch.polar(torch.ones_like(angle), angle)
        r = run_cascade(phasor, self.coefficients(grid.band.device), grid)
        return r.cpu().numpy().astype(np.float64) * (self.data_range / WHITE)

    def coefficients(self, device: torch.device | None = None) -> Coefficients:
        """Return the fitted coefficients as tensors.

        Parameters
        ----------
        device : torch.device, optional
            Of the tensors; the CPU by default.

        Returns
        -------
        Coefficients
            Sharing memory with the arrays on the CPU.
        """
        arrays = (self.mean_magnitude, self.centre, self.spread, self.gains, self.weights)
        return Coefficients(*(torch.from_numpy(array).to(device) for array in arrays))


class Coefficients(NamedTuple):
    """The fitted coefficients of a cascade, float32; shapes as in `Cascade`."""

    mean_magnitude: Tensor
    centre: Tensor
    spread: Tensor
    gains: Tensor
    weights: Tensor


def run_cascade(
    phasor: Tensor, fitted: Coefficients, grid: Grid, start: Tensor | None = None
) -> Tensor:
    """Return the magnitudes that a cascade gives phases.

    Parameters
    ----------
    phasor : torch.Tensor
        (n, N₁, N₂ // 2 + 1), complex64: e^{iφ}.
    fitted : Coefficients
        Of the same frame, on the same device.
    grid : Grid
        Of N₁×N₂.
    start : torch.Tensor, optional
        As the phases, float32: the first r; the mean magnitude by default.

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂ // 2 + 1), float32: r ≥ 0 of images in 0..255.
    """
    r = fitted.mean_magnitude if start is None else start
    for stage, gains in enumerate(fitted.gains):
        described = image_statistics(inverse(r * phasor, grid.frame), grid)
        described = standardise(described, fitted.centre[stage], fitted.spread[stage])
        r = apply_gains(r, described, gains, grid)
        if stage < len(fitted.weights):
            terms = shrinkage_terms(inverse(r * phasor, grid.frame), r, phasor, grid)
            r = apply_shrinkage(r, terms, fitted.weights[stage], grid)
    return r
