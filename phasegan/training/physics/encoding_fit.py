"""Fit the shrinkage cascades of a generator's encodings to the images of domain B."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.eta import LinearCost
from phasegan.fourier.phase_encoder import PhaseEncoder
from phasegan.models.cascade import Coefficients
from phasegan.models.cascade_fit import MAX_FIT_IMAGES, MIRROR_BELOW, fit_shrinkage
from phasegan.models.spectral import EncodingContext, SpectralGenerator
from phasegan.progress import Progress
from phasegan.training.data.phases import PhysicsBatches
from phasegan.training.seeding import seeded_generator

MOST_CORRECTED = 400
"""Largest number of images whose estimates a cascade is fitted to correct."""

BENCHMARK_FITS = (16, 64)
"""Images that fits are timed on: enough that their cost outweighs the fixed one."""

_BATCH = 8
_NOISE = 5


def fit_cascades(
    generator: SpectralGenerator,
    batches: PhysicsBatches,
    folds: list[NDArray[np.int64]],
    encode: PhaseEncoder,
    progress: Progress,
) -> list[list[Coefficients]]:
    """Fit shrinkage cascades to images of domain B.

    Parameters
    ----------
    generator : SpectralGenerator
        The cascades' owner; its mean magnitude is set already.
    batches : PhysicsBatches
        Of the run.
    folds : list of numpy.ndarray
        From `batches.make_folds`.
    encode : PhaseEncoder
        From images to phases, noise included.
    progress : Progress
        Shows the images passed.

    Returns
    -------
    list of list of Coefficients
        One a channel: fitted to all images, then to all but one fold after the
        other, if there are folds. Cascades that correct an estimate have few
        terms that could overfit the images, and no folds.
    """
    corrected = None if generator.exact else encode
    return [
        _fit(generator, batches, rows, progress, corrected)
        for rows in _rows(generator, batches, folds)
    ]


def benchmark_fits(
    generator: SpectralGenerator,
    batches: PhysicsBatches,
    encode: PhaseEncoder,
    folds: list[NDArray[np.int64]],
) -> float:
    """Return the seconds that `fit_cascades` will take: linear in the images it passes.

    Parameters
    ----------
    generator, batches, encode
        As in `fit_cascades`.
    folds : list of numpy.ndarray
        From `batches.make_folds`.

    Returns
    -------
    float
        Extrapolated from fits to a few images.
    """
    corrected = None if generator.exact else encode

    def passed(count: int) -> int:
        mirrored = generator.exact and count < MIRROR_BELOW
        return count * (1 + mirrored)

    def timed(count: int) -> float:
        start = time.perf_counter()
        _fit(generator, batches, np.arange(count), Progress(), corrected)
        return time.perf_counter() - start

    counts = [min(len(rows), MAX_FIT_IMAGES) for rows in _rows(generator, batches, folds)]
    few, more = (min(number, batches.config.samples_b) for number in BENCHMARK_FITS)
    cost = LinearCost.measure(timed, few, more, passed)
    return sum(cost.at(passed(count)) for count in counts)


def _rows(
    generator: SpectralGenerator, batches: PhysicsBatches, folds: list[NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """Return the images of domain B that each cascade is fitted to."""
    count = batches.config.samples_b
    if generator.exact:
        return [np.arange(count), *folds]
    return [np.arange(0, count, -(-count // MOST_CORRECTED))]


def _fit(
    generator: SpectralGenerator,
    batches: PhysicsBatches,
    positions: NDArray[np.int64],
    progress: Progress,
    encode: PhaseEncoder | None = None,
) -> list[Coefficients]:
    share = len(positions) / batches.config.samples_b
    if len(positions) > MAX_FIT_IMAGES:
        even = np.arange(MAX_FIT_IMAGES) * len(positions) // MAX_FIT_IMAGES
        positions = positions[even]
    images, white, estimates = batches.images(positions), batches.data_range, None
    device = generator.mean_magnitude.device
    if encode is not None:
        estimates = white * _posterior(generator, images.astype(np.float64) / white, encode)
    return [
        fit_shrinkage(
            images[:, channel],
            data_range=white,
            photographs=max(1, round(batches.photographs * share)),
            estimates=None if estimates is None else estimates[:, channel],
            progress=progress,
        ).coefficients(device)
        for channel in range(images.shape[1])
    ]


def _posterior(
    generator: SpectralGenerator, images: NDArray[np.float64], encode: PhaseEncoder
) -> NDArray[np.float32]:
    """Return the encoding `posterior` of the phases of images in 0..1."""
    device, encoded = generator.mean_magnitude.device, []
    noise = seeded_generator(0, _NOISE, device)
    for start in range(0, len(images), _BATCH):
        pixels = torch.from_numpy(images[start : start + _BATCH]).float().to(device)
        phases = encode(pixels, encode.draw_noise(len(pixels), pixels.shape[1], noise))
        with torch.no_grad():
            phasor = torch.polar(torch.ones_like(phases.phase), phases.phase)
            if phases.trusted is not None:
                phasor = phasor * phases.trusted
            context = EncodingContext(phasor, phases.trusted, None)
            encoded.append(generator.encode("posterior", context).cpu().numpy())
    return np.concatenate(encoded)
