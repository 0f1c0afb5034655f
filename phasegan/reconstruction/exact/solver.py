"""Exact reconstruction: least squares, integers, and the proof that they are right.

The steps, each only for the planes that need it:

1. `cg` on the whole support; at every check the image is scaled to integers
   and encoded again, and a plane whose every phase comes out is done;
2. pixels near integers are fixed and the others solved for again, which mends
   badly conditioned planes;
3. the second-smallest singular value says whether any other shape fits, and other
   integer images near the ray of this one are excluded;
4. where another shape fits, or nothing was found, the smallest window that still
   explains the phase is searched, and 1 to 3 repeated there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator
from phasegan.reconstruction.exact.blurs import excludes_blurs
from phasegan.reconstruction.exact.certificate import (
    Certificate,
    Measured,
    Verdict,
    second_singular_value,
)
from phasegan.reconstruction.exact.exclusion import COARSE, exclude_others
from phasegan.reconstruction.exact.integer_search import Scene, explaining_integers, mend
from phasegan.reconstruction.exact.support import Window, centrosymmetry, tightest_support, windowed
from phasegan.reconstruction.solvers.cg import conjugate_gradients

FIRST_CHECK = 50
CENTROSYMMETRIC = 0.99
TIGHT_ITERATIONS = 3000
TURNED = 1e-3
"""Share of the energy that may be half a turn off: the linear condition does not tell signs."""
OTHER_CORNER = (
    "solved but for signs: phases of the estimate are half a turn off; does the image stand in "
    "another corner of the frame (fftshift after padding)?"
)
TIGHTEN_BELOW = 2e-3
"""Residual above which phases are noisy, not those of a picture with borders."""


@dataclass
class ExactPlanes:
    """What was found for n planes."""

    estimate: NDArray[np.float64]
    """(n, N₁, N₂): integers where certified or explained, else of mean 1."""
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    residual: NDArray[np.float64]
    certificates: list[Certificate]


def reconstruct_exactly(
    measured: list[Measured],
    scene: Scene,
    device: torch.device,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
) -> ExactPlanes:
    """Reconstruct planes and certify them.

    Parameters
    ----------
    measured : list of Measured
        n planes.
    scene : Scene
        What they have in common.
    device : torch.device
        Where to compute.
    callback : callable, optional
        Called with iteration, indices and images, as in `conjugate_gradients`.
    """
    phase = torch.from_numpy(np.stack([plane.phase for plane in measured])).to(device)
    trusted = _stack_trusted(measured, device)
    whole: Window = (0, scene.shape[0], 0, scene.shape[1])
    likeness = centrosymmetry(phase, scene.frame, trusted).cpu().numpy()
    symmetric = likeness > CENTROSYMMETRIC - scene.accuracy**2
    found = _solve(measured, phase, trusted, scene, whole, scene.iterations, callback)
    for i in range(len(measured)):
        if symmetric[i] and not found.certificates[i].certified:
            found.certificates[i] = Certificate(
                Verdict.NOT_UNIQUE,
                support=whole,
                reason="the picture equals itself turned by 180°, or nearly: half of all "
                "directions are free",
            )
        elif (
            not found.certificates[i].unique and scene.tighten and found.residual[i] < TIGHTEN_BELOW
        ):
            mask = None if trusted is None or bool(trusted[i].all()) else trusted[i : i + 1]
            _tighten(found, i, measured[i], phase[i : i + 1], mask, scene)
        if found.certificates[i].certified:
            content = found.estimate[i].astype(np.int64)
            found.certificates[i] = _without_blurs(found.certificates[i], content, scene)
    return found


def _stack_trusted(measured: list[Measured], device: torch.device) -> Tensor | None:
    if all(plane.trusted is None or plane.trusted.all() for plane in measured):
        return None
    masks = [
        np.ones(plane.phase.shape, bool) if plane.trusted is None else plane.trusted
        for plane in measured
    ]
    return torch.from_numpy(np.stack(masks)).to(device)


def anchor_of(
    phase: Tensor, trusted: Tensor | None, frame: tuple[int, int], shape: tuple[int, int]
) -> Tensor:
    """Return the functional that fixes the brightness: (n, N₁, N₂).

    The mean, with the sign that the phase at frequency 0 says; where that is
    not trusted, the product with the phase-only image, Σ|X| in other words.
    """
    ones = torch.ones((len(phase), *shape), dtype=torch.float64, device=phase.device)
    ones /= shape[0] * shape[1]
    anchor = torch.where(phase[:, 0, 0].cos()[:, None, None] < 0, -ones, ones)
    if trusted is None or bool(trusted[:, 0, 0].all()):
        return anchor
    operator = PhaseOperator(phase, frame, shape, trusted)
    phase_only = operator.unaligned(torch.ones_like(phase))
    return torch.where(trusted[:, 0, 0][:, None, None], anchor, phase_only)


def _solve(
    measured: list[Measured],
    phase: Tensor,
    trusted: Tensor | None,
    scene: Scene,
    window: Window,
    iterations: int,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
) -> ExactPlanes:
    """Do steps 1 to 3 on one window."""
    shape = (window[1] - window[0], window[3] - window[2])
    moved = phase if window[0] == window[2] == 0 else windowed(phase, scene.frame, window)
    operator = PhaseOperator(moved, scene.frame, shape, trusted, scene.dtype)
    anchor = anchor_of(moved, trusted, scene.frame, shape)
    integers: dict[int, list[NDArray[np.int64]]] = {}

    def check(k: int, index: Tensor, images: Tensor) -> Tensor:
        if callback is not None:
            callback(k, index, images)
        stop = torch.zeros(len(index), dtype=torch.bool)
        if k < FIRST_CHECK:
            return stop
        for position, i in enumerate(index.tolist()):
            image = images[position].cpu().numpy()
            explained = explaining_integers(image, measured[i], scene, window)
            if explained:
                integers[i] = explained
                stop[position] = True
        return stop

    start = torch.sign(anchor) if trusted is None else anchor
    result = conjugate_gradients(
        operator, anchor, start,
        iterations=iterations, tolerance=scene.tolerance, callback=check,
    )  # fmt: skip
    estimate = np.zeros((len(phase), *scene.shape))
    inside = np.s_[window[0] : window[1], window[2] : window[3]]
    estimate[:, inside[0], inside[1]] = result.image.cpu().numpy()
    fine = operator.as_double()
    residual = fine.residual(result.image).cpu().numpy()
    for i in range(len(phase)):
        if i not in integers and residual[i] < 10 * scene.floor:
            one = torch.tensor([i], device=phase.device)
            mended = mend(fine.select(one), result.image[i], measured[i], scene, window)
            if mended is not None:
                integers[i] = [mended]
    certificates = [_unsolved(window, residual[i], scene) for i in range(len(phase))]
    solved = [i for i in range(len(phase)) if i in integers or _solved(residual[i], scene)]
    if solved:
        some = torch.tensor(solved, device=phase.device)
        images = result.image[some]
        for position, i in enumerate(solved):
            if i in integers:
                estimate[i] = integers[i][0]
                images[position] = torch.from_numpy(estimate[i][inside]).to(images)
        gaps = second_singular_value(fine.select(some), images, scene.least_gap)
        for position, i in enumerate(solved):
            certificates[i] = _certificate(float(gaps[position]), i in integers, window, scene)
            if not certificates[i].unique:
                continue
            if i in integers:
                certificates[i] = exclude_others(
                    certificates[i],
                    integers[i],
                    fine.select(some[position : position + 1]),
                    measured[i],
                    scene,
                )
            elif _turned(fine.select(some[position : position + 1]), images[position]) > TURNED:
                certificates[i] = Certificate(
                    Verdict.NOT_EXPLAINED, support=window, reason=OTHER_CORNER
                )
            elif images[position].max() <= 0:
                reason = "no pixel is positive: the phases look half a turn off (± π, ± 0.5 turns)"
                certificates[i] = replace(certificates[i], reason=reason)
    converged = result.converged.numpy() | np.array([i in integers for i in range(len(phase))])
    return ExactPlanes(estimate, result.iterations.numpy(), converged, residual, certificates)


def _turned(operator: PhaseOperator, image: Tensor) -> float:
    """Return the share of an image's energy whose phases are half a turn off."""
    aligned = operator.aligned(image[None]).real
    return float(aligned.clamp(max=0.0).square().sum() / aligned.square().sum())


def _determined(scene: Scene) -> bool:
    return 2 * scene.shape[0] * scene.shape[1] <= scene.frame[0] * scene.frame[1]


def _solved(residual: float, scene: Scene) -> bool:
    """Tell whether a plane is solved as well as its phases allow, up to scale."""
    return residual <= scene.floor and scene.accuracy <= COARSE and _determined(scene)


def _unsolved(window: Window, residual: float, scene: Scene) -> Certificate:
    if not _determined(scene):
        reason = "too few phases for the pixels: M/N is below √2"
        return Certificate(Verdict.NOT_UNIQUE, support=window, reason=reason)
    if residual <= scene.floor:
        reason = "solved, but no integer image in range was found that gives every phase"
    else:
        reason = (
            f"not solved: residual {residual:.2g}, the phases' accuracy allows {scene.floor:.2g}"
        )
    return Certificate(Verdict.NOT_EXPLAINED, support=window, reason=reason)


def _certificate(gap: float, explains: bool, window: Window, scene: Scene) -> Certificate:
    """Say what the second singular value proves about a solved plane."""
    if gap > scene.least_gap:
        reason = "no integer image in range was found that gives every phase"
        return Certificate(
            Verdict.UNIQUE_UP_TO_SCALE, explains, True, gap, support=window, reason=reason
        )
    known = None if np.isnan(gap) else gap
    reason = (
        "whether other images fit could not be decided within the allowed steps"
        if known is None
        else f"other images have this phase: second singular value {gap:.2g}"
    )
    verdict = Verdict.NOT_UNIQUE if explains or known is not None else Verdict.NOT_EXPLAINED
    return Certificate(verdict, explains, False, known, support=window, reason=reason)


def _without_blurs(certificate: Certificate, image: NDArray[np.int64], scene: Scene) -> Certificate:
    """Withdraw a certificate if a blur into black borders may be an integer image too.

    The borders are those of the image itself: a window may be wider than its content.
    """
    (top, bottom), (left, right) = (
        (int(filled[0]), int(filled[-1]) + 1)
        for filled in (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    )
    border = min(top, scene.shape[0] - bottom), min(left, scene.shape[1] - right)
    if border == (0, 0):
        return certificate
    reason = certificate.reason or "black borders on opposite sides leave room for symmetric blurs"
    if excludes_blurs(image[top:bottom, left:right], border, scene.data_range):
        return replace(certificate, reason=f"{reason}, none of them integer and in range")
    return replace(
        certificate,
        verdict=Verdict.UNIQUE_UP_TO_SCALE,
        exclusion="",
        reason=f"{reason}, and integer ones are not excluded",
    )


def _tighten(
    found: ExactPlanes,
    i: int,
    measured: Measured,
    phase: Tensor,
    trusted: Tensor | None,
    scene: Scene,
) -> None:
    """Step 4 for plane i."""
    window = tightest_support(phase, scene.frame, scene.shape, scene.floor, trusted)
    if window == (0, scene.shape[0], 0, scene.shape[1]):
        return
    tight = _solve([measured], phase, trusted, scene, window, TIGHT_ITERATIONS)
    certificate = tight.certificates[0]
    found.iterations[i] += tight.iterations[0]
    rows, columns = f"{window[0]}–{window[1] - 1}", f"{window[2]}–{window[3] - 1}"
    if certificate.unique:
        reason = (
            f"within rows {rows}, columns {columns}, the smallest window that explains the "
            "phase; in the whole frame symmetric blurs of it have the same phase"
        )
        if certificate.reason:
            reason = f"{certificate.reason}; {reason}"
        certificate = replace(certificate, reason=reason)
    elif not certificate.explains:
        reason = (
            f"black borders on opposite sides (content in rows {rows}, columns {columns}): "
            "symmetric blurs have the same phase, and the content was not found"
        )
        certificate = Certificate(Verdict.NOT_UNIQUE, support=window, reason=reason)
    if certificate.explains or certificate.unique or not found.certificates[i].explains:
        found.estimate[i] = tight.estimate[0]
        found.converged[i] = tight.converged[0]
        found.certificates[i] = certificate
