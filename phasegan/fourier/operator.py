"""The linear condition that a phase puts on an image, and its adjoint.

An image x, shape (n, N₁, N₂), has the phase φ where the aligned spectrum
e^{−iφ} F P x is real and not negative; P pads to M₁×M₂ and F is the
unnormalised transform of `phasegan.fourier.convention`. The linear half of that is

    A x = Im(e^{−iφ} F P x) = 0.

Arrays of the half-plane have shape (n, M₁, M₂ // 2 + 1) and stand for full
planes; their inner product is ⟨y, z⟩ = Σ y z / (M₁M₂) over the full plane, by
which F P is an isometry and AᵀA has its eigenvalues in [0, 1]. All arrays are
torch tensors, float64 or float32.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from phasegan.fourier.convention import forward, inverse


class PhaseOperator:
    """A, its adjoint and AᵀA for a stack of phases.

    Parameters
    ----------
    phase : torch.Tensor
        (n, M₁, M₂ // 2 + 1), radians.
    frame : (int, int)
        (M₁, M₂).
    shape : (int, int)
        (N₁, N₂), the support: the top left corner of the frame.
    trusted : torch.Tensor, optional
        As `phase`, bool: False where the phase says nothing. All by default.
    dtype : torch.dtype
        float64 or float32, of images.
    """

    def __init__(
        self,
        phase: Tensor,
        frame: tuple[int, int],
        shape: tuple[int, int],
        trusted: Tensor | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.frame, self.shape, self.dtype = frame, shape, dtype
        self.phase = phase
        angle = phase.double()
        double = torch.polar(torch.ones_like(angle), angle)
        self.all_trusted = trusted is None or bool(trusted.all())
        self.trusted = None
        if not self.all_trusted:
            assert trusted is not None
            self.trusted = trusted
            double = double * trusted
        self._double = double
        self._set_precision(dtype)

    def _set_precision(self, dtype: torch.dtype) -> None:
        """Keep e^{iφ} and e^{−2iφ} in the memory order in which transforms come."""
        self.dtype = dtype
        kind = torch.complex64 if dtype == torch.float32 else torch.complex128
        self.phasor = in_transform_order(self._double.to(kind), self.frame, self.shape, dtype)
        twist = self._double.conj() * self._double.conj()
        self._twist = in_transform_order(twist.to(kind), self.frame, self.shape, dtype)

    def __len__(self) -> int:
        return len(self.phasor)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.phasor.device

    def as_double(self) -> PhaseOperator:
        """Return the same operator in float64."""
        other = object.__new__(PhaseOperator)
        other.__dict__.update(self.__dict__)
        other._set_precision(torch.float64)
        return other

    def select(self, index: Tensor) -> Self:
        """Return the operator of some of the phases.

        Parameters
        ----------
        index : torch.Tensor
            int64 numbers, or bool of shape (n,).

        Returns
        -------
        PhaseOperator
            For the selected phases, of the same precision.
        """
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part.phase, part._double = self.phase[index], self._double[index]
        for name in ("phasor", "_twist"):
            selected = getattr(self, name)[index]
            setattr(part, name, in_transform_order(selected, self.frame, self.shape, self.dtype))
        if self.trusted is not None:
            part.trusted = self.trusted[index]
        return part

    def spectrum(self, image: Tensor) -> Tensor:
        """Return the spectrum F P x.

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂), real: x.

        Returns
        -------
        torch.Tensor
            (n, M₁, M₂ // 2 + 1), complex.
        """
        return forward(image, self.frame)

    def aligned(self, image: Tensor) -> Tensor:
        """Return the aligned spectrum e^{−iφ} F P x, 0 where the phase is not trusted.

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂), real: x.

        Returns
        -------
        torch.Tensor
            (n, M₁, M₂ // 2 + 1), complex.
        """
        return self.phasor.conj() * forward(image, self.frame)

    def image(self, spectrum: Tensor) -> Tensor:
        """Return the image Pᵀ F⁻¹ s.

        Parameters
        ----------
        spectrum : torch.Tensor
            (n, M₁, M₂ // 2 + 1), complex: s.

        Returns
        -------
        torch.Tensor
            (n, N₁, N₂), real.
        """
        return inverse(spectrum, self.frame, self.shape)

    def unaligned(self, spectrum: Tensor) -> Tensor:
        """Return Pᵀ F⁻¹ (e^{iφ} s), the adjoint of `aligned`.

        Parameters
        ----------
        spectrum : torch.Tensor
            (n, M₁, M₂ // 2 + 1), real or complex: s.

        Returns
        -------
        torch.Tensor
            (n, N₁, N₂), real.
        """
        return inverse(self.phasor * spectrum, self.frame, self.shape)

    def forward(self, image: Tensor) -> Tensor:
        """Return A x = Im(e^{−iφ} F P x).

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂), real: x.

        Returns
        -------
        torch.Tensor
            (n, M₁, M₂ // 2 + 1), real.
        """
        return self.aligned(image).imag

    def adjoint(self, values: Tensor) -> Tensor:
        """Return Aᵀ y = Pᵀ F⁻¹ (i e^{iφ} y).

        Parameters
        ----------
        values : torch.Tensor
            (n, M₁, M₂ // 2 + 1), real: y.

        Returns
        -------
        torch.Tensor
            (n, N₁, N₂), real.
        """
        return self.unaligned(1j * values)

    def normal(self, image: Tensor) -> Tensor:
        """Return AᵀA x = ½ (x − Pᵀ F⁻¹ e^{2iφ} conj(F P x)), two transforms.

        With phases that are not trusted, x in that formula is the part of it
        that has trusted phases.

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂), real: x.

        Returns
        -------
        torch.Tensor
            (n, N₁, N₂), real.
        """
        spectrum = forward(image, self.frame)
        rows, columns = self.shape
        if self.trusted is not None:
            spectrum = self.trusted * spectrum - (self._twist * spectrum).conj()
            return inverse(spectrum, self.frame, self.shape).mul_(0.5)
        # hfft takes the conjugate inside: F⁻¹(conj(S)) without a pass over S
        spectrum.mul_(self._twist)
        cropped = torch.fft.fft(spectrum, dim=-2, norm="forward")[..., :rows, :]
        mirrored = torch.fft.hfft(cropped, n=self.frame[1], dim=-1, norm="forward")
        return torch.sub(image, mirrored[..., :columns]).mul_(0.5)

    def residual(self, image: Tensor) -> Tensor:
        """Return ‖A x‖ / ‖F P x‖ over trusted phases: 0 for a fit.

        It is the root mean square of sin(phase error), weighted by the image's
        own power; 1 for an image of zeros.

        Parameters
        ----------
        image : torch.Tensor
            (n, N₁, N₂), real: x.

        Returns
        -------
        torch.Tensor
            (n,), float64, 0 to 1.
        """
        aligned = self.aligned(image)
        weight = plane_weight(self.frame, aligned.device)
        across = (aligned.imag.double() ** 2 * weight).sum((-2, -1))
        total = across + (aligned.real.double() ** 2 * weight).sum((-2, -1))
        return torch.where(total > 0, across / total.clamp(min=1e-300), 1.0).sqrt()


def in_transform_order(
    spectrum: Tensor, frame: tuple[int, int], shape: tuple[int, int], dtype: torch.dtype
) -> Tensor:
    """Copy a spectrum to the strides that `forward` gives, so that products run fast.

    Parameters
    ----------
    spectrum : torch.Tensor
        (n, M₁, M₂ // 2 + 1), real or complex.
    frame, shape : (int, int)
        (M₁, M₂) and (N₁, N₂).
    dtype : torch.dtype
        float64 or float32, of images.

    Returns
    -------
    torch.Tensor
        The same values; no copy where the strides are right.
    """
    sample = forward(torch.zeros((1, *shape), dtype=dtype, device=spectrum.device), frame)
    if sample.stride(-2) < sample.stride(-1):
        return spectrum.mT.contiguous().mT
    return spectrum.contiguous()


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Return ⟨a, b⟩ for each of n images.

    Parameters
    ----------
    a, b : torch.Tensor
        (n, N₁, N₂), real.

    Returns
    -------
    torch.Tensor
        (n, 1, 1).
    """
    return torch.linalg.vecdot(a.reshape(len(a), -1), b.reshape(len(b), -1))[:, None, None]


def plane_weight(frame: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Return how often each column of the half-plane stands in the full plane.

    Parameters
    ----------
    frame : (int, int)
        (M₁, M₂).
    device : torch.device, optional
        Device of the result; the CPU by default.

    Returns
    -------
    torch.Tensor
        (M₂ // 2 + 1,), float64: 1 or 2.
    """
    weight = torch.full((frame[1] // 2 + 1,), 2.0, dtype=torch.float64, device=device)
    weight[0] = 1.0
    if frame[1] % 2 == 0:
        weight[-1] = 1.0
    return weight
