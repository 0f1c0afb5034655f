"""Methods and runs in one form, as the atlas compares them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from phasegan.config.run import degradation_error
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.fourier.convention import half_plane
from phasegan.reconstruction.learned import LearnedMethod
from phasegan.reconstruction.protocol import Method, Problem
from phasegan.reconstruction.registry import NEEDS_STATISTICS, incompatibility, make_method


@dataclass(frozen=True)
class MethodSpec:
    """A method or a run.

    Attributes
    ----------
    name : str
        As it is shown.
    identity : str
        The method, or the run's configuration and the checksum of its weights.
    incompatibility : callable
        Takes a problem and the bits that phases are rounded to, or None; says why
        this method does not take such phases, or None.
    make : callable
        Makes the method ready for a problem.
    """

    name: str
    identity: str
    incompatibility: Callable[[Problem, int | None], str | None]
    make: Callable[[Problem], Method]


def methods_and_runs(
    methods: Sequence[str],
    runs: Sequence[str | os.PathLike[str]],
    *,
    device: str,
    planes: tuple[int, ...],
) -> list[MethodSpec]:
    """List methods, then runs.

    Parameters
    ----------
    methods : sequence of str
        Names, which exist.
    runs : sequence of path
        Run folders.
    device : {"auto", "cpu", "cuda", "mps"}
        Where runs are computed.
    planes : tuple of int
        () for grey images, (3,) for colour.

    Returns
    -------
    list of MethodSpec
        Runs of one label are told apart by their folders.

    Raises
    ------
    InputError
        If a run cannot be opened.
    """
    opened = [LearnedMethod(Path(run), choose_device(device)) for run in runs]
    count = Counter([*methods, *(learned.label for learned in opened)])
    names = [
        learned.label if count[learned.label] == 1 else f"{learned.label} ({learned.folder.path})"
        for learned in opened
    ]
    return [
        *(_method(name) for name in methods),
        *(_run(name, run, planes) for name, run in zip(names, opened, strict=True)),
    ]


def _method(name: str) -> MethodSpec:
    def incompatible(problem: Problem, bits: int | None) -> str | None:
        return incompatibility(name, problem, degradation_error(problem.noise, bits))

    def make(problem: Problem) -> Method:
        if problem.statistics is None and name in NEEDS_STATISTICS:
            raise InputError(
                f"method {name}: the file has no training images to take statistics from"
            )
        return make_method(name, problem)

    return MethodSpec(name, name, incompatible, make)


def _run(name: str, run: LearnedMethod, planes: tuple[int, ...]) -> MethodSpec:
    def incompatible(problem: Problem, bits: int | None) -> str | None:
        phases = (*planes, *half_plane(problem.frame))
        return run.incompatibility(
            phases, "this sweep", shape=problem.shape, noise=problem.noise, bits=bits
        )

    def make(problem: Problem) -> Method:
        return lambda observation: run(observation, problem.data_range)

    return MethodSpec(
        name, f"{run.config.model_dump_json()} {run.weights_digest}", incompatible, make
    )
