"""Layers shared by the networks.

All tensors are float, axis order (batch, channel, row, column).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from phasegan.errors import InputError

INIT_STD = 0.02
"""Standard deviation of the initial weights (Zhu et al. 2017, appendix 7.1)."""

DROPPED = 0.5
"""Share of the values that a dropout layer sets to 0 while training."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation whose statistics are always taken in float32.

    In half precision the variance of a constant map underflows and the result
    is not a number; the convolutions around this layer may still run in bf16
    or fp16. On a CPU this is group normalisation with a group a channel, the same
    function: its kernel takes half precision as it is and sums in float32. Not with
    channels innermost, where that kernel loses the variance of maps that hardly vary.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each map to mean 0 and variance 1.

        Parameters
        ----------
        x : torch.Tensor
            (batch, channel, row, column).

        Returns
        -------
        torch.Tensor
            Same shape and dtype.
        """
        with torch.autocast(x.device.type, enabled=False):
            if x.device.type == "cpu" and x.dtype != torch.float16 and x.is_contiguous():
                return functional.group_norm(
                    x, self.num_features, self.weight, self.bias, eps=self.eps
                )
            return super().forward(x.float()).to(x.dtype)


class ReflectionPad(nn.ReflectionPad2d):
    """Reflection padding whose gradient on a GPU can be deterministic.

    torch's own has no deterministic gradient on CUDA; where one is asked for, the
    same is put together from mirrored edges. On a CPU, autocast would pad in float32,
    which copies all values twice; half precision is padded as it is, to the same bits.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pad all four sides.

        Parameters
        ----------
        x : torch.Tensor
            (batch, channel, row, column).

        Returns
        -------
        torch.Tensor
            (batch, channel, row + 2 width, column + 2 width).
        """
        if _needs_deterministic_padding(x):
            return reflect_pad(x, self.padding[0])
        if (
            x.device.type == "cpu"
            and x.dtype == torch.bfloat16
            and torch.is_autocast_enabled("cpu")
        ):
            padded: Tensor = _HalfReflectionPad.apply(x, self.padding[0])
            return padded
        return super().forward(x)


class _HalfReflectionPad(torch.autograd.Function):
    """Reflection padding in half precision; gradients are added in float32 and rounded once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, width: int) -> Tensor:
        ctx.shape, ctx.width = x.shape, width
        with torch.autocast("cpu", enabled=False):
            return functional.pad(x, [width] * 4, mode="reflect")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (padded,), shape, width = gradients, ctx.shape, ctx.width
        (rows, columns), edge = shape[-2:], 2 * width + 1
        every = slice(None)

        def fold(rows: slice, columns: slice, padding: list[int]) -> Tensor:
            """Return the gradient of a strip of the image from what was padded of it."""
            part = padded[..., rows, columns].float()
            left, right, top, bottom = padding
            sizes = part.shape[-2] - top - bottom, part.shape[-1] - left - right
            like = part.new_empty(()).expand(*shape[:-2], *sizes)
            return torch.ops.aten.reflection_pad2d_backward(part, like, padding).to(padded.dtype)

        if min(rows, columns) < edge + 1:
            return fold(every, every, [width] * 4), None
        # Only what is near an edge has several gradients to be added.
        gradient = padded[..., width:-width, width:-width].clone()
        gradient[..., : width + 1, :] = fold(slice(0, edge), every, [width, width, width, 0])
        gradient[..., -width - 1 :, :] = fold(slice(-edge, None), every, [width, width, 0, width])
        inside, rows_inside = slice(edge, rows - 1), slice(width + 1, -width - 1)
        gradient[..., rows_inside, : width + 1] = fold(inside, slice(0, edge), [width, 0, 0, 0])
        gradient[..., rows_inside, -width - 1 :] = fold(
            inside, slice(-edge, None), [0, width, 0, 0]
        )
        return gradient, None


def _needs_deterministic_padding(x: Tensor) -> bool:
    return x.device.type == "cuda" and torch.are_deterministic_algorithms_enabled()


def reflect_pad(x: Tensor, width: int) -> Tensor:
    """Mirror rows and columns across the edges, as torch's reflection padding does.

    Parameters
    ----------
    x : torch.Tensor
        (…, rows, columns).
    width : int
        Rows and columns added on each side, less than those of x.

    Returns
    -------
    torch.Tensor
        (…, rows + 2 width, columns + 2 width); edges are not repeated.
    """
    for axis in (-2, -1):
        size = x.shape[axis]
        before = x.narrow(axis, 1, width).flip(axis)
        after = x.narrow(axis, size - 1 - width, width).flip(axis)
        x = torch.cat([before, x, after], axis)
    return x


class ResizeConvolution(nn.Conv2d):
    """Nearest-neighbour doubling of rows and columns, then a 3×3 convolution.

    In place of a transposed convolution, whose uneven overlap draws checkerboards
    (Odena, Dumoulin & Olah 2016, doi:10.23915/distill.00003).

    Parameters
    ----------
    in_channels, out_channels : int
        Of the maps.
    bias : bool
        Whether the convolution has one.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Double rows and columns, then convolve.

        Parameters
        ----------
        x : torch.Tensor
            (batch, in_channels, rows, columns).

        Returns
        -------
        torch.Tensor
            (batch, out_channels, 2 rows, 2 columns).
        """
        return super().forward(functional.interpolate(x, scale_factor=2, mode="nearest"))


def _instance(channels: int) -> nn.Module:
    return InstanceNorm(channels)


def _affine_instance(channels: int) -> nn.Module:
    return InstanceNorm(channels, affine=True)


def _batch(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels)


NORMS = {"instance": _instance, "affine-instance": _affine_instance, "batch": _batch}
"""Normalisation layers by name."""

PADDINGS = {"reflect": ReflectionPad, "replicate": nn.ReplicationPad2d, "zero": None}
"""Padding layers by name; zeros are padded by the convolution itself."""


def check_choice(value: str, what: str, names: Iterable[str]) -> str:
    """Return a name if it is one of the choices.

    Parameters
    ----------
    value : str
        The name.
    what : str
        Kind of name, for the message.
    names : iterable of str
        The choices.

    Returns
    -------
    str
        `value`.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if value not in (choices := tuple(names)):
        raise InputError(f"{value!r} is no {what}; known: {', '.join(choices)}")
    return value


def has_bias(norm: str) -> bool:
    """Return whether convolutions before a normalisation have a bias.

    Parameters
    ----------
    norm : str
        A key of `NORMS`.

    Returns
    -------
    bool
        False for "batch", which would cancel it.
    """
    return norm != "batch"


@contextlib.contextmanager
def _counted_once(layers: list[nn.BatchNorm2d]) -> Iterator[None]:
    """Let batch normalisations see a batch again without counting it in their statistics."""
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer, (_, count) in zip(layers, before, strict=True):
        layer.momentum = 0.0
        layer.num_batches_tracked = None if count is None else count.clone()
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count


def apply_block(block: nn.Module, x: Tensor, recompute: bool) -> Tensor:
    """Return block(x), by choice with activation checkpointing.

    Parameters
    ----------
    block : torch.nn.Module
        Any module of one input and one output.
    x : torch.Tensor
        Its input.
    recompute : bool
        Compute the activations inside the block again for the gradient, to save memory.
        Running statistics of batch normalisations count the batch once.

    Returns
    -------
    torch.Tensor
        Its output.
    """
    if not recompute or not torch.is_grad_enabled():
        return block(x)
    counting = [layer for layer in block.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not counting or torch.compiler.is_compiling():  # compiled, nothing is counted again
        return checkpoint(block, x, use_reentrant=False)
    return checkpoint(
        block,
        x,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _counted_once(counting)),
    )


class ResidualBlock(nn.Module):
    """Two padded 3×3 convolutions with a skip connection (He et al. 2016).

    Parameters
    ----------
    channels : int
        Channels in and out.
    padding : {"reflect", "replicate", "zero"}
        What the convolutions see beyond the edges.
    norm : {"instance", "affine-instance", "batch"}
        Normalisation behind each convolution.
    dropout : bool
        Drop half of the values between the two convolutions while training.
    """

    def __init__(
        self,
        channels: int,
        padding: str = "reflect",
        norm: str = "instance",
        dropout: bool = False,
    ) -> None:
        super().__init__()
        pad, bias = PADDINGS[padding], has_bias(norm)
        layers: list[nn.Module] = []
        for first in (True, False):
            if pad is not None:
                layers.append(pad(1))
            layers.append(nn.Conv2d(channels, channels, 3, padding=int(pad is None), bias=bias))
            layers.append(NORMS[norm](channels))
            if first:
                layers.append(nn.ReLU(inplace=True))
            if first and dropout:
                layers.append(nn.Dropout(DROPPED))
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x).

        Parameters
        ----------
        x : torch.Tensor
            (batch, channels, rows, columns).

        Returns
        -------
        torch.Tensor
            Same shape.
        """
        return x + self.conv_block(x)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every convolution's weights from N(0, 0.02²) and zero its biases.

    The factors of a batch normalisation are drawn from N(1, 0.02²). A network with a
    method `draw_weights` has a start of its own, and draws it there.

    Parameters
    ----------
    module : torch.nn.Module
        Network, changed in place; its parameters must be on the CPU.
    generator : torch.Generator
        Source of randomness, so that equal seeds give equal networks.
    """
    draw = getattr(module, "draw_weights", None)
    if callable(draw):
        draw(generator)
        return
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            spectral = parametrize.is_parametrized(layer, "weight")
            if spectral:
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
            with torch.no_grad():
                layer.weight.normal_(0.0, INIT_STD, generator=generator)
                if layer.bias is not None:
                    layer.bias.zero_()
            if spectral:
                with fork_rng_from(generator):
                    spectral_norm(layer)
        elif isinstance(layer, nn.BatchNorm2d):
            with torch.no_grad():
                layer.weight.normal_(1.0, INIT_STD, generator=generator)
                layer.bias.zero_()


@contextlib.contextmanager
def fork_rng_from(generator: torch.Generator) -> Iterator[None]:
    """Seed torch's global generator from another one, and restore it afterwards.

    Parameters
    ----------
    generator : torch.Generator
        On the CPU; one number is drawn from it.

    Yields
    ------
    None
        Inside, torch's CPU generator follows from `generator`.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Reflect-pad bottom and right until rows and columns divide by a number.

    Parameters
    ----------
    x : torch.Tensor
        (batch, channel, rows, columns).
    multiple : int
        The number.

    Returns
    -------
    torch.Tensor
        (batch, channel, ⌈rows⌉, ⌈columns⌉); x itself if nothing is missing.
    """
    rows, columns = x.shape[-2:]
    bottom, right = -rows % multiple, -columns % multiple
    if bottom == right == 0:
        return x
    if not _needs_deterministic_padding(x):
        return functional.pad(x, (0, right, 0, bottom), mode="reflect")
    for axis, width in ((-1, right), (-2, bottom)):
        mirrored = x.narrow(axis, x.shape[axis] - 1 - width, width).flip(axis)
        x = torch.cat([x, mirrored], axis)
    return x
