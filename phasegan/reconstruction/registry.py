"""The methods by name. A new one is a file in `solvers/` and a line here."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from phasegan.errors import InputError
from phasegan.reconstruction import auto, pretrained
from phasegan.reconstruction.exact import solver as cg
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.solvers import (
    constant,
    fista,
    hlo,
    learned_coarse,
    mean_magnitude,
    pnp,
    pocs,
    posterior,
    power_law,
    shrinkage,
    unit_magnitude,
)


@dataclass(frozen=True)
class MethodEntry:
    """A method of the registry."""

    build: Callable[[Problem], Method]
    """Makes it ready for a problem."""
    statistics: Literal["unused", "used", "required"] = "unused"
    """Whether statistics of training images are unused, used or required."""
    incompatibility: Callable[[Problem, float], str | None] = lambda problem, noise: None
    """Says why it does not take phases with noise, radians; None if it does."""


METHODS: dict[str, MethodEntry] = {
    "zero": MethodEntry(constant.zero_method),
    "mean-image": MethodEntry(constant.mean_image_method, "required"),
    "unit-magnitude": MethodEntry(unit_magnitude.method, "used"),
    "power-law": MethodEntry(power_law.method, "used"),
    "mean-magnitude": MethodEntry(mean_magnitude.method, "required"),
    "shrinkage": MethodEntry(shrinkage.method, "required", shrinkage.incompatibility),
    "learned": MethodEntry(pretrained.method, "unused", pretrained.incompatibility),
    "learned-coarse": MethodEntry(learned_coarse.method, "unused", learned_coarse.incompatibility),
    "hlo": MethodEntry(hlo.method),
    "pocs": MethodEntry(pocs.method),
    "pocs-accelerated": MethodEntry(partial(pocs.method, accelerated=True)),
    "cg": MethodEntry(cg.method),
    "fista": MethodEntry(fista.method),
    "map": MethodEntry(posterior.method, "used"),
    "pnp": MethodEntry(pnp.method, "used"),
    "auto": MethodEntry(auto.method, "used"),
}
NEEDS_STATISTICS = frozenset(n for n, entry in METHODS.items() if entry.statistics == "required")
USES_STATISTICS = frozenset(n for n, entry in METHODS.items() if entry.statistics != "unused")
BASELINES = ("zero", "mean-image", "unit-magnitude", "mean-magnitude")
"""Methods that cost next to nothing and show what a score is worth."""


def incompatibility(name: str, problem: Problem, noise: float) -> str | None:
    """Say why a method does not take phases of a kind.

    Parameters
    ----------
    name : str
        The method's, one of `METHODS`.
    problem : Problem
        Sizes.
    noise : float
        Standard deviation of the phases by noise and rounding together, radians.

    Returns
    -------
    str or None
        One line; None if it takes them.
    """
    return METHODS[name].incompatibility(problem, noise)


def check_method(name: str) -> None:
    """Refuse a name that no method has.

    Parameters
    ----------
    name : str
        The name as a user wrote it.

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

    Parameters
    ----------
    name : str
        One of `METHODS`.
    problem : Problem
        Sizes, data range, noise, statistics and settings.

    Returns
    -------
    callable
        The method.

    Raises
    ------
    InputError
        If there is none of that name (the nearest is named), or it needs
        statistics that the problem lacks.
    """
    check_method(name)
    return METHODS[name].build(problem)
