"""Discriminators that score patches: the 70×70 PatchGAN, its depths, and single pixels.

Isola et al. 2017, section 3.2.2, and Zhu et al. 2017, appendix 7.2:
C64-C128-C256-C512 and a last convolution to one channel, leaky ReLUs of slope
0.2, no normalisation in the first layer. The submodules are numbered as in the
weight files that are in circulation (`model.0`, `.2`, `.5`, `.8`, `.11`, and
`net.0`, `.2`, `.5` for single pixels).

With spectral normalisation (Miyato et al. 2018, arXiv:1802.05957) a convolution's
`weight` is kept as `parametrizations.weight.original`, with the singular vectors
that are followed from step to step beside it, `parametrizations.weight.0._u`, `._v`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm as normalise_spectrum

from phasegan.models.blocks import NORMS, check_choice, has_bias

SLOPE = 0.2
"""Slope of the leaky ReLUs below 0."""

WIDEST = 8
"""Most channels, as a multiple of the first layer's."""


def smallest_size(layers: int = 3) -> int:
    """Return the least rows and columns that leave a PatchGAN one patch.

    Parameters
    ----------
    layers : int
        Convolutions that halve rows and columns.

    Returns
    -------
    int
        In pixels.
    """
    return 3 * 2**layers


class PatchDiscriminator(nn.Module):
    """Score overlapping patches of an image, of 70×70 pixels by default.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    base_channels : int
        Channels after the first layer (64 as published).
    norm : {"instance", "affine-instance", "batch"}
        Normalisation; before a batch normalisation convolutions have no bias.
    layers : int
        Convolutions that halve rows and columns. Patches are 16, 34, 70, 142, 286
        pixels wide with 1 to 5.
    spectral_norm : bool
        Divide every convolution's weights by their largest singular value.

    Attributes
    ----------
    design : dict
        All of the above and `kind`, from which `make_discriminator` rebuilds it.
    min_size : int
        Least rows and columns.
    """

    def __init__(
        self,
        in_channels: int,
        base_channels: int = 64,
        *,
        norm: str = "instance",
        layers: int = 3,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.design: dict[str, Any] = {
            "kind": "patch",
            "in_channels": in_channels,
            "base_channels": base_channels,
            "norm": check_choice(norm, "normalisation", NORMS),
            "layers": layers,
            "spectral_norm": spectral_norm,
        }
        self.min_size = smallest_size(layers)
        convolution = _SteadyConvolution if spectral_norm else nn.Conv2d
        width = base_channels
        stack: list[nn.Module] = [
            convolution(in_channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        for depth in range(1, layers + 1):
            wider = base_channels * min(2**depth, WIDEST)
            stride = 2 if depth < layers else 1
            stack += [
                convolution(width, wider, 4, stride=stride, padding=1, bias=has_bias(norm)),
                NORMS[norm](wider),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
            width = wider
        stack.append(convolution(width, 1, 4, padding=1))
        self.model = nn.Sequential(*stack)
        if spectral_norm:
            _normalise(self.model)

    def forward(self, x: Tensor) -> Tensor:
        """Score every patch.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns), values in [−1, 1]; rows and
            columns at least `min_size`.

        Returns
        -------
        torch.Tensor
            (batch, 1, rows // 2**layers − 2, columns // 2**layers − 2), one unbounded
            score a patch: a map, never averaged to one number (30×30 at 256×256).
        """
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """Score every pixel by itself: 1×1 convolutions (Isola et al. 2017, "PixelGAN").

    Parameters
    ----------
    in_channels, base_channels, norm, spectral_norm
        As of `PatchDiscriminator`.

    Attributes
    ----------
    design, min_size
        As of `PatchDiscriminator`.
    """

    min_size = 2

    def __init__(
        self,
        in_channels: int,
        base_channels: int = 64,
        *,
        norm: str = "instance",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.design: dict[str, Any] = {
            "kind": "pixel",
            "in_channels": in_channels,
            "base_channels": base_channels,
            "norm": check_choice(norm, "normalisation", NORMS),
            "spectral_norm": spectral_norm,
        }
        convolution = _SteadyConvolution if spectral_norm else nn.Conv2d
        c, bias = base_channels, has_bias(norm)
        self.net = nn.Sequential(
            convolution(in_channels, c, 1),
            nn.LeakyReLU(SLOPE, inplace=True),
            convolution(c, 2 * c, 1, bias=bias),
            NORMS[norm](2 * c),
            nn.LeakyReLU(SLOPE, inplace=True),
            convolution(2 * c, 1, 1, bias=bias),
        )
        if spectral_norm:
            _normalise(self.net)

    def forward(self, x: Tensor) -> Tensor:
        """Score every pixel.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns), values in [−1, 1].

        Returns
        -------
        torch.Tensor
            (batch, 1, rows, columns), unbounded.
        """
        return self.net(x)


class _SteadyConvolution(nn.Conv2d):
    """A convolution whose weights are computed in float32 also in lower precision."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weight
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


def _normalise(layers: nn.Sequential) -> None:
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            normalise_spectrum(layer)
