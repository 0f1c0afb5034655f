"""The method `auto`: chosen by oversampling, noise and statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phasegan.reconstruction import pretrained
from phasegan.reconstruction.exact import solver as exact
from phasegan.reconstruction.exact.certificate import Certificate, Verdict
from phasegan.reconstruction.inputs.conventions import (
    identify_convention,
    identify_padding,
    identify_signs,
)
from phasegan.reconstruction.noise_level import estimate_noise, residual_share
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution
from phasegan.reconstruction.solvers import learned_coarse, posterior, shrinkage

SOLVED_AS_NOISY = Certificate(Verdict.NOT_TRIED, reason="solved again with map, as noisy")
UNEXPLAINED_RESIDUAL = 4.0
"""Times the accuracy of phases: a residual above is not that of their rounding."""
MAX_EXACT_NOISE = 2e-3
"""Radians of noise and rounding up to which phases are taken to be exact."""


def choose_method(problem: Problem, noise: float) -> str:
    """Return the name of the method that `auto` takes.

    Parameters
    ----------
    problem : Problem
        Sizes and statistics.
    noise : float
        Standard deviation of the phases by noise and rounding together, radians.

    Returns
    -------
    str
        `cg` where the phases are clean and M/N ≥ √2; `map` where they are
        noisy or too few; without padding `shrinkage`, where there are training
        images to learn from, or `learned` or `learned-coarse`, where the model that
        comes with phasegan takes the phases or those of their lowest frequencies.
    """
    if problem.is_determined:
        return "cg" if noise <= MAX_EXACT_NOISE else "map"
    if shrinkage.can_fit(problem):
        return "shrinkage"
    if pretrained.incompatibility(problem, noise) is None:
        return "learned"
    return "map" if learned_coarse.incompatibility(problem, noise) else "learned-coarse"


def _why_not_learned(problem: Problem, name: str) -> str:
    """Say why `auto` takes a method for too few phases instead of `learned`."""
    side = pretrained.image_size()
    if name == "learned-coarse":
        return (
            f"learned takes {side}×{side} pixels: learned-coarse instead, its model on the "
            f"frequencies below {side // 2} cycles an image"
        )
    if problem.frame != problem.shape:
        return "learned takes unpadded phases: map instead"
    if min(problem.shape) < side:
        return f"learned takes {side}×{side} pixels, learned-coarse more: map instead"
    return "learned and learned-coarse take phases with less noise and rounding: map instead"


def method(problem: Problem) -> Method:
    """Make `auto` ready: the method is chosen by oversampling, noise and statistics.

    Parameters
    ----------
    problem : Problem
        Sizes, noise, statistics and settings.

    Returns
    -------
    callable
        The method.
    """
    fitted = shrinkage.method(problem) if shrinkage.can_fit(problem) else None

    def run(observation: Observation) -> Solution:
        name = choose_method(problem, problem.effective_noise(observation))
        problem.settings.progress.detail(f"auto: {name}")
        if fitted is not None and name == "shrinkage":
            solution = fitted(observation)
        elif name == "learned":
            solution = pretrained.method(problem)(observation)
        elif name == "learned-coarse":
            problem.settings.progress.say(_why_not_learned(problem, name))
            solution = learned_coarse.method(problem)(observation)
        elif name == "map":
            if not problem.is_determined:
                problem.settings.progress.say(_why_not_learned(problem, name))
            solution = posterior.method(problem)(observation)
        else:
            solution = exact.method(problem)(observation)
            _warn_of_signs(solution, problem)
            if not _name_convention(solution, observation, problem):
                solution = _resolve_noisy(solution, observation, problem)
        if name != "cg":
            _name_unsolved(solution, observation, problem)
        return replace(solution, method=solution.method or name)

    return run


def _resolve_noisy(solution: Solution, observation: Observation, problem: Problem) -> Solution:
    """Solve again, as noisy, the samples whose phases no image can have.

    The residual of least squares gives a first guess of their noise, and each
    sample is then solved with an estimate of its own, see `estimate_noise`.
    """
    assert solution.residual is not None
    assert solution.certificates is not None
    assert solution.iterations is not None
    assert solution.converged is not None
    count = len(observation)
    worst = solution.residual.reshape(count, -1).max(axis=1)
    guess = worst / np.sqrt(residual_share(problem))
    silent = observation.silent_planes
    unexplained = [not c.explains for c in solution.certificates] & ~silent
    noisy = np.array(unexplained).reshape(count, -1).any(axis=1) & (guess > MAX_EXACT_NOISE)
    if not noisy.any():
        return solution
    noise = estimate_noise(observation.select(noisy), problem, guess[noisy])
    about = " to ".join(f"{sigma:g}" for sigma in sorted({noise.min(), noise.max()}))
    problem.settings.progress.warn(
        f"the phases of {int(noisy.sum())} of {count} samples are those of no image: taken as "
        f"noisy, about {about} rad; if you know it better, --noise SIGMA (noise=…)"
    )
    estimate, residual = solution.estimate.copy(), solution.residual.copy()
    iterations, converged = solution.iterations.copy(), solution.converged.copy()
    for sigma in np.unique(noise):
        rows = np.flatnonzero(noisy)[noise == sigma]
        solve = posterior.method(replace(problem, noise=float(sigma)))
        noisy_solution = solve(observation.select(rows))
        assert noisy_solution.residual is not None
        assert noisy_solution.iterations is not None
        assert noisy_solution.converged is not None
        estimate[rows], residual[rows] = noisy_solution.estimate, noisy_solution.residual
        iterations[rows], converged[rows] = noisy_solution.iterations, noisy_solution.converged
    planes = np.repeat(noisy, len(solution.certificates) // count)
    certificates = [
        SOLVED_AS_NOISY if is_noisy else certificate
        for certificate, is_noisy in zip(solution.certificates, planes, strict=True)
    ]
    return replace(
        solution,
        estimate=estimate,
        residual=residual,
        iterations=iterations,
        converged=converged,
        certificates=None if noisy.all() else certificates,
        method="map" if noisy.all() else "cg, map",
    )


def _name_convention(solution: Solution, observation: Observation, problem: Problem) -> bool:
    """Say which convention explains phases that no image in the corner has; False if none."""
    assert solution.certificates is not None
    assert solution.residual is not None
    count = len(observation)
    worst = solution.residual.reshape(count, -1).max(axis=1)
    in_other_corner = [c.reason == exact.OTHER_CORNER for c in solution.certificates]
    elsewhere = np.atleast_1d(np.array(in_other_corner).reshape(count, -1).any(axis=1))
    explained = np.array([c.explains for c in solution.certificates]).reshape(count, -1).all(axis=1)
    foreign = np.asarray(elsewhere | ~explained & (worst > MAX_EXACT_NOISE))
    if problem.convention is None or not foreign.any():
        return False
    number = int(np.flatnonzero(foreign)[0])
    residual = 1.0 if elsewhere[number] else float(worst[number])
    explanation = identify_convention(
        *_first_plane(observation, number), problem.frame, problem.shape, residual,
        problem.convention,
    )  # fmt: skip
    if explanation is None:
        return False
    as_ours = (problem.convention.origin, problem.convention.sign) == ("corner", "-")
    place = "in the top left corner of the frame" if as_ours else "by these options"
    _warn(
        problem,
        f"the phases of {foreign.sum()} of {count} samples are those of no image {place}; those of "
        f"the first are explained with {explanation}",
    )
    return True


def _name_unsolved(solution: Solution, observation: Observation, problem: Problem) -> None:
    """Say which convention explains phases that were too coarse or too few to be solved."""
    if problem.convention is None or problem.noise > 0 or solution.residual is None:
        return
    plane = _first_plane(observation, 0)
    explanation = None
    if problem.shape == problem.frame:
        explanation = identify_padding(*plane, problem.frame, problem.convention)
    elif problem.is_determined:
        residual = float(solution.residual.reshape(-1)[0])
        if residual > UNEXPLAINED_RESIDUAL * max(observation.accuracy, MAX_EXACT_NOISE):
            explanation = identify_convention(
                *plane, problem.frame, problem.shape, residual, problem.convention
            )
    if explanation is not None:
        _warn(problem, f"the phases of the first sample are explained with {explanation}")


def _warn(problem: Problem, text: str) -> None:
    problem.settings.progress.warn(text)


def _first_plane(observation: Observation, number: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the first plane of a sample, and what of it is trusted."""
    plane = (number, *(0,) * (observation.phase.ndim - 3))
    trusted = None if observation.trusted is None else observation.trusted[plane]
    return np.asarray(observation.phase[plane], np.float64), trusted


def _warn_of_signs(solution: Solution, problem: Problem) -> None:
    """Say what images with negative pixels may be that have all phases."""
    assert solution.certificates is not None
    if problem.convention is None or problem.convention.mean_removed:
        return
    planes = solution.estimate.reshape(-1, *problem.shape)
    found = [
        identify_signs(plane, problem.frame, problem.convention)
        for plane, certificate in zip(planes, solution.certificates, strict=True)
        if certificate.unique and not certificate.explains
    ]
    names = [explanation for explanation in found if explanation is not None]
    for name in dict.fromkeys(names):
        said = f"are explained with {name}" if name.options else f"are those of {name}"
        _warn(problem, f"the phases of {names.count(name)} of {len(planes)} planes {said}")
