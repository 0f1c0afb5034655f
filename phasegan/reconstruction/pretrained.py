"""The trained model that comes with phasegan, as the method `learned`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from phasegan.config.run import NEARLY_EXACT, PhaseConfig
from phasegan.config.run_folder import RunFolder
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.io.atomic import shipped_folder
from phasegan.reconstruction.iterative import effective_noise
from phasegan.reconstruction.learned import LearnedMethod, extent
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution

SHIPPED = "photographs128"
STORAGE = 1.001
"""Factor on the largest noise: what a file format adds to it does not count."""


def shipped_run() -> Path:
    """Return the run folder that comes with phasegan."""
    return shipped_folder("pretrained", "phasegan/pretrained") / SHIPPED


@cache
def _config() -> PhaseConfig:
    return RunFolder(shipped_run()).read_phase_config()


@cache
def _model(device: str) -> LearnedMethod:
    return LearnedMethod(shipped_run(), choose_device(device))


def learned_refusal(problem: Problem, noise: float) -> str | None:
    """Say why the shipped model does not take phases; None if it takes them.

    Parameters
    ----------
    problem : Problem
        Sizes.
    noise : float
        Standard deviation of the phases by noise and rounding together, radians.
    """
    data = _config().data
    most = max(NEARLY_EXACT, data.phase_error)
    (rows, columns), (padded, _) = problem.shape, problem.frame
    own = extent(data.size, data.padded)
    others = "train a model on phases like these (phasegan train), or use --method auto"
    if (rows, columns, *problem.frame) != (data.size, data.size, data.padded, data.padded):
        square = rows == columns
        given = extent(rows, padded) if square else f"N = {rows}×{columns}, M = {padded}"
        ratio = data.padded / data.size
        return (
            f"method learned takes phases of {own}, these have {given}; prepare with "
            f"--size {data.size} --oversample {ratio:g}, {others}"
        )
    if noise > STORAGE * most:
        return (
            f"method learned takes phases of {own} with noise and rounding up to {most:g} rad "
            f"together, these have {noise:.2g} rad; {others}"
        )
    return None


def learned(problem: Problem) -> Method:
    """Make the shipped model ready; colour goes channel by channel.

    Raises
    ------
    InputError
        If it does not take such phases, now or when their rounding is seen.
    """

    def check(noise: float) -> None:
        reason = learned_refusal(problem, noise)
        if reason is not None:
            raise InputError(reason)

    check(problem.noise)

    def method(observation: Observation) -> Solution:
        check(effective_noise(observation, problem))
        model = _model(str(choose_device(problem.settings.device)))
        phase, trusted = observation.phase, observation.trusted
        planes = (-1, *phase.shape[-2:])
        solution = model(
            Observation(
                phase.reshape(planes), None if trusted is None else trusted.reshape(planes)
            ),
            problem.data_range,
        )
        shape = (*phase.shape[:-2], *problem.shape)
        return replace(solution, estimate=solution.estimate.reshape(shape))

    return method
