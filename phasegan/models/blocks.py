"""Layers shared by the networks.

All tensors are float, axis order (batch, channel, row, column).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

INIT_STD = 0.02
"""Standard deviation of the initial weights (Zhu et al. 2017, appendix 7.1)."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation whose statistics are always taken in float32.

    In half precision the variance of a constant map underflows and the result
    is not a number; the convolutions around this layer may still run in bf16
    or fp16. On a CPU this is group normalisation with a group a channel, the same
    function: its kernel takes half precision as it is and sums in float32. Not with
    channels innermost, where that kernel loses the variance of maps that hardly vary.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each map of (batch, channel, row, column) to mean 0, variance 1."""
        with torch.autocast(x.device.type, enabled=False):
            if x.device.type == "cpu" and x.dtype != torch.float16 and x.is_contiguous():
                return functional.group_norm(x, self.num_features, eps=self.eps)
            return super().forward(x.float()).to(x.dtype)


class ReflectionPad(nn.ReflectionPad2d):
    """Reflection padding whose gradient on a GPU can be deterministic.

    torch's own has no deterministic gradient on CUDA; where one is asked for, the
    same is put together from mirrored edges.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pad (batch, channel, row, column) on all four sides."""
        if x.device.type == "cuda" and torch.are_deterministic_algorithms_enabled():
            return mirrored_edges(x, self.padding[0])
        return super().forward(x)


def mirrored_edges(x: Tensor, width: int) -> Tensor:
    """Return x with `width` mirrored rows and columns on all four sides, edges not repeated."""
    for axis in (-2, -1):
        size = x.shape[axis]
        before = x.narrow(axis, 1, width).flip(axis)
        after = x.narrow(axis, size - 1 - width, width).flip(axis)
        x = torch.cat([before, x, after], axis)
    return x


def through(block: nn.Module, x: Tensor, recompute: bool) -> Tensor:
    """Return block(x); with `recompute`, what is inside is computed again for the gradient."""
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, x, use_reentrant=False)
    return block(x)


class ResidualBlock(nn.Module):
    """Two reflect-padded 3×3 convolutions with a skip connection (He et al. 2016).

    Parameters
    ----------
    channels : int
        Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(channels),
            nn.ReLU(inplace=True),
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x), same shape."""
        return x + self.conv_block(x)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every convolution's weights from N(0, 0.02²) and zero its biases.

    Parameters
    ----------
    module : torch.nn.Module
        Network, changed in place; its parameters must be on the CPU.
    generator : torch.Generator
        Source of randomness, so that equal seeds give equal networks.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            with torch.no_grad():
                layer.weight.normal_(0.0, INIT_STD, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Reflect-pad bottom and right until rows and columns divide by `multiple`."""
    rows, columns = x.shape[-2:]
    bottom, right = -rows % multiple, -columns % multiple
    if bottom == right == 0:
        return x
    return functional.pad(x, (0, right, 0, bottom), mode="reflect")
