"""`learned-coarse`: the trained model on the lowest frequencies, photographs' prior above them.

Symbols: X, spectrum of an unpadded image (N₁, N₂); φ, its phase; n, side of the model's images,
128. The frequencies |k₁|, |k₂| < n/2 of X are, but for the factor N₁N₂/n², those of the image
reduced to n×n pixels by an ideal low-pass filter. The model that comes with phasegan takes their
phases and gives that image, hence their magnitudes. Those above are the mean magnitude of
photographs, scaled to meet the model's where the two bands touch and faded into them there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import forward, inverse
from phasegan.fourier.magnitude_prior import photograph_prior
from phasegan.reconstruction import pretrained
from phasegan.reconstruction.protocol import Method, Observation, Phase, Problem, Solution

SEAM = (40.0, 60.0)
"""Radii, cycles an image, between which the prior is scaled to the model."""
FADE = (48, 64)
"""Frequencies along either axis, cycles an image, between which the prior takes over."""


def incompatibility(problem: Problem, noise: float) -> str | None:
    """Say why the method does not take phases.

    Parameters
    ----------
    problem : Problem
        Sizes.
    noise : float
        Standard deviation of the phases by noise and rounding together, radians.

    Returns
    -------
    str or None
        One line; None if it takes them: unpadded, both sides at least those of the model.
    """
    side = pretrained.image_size()
    if problem.frame != problem.shape or min(problem.shape) < side:
        (rows, columns), frame = problem.shape, problem.frame
        return (
            f"method learned-coarse takes unpadded phases of images of at least {side}×{side}, "
            f"these have {rows}×{columns} in frames of {frame[0]}×{frame[1]}; use --method auto"
        )
    reduced = Problem((side, side), (side, side), problem.data_range)
    reason = pretrained.incompatibility(reduced, noise)
    return None if reason is None else reason.replace("method learned", "method learned-coarse", 1)


def method(problem: Problem) -> Method:
    """Make `learned-coarse` ready for a problem, colour channel by channel.

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
        reason = incompatibility(problem, noise)
        if reason is not None:
            raise InputError(reason)

    check(problem.noise)
    side = pretrained.image_size()
    reduced = Problem(
        (side, side), (side, side), problem.data_range, noise=problem.noise,
        settings=problem.settings,
    )  # fmt: skip
    model = pretrained.method(reduced)
    prior = photograph_prior().magnitude(problem.frame, problem.shape, problem.data_range)

    def run(observation: Observation) -> Solution:
        check(problem.effective_noise(observation))
        images = model(low_frequencies(observation, problem.frame, side)).estimate
        estimate = [
            _reconstruct(phase, image, prior, problem.frame)
            for phase, image in zip(observation.phase, images, strict=True)
        ]
        return Solution(np.stack(estimate))

    return run


def low_frequencies(observation: Observation, frame: tuple[int, int], side: int) -> Observation:
    """Return the phases of images that an ideal low-pass filter reduces to n×n pixels.

    Parameters
    ----------
    observation : Observation
        Of unpadded images, (…, N₁, N₂ // 2 + 1).
    frame : (int, int)
        (N₁, N₂), each at least n.
    side : int
        n, even.

    Returns
    -------
    Observation
        (…, n, n // 2 + 1). Along an axis that is reduced, the Nyquist frequency is not
        trusted: it would be the sum of two of the image's.
    """
    rows, half = _kept_rows(frame[0], side), side // 2
    phase = np.array(observation.phase[..., rows, : half + 1])
    trusted = np.ones(phase.shape, dtype=bool)
    if observation.trusted is not None:
        trusted &= observation.trusted[..., rows, : half + 1]
    if frame[0] != side:
        trusted[..., half, :] = False
    if frame[1] != side:
        trusted[..., half] = False
    phase[~trusted] = 0.0
    steps = observation.half_step
    if np.ndim(steps):
        steps = np.asarray(steps)[..., rows, : half + 1]
    return Observation(phase, trusted, steps)


def _kept_rows(size: int, side: int) -> NDArray[np.int64]:
    """Return the rows of a spectrum that a reduced one has: k = 0 … n/2, −n/2 + 1 … −1."""
    frequencies = np.fft.fftfreq(side, 1 / side).astype(np.int64)
    frequencies[side // 2] = side // 2
    return frequencies % size


def _reconstruct(
    phase: Phase, image: NDArray[np.float64], prior: NDArray[np.floating], frame: tuple[int, int]
) -> NDArray[np.float64]:
    """Return one sample, (…, N₁, N₂), of its phases and its reduced images (…, n, n)."""
    side = image.shape[-1]
    rows, half = _kept_rows(frame[0], side), side // 2
    scale = frame[0] * frame[1] / side**2
    spectrum = scale * forward(image, (side, side))
    aligned = (spectrum * np.exp(-1j * phase[..., rows, : half + 1])).real
    vertical, horizontal = np.abs(np.fft.fftfreq(side, 1 / side))[:, None], np.arange(half + 1)
    radius = np.hypot(vertical, horizontal)
    seam = (radius >= SEAM[0]) & (radius <= SEAM[1])
    reduced_prior = prior[rows, : half + 1]
    floor = 1e-9 * reduced_prior.max()
    ratio = np.log(np.maximum(np.abs(spectrum[..., seam]), floor) / reduced_prior[seam])
    magnitude = np.exp(ratio.mean(-1))[..., None, None] * prior
    # the model's Nyquist row and column stand for two frequencies each, and are left out
    inner = np.arange(side) != half
    share = np.clip((FADE[1] - np.maximum(vertical, horizontal)) / (FADE[1] - FADE[0]), 0.0, 1.0)
    mixed = share * np.maximum(aligned, 0.0) + (1 - share) * magnitude[..., rows, : half + 1]
    magnitude[..., rows[inner], :half] = mixed[..., inner, :half]
    estimate: NDArray[np.float64] = inverse(magnitude * np.exp(1j * phase), frame, frame)
    return estimate
