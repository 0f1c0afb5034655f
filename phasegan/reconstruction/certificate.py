"""Proofs that an integer image is the only one with a given phase.

*Explains*: encoded again by the reference encoder (`phasegan.spectra.phase`,
float64), the image gives every phase that was measured. *Unique*: the linear
condition A x = 0 has nullity 1 on the support, by its second-smallest singular
value. Certified is both; without both nothing is called exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from phasegan.spectra.operator import PhaseOperator, inner_product
from phasegan.spectra.phase import analyse

LANCZOS_STEPS = 3000
LANCZOS_CHECK = 25
LANCZOS_ACCURACY = 0.1
FEW = 0.02
"""Share of undefined phases in a candidate up to which they are left out."""
ROUNDING = 1e-13
"""Error of a float64 transform, as a share of the largest magnitude."""


class Verdict(StrEnum):
    """What is known about one reconstruction."""

    CERTIFIED = "certified"
    """Explains every phase, and nothing else on the support does."""
    NOT_UNIQUE = "not unique"
    """Other images have the same phase."""
    NOT_EXPLAINED = "not explained"
    """No integer image was found that gives every phase."""
    NOT_TRIED = "not tried"
    """The method makes no claim, or the phase cannot determine the image."""


@dataclass(frozen=True)
class Certificate:
    """What is proved about one reconstructed plane."""

    verdict: Verdict
    explains: bool = False
    """Whether the integer image gives every defined, trusted phase."""
    unique: bool = False
    """Whether the linear condition has nullity 1 on the support."""
    gap: float | None = None
    """Second-smallest singular value of A on the support, 0 to 1, if computed."""
    support: tuple[int, int, int, int] | None = None
    """Rows and columns [r₀, r₁, c₀, c₁) outside which pixels are 0."""
    reason: str = ""
    """One line for people."""

    @property
    def certified(self) -> bool:
        """Whether the reconstruction is proved exact."""
        return self.verdict is Verdict.CERTIFIED


@dataclass(frozen=True)
class Measured:
    """The phases of one plane as a certificate needs them.

    Attributes
    ----------
    phase : numpy.ndarray
        (M, M // 2 + 1), float64 radians, decoded.
    trusted : numpy.ndarray or None
        Same shape, bool; None: all.
    half_step : numpy.ndarray or float
        How far a phase may lie from the stored one and still be kept as the
        same code, radians.
    """

    phase: NDArray[np.float64]
    trusted: NDArray[np.bool_] | None
    half_step: NDArray[np.float64] | float


def misfit(image: NDArray[np.integer], measured: Measured, frame: tuple[int, int]) -> int:
    """Count the phases that an integer image does not give.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), integers.
    measured : Measured
        The phases.
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    int
        0 if it explains them all. π and −π are one angle; phases that are not
        trusted (undefined ones among them) are left out, and so are those that
        are undefined in the image, if they are but a few; one that lies on the
        border between two codes to within the rounding of a float64 transform
        may be either.
    """
    spectrum = analyse(image, frame)
    difference = np.abs(spectrum.phase - measured.phase)
    difference = np.minimum(difference, 2 * np.pi - difference)
    with np.errstate(divide="ignore"):
        rounding = ROUNDING * spectrum.magnitude.max() / spectrum.magnitude
    wrong = difference > measured.half_step + rounding
    if np.count_nonzero(spectrum.undefined) <= FEW * wrong.size:
        wrong &= ~spectrum.undefined
    else:
        wrong |= spectrum.undefined
    if measured.trusted is not None:
        wrong &= measured.trusted
    return int(np.count_nonzero(wrong))


def has_neighbour(
    image: NDArray[np.integer],
    measured: Measured,
    window: tuple[int, int, int, int],
    frame: tuple[int, int],
) -> bool:
    """Tell whether an integer image close to this one gives the same rounded phases.

    Phases within their rounding of given ones are those of a convex cone of
    images. Coarse phases of a small image leave it wide enough for more than one
    integer image; what changes phases least is smooth. Tried are ±1 on the whole
    content, on its halves and on its quarters.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), integers.
    measured : Measured
        The phases.
    window : (int, int, int, int)
        Rows and columns [r₀, r₁, c₀, c₁) of the content.
    frame : (int, int)
        (M₁, M₂).
    """
    row, column = np.indices(image.shape)
    inside = (window[0] <= row) & (row < window[1]) & (window[2] <= column) & (column < window[3])
    upper, left = 2 * row < window[0] + window[1], 2 * column < window[2] + window[3]
    lower, right = np.logical_not(upper), np.logical_not(left)
    parts = [inside, upper, lower, left, right]
    parts += [upper & left, upper & right, lower & left, lower & right]
    for part in parts:
        change = (part & inside).astype(np.int64)
        for sign in (1, -1):
            if change.any() and misfit(image + sign * change, measured, frame) == 0:
                return True
    return False


def second_singular_value(
    operator: PhaseOperator, solution: Tensor, enough: float, *, steps: int = LANCZOS_STEPS
) -> NDArray[np.float64]:
    """Return the second-smallest singular value of A for each phase.

    By Lanczos iteration on AᵀA, from a random image orthogonal to the solution,
    until the smallest Ritz value is known to 10 % or is clearly below `enough`.

    Parameters
    ----------
    operator : PhaseOperator
        A for n phases.
    solution : torch.Tensor
        (n, N₁, N₂), float64, the null vectors found.
    enough : float
        Singular values below this cannot be told from 0.
    steps : int
        At most so many; where they do not suffice the value is not-a-number.

    Returns
    -------
    numpy.ndarray
        (n,), in 0..1.
    """
    count = len(solution)
    if solution[0].numel() == 1:  # nothing is orthogonal to the only image
        return np.ones(count)
    found = np.full(count, np.nan)
    index = np.arange(count)
    null = solution / _norm(solution)
    generator = torch.Generator().manual_seed(count)
    start = torch.randn(solution.shape[-2:], generator=generator, dtype=torch.float64)
    vector = start.to(solution.device).expand_as(solution)
    vector = vector - null * inner_product(null, vector)
    vector = vector / _norm(vector)
    before, beta = torch.zeros_like(vector), torch.zeros(count, 1, 1, dtype=torch.float64)
    beta = beta.to(solution.device)
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    for step in range(1, steps + 1):
        product = operator.normal(vector) - beta * before
        alpha = inner_product(vector, product)
        product = product - alpha * vector
        product = product - null * inner_product(null, product)
        beta = _norm(product)
        diagonal.append(alpha.flatten())
        beside.append(beta.flatten())
        before, vector = vector, product / beta.clamp(min=1e-300)
        if step % LANCZOS_CHECK:
            continue
        a = torch.stack(diagonal, 1).cpu().numpy()
        b = torch.stack(beside, 1).cpu().numpy()
        keep = np.ones(len(index), dtype=bool)
        for i in range(len(index)):
            value, error = _smallest_ritz(a[i], b[i])
            if value < enough**2 / 4 or error <= LANCZOS_ACCURACY * value:
                found[index[i]] = np.sqrt(max(value, 0.0))
                keep[i] = False
        if not keep.any():
            break
        if not keep.all():
            chosen = torch.from_numpy(keep).to(solution.device)
            index, operator = index[keep], operator.select(chosen)
            null, vector, before, beta = null[chosen], vector[chosen], before[chosen], beta[chosen]
            diagonal = [value[chosen] for value in diagonal]
            beside = [value[chosen] for value in beside]
    return found


def _smallest_ritz(
    diagonal: NDArray[np.float64], beside: NDArray[np.float64]
) -> tuple[float, float]:
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1], select="i", select_range=(0, 0))
    return float(values[0]), float(abs(beside[-1] * vectors[-1, 0]))


def _norm(a: Tensor) -> Tensor:
    return inner_product(a, a).sqrt()
