"""The one place that says how images and spectra correspond.

Images are real, axis order (…, row, column), shape (…, N₁, N₂), in pixel
units. An image stands in the top left corner of a zero-padded M₁×M₂ frame, so
that index 0 is row 0, column 0. Spectra are the half-plane of the unnormalised
forward transform ("backward" norm in numpy's words),

    X[k₁, k₂] = Σ x[n₁, n₂] exp(−2πi (k₁n₁/M₁ + k₂n₂/M₂)),

shape (…, M₁, M₂ // 2 + 1), complex, zero frequency at [0, 0]. The other half
follows from X[−k] = conj(X[k]). numpy arrays and torch tensors are both taken;
the result is of the same kind and precision.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from phasegan.errors import InputError

FFT_NORM = "backward"
MAX_OVERSAMPLING = 4.0


def padded_frame(shape: tuple[int, int], oversampling: float) -> tuple[int, int]:
    """Return the frame nearest to M = N · oversampling on each axis.

    Parameters
    ----------
    shape : (int, int)
        (N₁, N₂), pixels, each at least 1.
    oversampling : float
        M/N, from 1 (no padding) to 4.

    Returns
    -------
    (int, int)
        (M₁, M₂); of two that are equally near the even one.

    Raises
    ------
    InputError
        If the ratio is out of range.
    """
    if not 1.0 <= oversampling <= MAX_OVERSAMPLING:
        raise InputError(f"oversample = {oversampling:g}: must be from 1 to {MAX_OVERSAMPLING:g}")
    rows, columns = (round(size * oversampling) for size in shape)
    return rows, columns


def rounding_note(shape: tuple[int, int], oversampling: float) -> str:
    """Say which frame `padded_frame` took where no frame has the ratio exactly.

    Parameters
    ----------
    shape, oversampling
        As of `padded_frame`.

    Returns
    -------
    str
        Such as `M = 154×154, the nearest to 1.2 × 128: 1.203`; empty for an exact ratio.
    """
    frame = padded_frame(shape, oversampling)
    if all(abs(m - n * oversampling) <= 1e-9 * m for m, n in zip(frame, shape, strict=True)):
        return ""
    side = f"{shape[0]}" if shape[0] == shape[1] else f"{shape[0]}×{shape[1]}"
    ratios = dict.fromkeys(f"{m / n:.4g}" for m, n in zip(frame, shape, strict=True))
    return (
        f"M = {frame[0]}×{frame[1]}, the nearest to {oversampling:g} × {side}: "
        f"{' and '.join(ratios)}"
    )


def mean_oversampling(shape: tuple[int, int], frame: tuple[int, int]) -> float:
    """Return M/N, the geometric mean where it differs between rows and columns.

    Its square is the number of frequencies a pixel: phases determine an image from 2 on.

    Parameters
    ----------
    shape, frame : (int, int)
        (N₁, N₂) and (M₁, M₂).

    Returns
    -------
    float
        At least 1.
    """
    rows, columns = (m / n for m, n in zip(frame, shape, strict=True))
    return rows if rows == columns else math.sqrt(rows * columns)


def is_determined(shape: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Return whether phases determine almost every image up to its brightness.

    There are enough of them, M₁M₂ ≥ 2N₁N₂, and no axis is unpadded: along such an
    axis a blur by any symmetric kernel with a positive spectrum keeps the phase.

    Parameters
    ----------
    shape, frame : (int, int)
        (N₁, N₂) and (M₁, M₂).

    Returns
    -------
    bool
        True from M/N = √2.
    """
    padded = all(m > n or n == 1 for m, n in zip(frame, shape, strict=True))
    return padded and math.prod(frame) >= 2 * math.prod(shape)


def frame_ratio(shape: tuple[int, int], frame: tuple[int, int]) -> float:
    """Return the oversampling for which `padded_frame` gives a frame.

    Parameters
    ----------
    shape, frame : (int, int)
        (N₁, N₂) and (M₁, M₂).

    Returns
    -------
    float
        M/N; where the axes differ, a ratio between theirs that rounds to both M,
        or their geometric mean if there is none.
    """
    low = max((m - 0.5) / n for m, n in zip(frame, shape, strict=True))
    high = min((m + 0.5) / n for m, n in zip(frame, shape, strict=True))
    mean = mean_oversampling(shape, frame)
    return mean if low < mean < high or low > high else max(1.0, (low + high) / 2)


def half_plane(frame: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of the stored half of a spectrum.

    Parameters
    ----------
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    (int, int)
        (M₁, M₂ // 2 + 1).
    """
    return frame[0], frame[1] // 2 + 1


def forward(image: Any, frame: tuple[int, int]) -> Any:
    """Zero-pad images to the frame and transform them.

    Parameters
    ----------
    image : array
        (…, N₁, N₂), real.
    frame : (int, int)
        (M₁, M₂), each at least N₁, N₂.

    Returns
    -------
    array
        (…, M₁, M₂ // 2 + 1), complex, of the image's precision.

    Raises
    ------
    InputError
        If the frame is smaller than the images.
    """
    xp = array_namespace(image)
    if frame[0] < image.shape[-2] or frame[1] < image.shape[-1]:
        raise InputError(f"a frame of {frame} cannot hold images of {tuple(image.shape[-2:])}")
    rows = xp.fft.rfft(image, n=frame[1], axis=-1)  # the padding rows are never transformed
    return xp.fft.fft(rows, n=frame[0], axis=-2)


def inverse(spectrum: Any, frame: tuple[int, int], shape: tuple[int, int] | None = None) -> Any:
    """Transform half-plane spectra back and crop them to the support.

    Parameters
    ----------
    spectrum : array
        (…, M₁, M₂ // 2 + 1), complex.
    frame : (int, int)
        (M₁, M₂); needed because the half-plane of an odd and an even M₂ look alike.
    shape : (int, int), optional
        (N₁, N₂) of the support; the whole frame by default.

    Returns
    -------
    array
        (…, N₁, N₂), real.
    """
    xp = array_namespace(spectrum)
    rows, columns = frame if shape is None else shape
    cropped = xp.fft.ifft(spectrum, n=frame[0], axis=-2)[..., :rows, :]
    return xp.fft.irfft(cropped, n=frame[1], axis=-1)[..., :columns]


def real_bins(frame: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Return the rows and the columns at whose crossings the spectrum of a real image is real.

    Parameters
    ----------
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    (list of int, list of int)
        0 and, for an even size, half of it.
    """
    rows, columns = ([0, size // 2] if size % 2 == 0 else [0] for size in frame)
    return rows, columns


def self_conjugate(frame: tuple[int, int]) -> np.ndarray:
    """Return where the half-plane of a real image must be real.

    Parameters
    ----------
    frame : (int, int)
        (M₁, M₂).

    Returns
    -------
    numpy.ndarray
        (M₁, M₂ // 2 + 1), bool: frequency 0 and, for even sizes, the Nyquist
        frequency on each axis. 4 bins for even M, 1 for odd.
    """
    rows, columns = real_bins(frame)
    mask = np.zeros(half_plane(frame), dtype=bool)
    mask[np.ix_(rows, columns)] = True
    return mask
