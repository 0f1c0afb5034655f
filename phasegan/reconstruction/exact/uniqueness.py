"""Exclusion of other integer images that give the same rounded phases.

Symbols: x, an integer image of N₁×N₂ pixels without a common factor, whose phases
lie within h of the stored ones; X = F P x; A, the operator of the stored phases
(`phasegan.fourier.operator`); σ₂, its second-smallest singular value, that on
images orthogonal to x; y, any integer image in range with the same codes.

Write y = α x + z with z orthogonal to x. Both spectra lie within h of the stored
phases, so that |A y| ≤ h |Y| and |A x| is known, frequency by frequency. Hence

    σ₂ ‖z‖ ≤ ‖A z‖ ≤ α ‖h |X| + |A x|‖ + max(h) ‖z‖,    ‖z‖ ≤ α r.

With this radius r every scale α can be examined: y is an integer image within
α r of α x. Where r is too wide for that, the images that rounding could have
made of x are sampled instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.fourier.convention import self_conjugate
from phasegan.fourier.operator import PhaseOperator, plane_weight
from phasegan.fourier.phase import UNDEFINED_BELOW
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.solvers.cg import conjugate_gradients

MAX_LEVELS = 256
MAX_CELLS = 1_000_000
MAX_DIVIDED = 20_000
FINENESS, FINEST = 0.25, 1e-3
"""Half width of an interval times ‖x‖, over α r, and absolute, at which division ends."""
MAX_CANDIDATES = 500
TYPICAL = np.sqrt(1.0 / 12.0)
"""Root mean square distance of a number from the nearest integer."""
SAMPLE_ITERATIONS = 25
SAMPLED_PIXELS = 16_384
MAX_SAMPLES = 8
SAMPLED_WIDTH = 1.5, 12.0
"""Radius of a sampled search in norms of what rounding does: a + b / √(pixels), the
norm being that of many errors, and the more certain the more there are."""
SEPARATION = 6.0
"""Standard deviations between an image and any other, for a sampled exclusion."""


def deviation_radius(
    operator: PhaseOperator, image: torch.Tensor, half_step: NDArray[np.float64] | float, gap: float
) -> float:
    """Return r: images with the same codes lie within α r of a multiple α x.

    Parameters
    ----------
    operator : PhaseOperator
        A for one phase, float64.
    image : torch.Tensor
        (1, N₁, N₂), float64: x.
    half_step : float or numpy.ndarray
        h, radians: a number, or (M₁, M₂ // 2 + 1).
    gap : float
        A lower bound of σ₂.

    Returns
    -------
    float
        In grey levels times √(pixels); infinite where the gap is too small.
    """
    aligned = operator.aligned(image)[0]
    magnitude = aligned.abs()
    step = torch.as_tensor(half_step, dtype=torch.float64, device=image.device)
    step = step.expand(magnitude.shape).clone()
    # real bins of a real image: known up to the rounding of π itself
    real = torch.from_numpy(self_conjugate(operator.frame)).to(image.device)
    step[real] = operator.phase[0].sin().abs()[real]
    bound = step * magnitude + aligned.imag.abs() + UNDEFINED_BELOW * magnitude.max()
    if operator.trusted is not None:
        bound, step = bound * operator.trusted[0], step * operator.trusted[0]
    weight = plane_weight(operator.frame, image.device)
    norm = float((bound**2 * weight).sum().sqrt()) / np.sqrt(np.prod(operator.frame))
    room = gap - float(step.max())
    return norm / room if room > 0 else np.inf


@dataclass(frozen=True)
class ScaleSearch:
    """Candidates of `search_scales`, and whether they are all."""

    candidates: list[NDArray[np.int64]]
    """Integer images near other multiples α x, to be encoded and compared."""
    complete: bool
    """Whether no other integer image lies within the radius of a multiple α x;
    images one grey level away from an integer multiple of x not counted."""


def search_scales(image: NDArray[np.int64], data_range: int, radius: float) -> ScaleSearch:
    """Find all integer images y = α x + z, ‖z‖ ≤ α r, that are no multiples of x.

    D(α), the distance of α x from the nearest integer image, changes by at most
    ‖x‖ |Δα|: intervals of α in which it exceeds α r are excluded, others divided,
    until one rounding is left in each.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), integers from 0, without a common factor: x.
    data_range : int
        The largest pixel of y.
    radius : float
        r.

    Returns
    -------
    ScaleSearch
        Not complete where r is too wide or there are too many intervals.
    """
    levels, counts = np.unique(image[image > 0], return_counts=True)
    top = int(levels[-1])
    if radius >= min(top, TYPICAL * np.sqrt(counts.sum())):
        return ScaleSearch([], False)
    common = np.sort(np.argsort(-counts, kind="stable")[:MAX_LEVELS])
    common_levels = levels[common].astype(np.float64), counts[common].astype(np.float64)
    norm = float(np.sqrt((common_levels[1] * common_levels[0] ** 2).sum()))
    low, high = 0.5 / top, data_range / (top - radius)
    half = 0.25 * TYPICAL * np.sqrt(common_levels[1].sum()) / norm
    if (high - low) / half > MAX_CELLS:
        return ScaleSearch([], False)
    scales = np.arange(low + half, high + half, 2 * half)
    limit = max(len(scales), MAX_DIVIDED)
    while True:
        multiple = np.abs(scales - np.maximum(np.rint(scales), 1)) * top + half * top <= 0.5
        scales = scales[~multiple]
        distance = _distances(scales, *common_levels)
        scales = scales[distance <= (scales + half) * radius + half * norm]
        if not len(scales) or half * norm <= max(FINENESS * scales.min() * radius, FINEST):
            break
        if len(scales) * 4 > limit:
            return ScaleSearch([], False)
        half /= 4
        scales = (scales[:, None] + half * np.array([-3.0, -1.0, 1.0, 3.0])).ravel()
    if not len(scales):
        return ScaleSearch([], True)
    values = scales[:, None] * levels
    rounded = np.rint(values)
    distance = np.abs(values - rounded)
    square = (distance**2) @ counts
    reach = (scales + half) * radius + half * float(np.linalg.norm(image))
    is_multiple = (rounded * top == rounded[:, -1:] * levels).all(axis=1) & (rounded[:, -1] > 0)
    # no second rounding is within reach of any of the intervals
    complete = bool((is_multiple | (square + 1.0 - 2.0 * distance.max(axis=1) > reach**2)).all())
    usable = ~is_multiple & (rounded[:, -1] > 0) & (rounded[:, -1] <= data_range)
    nearest = np.argsort((square / scales**2)[usable], kind="stable")
    rows, first = np.unique(rounded[usable][nearest], axis=0, return_index=True)
    if len(rows) > MAX_CANDIDATES:
        return ScaleSearch([], False)
    place = np.searchsorted(levels, image)
    return ScaleSearch(
        [
            np.where(image > 0, row[np.minimum(place, len(levels) - 1)], 0).astype(np.int64)
            for row in rows[np.argsort(first)]
        ],
        complete,
    )


def _distances(
    scales: NDArray[np.float64], levels: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return D(α) over some grey levels."""
    distances = np.empty(len(scales))
    block = max(1, 1_000_000 // len(levels))
    for start in range(0, len(scales), block):
        product = scales[start : start + block, None] * levels
        product -= np.rint(product)
        distances[start : start + block] = np.sqrt((product * product) @ counts)
    return distances


def excludes_neighbours(image: NDArray[np.int64], data_range: int, radius: float) -> bool:
    """Return whether no integer image but k x itself lies within α r of an α near k.

    For |α − k| top ≤ ½ the integer image y − k x = e ≠ 0 nearest to (α − k) x
    differs from 0 in the brightest pixel alone, and is √(1 − top² / ‖x‖²) away.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), integers from 0: x.
    data_range : int
        The largest pixel of y.
    radius : float
        r.

    Returns
    -------
    bool
        True proves it.
    """
    top = float(image.max())
    if radius >= top:
        return False
    share = top**2 / float((image.astype(np.float64) ** 2).sum())
    return bool(data_range / (top - radius) * radius < np.sqrt(1.0 - share))


@dataclass(frozen=True)
class Sensitivity:
    """Change of the least-squares solution of an image's own phases by rounding."""

    largest: float
    """Largest change of a pixel, grey levels."""
    deviation: float
    """Standard deviation, grey levels."""
    norm: float
    """‖z‖ of the worst sample, grey levels."""

    def radius(self, pixels: int) -> float:
        """Return r of a sampled search.

        Parameters
        ----------
        pixels : int
            Those of the image that are not 0, at least 1.

        Returns
        -------
        float
            In the units of `norm`.
        """
        return (SAMPLED_WIDTH[0] + SAMPLED_WIDTH[1] / float(np.sqrt(pixels))) * self.norm

    def separates(self, scale: float) -> bool:
        """Return whether integer images are too far apart for rounding to confuse them.

        Of two that have the same codes the least-squares solution is one grey level
        or more away from one, at some pixel.

        Parameters
        ----------
        scale : float
            The largest multiple of the image that is in range.

        Returns
        -------
        bool
            True where they are six standard deviations apart.
        """
        return 1.0 - scale * self.largest >= SEPARATION * scale * self.deviation


def rounding_sensitivity(
    operator: PhaseOperator,
    image: torch.Tensor,
    half_step: NDArray[np.float64] | float,
    progress: Portion = SILENT,
) -> Sensitivity:
    """Sample the change of the least-squares solution by other roundings of the phases.

    The image's own phases get independent errors, uniform in ±h, and the
    least-squares solution nearest to the image is computed.

    Parameters
    ----------
    operator : PhaseOperator
        A for one phase, float64.
    image : torch.Tensor
        (1, N₁, N₂), float64.
    half_step : float or numpy.ndarray
        h, radians: a number, or (M₁, M₂ // 2 + 1).
    progress : Portion
        Told of the iterations.

    Returns
    -------
    Sensitivity
        The largest values over 1 to 8 samples.
    """
    count = min(max(SAMPLED_PIXELS // image[0].numel(), 1), MAX_SAMPLES)
    spectrum = operator.spectrum(image)
    generator = torch.Generator().manual_seed(count)
    errors = 2 * torch.rand((count, *spectrum.shape[1:]), generator=generator, dtype=torch.float64)
    step = torch.as_tensor(half_step, dtype=torch.float64)
    errors = (errors - 1) * step
    errors[:, torch.from_numpy(self_conjugate(operator.frame))] = 0.0
    phase = spectrum.angle() + errors.to(image.device)
    trusted = None if operator.trusted is None else operator.trusted.expand(phase.shape)
    noisy = PhaseOperator(phase, operator.frame, operator.shape, trusted)
    start = image.expand(count, *image.shape[1:])
    anchor = start / (image * image).sum()
    solved = conjugate_gradients(
        noisy, anchor, start, iterations=SAMPLE_ITERATIONS, progress=progress
    ).image
    change = solved - start
    return Sensitivity(
        float(change.abs().max()),
        float(change.square().mean((-2, -1)).max().sqrt()),
        float(change.square().sum((-2, -1)).max().sqrt()),
    )
