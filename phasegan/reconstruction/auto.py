"""The method that a problem calls for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phasegan.reconstruction import iterative
from phasegan.reconstruction.exact.certificate import Certificate, Verdict
from phasegan.reconstruction.exact.solver import OTHER_CORNER
from phasegan.reconstruction.inputs.conventions import name_convention, name_signs
from phasegan.reconstruction.noise_level import estimated_noise, share_left
from phasegan.reconstruction.pretrained import learned, learned_refusal
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution
from phasegan.reconstruction.solvers.shrinkage import can_fit, shrinkage

AS_NOISY = Certificate(Verdict.NOT_TRIED, reason="solved again with map, as noisy")
CLEAN = 2e-3
"""Radians of noise and rounding up to which phases are taken to be exact."""


def choose(problem: Problem, noise: float) -> str:
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
        images to learn from, or `learned`, where the model that comes with
        phasegan takes the phases.
    """
    if problem.oversampling**2 >= 2:
        return "cg" if noise <= CLEAN else "map"
    if can_fit(problem):
        return "shrinkage"
    return "map" if learned_refusal(problem, noise) else "learned"


def automatic(problem: Problem) -> Method:
    """Choose by oversampling, noise and what is known of images."""
    fitted = shrinkage(problem) if can_fit(problem) else None

    def method(observation: Observation) -> Solution:
        name = choose(problem, iterative.effective_noise(observation, problem))
        problem.settings.progress.detail(f"auto: {name}")
        if fitted is not None and name == "shrinkage":
            found = fitted(observation)
        elif name == "learned":
            found = learned(problem)(observation)
        elif name == "map":
            found = iterative.posterior(problem)(observation)
        else:
            found = iterative.exact(problem)(observation)
            _notice_signs(found, problem)
            found = _noticing_noise(found, observation, problem)
        return replace(found, method=found.method or name)

    return method


def _noticing_noise(solution: Solution, observation: Observation, problem: Problem) -> Solution:
    """Solve again, as noisy, the samples whose phases no image can have.

    The residual of least squares gives a first guess of their noise, and each
    sample is then solved with an estimate of its own, see `estimated_noise`.
    """
    assert solution.residual is not None
    assert solution.certificates is not None
    assert solution.iterations is not None
    assert solution.converged is not None
    count = len(observation)
    residual = solution.residual.reshape(count, -1).max(axis=1)
    guess = residual / np.sqrt(share_left(problem))
    unexplained = [not c.explains for c in solution.certificates]
    bad = np.array(unexplained).reshape(count, -1).any(axis=1) & (guess > CLEAN)
    if not bad.any():
        return solution
    noise = estimated_noise(_chosen(observation, bad), problem, guess[bad])
    about = " to ".join(f"{sigma:g}" for sigma in sorted({noise.min(), noise.max()}))
    some = f"the phases of {int(bad.sum())} of {count} samples are those of no image"
    other = _other_convention(observation, problem, int(np.flatnonzero(bad)[0]), residual)
    if other is None:
        problem.settings.progress.warn(
            f"{some}: taken as noisy, about {about} rad; if you know it better, --noise SIGMA "
            "(noise=…)"
        )
    else:
        problem.settings.progress.warn(
            f"{some} in the top left corner of the frame; those of the first are those of {other}; "
            "solved is only what in the corner fits best"
        )
    estimate, found = solution.estimate.copy(), solution.residual.copy()
    iterations, converged = solution.iterations.copy(), solution.converged.copy()
    for sigma in np.unique(noise):
        rows = np.flatnonzero(bad)[noise == sigma]
        solve = iterative.posterior(replace(problem, noise=float(sigma)))
        again = solve(_chosen(observation, rows))
        assert again.residual is not None
        assert again.iterations is not None
        assert again.converged is not None
        estimate[rows], found[rows] = again.estimate, again.residual
        iterations[rows], converged[rows] = again.iterations, again.converged
    planes = np.repeat(bad, len(solution.certificates) // count)
    certificates = [
        AS_NOISY if noisy else certificate
        for certificate, noisy in zip(solution.certificates, planes, strict=True)
    ]
    return replace(
        solution,
        estimate=estimate,
        residual=found,
        iterations=iterations,
        converged=converged,
        certificates=None if bad.all() else certificates,
        method="map" if bad.all() else "cg, map",
    )


def _other_convention(
    observation: Observation, problem: Problem, number: int, residual: np.ndarray
) -> str | None:
    """Say of which convention the phases of a sample may be, by its first plane."""
    plane = (number, *(0,) * (observation.phase.ndim - 3))
    trusted = None if observation.trusted is None else observation.trusted[plane]
    return name_convention(
        observation.phase[plane], trusted, problem.frame, problem.shape, float(residual[number])
    )


def _notice_signs(solution: Solution, problem: Problem) -> None:
    """Say what images with negative pixels may be that have all phases."""
    assert solution.certificates is not None
    planes = solution.estimate.reshape(-1, *problem.shape)
    names = [
        _odd(plane, certificate)
        for plane, certificate in zip(planes, solution.certificates, strict=True)
    ]
    for name in dict.fromkeys(filter(None, names)):
        problem.settings.progress.warn(f"{names.count(name)} of {len(names)} planes: {name}")


def _odd(image: np.ndarray, certificate: Certificate) -> str | None:
    if certificate.reason == OTHER_CORNER:
        return OTHER_CORNER
    name = name_signs(image) if certificate.unique and not certificate.explains else None
    return None if name is None else f"their phases are those of {name}"


def _chosen(observation: Observation, which: np.ndarray) -> Observation:
    trusted, steps = observation.trusted, observation.half_step
    return Observation(
        observation.phase[which],
        None if trusted is None else trusted[which],
        steps if np.ndim(steps) == 0 else np.asarray(steps)[which],
    )
