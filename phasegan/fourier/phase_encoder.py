"""Transform images to phases on any device, degraded as a prepared file's.

The exact transform of `fourier.convention` in float32, with noise and rounding as in
`fourier.degradation`. It is the half of the cycle that needs no training.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from phasegan.fourier.convention import forward, half_plane, real_bins, self_conjugate
from phasegan.fourier.encoding import TURN

UNDEFINED_BELOW = 1e-7
"""Share of an image's largest magnitude below which a phase in float32 is undefined."""


class EncodedPhases(NamedTuple):
    """Phases and where they are defined; both (n, C, M₁, M₂ // 2 + 1)."""

    phase: Tensor
    """Radians in (−π, π], float32; 0 where it is undefined."""
    trusted: Tensor
    """Bool, False where undefined."""


class PhaseEncoder:
    """Transform images to phases, with fresh noise each time.

    Parameters
    ----------
    frame : (int, int)
        (M₁, M₂).
    noise : float
        σ of Gaussian noise, radians; 0: none.
    bits : int, optional
        Round phases to 2πk / 2^bits.
    device : torch.device
        Of the images.
    """

    def __init__(
        self, frame: tuple[int, int], noise: float, bits: int | None, device: torch.device
    ) -> None:
        self.frame, self.noise, self.bits = frame, noise, bits
        fixed = torch.from_numpy(self_conjugate(self.frame))
        self._complex = (~fixed).to(device, torch.float32)
        self._rows = torch.arange(1, (frame[0] + 1) // 2, device=device)
        self._columns = real_bins(frame)[1]

    def draw_noise(self, count: int, channels: int, source: torch.Generator) -> Tensor | None:
        """Draw noise for some images; None without noise.

        Parameters
        ----------
        count, channels : int
            n and C.
        source : torch.Generator
            On the images' device.

        Returns
        -------
        torch.Tensor or None
            (n, C, M₁, M₂ // 2 + 1), radians; 0 at self-conjugate bins.
        """
        if self.noise <= 0:
            return None
        shape = (count, channels, *half_plane(self.frame))
        noise = torch.randn(shape, generator=source, device=source.device)
        noise = noise * self._complex * self.noise
        self._mirror(noise)
        return noise

    def __call__(self, images: Tensor, noise: Tensor | None) -> EncodedPhases:
        """Transform images.

        Parameters
        ----------
        images : torch.Tensor
            (n, C, N₁, N₂), float32, in any unit.
        noise : torch.Tensor, optional
            Of as many images, from `draw_noise`.

        Returns
        -------
        EncodedPhases
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
            return EncodedPhases(torch.where(trusted, phase, torch.zeros_like(phase)), trusted)

    def _mirror(self, values: Tensor) -> None:
        """Set values at −k to the negative of those at k, where the half-plane holds both."""
        for column in self._columns:
            values[..., self.frame[0] - self._rows, column] = -values[..., self._rows, column]
