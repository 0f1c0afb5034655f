"""Which integers: the last step of a certificate, after the shape is proved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.fourier.operator import PhaseOperator
from phasegan.progress import SILENT, Portion
from phasegan.reconstruction.exact.certificate import (
    LANCZOS_ACCURACY,
    Certificate,
    PlaneObservation,
    Verdict,
    misfit,
)
from phasegan.reconstruction.exact.integer_search import CertificateConfig, embed
from phasegan.reconstruction.exact.uniqueness import (
    deviation_radius,
    excludes_neighbours,
    rounding_sensitivity,
    search_scales,
)

MAX_PHASE_ERROR = 1e-3
"""Error of phases, radians, above which an integer image that gives them proves nothing."""
MIN_SAMPLED_PIXELS = 256
"""Pixels that are not 0 in an image whose neighbours are excluded by samples."""


def exclude_other_integers(
    certificate: Certificate,
    candidates: list[NDArray[np.int64]],
    operator: PhaseOperator,
    observation: PlaneObservation,
    config: CertificateConfig,
    progress: Portion = SILENT,
) -> Certificate:
    """Certify an integer image that gives every phase, if no other one does.

    Parameters
    ----------
    certificate : Certificate
        With `explains`, `unique`, `gap` and `support`.
    candidates : list of numpy.ndarray
        (N₁, N₂), int64: the image, and others that were found to give every phase.
    operator : PhaseOperator
        A for this plane, on the window `certificate.support`, float64.
    observation : PlaneObservation
        The phases.
    config : CertificateConfig
        Sizes, data range and accuracy.
    progress : Portion
        Told of the iterations.

    Returns
    -------
    Certificate
        `CERTIFIED` where the others are excluded; else with a reason.
    """
    assert certificate.support is not None
    assert certificate.gap is not None
    window = certificate.support
    image = candidates[0][window[0] : window[1], window[2] : window[3]]
    if config.accuracy > MAX_PHASE_ERROR:
        reason = "the phases are too coarse: other integer images may give them too"
        return replace(certificate, verdict=Verdict.NOT_UNIQUE, unique=False, reason=reason)

    def first_explaining(images: Iterable[NDArray[np.int64]]) -> Certificate | None:
        for candidate in images:
            if misfit(embed(candidate, config, window), observation, config.frame) == 0:
                place = np.unravel_index(np.argmax(image), image.shape)
                reason = (
                    "other integers give the same phases, such as "
                    f"{candidate[place]} where this image has {image[place]}"
                )
                return replace(certificate, reason=reason)
        return None

    def certified(exclusion: Literal["bound", "sampled"]) -> Certificate:
        return replace(certificate, verdict=Verdict.CERTIFIED, exclusion=exclusion, reason="")

    if len(candidates) > 1:
        others = [full[window[0] : window[1], window[2] : window[3]] for full in candidates[1:]]
        return first_explaining(others) or certificate
    tensor = torch.from_numpy(image).double().to(operator.device)[None]
    least = certificate.gap * np.sqrt(1.0 - LANCZOS_ACCURACY)
    radius = deviation_radius(operator, tensor, observation.half_step, least)
    search = search_scales(image, config.data_range, radius)
    if refuted := first_explaining(search.candidates):
        return refuted
    if search.complete and excludes_neighbours(image, config.data_range, radius):
        return certified("bound")
    pixels = int(np.count_nonzero(image))
    if pixels >= MIN_SAMPLED_PIXELS:
        rounding = rounding_sensitivity(operator, tensor, observation.half_step, progress)
        if not search.complete:
            search = search_scales(image, config.data_range, rounding.radius(pixels))
            if refuted := first_explaining(search.candidates):
                return refuted
        if search.complete and rounding.separates(config.data_range / image.max()):
            return certified("sampled")
    reason = "other integer images that give the same phases are not excluded"
    return replace(certificate, reason=reason)
