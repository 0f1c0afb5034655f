"""Which integers: the last step of a certificate, after the shape is proved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.fourier.operator import PhaseOperator
from phasegan.reconstruction.exact.certificate import (
    LANCZOS_ACCURACY,
    Certificate,
    Measured,
    Verdict,
    misfit,
)
from phasegan.reconstruction.exact.integer_search import Scene, placed
from phasegan.reconstruction.exact.uniqueness import (
    deviation_radius,
    excludes_neighbours,
    other_scales,
    rounding_sensitivity,
)

COARSE = 1e-3
"""Error of phases, radians, above which an integer image that gives them proves nothing."""
FEWEST_SAMPLED = 256
"""Pixels that are not 0 in an image whose neighbours are excluded by samples."""


def exclude_others(
    certificate: Certificate,
    explaining: list[NDArray[np.int64]],
    operator: PhaseOperator,
    measured: Measured,
    scene: Scene,
) -> Certificate:
    """Certify an integer image that gives every phase, if no other one does.

    Parameters
    ----------
    certificate : Certificate
        What is known: `explains`, `unique`, `gap` and `support`.
    explaining : list of numpy.ndarray
        (N₁, N₂), int64: the image, and others that were found to give every phase.
    operator : PhaseOperator
        A for this plane, on the window `certificate.support`, float64.
    measured, scene : Measured, Scene
        The phases.
    """
    assert certificate.support is not None
    assert certificate.gap is not None
    window = certificate.support
    image = explaining[0][window[0] : window[1], window[2] : window[3]]
    if scene.accuracy > COARSE:
        reason = "the phases are too coarse: other integer images may give them too"
        return replace(certificate, verdict=Verdict.NOT_UNIQUE, unique=False, reason=reason)

    def other(candidates: Iterable[NDArray[np.int64]]) -> Certificate | None:
        for candidate in candidates:
            if misfit(placed(candidate, scene, window), measured, scene.frame) == 0:
                place = np.unravel_index(np.argmax(image), image.shape)
                reason = (
                    "other integers give the same phases, such as "
                    f"{candidate[place]} where this image has {image[place]}"
                )
                return replace(certificate, reason=reason)
        return None

    def certified(exclusion: Literal["bound", "sampled"]) -> Certificate:
        return replace(certificate, verdict=Verdict.CERTIFIED, exclusion=exclusion, reason="")

    if len(explaining) > 1:
        rest = [full[window[0] : window[1], window[2] : window[3]] for full in explaining[1:]]
        return other(rest) or certificate
    tensor = torch.from_numpy(image).double().to(operator.device)[None]
    least = certificate.gap * np.sqrt(1.0 - LANCZOS_ACCURACY)
    radius = deviation_radius(operator, tensor, measured.half_step, least)
    near = other_scales(image, scene.data_range, radius)
    if found := other(near.candidates):
        return found
    if near.complete and excludes_neighbours(image, scene.data_range, radius):
        return certified("bound")
    pixels = int(np.count_nonzero(image))
    if pixels >= FEWEST_SAMPLED:
        rounding = rounding_sensitivity(operator, tensor, measured.half_step)
        if not near.complete:
            near = other_scales(image, scene.data_range, rounding.radius(pixels))
            if found := other(near.candidates):
                return found
        if near.complete and rounding.separates(scene.data_range / image.max()):
            return certified("sampled")
    reason = "other integer images that give the same phases are not excluded"
    return replace(certificate, reason=reason)
