"""The shrinkage cascade made ready for a problem."""

from __future__ import annotations

import numpy as np

from phasegan.errors import InputError
from phasegan.models.cascade import Cascade
from phasegan.models.cascade_fit import MAX_FIT_IMAGES, fit_shrinkage
from phasegan.reconstruction.protocol import Method, Observation, Problem, Solution


def can_fit(problem: Problem) -> bool:
    """Tell whether the cascade applies: no padding, and training images at hand."""
    statistics = problem.statistics
    return problem.frame == problem.shape and statistics is not None and statistics.can_train


def shrinkage_refusal(problem: Problem) -> str | None:
    """Say why the cascade does not take phases, as far as that depends on sizes."""
    if problem.frame == problem.shape:
        return None
    return (
        f"method shrinkage takes unpadded phases (M = N), these have M = {problem.frame[0]}, "
        f"N = {problem.shape[0]}; use auto, cg or map"
    )


def shrinkage(problem: Problem) -> Method:
    """Fit a cascade to training images, one a channel, when it is first used.

    Raises
    ------
    InputError
        If spectra are padded, or there are no training images.
    """
    reason = shrinkage_refusal(problem)
    if reason is not None:
        raise InputError(reason)
    statistics = problem.require_statistics("shrinkage")
    if not statistics.can_train:
        raise InputError(
            "method shrinkage needs training images, not their means alone; name a prepared file "
            "with --statistics FILE.h5"
        )
    cascades: list[Cascade] = []

    def method(observation: Observation) -> Solution:
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

    return method
