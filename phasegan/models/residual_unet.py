"""A U-Net that translates images, and starts as the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from phasegan.models.blocks import check_choice, fork_rng_from
from phasegan.models.resnet import UPSAMPLINGS
from phasegan.models.unet import UNet

WIDTHS = (32, 64, 128, 256)
"""Channels at full, half, quarter, eighth resolution."""

KNEE = 0.9
"""Magnitude from which on values are bent towards ±1."""


FARTHEST = 1e4
"""Excess beyond the knee at which float32 no longer tells the value from ±1."""


def soft_clip(x: Tensor) -> Tensor:
    """Bend values smoothly into [−1, 1]; those up to `KNEE` stay as they are.

    With t the excess over the knee k, in units of 1 − k, values continue as
    k + (1 − k) t / √(1 + t²): at ±1 the slope is still 0.35, the value ±0.971.

    Parameters
    ----------
    x : torch.Tensor
        Any shape, floating point.

    Returns
    -------
    torch.Tensor
        Same shape, in [−1, 1], increasing with x.
    """
    inner = x.clamp(-KNEE, KNEE)
    excess = ((x - inner) / (1 - KNEE)).clamp(-FARTHEST, FARTHEST)
    return inner + (1 - KNEE) * excess * torch.rsqrt(1 + excess * excess)


class UNetTranslator(nn.Module):
    """Add a `UNet`'s output to an image, and keep the sum within [−1, 1].

    Before training the U-Net gives 0 and images come back unchanged, except that the
    brightest and darkest twentieth of their range is bent by at most 0.03. Where the channel
    counts differ the start is the mean over the channels.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    widths : sequence of int
        Channels at each resolution, the full one first.
    upsampling : {"transposed", "resize"}
        By transposed convolutions, or by nearest neighbours and a convolution.

    Attributes
    ----------
    design : dict
        All of the above and `kind`, from which `make_generator` rebuilds the network.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int] = WIDTHS,
        upsampling: str = "transposed",
    ) -> None:
        super().__init__()
        self.design: dict[str, Any] = {
            "kind": "unet",
            "in_channels": in_channels,
            "out_channels": out_channels,
            "widths": list(widths),
            "upsampling": check_choice(upsampling, "upsampling", UPSAMPLINGS),
        }
        self.unet = self._make_unet()
        self.out_channels = out_channels

    def _make_unet(self) -> UNet:
        design = self.design
        return UNet(
            design["in_channels"],
            design["out_channels"],
            tuple(design["widths"]),
            design["upsampling"],
        )

    @property
    def recompute(self) -> bool:
        """Whether blocks are computed again for the gradient, to save memory."""
        return self.unet.recompute

    @recompute.setter
    def recompute(self, value: bool) -> None:
        self.unet.recompute = value

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw the initial weights of `UNet` from a generator.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU; equal states give equal weights.
        """
        with fork_rng_from(generator):
            initial = self._make_unet()
        self.unet.load_state_dict(initial.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """Translate images.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns), values in [−1, 1], any size.

        Returns
        -------
        torch.Tensor
            (batch, out_channels, rows, columns), values in [−1, 1].
        """
        start = x if x.shape[1] == self.out_channels else x.mean(1, keepdim=True)
        return soft_clip(start.float() + self.unet(x)).to(x.dtype)
