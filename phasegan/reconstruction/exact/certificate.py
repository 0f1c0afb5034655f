"""Proofs that an integer image is the only one with a given phase.

*Explains*: encoded again by the reference encoder (`phasegan.fourier.phase`,
float64), the image gives every phase that was measured. *Unique*: the linear
condition A x = 0 has nullity 1 on the support, by its second-smallest singular
value, which proves the shape up to a factor. *Exclusion*: no other integer image
near the ray of that shape gives the same codes (`phasegan.reconstruction.exact.uniqueness`).
Certified is all three; without them nothing is called exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator, inner_product
from phasegan.fourier.phase import analyse
from phasegan.progress import SILENT, IterationProgress, Portion

LANCZOS_STEPS = 3000
LANCZOS_CHECK = 25
LANCZOS_ACCURACY = 0.3
"""Relative accuracy of the squared singular value."""
MAX_UNDEFINED_SHARE = 0.02
"""Share of undefined phases in a candidate up to which they are left out."""
ROUNDING = 1e-13
"""Error of a float64 transform, as a share of the largest magnitude."""


class Verdict(StrEnum):
    """Verdict on one reconstruction."""

    CERTIFIED = "certified"
    """Explains every phase, and no other integer image on the support does."""
    UNIQUE_UP_TO_SCALE = "unique up to scale"
    """Solved to the accuracy of the phases with nullity 1: nothing but multiples of the
    estimate has these phases; which multiple, or which integers, is not proved."""
    NOT_UNIQUE = "not unique"
    """Other images have the same phase."""
    NOT_EXPLAINED = "not explained"
    """No integer image was found that gives every phase."""
    NOT_TRIED = "not tried"
    """The method makes no claim, or the phase cannot determine the image."""


@dataclass(frozen=True)
class Certificate:
    """Proof about one reconstructed plane."""

    verdict: Verdict
    explains: bool = False
    """Whether the integer image gives every defined, trusted phase."""
    unique: bool = False
    """Whether the linear condition has nullity 1 on the support."""
    gap: float | None = None
    """Second-smallest singular value of A on the support, 0 to 1, if computed."""
    exclusion: Literal["", "bound", "sampled"] = ""
    """How other integer images were excluded: by a bound, or by samples of what
    rounding does; empty where they were not."""
    support: tuple[int, int, int, int] | None = None
    """Rows and columns [r₀, r₁, c₀, c₁) outside which pixels are 0."""
    reason: str = ""
    """One line for people."""

    @property
    def certified(self) -> bool:
        """Whether the reconstruction is proved exact."""
        return self.verdict is Verdict.CERTIFIED


@dataclass(frozen=True)
class PlaneObservation:
    """The phases of one plane and how far they can be trusted; see `protocol.Observation`.

    Attributes
    ----------
    phase : numpy.ndarray
        (M₁, M₂ // 2 + 1), float64 radians, decoded.
    trusted : numpy.ndarray or None
        Same shape, bool; None: all.
    half_step : numpy.ndarray or float
        How far a phase may lie from the stored one and still be kept as the
        same code, radians.
    """

    phase: NDArray[np.float64]
    trusted: NDArray[np.bool_] | None
    half_step: NDArray[np.float64] | float


def misfit(
    image: NDArray[np.integer], observation: PlaneObservation, frame: tuple[int, int]
) -> int:
    """Count the phases that an integer image does not give.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), integers.
    observation : PlaneObservation
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
    difference = np.abs(spectrum.phase - observation.phase)
    difference = np.minimum(difference, 2 * np.pi - difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        rounding = ROUNDING * spectrum.magnitude.max() / spectrum.magnitude
    mismatched = difference > observation.half_step + rounding
    if np.count_nonzero(spectrum.undefined) <= MAX_UNDEFINED_SHARE * mismatched.size:
        mismatched &= ~spectrum.undefined
    else:
        mismatched |= spectrum.undefined
    if observation.trusted is not None:
        mismatched &= observation.trusted
    return int(np.count_nonzero(mismatched))


def second_singular_value(
    operator: PhaseOperator,
    solution: Tensor,
    threshold: float,
    *,
    steps: int = LANCZOS_STEPS,
    progress: Portion = SILENT,
    guess: int | None = None,
) -> NDArray[np.float64]:
    """Return the second-smallest singular value of A for each phase.

    By Lanczos iteration (Lanczos 1950, doi:10.6028/jres.045.026) on AᵀA, from a random
    image orthogonal to the solution, until the smallest Ritz value is known to 30 % or
    is clearly below `threshold`.

    Parameters
    ----------
    operator : PhaseOperator
        A for n phases.
    solution : torch.Tensor
        (n, N₁, N₂), float64, the null vectors found.
    threshold : float
        Singular values below this cannot be told from 0.
    steps : int
        At most so many; where they do not suffice the value is not-a-number.
    progress : Portion
        Told of the steps.
    guess : int, optional
        Steps that are expected, for the progress.

    Returns
    -------
    numpy.ndarray
        (n,), in 0..1.
    """
    count = len(solution)
    if solution[0].numel() == 1:  # nothing is orthogonal to the only image
        return np.ones(count)
    singular_values = np.full(count, np.nan)
    index = np.arange(count)
    null = solution / _norm(solution)
    generator = torch.Generator().manual_seed(count)
    start = torch.randn(solution.shape[-2:], generator=generator, dtype=torch.float64)
    vector = start.to(solution.device).expand_as(solution)
    vector = vector - null * inner_product(null, vector)
    vector = vector / _norm(vector)
    previous, beta = torch.zeros_like(vector), torch.zeros(count, 1, 1, dtype=torch.float64)
    beta = beta.to(solution.device)
    # one tensor: small ones kept from each step would scatter the heap, 3 GB of it for 1024×1024
    diagonal, off_diagonal = torch.empty(2, count, steps, dtype=torch.float64).to(solution.device)
    followed = IterationProgress(progress, steps, guess, "step")
    for step in range(1, steps + 1):
        if followed.due():
            followed.report(step)
        product = operator.normal(vector).sub_(beta * previous)
        alpha = inner_product(vector, product)
        product.sub_(alpha * vector)
        product.sub_(null * inner_product(null, product))
        beta = _norm(product)
        diagonal[:, step - 1], off_diagonal[:, step - 1] = alpha.flatten(), beta.flatten()
        previous, vector = vector, product.div_(beta.clamp(min=1e-300))
        if step % LANCZOS_CHECK:
            continue
        a, b = (values[:, :step].cpu().numpy() for values in (diagonal, off_diagonal))
        unfinished = np.ones(len(index), dtype=bool)
        for i in range(len(index)):
            value, error = _smallest_ritz(a[i], b[i])
            if value < threshold**2 / 4 or error <= LANCZOS_ACCURACY * value:
                singular_values[index[i]] = np.sqrt(max(value, 0.0))
                unfinished[i] = False
        if not unfinished.any():
            break
        if not unfinished.all():
            selected = torch.from_numpy(unfinished).to(solution.device)
            index, operator = index[unfinished], operator.select(selected)
            null, vector, previous, beta = (
                null[selected],
                vector[selected],
                previous[selected],
                beta[selected],
            )
            diagonal, off_diagonal = diagonal[selected], off_diagonal[selected]
    return singular_values


def _smallest_ritz(
    diagonal: NDArray[np.float64], off_diagonal: NDArray[np.float64]
) -> tuple[float, float]:
    values, vectors = eigh_tridiagonal(diagonal, off_diagonal[:-1], select="i", select_range=(0, 0))
    return float(values[0]), float(abs(off_diagonal[-1] * vectors[-1, 0]))


def _norm(a: Tensor) -> Tensor:
    return inner_product(a, a).sqrt()
