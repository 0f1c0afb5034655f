"""Scores of estimates against references, on a scale of 0..255 grey levels.

Estimates and references have shape (n[, C], rows, columns). Estimates are
float, in the pixel units of the references and not clipped; references are
uint8 or uint16 and `data_range` is 255 or 65535. Colour channels are fitted
one by one (phase leaves one unknown scale in each) and averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError, RunError

PEAK = 255.0
SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
SSIM_DESCRIPTION = (
    "SSIM of Wang et al. 2004: Gaussian window of 11×11 pixels, sigma 1.5, on the clipped output"
)


@dataclass(frozen=True)
class Scores:
    """One number an image; every array has shape (n,)."""

    mse: NDArray[np.float64]
    """Mean squared error of the clipped estimate, no fitting: the headline."""
    mse_scale: NDArray[np.float64]
    """Mean squared error of a·estimate with the best a, unclipped."""
    mse_affine: NDArray[np.float64]
    """Mean squared error of a·estimate + b with the best a and b, unclipped."""
    mse_mean: NDArray[np.float64]
    """Mean squared error of the clipped estimate after its mean, channel by channel, is
    replaced by the reference's, the spectrum at frequency 0: every phase is kept."""
    mse_published: NDArray[np.float64]
    """Mean squared error of the estimate in tanh units, −1..1, against the image in
    0..255, as in the published table."""
    ssim: NDArray[np.float64]
    """Structural similarity; not-a-number for images smaller than its window."""
    exact: NDArray[np.bool_]
    """Whether every pixel of the rounded, clipped estimate equals the reference."""
    certified: NDArray[np.bool_]
    """Whether the method proved its estimate exact."""
    unique_up_to_scale: NDArray[np.bool_]
    """Whether it proved it up to a factor; certified ones are among them."""
    certified_wrong: NDArray[np.bool_]
    """Whether it did so wrongly: the estimate is not the reference divided by the
    common factor of its pixels."""


def score(
    estimates: NDArray[np.floating],
    references: NDArray[np.generic],
    *,
    data_range: int,
    certified: NDArray[np.bool_] | None = None,
    unique_up_to_scale: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score a stack of estimates.

    Parameters
    ----------
    estimates : numpy.ndarray
        (n[, C], rows, columns), float, pixel units.
    references : numpy.ndarray
        Same shape, integers in 0..data_range.
    data_range : int
        255 for 8-bit references, 65535 for 16-bit ones.
    certified : numpy.ndarray, optional
        (n,), bool: estimates that the method calls exact; none by default.
    unique_up_to_scale : numpy.ndarray, optional
        (n,), bool: estimates that it calls the only ones up to a factor; those that are
        certified by default.

    Returns
    -------
    Scores
        Errors in squared grey levels on 0..255, whatever the data range.

    Raises
    ------
    InputError
        If the shapes differ.
    RunError
        If an estimate holds a value that is not finite.
    """
    if estimates.shape != references.shape:
        raise InputError(f"estimates {estimates.shape} against references {references.shape}")
    bad = int(np.count_nonzero(~np.isfinite(estimates)))
    if bad:
        raise RunError(f"the estimates hold {bad} values that are not finite")
    count = len(references)
    claims = np.zeros(count, dtype=bool) if certified is None else np.asarray(certified, bool)
    unit = PEAK / data_range
    estimate = np.asarray(estimates, np.float64) * unit
    reference = np.asarray(references, np.float64) * unit
    clipped = np.clip(estimate, 0.0, PEAK)
    exact = np.rint(np.clip(estimates, 0, data_range)) == references
    planes = (count, -1, reference.shape[-2] * reference.shape[-1])
    x, e = reference.reshape(planes), estimate.reshape(planes)
    tanh_units = e * (2.0 / PEAK) - 1.0
    return Scores(
        mse=clipped_mse(estimates, references, data_range=data_range),
        mse_scale=_mean_square(_fit_scale(e, x) * e - x),
        mse_affine=_mean_square(_affine_residual(e, x)),
        mse_mean=_mean_square(np.clip(_with_mean_of(x, e), 0.0, PEAK) - x),
        mse_published=_mean_square(x - tanh_units),
        ssim=np.array([_ssim(clipped[i], reference[i]) for i in range(count)]),
        exact=exact.reshape(count, -1).all(axis=1),
        certified=claims,
        unique_up_to_scale=claims if unique_up_to_scale is None else unique_up_to_scale | claims,
        certified_wrong=claims & ~_equal_up_to_factor(estimates, references),
    )


def _equal_up_to_factor(
    estimates: NDArray[np.floating], references: NDArray[np.generic]
) -> NDArray[np.bool_]:
    """Return which estimates equal their references up to a common factor of a plane's pixels."""
    pixels = references.astype(np.int64)
    factor = np.maximum(np.gcd.reduce(np.gcd.reduce(pixels, axis=-1), axis=-1), 1)[..., None, None]
    equal = (np.rint(estimates) == pixels // factor) | (np.rint(estimates) == pixels)
    return equal.reshape(len(pixels), -1).all(axis=1)


def clipped_mse(
    estimates: NDArray[np.floating], references: NDArray[np.generic], *, data_range: int
) -> NDArray[np.float64]:
    """Return each image's mean squared error of the clipped estimate: the headline.

    Parameters
    ----------
    estimates, references : numpy.ndarray
        (n[, C], rows, columns), as in `score`.
    data_range : int
        255 or 65535.

    Returns
    -------
    numpy.ndarray
        (n,), squared grey levels on 0..255.
    """
    clipped = np.clip(np.asarray(estimates, np.float64), 0, data_range)
    difference = (clipped - np.asarray(references, np.float64)) * (PEAK / data_range)
    return np.mean(difference**2, axis=tuple(range(1, difference.ndim)))


def _mean_square(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.mean(difference**2, axis=(1, 2))


def _fit_scale(e: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    energy = np.sum(e * e, axis=2, keepdims=True)
    product = np.sum(e * x, axis=2, keepdims=True)
    return np.divide(product, energy, out=np.zeros_like(product), where=energy > 0)


def _affine_residual(e: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    e0 = e - e.mean(axis=2, keepdims=True)
    x0 = x - x.mean(axis=2, keepdims=True)
    return _fit_scale(e0, x0) * e0 - x0


def _with_mean_of(x: NDArray[np.float64], e: NDArray[np.float64]) -> NDArray[np.float64]:
    return e + (x.mean(axis=2, keepdims=True) - e.mean(axis=2, keepdims=True))


def _ssim(estimate: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    from skimage.metrics import structural_similarity

    if min(reference.shape[-2:]) < SSIM_WINDOW:
        return float("nan")
    return float(
        structural_similarity(
            reference,
            estimate,
            data_range=PEAK,
            gaussian_weights=True,
            sigma=SSIM_SIGMA,
            use_sample_covariance=False,
            channel_axis=0 if reference.ndim == 3 else None,
        )
    )


def concatenate_scores(parts: list[Scores]) -> Scores:
    """Concatenate the scores of consecutive stacks.

    Parameters
    ----------
    parts : list of Scores
        At least one.

    Returns
    -------
    Scores
        Scores of all images.
    """
    names = Scores.__dataclass_fields__
    return Scores(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def summarise(scores: Scores) -> dict[str, Any]:
    """Return means, standard errors and counts as JSON-ready values.

    Parameters
    ----------
    scores : Scores
        Scores of at least one image.

    Returns
    -------
    dict
        `test_images`; `mse`, `mse_scale`, `mse_affine`, `mse_mean`,
        `mse_published`, `ssim`, each with `…_stderr` (sample standard deviation over √n; None
        for one image); `psnr` and `psnr_scale` in dB, of the mean `mse` and
        `mse_scale`; `exact`, `certified`, `unique_up_to_scale`,
        `certified_wrong`: counts.
        None stands for values that are not finite.
    """
    row: dict[str, Any] = {"test_images": len(scores.mse)}
    for name in ("mse", "mse_scale", "mse_affine", "mse_mean", "mse_published", "ssim"):
        values = getattr(scores, name)
        row[name] = _finite(values.mean())
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        row[f"{name}_stderr"] = _finite(spread)
    row["psnr"] = psnr(row["mse"])
    row["psnr_scale"] = psnr(row["mse_scale"])
    for name in ("exact", "certified", "unique_up_to_scale", "certified_wrong"):
        row[name] = int(getattr(scores, name).sum())
    return row


def psnr(mse: float) -> float | None:
    """Return the peak signal-to-noise ratio, 10 log₁₀(255² / mse).

    Parameters
    ----------
    mse : float
        Squared grey levels on 0..255, ≥ 0.

    Returns
    -------
    float or None
        dB; None for a perfect score.
    """
    return None if mse == 0 else float(10 * np.log10(PEAK**2 / mse))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
