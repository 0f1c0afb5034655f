"""A U-Net that translates pictures, and starts by leaving them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from phasegan.models.blocks import known, seeded
from phasegan.models.resnet import UPSAMPLINGS
from phasegan.models.unet import UNet

WIDTHS = (32, 64, 128, 256)
"""Channels at full, half, quarter, eighth resolution."""

KNEE = 0.9
"""Magnitude from which on values are bent towards ±1."""


FARTHEST = 1e4
"""Excess beyond the knee at which float32 no longer tells the value from ±1."""


def soft_clip(x: Tensor) -> Tensor:
    """Return values in [−1, 1] that grow with x, and equal it up to `KNEE`.

    With t the excess over the knee k, in units of 1 − k, it goes on as
    k + (1 − k) t / √(1 + t²): at ±1 the slope is still 0.35, the value ±0.971.
    """
    inner = x.clamp(-KNEE, KNEE)
    excess = ((x - inner) / (1 - KNEE)).clamp(-FARTHEST, FARTHEST)
    return inner + (1 - KNEE) * excess * torch.rsqrt(1 + excess * excess)


class UNetTranslator(nn.Module):
    """What a `UNet` adds to a picture, kept within [−1, 1].

    Before training the U-Net gives 0, and pictures come back as they went in, but
    for the brightest and darkest twentieth of their range, which is bent by at most
    0.03. Where the channel counts differ the start is the mean over the channels.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the picture that goes in and of the one that comes out.
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
            "upsampling": known(upsampling, "upsampling", UPSAMPLINGS),
        }
        self.unet = self._fresh()
        self.out_channels = out_channels

    def _fresh(self) -> UNet:
        made = self.design
        return UNet(
            made["in_channels"], made["out_channels"], tuple(made["widths"]), made["upsampling"]
        )

    @property
    def recompute(self) -> bool:
        """Whether blocks are computed again for the gradient, to save memory."""
        return self.unet.recompute

    @recompute.setter
    def recompute(self, value: bool) -> None:
        self.unet.recompute = value

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw the start that `UNet` has by construction, from a source of randomness."""
        with seeded(generator):
            fresh = self._fresh()
        self.unet.load_state_dict(fresh.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """Translate pictures.

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
