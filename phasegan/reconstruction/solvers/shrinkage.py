"""The shrinkage cascade of `phasegan.models.cascade` as a method."""

from __future__ import annotations

import numpy as np

from phasegan.config.options.size import as_size, format_side
from phasegan.errors import InputError
from phasegan.models.cascade import Cascade
from phasegan.models.cascade_fit import MAX_FIT_IMAGES, fit_shrinkage
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution


def can_fit(problem: Problem) -> bool:
    """Return whether the cascade applies: no padding, and training images at hand.

    Parameters
    ----------
    problem : Problem
        Sizes and statistics.

    Returns
    -------
    bool
        False also where the statistics are means alone.
    """
    statistics = problem.statistics
    return problem.frame == problem.shape and statistics is not None and statistics.can_train


def incompatibility(problem: Problem, noise: float = 0.0) -> str | None:
    """Say why the cascade does not take phases, as far as that depends on sizes.

    Parameters
    ----------
    problem : Problem
        Sizes.
    noise : float
        Radians; the cascade takes any.

    Returns
    -------
    str or None
        One line; None if it takes them.
    """
    if problem.frame == problem.shape:
        return None
    m, n = format_side(as_size(problem.frame)), format_side(as_size(problem.shape))
    return (
        f"method shrinkage takes unpadded phases (M = N), these have M = {m}, N = {n}; use auto, "
        "cg or map"
    )


def method(problem: Problem) -> Method:
    """Make `shrinkage` ready: cascades are fitted to training images, one a channel, on first use.

    Parameters
    ----------
    problem : Problem
        Sizes, data range and statistics with training images.

    Returns
    -------
    callable
        The method.

    Raises
    ------
    InputError
        If spectra are padded, or there are no training images.
    """
    reason = incompatibility(problem)
    if reason is not None:
        raise InputError(reason)
    statistics = problem.require_statistics("shrinkage")
    if not statistics.can_train:
        raise InputError(
            "method shrinkage needs training images, not their means alone; name a prepared file "
            "with --statistics FILE.h5"
        )
    cascades: list[Cascade] = []

    def run(observation: Observation) -> Solution:
        phase = observation.phase
        channels = phase.shape[1] if phase.ndim == 4 else 1
        planes = phase.reshape(len(phase), channels, *phase.shape[-2:])
        if not cascades:
            images = statistics.training_images(MAX_FIT_IMAGES)
            images = images.reshape(len(images), channels, *problem.shape)
            for channel in range(channels):
                cascades.append(
                    fit_shrinkage(
                        images[:, channel],
                        data_range=problem.data_range,
                        photographs=statistics.photographs,
                        progress=problem.settings.progress,
                    )
                )
        estimate = np.stack([c(planes[:, i]) for i, c in enumerate(cascades)], axis=1)
        return Solution(estimate.reshape(*phase.shape[:-2], *problem.shape))

    return run
