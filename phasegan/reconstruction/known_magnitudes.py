"""Known brightness: magnitudes that are known at some frequencies, imposed on estimates.

Symbols: x, estimate (N₁, N₂); s = e^{−iφ} F P x, its aligned spectrum; K, the frequencies at
which |X| = r is known. N₁N₂ times the mean of an image is |X| at frequency 0. With the phase
a known magnitude is a linear condition: s = r on K.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import forward, half_plane, inverse
from phasegan.fourier.phase import mirrored_bins
from phasegan.reconstruction.exact.certificate import Certificate, Verdict
from phasegan.reconstruction.protocol import Observation, Problem, Solution

Array = NDArray[np.float64]
STORED = "stored"
MAX_STEPS = 200
"""Steps of the least-norm correction of padded images."""
MEAN_ERROR = 0.5
"""Grey levels that a given mean may be off: means are often rounded to integers."""


def known_magnitudes(
    mean: Any,
    magnitudes: Any,
    phase_shape: tuple[int, ...],
    problem: Problem,
    references: NDArray[np.generic] | None,
) -> Array | None:
    """Return the magnitudes that a user knows.

    Parameters
    ----------
    mean : float, array, path, "stored" or None
        Mean pixel, 0 to white: one for all, (n,) or (n, C); a .npy or a text file of them; or
        those of the stored images.
    magnitudes : array or None
        As the phases, |X| ≥ 0 in pixel units of the unnormalised transform; NaN: not known.
    phase_shape : tuple of int
        (n[, C], M₁, M₂ // 2 + 1).
    problem : Problem
        Sizes and data range.
    references : numpy.ndarray or None
        (n[, C], N₁, N₂), the stored images.

    Returns
    -------
    numpy.ndarray or None
        Of that shape, NaN where nothing is known; None where that is everywhere.

    Raises
    ------
    InputError
        If a mean or a magnitude is impossible, or their count is wrong.
    """
    if mean is None and magnitudes is None:
        return None
    known = np.full(phase_shape, np.nan)
    if magnitudes is not None:
        given = np.asarray(magnitudes, np.float64)
        if given.shape not in (phase_shape, phase_shape[1:]):
            raise InputError(
                f"magnitudes of shape {given.shape}: expected {phase_shape}, as the phases "
                "(half-planes), NaN where they are not known"
            )
        if not np.all((given >= 0) & (given < np.inf) | np.isnan(given)):
            raise InputError("magnitudes: must be finite and not negative, or NaN: not known")
        known[:] = given
    if mean is not None:
        pixels = problem.shape[0] * problem.shape[1]
        known[..., 0, 0] = pixels * _means(mean, phase_shape[:-2], problem.data_range, references)
    return known


def _means(
    mean: Any, lead: tuple[int, ...], white: int, references: NDArray[np.generic] | None
) -> Array:
    """Return means of shape (n[, C])."""
    where = "--mean"
    if isinstance(mean, str) and mean == STORED:
        if references is None:
            raise InputError(
                "--mean stored: no images are stored beside these phases; give the number or a file"
            )
        return np.asarray(references.mean(axis=(-2, -1), dtype=np.float64))
    if isinstance(mean, str | os.PathLike):
        values, where = _read_means(os.fspath(mean))
    else:
        try:
            values = np.asarray(mean, np.float64)
        except (TypeError, ValueError):
            raise InputError(
                f"mean = {mean!r}: expected a number, an array, a file or {STORED!r}"
            ) from None
    if values.shape == (*lead, 1) or values.shape == (lead[0], 1):
        values = values[..., 0]
    if values.ndim == 2 and len(lead) == 1 and values.shape == (1, lead[0]):
        values = values[0]
    if values.ndim == 1 and values.shape == lead[:1] and len(lead) == 2:
        values = values[:, None]
    if values.size == 1:
        values = values.reshape(())
    if values.ndim and values.shape not in (lead, (*lead[:1], 1)):
        wanted = " or ".join(str(shape) for shape in dict.fromkeys((lead, lead[:1])))
        raise InputError(
            f"{where}: means of shape {values.shape}, expected one number or {wanted}: one a "
            "sample, or one a sample and channel"
        )
    wrong = ~((values >= 0) & (values <= white))
    if wrong.any():
        raise InputError(
            f"{where}: a mean of {values[wrong].flat[0]:g}; means are from 0 to white, {white}"
        )
    return np.broadcast_to(values, lead)


def _read_means(text: str) -> tuple[Array, str]:
    try:
        return np.asarray(float(text)), "--mean"
    except ValueError:
        pass
    path = Path(text)
    where = f"--mean {path}"
    if not path.is_file():
        raise InputError(f"{where}: neither a number, {STORED!r} nor a file")
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            comma = "," if "," in path.read_text() else None
            values = np.loadtxt(path, delimiter=comma, ndmin=2)  # a line is a sample
        return np.asarray(values, np.float64), where
    except (OSError, ValueError, TypeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else "cannot be read"
        raise InputError(f"{where}: no .npy or text file of numbers ({reason})") from None


def impose_known(
    method: Callable[[Observation], Solution], known: Array, problem: Problem
) -> Callable[[Observation], Solution]:
    """Return a method whose estimates have the known magnitudes.

    Where phases determine the image up to scale it is fitted to them; then the nearest image with
    s = r on K is taken. Integers that a certificate proves up to a common factor get the factor.

    Parameters
    ----------
    method : callable
        Any method, ready for a problem.
    known : numpy.ndarray
        As the phases; NaN where nothing is known.
    problem : Problem
        Sizes and data range.

    Returns
    -------
    callable
        The method with known magnitudes.
    """

    def run(observation: Observation) -> Solution:
        solution = method(observation)
        plane = half_plane(problem.frame)
        phases, values = observation.phase.reshape(-1, *plane), known.reshape(-1, *plane)
        trusted = None if observation.trusted is None else observation.trusted.reshape(-1, *plane)
        images = solution.estimate.reshape(-1, *problem.shape).copy()
        certificates = None if solution.certificates is None else list(solution.certificates)
        for i, phase in enumerate(phases):
            usable = values[i]
            if trusted is not None:
                usable = np.where(trusted[i], usable, np.nan)
                usable[0, 0] = values[i][0, 0]
            if certificates is not None and certificates[i].explains:
                images[i], certificates[i] = _with_factor(
                    images[i], certificates[i], usable[0, 0], problem.data_range
                )
                if certificates[i].explains:
                    continue
            free = solution.free_scale and problem.is_determined
            images[i] = with_magnitudes(images[i], phase, usable, problem.frame, free_scale=free)
        return replace(
            solution,
            estimate=images.reshape(solution.estimate.shape),
            certificates=certificates,
        )

    return run


def _with_factor(
    image: Array, certificate: Certificate, total: float, white: int
) -> tuple[Array, Certificate]:
    """Multiply proved integers by the common factor that a known sum of pixels says."""
    mean = float(image.mean())
    if np.isnan(total) or mean <= 0:
        return image, certificate
    given = total / image.size
    factor = max(round(given / mean), 1)
    fits = abs(given - factor * mean) <= min(MEAN_ERROR, mean / 4)
    if fits and factor * image.max() <= white:
        return factor * image, certificate
    reason = (
        f"the given mean {given:g} is not that of a multiple in range of the integers that give "
        f"the phases (mean {mean:.6g})"
    )
    verdict = Verdict.UNIQUE_UP_TO_SCALE if certificate.unique else Verdict.NOT_UNIQUE
    return image, replace(certificate, verdict=verdict, explains=False, exclusion="", reason=reason)


def with_magnitudes(
    image: Array,
    phase: NDArray[np.floating],
    known: Array,
    frame: tuple[int, int],
    *,
    free_scale: bool = False,
) -> Array:
    """Return the nearest image whose spectrum is r e^{iφ} at known frequencies.

    x + z, z the image of least norm with (F P z)ₖ = rₖ e^{iφₖ} − (F P x)ₖ for k in K, by
    conjugate gradients on the least squares (Paige & Saunders 1982,
    doi:10.1145/355984.355989); one step without padding, or where K is one frequency.

    Parameters
    ----------
    image : numpy.ndarray
        (N₁, N₂): x.
    phase, known : numpy.ndarray
        (M₁, M₂ // 2 + 1): φ, radians, and r, pixel units; NaN outside K.
    frame : (int, int)
        (M₁, M₂).
    free_scale : bool
        Multiply x by Σ r Re s / Σ |s|² over K first, where that is positive.

    Returns
    -------
    numpy.ndarray
        As `image`.
    """
    known = known.copy()
    edges = [0, frame[1] // 2] if frame[1] % 2 == 0 else [0]  # where k and −k both are stored
    mirror = mirrored_bins(known, frame)
    known[:, edges] = np.where(np.isnan(known), mirror, known)[:, edges]
    inside = np.isfinite(known)
    if not inside.any():
        return image
    goal = np.where(inside, known, 0.0) * np.exp(1j * np.asarray(phase, np.float64))
    if free_scale:
        spectrum = forward(image, frame) * inside
        energy = float((np.abs(spectrum) ** 2).sum())
        fit = float((goal.conj() * spectrum).real.sum())
        image = image * (fit / energy) if fit > 0 else image
    residual = goal - forward(image, frame) * inside
    weight = np.full(residual.shape[-1], 2.0)
    weight[edges] = 1.0

    def square(spectrum: NDArray[np.complex128]) -> float:
        return float((np.abs(spectrum) ** 2 * weight).sum()) / (frame[0] * frame[1])

    gradient = inverse(residual, frame, image.shape)
    direction, power = gradient.copy(), float((gradient**2).sum())
    least = 1e-26 * (square(goal) + float((image**2).sum()))
    for _ in range(MAX_STEPS):
        if power <= least:
            break
        product = forward(direction, frame) * inside
        step = power / square(product)
        image = image + step * direction
        residual = residual - step * product
        gradient = inverse(residual, frame, image.shape)
        power, before = float((gradient**2).sum()), power
        direction = gradient + power / before * direction
    return image
