"""The brightness that makes pixels integers, which the phase leaves open.

Symbols: x, image (N₁, N₂), any unit; s, scale, grey levels a unit of x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 8
"""Trial scales per grey level of the brightest pixel."""
CANDIDATES = 6
MAX_DISTANCE = 0.25
"""Root mean square distance from integers above which a scale is not considered."""


def integer_scales(image: NDArray[np.float64], data_range: int) -> list[NDArray[np.int64]]:
    """Return integer images that an image may be a multiple of, most likely first.

    The scale s for which s·x is nearest to integers maximises the coherence
    Σ cos(2π s xⱼ), a spectrum of the histogram of pixel values. Peaks are
    ordered by the length of a description: the entropy of the integers, and the
    logarithm of what they leave of the image.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), any scale.
    data_range : int
        The largest integer allowed, 255 or 65535; the least is 0.

    Returns
    -------
    list of numpy.ndarray
        (N₁, N₂), int64, without a common factor.
    """
    top = float(image.max())
    if not np.isfinite(image).all() or top <= 0:
        return []
    levels = 2 * STEPS * data_range
    position = np.rint(np.clip(image, 0, top).ravel() * (levels / top)).astype(np.int64)
    counts = np.bincount(position, minlength=levels + 1).astype(np.float64)
    counts[: levels // (2 * data_range)] = 0.0  # what rounds to 0 at any scale says nothing
    white = STEPS * (data_range + 1)
    coherence = np.fft.rfft(counts, STEPS * levels)[: white + 1].real
    inner = coherence[1:-1]
    peaks = 1 + np.flatnonzero((inner >= coherence[:-2]) & (inner > coherence[2:]))
    peaks = peaks[np.argsort(-coherence[peaks], kind="stable")[: 4 * CANDIDATES]]
    candidates: dict[bytes, tuple[float, NDArray[np.int64]]] = {}
    for peak in peaks:
        fitted = _fit(image, peak / (STEPS * top))
        if fitted is None:
            continue
        distance, scale, integers = fitted
        if distance < MAX_DISTANCE and integers.min() >= 0 and integers.max() <= data_range:
            description = _entropy(integers) + np.log(max(distance, 1e-9) / scale)
            reduced = divide_by_gcd(integers)
            candidates.setdefault(reduced.tobytes(), (float(description), reduced))
    ordered = sorted(candidates.values(), key=lambda pair: pair[0])
    return [integers for _, integers in ordered[:CANDIDATES]]


def _entropy(integers: NDArray[np.int64]) -> float:
    counts = np.bincount(integers.ravel())
    share = counts[counts > 0] / integers.size
    return float(-(share * np.log(share)).sum())


def _fit(image: NDArray[np.float64], scale: float) -> tuple[float, float, NDArray[np.int64]] | None:
    """Refine a scale by least squares; return distance from integers, scale and these."""
    for _ in range(4):
        integers = np.rint(scale * image)
        product = float((integers * image).sum())
        if product <= 0:
            return None
        scale = float((integers * integers).sum()) / product
    integers = np.rint(scale * image)
    distance = float(np.sqrt(np.mean((scale * image - integers) ** 2)))
    return distance, scale, integers.astype(np.int64)


def divide_by_gcd(image: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide by the greatest common divisor of all pixels.

    A phase is the same for an image and its multiples; this one stands for them.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂), int64, ≥ 0.

    Returns
    -------
    numpy.ndarray
        As `image`.
    """
    divisor = int(np.gcd.reduce(image, axis=None))
    return image // divisor if divisor > 1 else image
