"""The 70×70 PatchGAN discriminator.

Isola et al. 2017, section 3.2.2, and Zhu et al. 2017, appendix 7.2:
C64-C128-C256-C512 and a last convolution to one channel, leaky ReLUs of slope
0.2, no normalisation in the first layer. The submodules are numbered as in the
weight files that are in circulation (`model.0`, `.2`, `.5`, `.8`, `.11`).
"""

from __future__ import annotations

from torch import Tensor, nn

from phasegan.models.blocks import InstanceNorm

MIN_SIZE = 24
"""Smallest rows and columns that leave at least one patch."""


class PatchDiscriminator(nn.Module):
    """Judge overlapping 70×70 patches of a picture.

    Parameters
    ----------
    in_channels : int
        Channels of the picture.
    base_channels : int
        Channels after the first layer (64 as published).
    """

    def __init__(self, in_channels: int, base_channels: int = 64) -> None:
        super().__init__()
        c = base_channels
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, c, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for width, stride in ((c, 2), (2 * c, 2), (4 * c, 1)):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=stride, padding=1),
                InstanceNorm(2 * width),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers.append(nn.Conv2d(8 * c, 1, 4, padding=1))
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Score every patch.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns), values in [−1, 1]; rows and
            columns at least `MIN_SIZE`.

        Returns
        -------
        torch.Tensor
            (batch, 1, rows // 8 − 2, columns // 8 − 2), one unbounded score a
            patch: a map, never averaged to one number (30×30 at 256×256).
        """
        return self.model(x)
