"""The methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from phasegan.errors import InputError
from phasegan.reconstruction.constant import mean_image, zero
from phasegan.reconstruction.mean_magnitude import mean_magnitude
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.unit_magnitude import neutral_level, unit_magnitude


def _zero(problem: Problem) -> Method:
    return lambda phase: zero(phase, problem.shape)


def _mean_image(problem: Problem) -> Method:
    image = problem.require_statistics("mean-image").mean_image
    return lambda phase: mean_image(phase, image)


def _unit_magnitude(problem: Problem) -> Method:
    if problem.statistics is None:
        level = neutral_level(problem.frame, problem.data_range)
    else:
        level = float(problem.statistics.mean_magnitude.mean())
    return lambda phase: unit_magnitude(phase, problem.shape, level)


def _mean_magnitude(problem: Problem) -> Method:
    magnitude = problem.require_statistics("mean-magnitude").mean_magnitude
    return lambda phase: mean_magnitude(phase, problem.shape, magnitude)


METHODS: dict[str, Callable[[Problem], Method]] = {
    "zero": _zero,
    "mean-image": _mean_image,
    "unit-magnitude": _unit_magnitude,
    "mean-magnitude": _mean_magnitude,
}
NEEDS_STATISTICS = frozenset({"mean-image", "mean-magnitude"})


def make_method(name: str, problem: Problem) -> Method:
    """Make a method ready for a problem.

    Raises
    ------
    InputError
        If there is none of that name (the nearest is named), or it needs
        statistics that the problem lacks.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(METHODS)}"
        raise InputError(f"method {name!r}: no such method; {hint}")
    return METHODS[name](problem)
