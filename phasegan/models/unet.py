"""A U-Net that keeps full resolution at its finest level.

Ronneberger, Fischer & Brox 2015 (doi:10.1007/978-3-319-24574-4_28), with
residual blocks, group normalisation (Wu & He 2018) and additive skips. All
tensors are (batch, channel, row, column).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from phasegan.models.blocks import ResizeConvolution, apply_block

GROUP = 16
"""Largest group of channels that are normalised together."""


class NormBlock(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))), 3×3 convolutions.

    Parameters
    ----------
    channels : int
        In and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = next(g for g in range(max(1, channels // GROUP), 0, -1) if channels % g == 0)
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        for conv, gain in ((self.conv1, 1.0), (self.conv2, 0.5)):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
            with torch.no_grad():
                conv.weight.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block.

        Parameters
        ----------
        x : torch.Tensor
            (batch, channels, rows, columns).

        Returns
        -------
        torch.Tensor
            Same shape.
        """
        inner = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(inner)))


class GlobalContext(nn.Module):
    """Shift each channel by a learned function of all channels' means and standard deviations.

    Parameters
    ----------
    channels : int
        In and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * channels, channels)
        self.outer = nn.Linear(channels, channels)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shift the channels.

        Parameters
        ----------
        x : torch.Tensor
            (batch, channels, rows, columns).

        Returns
        -------
        torch.Tensor
            Same shape.
        """
        pooled = torch.cat([x.float().mean((2, 3)), x.float().std((2, 3), correction=0)], 1)
        shift = self.outer(functional.silu(self.inner(pooled)))
        return x + shift[:, :, None, None].to(x.dtype)


class UNet(nn.Module):
    """Residual U-Net whose output is 0 before training.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    widths : tuple of int
        Channels at each resolution, the full one first; each next level has
        half the rows and columns.
    upsampling : {"transposed", "resize"}
        By transposed convolutions, or by nearest neighbours and a convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: tuple[int, ...],
        upsampling: str = "transposed",
    ) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.entry = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(NormBlock(width) for width in widths)
        self.decoder = nn.ModuleList(NormBlock(width) for width in widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(
            ResizeConvolution(b, a)
            if upsampling == "resize"
            else nn.ConvTranspose2d(b, a, 2, stride=2)
            for a, b in pairs
        )
        self.surroundings = GlobalContext(widths[-1])
        self.exit = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        self.recompute = False
        nn.init.zeros_(self.exit.weight)
        assert self.exit.bias is not None
        nn.init.zeros_(self.exit.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network; sizes that do not divide by its downsampling are padded inside.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns), any rows and columns.

        Returns
        -------
        torch.Tensor
            (batch, out_channels, rows, columns).
        """
        rows, columns = x.shape[-2:]
        step = 2 ** len(self.down)
        bottom, right = -rows % step, -columns % step
        if bottom or right:
            x = functional.pad(x, (0, right, 0, bottom), mode="replicate")
        x = self.entry(x)
        skips = []
        for block, down in zip(self.encoder, self.down, strict=False):
            x = apply_block(block, x, self.recompute)
            skips.append(x)
            x = down(x)
        x = self.surroundings(apply_block(self.encoder[-1], x, self.recompute))
        for block, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = apply_block(block, skips.pop() + up(x), self.recompute)
        out: Tensor = self.exit(functional.silu(x))
        return out[..., :rows, :columns]
