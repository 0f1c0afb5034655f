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
from phasegan.translation.tiling.convolutions import Convolution, TransposedConvolution
from phasegan.translation.tiling.operations import (
    Addition,
    ChannelMean,
    ChannelShift,
    NearestUpsampling,
    Normalisation,
    Operation,
    Padding,
    PadToMultiple,
    Pointwise,
    Shape,
)
from phasegan.translation.tiling.statistics import Moments


class UnknownLayerError(Exception):
    """A network has a layer that cannot be computed for some rows alone."""


@dataclass
class ComputationGraph:
    """Operations in an order in which each comes after what it needs.

    Number 0 is the picture, and has no operation; the last one is the translation.

    Parameters
    ----------
    channels : int
        Channels of the picture.
    dtype : torch.dtype
        Dtype of the maps between.
    """

    channels: int
    dtype: torch.dtype = torch.float32
    operations: list[Operation | None] = field(default_factory=lambda: [None])
    inputs: list[tuple[int, ...]] = field(default_factory=lambda: [()])

    def add(self, operation: Operation, *inputs: int) -> int:
        """Append an operation.

        Parameters
        ----------
        operation : Operation
            Its inputs stand in the graph already.
        *inputs : int
            Their numbers.

        Returns
        -------
        int
            Its own number.
        """
        self.operations.append(operation)
        self.inputs.append(inputs)
        return len(self.operations) - 1

    def operation(self, number: int) -> Operation:
        """Return an operation.

        Parameters
        ----------
        number : int
            Not 0, which is the picture.

        Returns
        -------
        Operation
            The one that computes that map.
        """
        operation = self.operations[number]
        assert operation is not None
        return operation

    def moment_users(self) -> dict[int, list[int]]:
        """Return the numbers whose moments are needed, with those that need them."""
        moment_users: dict[int, list[int]] = {}
        for number, operation in enumerate(self.operations):
            if isinstance(operation, Normalisation | ChannelShift) and operation.needs_moments:
                moment_users.setdefault(self.inputs[number][0], []).append(number)
        return moment_users

    def shapes(self, rows: int, columns: int) -> list[Shape]:
        """Return the size of every map.

        Parameters
        ----------
        rows, columns : int
            Size of the picture.

        Returns
        -------
        list of Shape
            By the numbers of the operations, the picture first.
        """
        shapes = [Shape(self.channels, rows, columns)]
        for number in range(1, len(self.operations)):
            input_shape = shapes[self.inputs[number][0]]
            shapes.append(self.operation(number).output_shape(input_shape))
        return shapes

    def cost(self, number: int, shapes: list[Shape]) -> int:
        """Return the multiplications of an operation for the whole picture.

        Parameters
        ----------
        number : int
            The operation's; 0, the picture, costs nothing.
        shapes : list of Shape
            From `shapes`.

        Returns
        -------
        int
            Multiplications.
        """
        if number == 0:
            return 0
        return self.operation(number).cost(shapes[self.inputs[number][0]])


def build_graph(network: nn.Module, dtype: torch.dtype = torch.float32) -> ComputationGraph:
    """Return the computation graph of a generator.

    Parameters
    ----------
    network : torch.nn.Module
        A `ResNetGenerator` or a U-Net, as it computes in evaluation.
    dtype : torch.dtype
        In which wide layers are computed: float32 or bfloat16. The first and the last
        layer are computed in float32 always.

    Returns
    -------
    ComputationGraph
        Ending with the translation.

    Raises
    ------
    UnknownLayerError
        If it holds something else.
    """
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise UnknownLayerError(type(network).__name__)
    graph = ComputationGraph(first.in_channels, dtype)
    _append(graph, network, 0)
    return graph


_ACTIVATIONS: dict[type[nn.Module], Callable[[torch.Tensor], torch.Tensor]] = {
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.tanh_,
    nn.SiLU: lambda x: functional.silu(x, inplace=True),
}


def _append(graph: ComputationGraph, layer: nn.Module, number: int) -> int:
    """Append a layer that takes its input from `number`; return its own."""
    for kind, append in _APPENDERS.items():
        if isinstance(layer, kind):
            return append(graph, layer, number)
    raise UnknownLayerError(type(layer).__name__)


def _append_all(graph: ComputationGraph, layers: Iterable[nn.Module], number: int) -> int:
    for layer in layers:
        number = _append(graph, layer, number)
    return number


def _resnet(graph: ComputationGraph, network: ResNetGenerator, number: int) -> int:
    number = graph.add(PadToMultiple(DOWNSAMPLING, "reflect"), number)
    return _append_all(graph, network.model, number)


def _residual(graph: ComputationGraph, block: ResidualBlock, number: int) -> int:
    inner = _append_all(graph, block.conv_block, number)
    return graph.add(Addition(), number, inner)


def _convolution(graph: ComputationGraph, layer: nn.Conv2d, number: int) -> int:
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not plain or isinstance(layer.padding, str):
        raise UnknownLayerError(f"{layer}")
    return graph.add(Convolution(layer, graph.dtype), number)


def _transposed(graph: ComputationGraph, layer: nn.ConvTranspose2d, number: int) -> int:
    plain = layer.groups == 1 and layer.dilation == (1, 1)
    if not plain or layer.kernel_size[0] < layer.stride[0]:
        raise UnknownLayerError(f"{layer}")
    return graph.add(TransposedConvolution(layer, graph.dtype), number)


def _padding(mode: str) -> Callable[[ComputationGraph, nn.Module, int], int]:
    def append(graph: ComputationGraph, layer: nn.Module, number: int) -> int:
        sides = layer.padding
        assert isinstance(sides, tuple)
        left, right, top, bottom = (int(side) for side in sides)
        return graph.add(Padding((left, right, top, bottom), mode), number)

    return append


def _instance_norm(graph: ComputationGraph, layer: nn.InstanceNorm2d, number: int) -> int:
    if layer.track_running_stats:
        return _batch_norm(graph, layer, number)
    operation = Normalisation(layer.eps, layer.weight, layer.bias)
    return graph.add(operation, number)


def _batch_norm(
    graph: ComputationGraph, layer: nn.BatchNorm2d | nn.InstanceNorm2d, number: int
) -> int:
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None:
        raise UnknownLayerError(f"{layer} without running statistics")
    operation = Normalisation(
        layer.eps,
        layer.weight,
        layer.bias,
        fixed=Moments(mean.cpu().double(), variance.cpu().double()),
    )
    return graph.add(operation, number)


def _group_norm(graph: ComputationGraph, layer: nn.GroupNorm, number: int) -> int:
    groups = layer.num_groups
    return graph.add(Normalisation(layer.eps, layer.weight, layer.bias, groups), number)


def _upsample(graph: ComputationGraph, layer: nn.Upsample, number: int) -> int:
    times = layer.scale_factor
    if layer.mode != "nearest" or not isinstance(times, int | float) or times != int(times):
        raise UnknownLayerError(f"{layer}")
    return graph.add(NearestUpsampling(int(times)), number)


def _activation(graph: ComputationGraph, layer: nn.Module, number: int) -> int:
    return graph.add(Pointwise(_ACTIVATIONS[type(layer)]), number)


def _silu(graph: ComputationGraph, number: int) -> int:
    return graph.add(Pointwise(_ACTIVATIONS[nn.SiLU]), number)


def _norm_block(graph: ComputationGraph, block: NormBlock, number: int) -> int:
    inner = number
    for norm, convolution in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
        inner = _silu(graph, _append(graph, norm, inner))
        inner = _append(graph, convolution, inner)
    return graph.add(Addition(), number, inner)


def _global_context(graph: ComputationGraph, layer: GlobalContext, number: int) -> int:
    inner, outer = (copy.deepcopy(part).float().cpu() for part in (layer.inner, layer.outer))
    return graph.add(ChannelShift(lambda pooled: outer(functional.silu(inner(pooled)))), number)


def _unet(graph: ComputationGraph, network: UNet, number: int) -> int:
    number = graph.add(PadToMultiple(2 ** len(network.down), "replicate"), number)
    number = _append(graph, network.entry, number)
    skips = []
    for block, down in zip(network.encoder, network.down, strict=False):
        number = _append(graph, block, number)
        skips.append(number)
        number = _append(graph, down, number)
    number = _append(graph, network.encoder[-1], number)
    number = _append(graph, network.surroundings, number)
    for block, up in zip(reversed(network.decoder), reversed(network.up), strict=True):
        upper = _append(graph, up, number)
        number = graph.add(Addition(), skips.pop(), upper)
        number = _append(graph, block, number)
    return _append(graph, network.exit, _silu(graph, number))


def _translator(graph: ComputationGraph, network: UNetTranslator, number: int) -> int:
    start = number
    if graph.channels != network.out_channels:
        start = graph.add(ChannelMean(network.out_channels), number)
    change = _unet(graph, network.unet, number)
    return graph.add(Pointwise(soft_clip), graph.add(Addition(), start, change))


def _resize(graph: ComputationGraph, layer: ResizeConvolution, number: int) -> int:
    return _convolution(graph, layer, graph.add(NearestUpsampling(2), number))


def _skip(graph: ComputationGraph, layer: nn.Module, number: int) -> int:
    return number


_APPENDERS: dict[type[nn.Module], Callable[..., int]] = {
    ResNetGenerator: _resnet,
    ResidualBlock: _residual,
    UNetTranslator: _translator,
    UNet: _unet,
    NormBlock: _norm_block,
    GlobalContext: _global_context,
    nn.Sequential: _append_all,
    ResizeConvolution: _resize,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed,
    nn.ReflectionPad2d: _padding("reflect"),
    nn.ReplicationPad2d: _padding("replicate"),
    nn.InstanceNorm2d: _instance_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.Upsample: _upsample,
    nn.Dropout: _skip,
    nn.Identity: _skip,
    **dict.fromkeys(_ACTIVATIONS, _activation),
}
