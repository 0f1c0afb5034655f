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

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from phasegan.errors import InputError

FFT_NORM = "backward"
MAX_OVERSAMPLING = 4.0


def padded_size(size: int, oversampling: float) -> int:
    """Return M = N · oversampling.

    Parameters
    ----------
    size : int
        N, pixels along one side, at least 1.
    oversampling : float
        M/N, from 1 (no padding) to 4.

    Returns
    -------
    int
        M.

    Raises
    ------
    InputError
        If the ratio is out of range or M is not an integer.
    """
    if not 1.0 <= oversampling <= MAX_OVERSAMPLING:
        raise InputError(f"oversample = {oversampling:g}: must be from 1 to {MAX_OVERSAMPLING:g}")
    product = size * oversampling
    rounded = round(product)
    if abs(product - rounded) > 1e-9 * product:
        raise InputError(
            f"oversample = {oversampling:g}: {size} · {oversampling:g} = {product:g} is not an "
            f"integer; the nearest ratios are {rounded / size:.10g} and "
            f"{(rounded + (1 if product > rounded else -1)) / size:.10g}"
        )
    return rounded


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
