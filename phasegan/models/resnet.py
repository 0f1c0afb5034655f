"""The ResNet generator of the published CycleGAN, and its circulating variants.

Johnson et al. 2016 and Zhu et al. 2017, appendix 7.2: c7s1-64, d128, d256,
R256 × blocks, u128, u64, c7s1-3, tanh. The submodules are numbered as in the
weight files that are in circulation (`model.1.weight`, `model.4.weight`, …).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from phasegan.models.blocks import (
    NORMS,
    PADDINGS,
    ReflectionPad,
    ResidualBlock,
    ResizeConvolution,
    apply_block,
    check_choice,
    has_bias,
    pad_to_multiple,
)

DOWNSAMPLING = 4
"""Rows and columns are halved twice on the way through."""

UPSAMPLINGS = ("transposed", "resize")
"""How rows and columns are doubled again."""


class ResNetGenerator(nn.Module):
    """Image-to-image network of residual blocks between two down- and two upsamplings.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input and of the output.
    base_channels : int
        Channels after the first layer (64 as published).
    blocks : int
        Residual blocks at quarter resolution (9 as published at 256×256, 6 at
        128×128).
    padding : {"reflect", "replicate", "zero"}
        Of the residual blocks; the outermost convolutions always reflect.
    norm : {"instance", "affine-instance", "batch"}
        Normalisation; before a batch normalisation convolutions have no bias.
    dropout : bool
        Drop half of the values inside residual blocks while training.
    upsampling : {"transposed", "resize"}
        Transposed convolutions as published, or `ResizeConvolution` against
        checkerboards.

    Attributes
    ----------
    design : dict
        All of the above and `kind`, from which `make_generator` rebuilds the network.

    Raises
    ------
    InputError
        If one of the names is not known.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base_channels: int = 64,
        blocks: int = 9,
        *,
        padding: str = "reflect",
        norm: str = "instance",
        dropout: bool = False,
        upsampling: str = "transposed",
    ) -> None:
        super().__init__()
        self.design: dict[str, Any] = {
            "kind": "resnet",
            "in_channels": in_channels,
            "out_channels": out_channels,
            "base_channels": base_channels,
            "blocks": blocks,
            "padding": check_choice(padding, "padding", PADDINGS),
            "norm": check_choice(norm, "normalisation", NORMS),
            "dropout": dropout,
            "upsampling": check_choice(upsampling, "upsampling", UPSAMPLINGS),
        }
        c, bias, normalise = base_channels, has_bias(norm), NORMS[norm]
        layers: list[nn.Module] = [
            ReflectionPad(3),
            nn.Conv2d(in_channels, c, 7, bias=bias),
            normalise(c),
            nn.ReLU(inplace=True),
        ]
        for width in (c, 2 * c):
            layers += [
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=bias),
                normalise(2 * width),
                nn.ReLU(inplace=True),
            ]
        layers += [ResidualBlock(4 * c, padding, norm, dropout) for _ in range(blocks)]
        for width in (4 * c, 2 * c):
            layers += [
                _doubling(width, width // 2, bias, upsampling),
                normalise(width // 2),
                nn.ReLU(inplace=True),
            ]
        layers += [ReflectionPad(3), nn.Conv2d(c, out_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)
        self.recompute = False

    def forward(self, x: Tensor) -> Tensor:
        """Translate pictures.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns), values in [−1, 1]; rows and
            columns at least 8, of any parity: sizes that do not divide by 4
            are reflect-padded inside and cropped again.

        Returns
        -------
        torch.Tensor
            (batch, out_channels, rows, columns), values in (−1, 1).
        """
        rows, columns = x.shape[-2:]
        y = pad_to_multiple(x, DOWNSAMPLING)
        for layer in self.model:
            y = apply_block(layer, y, self.recompute and isinstance(layer, ResidualBlock))
        return y[..., :rows, :columns]


def _doubling(in_channels: int, out_channels: int, bias: bool, upsampling: str) -> nn.Module:
    """Return a layer that doubles rows and columns."""
    if upsampling == "resize":
        return ResizeConvolution(in_channels, out_channels, bias)
    return nn.ConvTranspose2d(
        in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=bias
    )
