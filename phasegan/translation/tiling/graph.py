"""A generator as a list of operations, each with the numbers of those it takes its input from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

from phasegan.models.blocks import ResidualBlock, ResizeConvolution
from phasegan.models.residual_unet import UNetTranslator, soft_clip
from phasegan.models.resnet import DOWNSAMPLING, ResNetGenerator
from phasegan.models.unet import GlobalContext, NormBlock, UNet
from phasegan.translation.tiling.convolutions import Convolution, Transposed
from phasegan.translation.tiling.operations import (
    Addition,
    ChannelMean,
    Enlargement,
    Normalisation,
    Operation,
    Padding,
    Pointwise,
    Shape,
    Shift,
    ToMultiple,
)
from phasegan.translation.tiling.statistics import Moments


class UnknownLayerError(Exception):
    """A network has a layer that cannot be computed for some rows alone."""


@dataclass
class Program:
    """Operations in an order in which each comes after what it needs.

    Number 0 is the picture, and has no operation; the last one is the translation.

    Parameters
    ----------
    channels : int
        Of the picture.
    dtype : torch.dtype
        Of the maps between.
    """

    channels: int
    dtype: torch.dtype = torch.float32
    operations: list[Operation | None] = field(default_factory=lambda: [None])
    inputs: list[tuple[int, ...]] = field(default_factory=lambda: [()])

    def add(self, operation: Operation, *inputs: int) -> int:
        """Append an operation and return its number."""
        self.operations.append(operation)
        self.inputs.append(inputs)
        return len(self.operations) - 1

    def operation(self, number: int) -> Operation:
        """Return an operation; not that of the picture."""
        found = self.operations[number]
        assert found is not None
        return found

    def measured(self) -> dict[int, list[int]]:
        """Return the numbers whose moments are needed, with those that need them."""
        found: dict[int, list[int]] = {}
        for number, operation in enumerate(self.operations):
            if isinstance(operation, Normalisation | Shift) and operation.measures:
                found.setdefault(self.inputs[number][0], []).append(number)
        return found

    def shapes(self, rows: int, columns: int) -> list[Shape]:
        """Return the size of every map for a picture of that size."""
        found = [Shape(self.channels, rows, columns)]
        for number in range(1, len(self.operations)):
            found.append(self.operation(number).shape(found[self.inputs[number][0]]))
        return found

    def cost(self, number: int, shapes: list[Shape]) -> int:
        """Return the multiplications of an operation for the whole picture."""
        if number == 0:
            return 0
        return self.operation(number).cost(shapes[self.inputs[number][0]])


def program_of(network: nn.Module, dtype: torch.dtype = torch.float32) -> Program:
    """Return a generator's program.

    Parameters
    ----------
    network : torch.nn.Module
        A `ResNetGenerator` or a U-Net; what it computes in evaluation is meant.
    dtype : torch.dtype
        In which wide layers are computed: float32 or bfloat16. The first and the last
        layer are computed in float32 always.

    Raises
    ------
    UnknownLayerError
        If it holds something else.
    """
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise UnknownLayerError(type(network).__name__)
    program = Program(first.in_channels, dtype)
    _append(program, network, 0)
    return program


_ACTIVATIONS: dict[type[nn.Module], Callable[[torch.Tensor], torch.Tensor]] = {
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.tanh_,
    nn.SiLU: lambda x: functional.silu(x, inplace=True),
}


def _append(program: Program, layer: nn.Module, number: int) -> int:
    """Append a layer that takes its input from `number`; return its own."""
    for kind, append in _KINDS.items():
        if isinstance(layer, kind):
            return append(program, layer, number)
    raise UnknownLayerError(type(layer).__name__)


def _through(program: Program, layers: Iterable[nn.Module], number: int) -> int:
    for layer in layers:
        number = _append(program, layer, number)
    return number


def _resnet(program: Program, network: ResNetGenerator, number: int) -> int:
    number = program.add(ToMultiple(DOWNSAMPLING, "reflect"), number)
    return _through(program, network.model, number)


def _residual(program: Program, block: ResidualBlock, number: int) -> int:
    inner = _through(program, block.conv_block, number)
    return program.add(Addition(), number, inner)


def _convolution(program: Program, layer: nn.Conv2d, number: int) -> int:
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not plain or isinstance(layer.padding, str):
        raise UnknownLayerError(f"{layer}")
    return program.add(Convolution(layer, program.dtype), number)


def _transposed(program: Program, layer: nn.ConvTranspose2d, number: int) -> int:
    plain = layer.groups == 1 and layer.dilation == (1, 1)
    if not plain or layer.kernel_size[0] < layer.stride[0]:
        raise UnknownLayerError(f"{layer}")
    return program.add(Transposed(layer, program.dtype), number)


def _padding(mode: str) -> Callable[[Program, nn.Module, int], int]:
    def append(program: Program, layer: nn.Module, number: int) -> int:
        sides = layer.padding
        assert isinstance(sides, tuple)
        left, right, top, bottom = (int(side) for side in sides)
        return program.add(Padding((left, right, top, bottom), mode), number)

    return append


def _instance_norm(program: Program, layer: nn.InstanceNorm2d, number: int) -> int:
    if layer.track_running_stats:
        return _batch_norm(program, layer, number)
    operation = Normalisation(layer.eps, layer.weight, layer.bias)
    return program.add(operation, number)


def _batch_norm(program: Program, layer: nn.BatchNorm2d | nn.InstanceNorm2d, number: int) -> int:
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None:
        raise UnknownLayerError(f"{layer} without running statistics")
    operation = Normalisation(
        layer.eps,
        layer.weight,
        layer.bias,
        fixed=Moments(mean.cpu().double(), variance.cpu().double()),
    )
    return program.add(operation, number)


def _group_norm(program: Program, layer: nn.GroupNorm, number: int) -> int:
    groups = layer.num_groups
    return program.add(Normalisation(layer.eps, layer.weight, layer.bias, groups), number)


def _upsample(program: Program, layer: nn.Upsample, number: int) -> int:
    times = layer.scale_factor
    if layer.mode != "nearest" or not isinstance(times, int | float) or times != int(times):
        raise UnknownLayerError(f"{layer}")
    return program.add(Enlargement(int(times)), number)


def _activation(program: Program, layer: nn.Module, number: int) -> int:
    return program.add(Pointwise(_ACTIVATIONS[type(layer)]), number)


def _silu(program: Program, number: int) -> int:
    return program.add(Pointwise(_ACTIVATIONS[nn.SiLU]), number)


def _norm_block(program: Program, block: NormBlock, number: int) -> int:
    inner = number
    for norm, convolution in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
        inner = _silu(program, _append(program, norm, inner))
        inner = _append(program, convolution, inner)
    return program.add(Addition(), number, inner)


def _surroundings(program: Program, layer: GlobalContext, number: int) -> int:
    inner, outer = (copy.deepcopy(part).float().cpu() for part in (layer.inner, layer.outer))
    return program.add(Shift(lambda pooled: outer(functional.silu(inner(pooled)))), number)


def _unet(program: Program, network: UNet, number: int) -> int:
    number = program.add(ToMultiple(2 ** len(network.down), "replicate"), number)
    number = _append(program, network.entry, number)
    skips = []
    for block, down in zip(network.encoder, network.down, strict=False):
        number = _append(program, block, number)
        skips.append(number)
        number = _append(program, down, number)
    number = _append(program, network.encoder[-1], number)
    number = _append(program, network.surroundings, number)
    for block, up in zip(reversed(network.decoder), reversed(network.up), strict=True):
        upper = _append(program, up, number)
        number = program.add(Addition(), skips.pop(), upper)
        number = _append(program, block, number)
    return _append(program, network.exit, _silu(program, number))


def _translator(program: Program, network: UNetTranslator, number: int) -> int:
    start = number
    if program.channels != network.out_channels:
        start = program.add(ChannelMean(network.out_channels), number)
    change = _unet(program, network.unet, number)
    return program.add(Pointwise(soft_clip), program.add(Addition(), start, change))


def _resize(program: Program, layer: ResizeConvolution, number: int) -> int:
    return _convolution(program, layer, program.add(Enlargement(2), number))


def _nothing(program: Program, layer: nn.Module, number: int) -> int:
    return number


_KINDS: dict[type[nn.Module], Callable[..., int]] = {
    ResNetGenerator: _resnet,
    ResidualBlock: _residual,
    UNetTranslator: _translator,
    UNet: _unet,
    NormBlock: _norm_block,
    GlobalContext: _surroundings,
    nn.Sequential: _through,
    ResizeConvolution: _resize,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed,
    nn.ReflectionPad2d: _padding("reflect"),
    nn.ReplicationPad2d: _padding("replicate"),
    nn.InstanceNorm2d: _instance_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.Upsample: _upsample,
    nn.Dropout: _nothing,
    nn.Identity: _nothing,
    **dict.fromkeys(_ACTIVATIONS, _activation),
}
