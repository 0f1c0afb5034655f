"""Exact reconstruction: least squares, integers, and the proof that they are right.

The steps, each only for the planes that need it:

1. `cg` on the whole support; at every check the image is scaled to integers
   and encoded again, and a plane whose every phase comes out is done;
2. pixels near integers are fixed and the others solved for again, which repairs
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
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.batching import Block, BlockSolution, solve_planes
from phasegan.reconstruction.exact.blurs import excludes_blurs
from phasegan.reconstruction.exact.certificate import (
    Certificate,
    PlaneObservation,
    Verdict,
    second_singular_value,
)
from phasegan.reconstruction.exact.exclusion import MAX_PHASE_ERROR, exclude_other_integers
from phasegan.reconstruction.exact.integer_search import (
    CertificateConfig,
    explaining_integers,
    repair_pixels,
)
from phasegan.reconstruction.exact.support import (
    Window,
    centrosymmetry,
    shift_to_corner,
    tightest_support,
)
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution
from phasegan.reconstruction.solvers.cg import TOLERANCE, conjugate_gradients

ITERATIONS, UNDETERMINED_ITERATIONS = 1000, 200
"""At most, by default; the latter below M/N = √2, where no proof can follow."""
FIRST_CHECK = 50
CENTROSYMMETRIC = 0.99
INNER_ITERATIONS = 3000
SOLVED, PROVED = 0.4, 0.95
"""Shares of a plane's work up to its solution, and up to its second singular value: a guess
from photographs, for the progress."""
PROOF_FACTOR = 1.5
"""Steps of the proof over iterations of the solution, on photographs 1 to 2."""
LIKELY_GRADIENT = 5e-7
"""Relative gradient at which photographs are near enough to integers."""
WINDOWS_FROM = 0.3
"""Share of the work that is done where smaller windows have to be tried."""
MAX_HALF_TURN_SHARE = 1e-3
"""Share of the energy that may be half a turn off: the linear condition does not tell signs."""
OTHER_CORNER = (
    "solved but for signs: phases of the estimate are half a turn off; does the image stand in "
    "another corner of the frame (fftshift after padding)?"
)
MAX_INNER_RESIDUAL = 2e-3
"""Residual above which phases are noisy, not those of a picture with borders."""


@dataclass
class ExactPlanes:
    """Estimates of n planes and what is proved about them."""

    estimate: NDArray[np.float64]
    """(n, N₁, N₂): integers where certified or explained, else of mean 1."""
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    residual: NDArray[np.float64]
    certificates: list[Certificate]


def reconstruct_exact(
    observations: list[PlaneObservation],
    config: CertificateConfig,
    device: torch.device,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
    progress: Portion = SILENT,
) -> ExactPlanes:
    """Reconstruct planes and certify them.

    Parameters
    ----------
    observations : list of PlaneObservation
        n planes.
    config : CertificateConfig
        Sizes, accuracy and limits that they have in common.
    device : torch.device
        Where to compute.
    callback : callable, optional
        Called with iteration, indices and images, as in `conjugate_gradients`.
    progress : Portion
        Told of the iterations, of the proofs too.

    Returns
    -------
    ExactPlanes
        With one certificate a plane.
    """
    phase = torch.from_numpy(np.stack([plane.phase for plane in observations])).to(device)
    trusted = _stack_trusted(observations, device)
    full_window: Window = (0, config.shape[0], 0, config.shape[1])
    symmetry = centrosymmetry(phase, config.frame, trusted).cpu().numpy()
    symmetric = symmetry > CENTROSYMMETRIC - config.accuracy**2
    planes = _solve(
        observations, phase, trusted, config, full_window, config.iterations, callback, progress
    )
    for i in range(len(observations)):
        if symmetric[i] and not planes.certificates[i].certified:
            planes.certificates[i] = Certificate(
                Verdict.NOT_UNIQUE,
                support=full_window,
                reason="the picture equals itself turned by 180°, or nearly: half of all "
                "directions are free",
            )
        elif (
            not planes.certificates[i].unique
            and config.tighten
            and planes.residual[i] < MAX_INNER_RESIDUAL
        ):
            mask = None if trusted is None or bool(trusted[i].all()) else trusted[i : i + 1]
            share = (1.0 - WINDOWS_FROM) / len(observations)
            further = progress.stage(WINDOWS_FROM + i * share, WINDOWS_FROM + (i + 1) * share)
            _solve_inner_window(planes, i, observations[i], phase[i : i + 1], mask, config, further)
        if planes.certificates[i].certified:
            content = planes.estimate[i].astype(np.int64)
            planes.certificates[i] = _check_blurs(planes.certificates[i], content, config)
    return planes


def _stack_trusted(observations: list[PlaneObservation], device: torch.device) -> Tensor | None:
    if all(plane.trusted is None or plane.trusted.all() for plane in observations):
        return None
    masks = [
        np.ones(plane.phase.shape, bool) if plane.trusted is None else plane.trusted
        for plane in observations
    ]
    return torch.from_numpy(np.stack(masks)).to(device)


def brightness_functional(
    phase: Tensor, trusted: Tensor | None, frame: tuple[int, int], shape: tuple[int, int]
) -> Tensor:
    """Return the linear functional c that fixes the brightness, ⟨c, x⟩ = 1.

    The mean, with the sign that the phase at frequency 0 says; where that is
    not trusted, the product with the phase-only image, Σ|X| in other words.

    Parameters
    ----------
    phase : torch.Tensor
        (n, M₁, M₂ // 2 + 1), radians.
    trusted : torch.Tensor or None
        As `phase`, bool; None: all.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂), float64.
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
    observations: list[PlaneObservation],
    phase: Tensor,
    trusted: Tensor | None,
    config: CertificateConfig,
    window: Window,
    iterations: int,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
    progress: Portion = SILENT,
) -> ExactPlanes:
    """Do steps 1 to 3 on one window."""
    shape = (window[1] - window[0], window[3] - window[2])
    shifted = phase if window[0] == window[2] == 0 else shift_to_corner(phase, config.frame, window)
    operator = PhaseOperator(shifted, config.frame, shape, trusted, config.dtype)
    anchor = brightness_functional(shifted, trusted, config.frame, shape)
    integers: dict[int, list[NDArray[np.int64]]] = {}

    def check(k: int, index: Tensor, images: Tensor) -> Tensor:
        if callback is not None:
            callback(k, index, images)
        stop = torch.zeros(len(index), dtype=torch.bool)
        if k < FIRST_CHECK:
            return stop
        for position, i in enumerate(index.tolist()):
            image = images[position].cpu().numpy()
            explained = explaining_integers(image, observations[i], config, window)
            if explained:
                integers[i] = explained
                stop[position] = True
        return stop

    start = torch.sign(anchor) if trusted is None else anchor
    result = conjugate_gradients(
        operator, anchor, start,
        iterations=iterations, tolerance=config.tolerance, callback=check,
        progress=progress.stage(0.0, SOLVED), likely_end=LIKELY_GRADIENT,
    )  # fmt: skip
    estimate = np.zeros((len(phase), *config.shape))
    inside = np.s_[window[0] : window[1], window[2] : window[3]]
    estimate[:, inside[0], inside[1]] = result.image.cpu().numpy()
    double = operator.as_double()
    residual = double.residual(result.image).cpu().numpy()
    for i in range(len(phase)):
        if i not in integers and residual[i] < 10 * config.residual_floor:
            index = torch.tensor([i], device=phase.device)
            repaired = repair_pixels(
                double.select(index), result.image[i], observations[i], config, window
            )
            if repaired is not None:
                integers[i] = [repaired]
    certificates = [_unsolved_certificate(window, residual[i], config) for i in range(len(phase))]
    solved = [i for i in range(len(phase)) if i in integers or _is_solved(residual[i], config)]
    if solved:
        index = torch.tensor(solved, device=phase.device)
        images = result.image[index]
        for position, i in enumerate(solved):
            if i in integers:
                estimate[i] = integers[i][0]
                images[position] = torch.from_numpy(estimate[i][inside]).to(images)
        gaps = second_singular_value(
            double.select(index),
            images,
            config.min_gap,
            progress=progress.stage(SOLVED, PROVED, "proof: "),
            guess=int(PROOF_FACTOR * int(result.iterations[index.cpu()].max())),
        )
        last = progress.stage(PROVED, 1.0)
        for position, i in enumerate(solved):
            certificates[i] = _certificate(float(gaps[position]), i in integers, window, config)
            if not certificates[i].unique:
                continue
            one = double.select(index[position : position + 1])
            if i in integers:
                certificates[i] = exclude_other_integers(
                    certificates[i], integers[i], one, observations[i], config, last
                )
            elif _half_turn_share(one, images[position]) > MAX_HALF_TURN_SHARE:
                certificates[i] = Certificate(
                    Verdict.NOT_EXPLAINED, support=window, reason=OTHER_CORNER
                )
            elif images[position].max() <= 0:
                reason = "no pixel is positive: the phases look half a turn off (± π, ± 0.5 turns)"
                certificates[i] = replace(certificates[i], reason=reason)
    converged = result.converged.numpy() | np.array([i in integers for i in range(len(phase))])
    return ExactPlanes(estimate, result.iterations.numpy(), converged, residual, certificates)


def _half_turn_share(operator: PhaseOperator, image: Tensor) -> float:
    """Return the share of an image's energy whose phases are half a turn off."""
    aligned = operator.aligned(image[None]).real
    return float(aligned.clamp(max=0.0).square().sum() / aligned.square().sum())


def _determined(config: CertificateConfig) -> bool:
    return 2 * config.shape[0] * config.shape[1] <= config.frame[0] * config.frame[1]


def _is_solved(residual: float, config: CertificateConfig) -> bool:
    """Tell whether a plane is solved as well as its phases allow, up to scale."""
    return (
        residual <= config.residual_floor
        and config.accuracy <= MAX_PHASE_ERROR
        and _determined(config)
    )


def _unsolved_certificate(
    window: Window, residual: float, config: CertificateConfig
) -> Certificate:
    if not _determined(config):
        reason = "too few phases for the pixels: M/N is below √2"
        return Certificate(Verdict.NOT_UNIQUE, support=window, reason=reason)
    if residual <= config.residual_floor:
        reason = "solved, but no integer image in range was found that gives every phase"
    else:
        reason = (
            f"not solved: residual {residual:.2g}, the phases' accuracy allows "
            f"{config.residual_floor:.2g}"
        )
    return Certificate(Verdict.NOT_EXPLAINED, support=window, reason=reason)


def _certificate(
    gap: float, explains: bool, window: Window, config: CertificateConfig
) -> Certificate:
    """Say what the second singular value proves about a solved plane."""
    if gap > config.min_gap:
        reason = "no integer image in range was found that gives every phase"
        return Certificate(
            Verdict.UNIQUE_UP_TO_SCALE, explains, True, gap, support=window, reason=reason
        )
    resolved_gap = None if np.isnan(gap) else gap
    reason = (
        "whether other images fit could not be decided within the allowed steps"
        if resolved_gap is None
        else f"other images have this phase: second singular value {gap:.2g}"
    )
    verdict = Verdict.NOT_UNIQUE if explains or resolved_gap is not None else Verdict.NOT_EXPLAINED
    return Certificate(verdict, explains, False, resolved_gap, support=window, reason=reason)


def _check_blurs(
    certificate: Certificate, image: NDArray[np.int64], config: CertificateConfig
) -> Certificate:
    """Withdraw a certificate if a blur into black borders may be an integer image too.

    The borders are those of the image itself: a window may be wider than its content.
    """
    (top, bottom), (left, right) = (
        (int(occupied[0]), int(occupied[-1]) + 1)
        for occupied in (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    )
    border = min(top, config.shape[0] - bottom), min(left, config.shape[1] - right)
    if border == (0, 0):
        return certificate
    reason = certificate.reason or "black borders on opposite sides leave room for symmetric blurs"
    if excludes_blurs(image[top:bottom, left:right], border, config.data_range):
        return replace(certificate, reason=f"{reason}, none of them integer and in range")
    return replace(
        certificate,
        verdict=Verdict.UNIQUE_UP_TO_SCALE,
        exclusion="",
        reason=f"{reason}, and integer ones are not excluded",
    )


def _solve_inner_window(
    planes: ExactPlanes,
    i: int,
    observation: PlaneObservation,
    phase: Tensor,
    trusted: Tensor | None,
    config: CertificateConfig,
    progress: Portion,
) -> None:
    """Step 4 for plane i."""
    window = tightest_support(
        phase,
        config.frame,
        config.shape,
        config.residual_floor,
        trusted,
        progress.stage(0.0, 0.5),
    )
    if window == (0, config.shape[0], 0, config.shape[1]):
        return
    inner = _solve(
        [observation],
        phase,
        trusted,
        config,
        window,
        INNER_ITERATIONS,
        progress=progress.stage(0.5, 1.0),
    )
    certificate = inner.certificates[0]
    planes.iterations[i] += inner.iterations[0]
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
    if certificate.explains or certificate.unique or not planes.certificates[i].explains:
        planes.estimate[i] = inner.estimate[0]
        planes.converged[i] = inner.converged[0]
        planes.certificates[i] = certificate


def method(problem: Problem) -> Method:
    """Make `cg` ready for a problem: conjugate gradients, integers and certificates.

    Parameters
    ----------
    problem : Problem
        Sizes, data range, noise and settings.

    Returns
    -------
    callable
        The method.
    """
    settings, determined = problem.settings, problem.is_determined

    def run(observation: Observation) -> Solution:
        config = CertificateConfig(
            frame=problem.frame,
            shape=problem.shape,
            data_range=problem.data_range,
            accuracy=observation.accuracy,
            dtype=torch.float32 if settings.dtype == "float32" else torch.float64,
            iterations=settings.iterations
            or (ITERATIONS if determined else UNDETERMINED_ITERATIONS),
            tolerance=TOLERANCE if settings.tolerance is None else settings.tolerance,
            tighten=problem.noise == 0 and determined,
        )

        def solve(block: Block) -> BlockSolution:
            phase = block.phase.cpu().numpy()
            trusted = None if block.trusted is None else block.trusted.cpu().numpy()
            steps = block.half_step
            observations = [
                PlaneObservation(
                    phase[i],
                    None if trusted is None else trusted[i],
                    steps if isinstance(steps, float | int) else np.asarray(steps)[i],
                )
                for i in range(len(phase))
            ]
            planes = reconstruct_exact(
                observations, config, block.device, block.callback(), block.progress
            )
            return BlockSolution(
                planes.estimate, planes.iterations, planes.converged, planes.certificates
            )

        return solve_planes(observation, problem, "cg", solve)

    return run
