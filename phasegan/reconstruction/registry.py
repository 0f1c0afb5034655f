"""The methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from phasegan.errors import InputError
from phasegan.reconstruction import iterative
from phasegan.reconstruction.auto import automatic
from phasegan.reconstruction.pretrained import learned, learned_refusal
from phasegan.reconstruction.protocol import Method, Problem, Solution
from phasegan.reconstruction.solvers.constant import mean_image, zero
from phasegan.reconstruction.solvers.mean_magnitude import mean_magnitude
from phasegan.reconstruction.solvers.power_law import power_law
from phasegan.reconstruction.solvers.shrinkage import shrinkage, shrinkage_refusal
from phasegan.reconstruction.solvers.unit_magnitude import neutral_level, unit_magnitude


def _zero(problem: Problem) -> Method:
    return lambda given: Solution(zero(given.phase, problem.shape))


def _mean_image(problem: Problem) -> Method:
    image = problem.require_statistics("mean-image").mean_image
    return lambda given: Solution(mean_image(given.phase, image))


def _unit_magnitude(problem: Problem) -> Method:
    if problem.statistics is None:
        level = neutral_level(problem.frame, problem.data_range)
    else:
        level = float(problem.statistics.mean_magnitude.mean())
    return lambda given: Solution(unit_magnitude(given.phase, problem.shape, level))


def _mean_magnitude(problem: Problem) -> Method:
    magnitude = problem.require_statistics("mean-magnitude").mean_magnitude
    return lambda given: Solution(mean_magnitude(given.phase, problem.shape, magnitude))


def _power_law(problem: Problem) -> Method:
    if problem.statistics is None:
        brightness = problem.data_range / 2
    else:
        brightness = float(problem.statistics.mean_image.mean())
    return lambda given: Solution(power_law(given.phase, problem.shape, brightness))


METHODS: dict[str, Callable[[Problem], Method]] = {
    "zero": _zero,
    "mean-image": _mean_image,
    "unit-magnitude": _unit_magnitude,
    "power-law": _power_law,
    "mean-magnitude": _mean_magnitude,
    "shrinkage": shrinkage,
    "learned": learned,
    "hlo": iterative.hlo,
    "pocs": iterative.pocs,
    "pocs-accelerated": lambda problem: iterative.pocs(problem, accelerated=True),
    "cg": iterative.exact,
    "fista": iterative.projected_fista,
    "map": iterative.posterior,
    "pnp": lambda problem: iterative.posterior(problem, denoising=True),
    "auto": automatic,
}
NEEDS_STATISTICS = frozenset({"mean-image", "mean-magnitude", "shrinkage"})
USES_STATISTICS = NEEDS_STATISTICS | {"unit-magnitude", "power-law", "map", "pnp", "auto"}
BASELINES = ("zero", "mean-image", "unit-magnitude", "mean-magnitude")
"""What costs next to nothing and shows what a number is worth."""


def refusal(name: str, problem: Problem, noise: float) -> str | None:
    """Say why a method does not take phases of a kind; None if it takes them.

    Parameters
    ----------
    name : str
        The method.
    problem : Problem
        Sizes.
    noise : float
        Standard deviation of the phases by noise and rounding together, radians.
    """
    if name == "shrinkage":
        return shrinkage_refusal(problem)
    return learned_refusal(problem, noise) if name == "learned" else None


def check_method(name: str) -> None:
    """Refuse a name that no method has.

    Raises
    ------
    InputError
        Naming the nearest.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(METHODS)}"
        raise InputError(f"method {name!r}: no such method; {hint}")


def make_method(name: str, problem: Problem) -> Method:
    """Make a method ready for a problem.

    Raises
    ------
    InputError
        If there is none of that name (the nearest is named), or it needs
        statistics that the problem lacks.
    """
    check_method(name)
    return METHODS[name](problem)
