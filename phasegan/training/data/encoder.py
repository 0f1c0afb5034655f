"""Images to phases on the training device, as a prepared file degrades them.

The exact transform of `fourier.convention` in float32, with noise and rounding as
in `fourier.degradation`. It is the half of the cycle that nothing has to learn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.convention import forward, half_plane, self_conjugate
from phasegan.fourier.encoding import TURN

UNDEFINED_BELOW = 1e-7
"""Share of an image's largest magnitude below which float32 gives no phase."""


class Phases(NamedTuple):
    """Phases and where they mean something; both (n, C, M, M // 2 + 1)."""

    phase: Tensor
    """Radians in (−π, π], float32; 0 where it is undefined."""
    trusted: Tensor | None
    """Bool; None: everywhere."""
    fold: Tensor | None = None
    """(n,), int64, on the CPU: which cascade knows nothing of the sample; None: the full one."""

    def to(self, device: torch.device) -> Phases:
        """Return the same on another device."""
        known = None if self.trusted is None else self.trusted.to(device)
        return Phases(self.phase.to(device), known, self.fold)


class Images(NamedTuple):
    """Images of domain B."""

    pixels: Tensor
    """(n, C, N, N), float32 in 0..1."""
    fold: Tensor | None = None
    """As that of `Phases`."""

    def to(self, device: torch.device) -> Images:
        """Return the same on another device."""
        return Images(self.pixels.to(device), self.fold)


class PhaseEncoder:
    """Turn images into phases, each time with fresh noise.

    Parameters
    ----------
    padded : int
        M.
    noise : float
        σ of Gaussian noise, radians; 0: none.
    bits : int, optional
        Round phases to 2πk / 2^bits.
    device : torch.device
        Where images are.
    """

    def __init__(self, padded: int, noise: float, bits: int | None, device: torch.device) -> None:
        self.frame, self.noise, self.bits = (padded, padded), noise, bits
        fixed = torch.from_numpy(self_conjugate(self.frame))
        self._complex = (~fixed).to(device, torch.float32)
        self._rows = torch.arange(1, (padded + 1) // 2, device=device)
        self._columns = sorted({0, padded // 2}) if padded % 2 == 0 else [0]

    def fresh(self, count: int, channels: int, source: torch.Generator) -> Tensor | None:
        """Return noise for some images: (n, C, M, M // 2 + 1), radians; None without noise.

        Parameters
        ----------
        count, channels : int
            n and C.
        source : torch.Generator
            On the images' device.
        """
        if self.noise <= 0:
            return None
        shape = (count, channels, *half_plane(self.frame))
        noise = torch.randn(shape, generator=source, device=source.device)
        noise = noise * self._complex * self.noise
        self._mirror(noise)
        return noise

    def __call__(self, images: Tensor, noise: Tensor | None) -> Phases:
        """Transform images.

        Parameters
        ----------
        images : torch.Tensor
            (n, C, N, N), float32, in any unit.
        noise : torch.Tensor, optional
            Of as many images, from `fresh`.

        Returns
        -------
        Phases
            Self-conjugate bins hold 0 or π and carry no noise.
        """
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            spectrum = forward(images.float(), self.frame)
            magnitude = spectrum.abs()
            largest = magnitude.amax((-2, -1), keepdim=True)
            trusted = (magnitude > UNDEFINED_BELOW * largest) & (magnitude > 0)
            phase = torch.atan2(spectrum.imag * self._complex, spectrum.real)
            if noise is not None:
                phase = phase + noise
                phase = phase - TURN * torch.ceil((phase - np.pi) / TURN)
            if self.bits is not None:
                levels = 2**self.bits
                codes = torch.round(phase * (levels / TURN))
                self._mirror(codes)
                codes = torch.remainder(codes, levels)
                codes = torch.where(codes > levels // 2, codes - levels, codes)
                phase = codes * (TURN / levels)
            phase = torch.where(phase <= -np.pi, torch.full_like(phase, np.pi), phase)
            return Phases(torch.where(trusted, phase, torch.zeros_like(phase)), trusted)

    def _mirror(self, values: Tensor) -> None:
        """Set what is at −k to the negative of what is at k, where both are held."""
        for column in self._columns:
            values[..., self.frame[0] - self._rows, column] = -values[..., self._rows, column]
