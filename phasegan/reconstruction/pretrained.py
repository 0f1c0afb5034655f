"""The trained model that comes with phasegan, as the method `learned`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from phasegan.config.options.size import as_size, option_text
from phasegan.config.run import NEARLY_EXACT, PhaseConfig
from phasegan.config.run_folder import RunFolder
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.fourier.convention import frame_ratio
from phasegan.io.package_data import shipped_folder
from phasegan.reconstruction.learned import LearnedMethod, describe_size
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution

PRETRAINED_RUN = "photographs128"
STORAGE_FACTOR = 1.001
"""Factor on the largest noise: what a file format adds to it does not count."""


def pretrained_run() -> Path:
    """Return the run folder that comes with phasegan."""
    return shipped_folder("pretrained", "phasegan/pretrained") / PRETRAINED_RUN


@cache
def _config() -> PhaseConfig:
    return RunFolder(pretrained_run()).read_phase_config()


@cache
def _model(device: str) -> LearnedMethod:
    return LearnedMethod(pretrained_run(), choose_device(device))


def image_size() -> int:
    """Return N, pixels along a side of the images of the model that comes with phasegan."""
    return _config().data.shape[0]


def incompatibility(problem: Problem, noise: float) -> str | None:
    """Say why the model that comes with phasegan does not take phases.

    Parameters
    ----------
    problem : Problem
        Sizes.
    noise : float
        Standard deviation of the phases by noise and rounding together, radians.

    Returns
    -------
    str or None
        One line; None if it takes them.
    """
    data = _config().data
    max_noise = max(NEARLY_EXACT, data.phase_error)
    expected = describe_size(data.size, data.padded)
    advice = "train a model on phases like these (phasegan train), or use --method auto"
    if (problem.shape, problem.frame) != (data.shape, data.frame):
        size = describe_size(as_size(problem.shape), as_size(problem.frame))
        ratio = frame_ratio(data.shape, data.frame)
        return (
            f"method learned takes phases of {expected}, these have {size}; prepare with "
            f"--size {option_text(data.size)} --oversample {ratio:g}, {advice}"
        )
    if noise > STORAGE_FACTOR * max_noise:
        return (
            f"method learned takes phases of {expected} with noise and rounding up to "
            f"{max_noise:g} rad together, these have {noise:.2g} rad; {advice}"
        )
    return None


def method(problem: Problem) -> Method:
    """Make `learned` ready: the model that comes with phasegan, colour channel by channel.

    Parameters
    ----------
    problem : Problem
        Sizes, data range, noise and settings.

    Returns
    -------
    callable
        The method.

    Raises
    ------
    InputError
        If it does not take such phases, now or when their rounding is seen.
    """

    def check(noise: float) -> None:
        error = incompatibility(problem, noise)
        if error is not None:
            raise InputError(error)

    check(problem.noise)

    def run(observation: Observation) -> Solution:
        check(problem.effective_noise(observation))
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

    return run
