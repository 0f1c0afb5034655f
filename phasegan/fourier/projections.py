"""Projections onto the convex sets that an image with a given phase lies in.

Images (n, N₁, N₂) and aligned spectra (n, M₁, M₂ // 2 + 1) are torch tensors;
distances are those of images in the padded frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from phasegan.fourier.operator import PhaseOperator

TINY = 1e-9


def unit_phasor(spectrum: Tensor) -> Tensor:
    """Return X / |X|, and 1 where X vanishes.

    Parameters
    ----------
    spectrum : torch.Tensor
        Any shape, complex: X.

    Returns
    -------
    torch.Tensor
        As `spectrum`.
    """
    size = spectrum.abs()
    return torch.where(size > TINY, spectrum / size.clamp(min=TINY), 1.0)


def project_onto_phase(operator: PhaseOperator, image: Tensor) -> Tensor:
    """Give padded images the phase and crop them: Pᵀ F⁻¹ (max(Re(e^{−iφ}X), 0) e^{iφ}).

    The spectrum is projected onto the cone of those with phase φ, then the
    frame onto the support; without padding the result is the nearest image with
    the phase (Levi & Stark 1983, doi:10.1364/JOSA.73.000810). Spectrum samples
    whose phase is not trusted are kept as they are.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    image : torch.Tensor
        (n, N₁, N₂).

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂).
    """
    spectrum = operator.spectrum(image)
    aligned = (operator.phasor.conj() * spectrum).real.clamp(min=0.0)
    return _crop_with_untrusted(operator, operator.phasor * aligned, spectrum)


def with_phase(operator: PhaseOperator, image: Tensor) -> Tensor:
    """Replace the phase and keep the magnitude: Pᵀ F⁻¹ (|X| e^{iφ}).

    The step of Hayes, Lim & Oppenheim 1980 (doi:10.1109/TASSP.1980.1163463); it
    is no projection. Samples whose phase is not trusted are kept.

    Parameters
    ----------
    operator : PhaseOperator
        For n phases.
    image : torch.Tensor
        (n, N₁, N₂).

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂).
    """
    spectrum = operator.spectrum(image)
    return _crop_with_untrusted(operator, operator.phasor * spectrum.abs(), spectrum)


def _crop_with_untrusted(operator: PhaseOperator, phased: Tensor, spectrum: Tensor) -> Tensor:
    if operator.trusted is not None:
        phased = phased + ~operator.trusted * spectrum
    return operator.image(phased)


def project_onto_range(image: Tensor, least: float, largest: float) -> Tensor:
    """Clip pixels to a range.

    Parameters
    ----------
    image : torch.Tensor
        Any shape.
    least, largest : float
        Bounds of the range.

    Returns
    -------
    torch.Tensor
        As `image`.
    """
    return image.clamp(least, largest)


def project_onto_simplex(image: Tensor, mean: float = 1.0) -> Tensor:
    """Return the nearest images without negative pixels that have a given mean.

    max(x − μ, 0), with μ by Newton's method from below on the convex, falling
    function Σ max(x − μ, 0); it ends exactly after finitely many steps (Michelot
    1986, doi:10.1007/BF00938486).

    Parameters
    ----------
    image : torch.Tensor
        (n, N₁, N₂): x.
    mean : float
        Mean of the result, > 0.

    Returns
    -------
    torch.Tensor
        (n, N₁, N₂), ≥ 0.
    """
    pixels = image.shape[-2] * image.shape[-1]
    goal = mean * pixels
    shift = (image.sum((-2, -1), keepdim=True) - goal) / pixels
    for _ in range(50):
        over = image - shift
        inside = over > 0
        total = (over * inside).sum((-2, -1), keepdim=True)
        step = (total - goal) / inside.sum((-2, -1), keepdim=True).clamp(min=1)
        shift = shift + step
        if bool((step.abs() <= 1e-14 * (1.0 + shift.abs())).all()):
            break
    return (image - shift).clamp(min=0.0)
