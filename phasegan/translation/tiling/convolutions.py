"""Convolutions computed for some rows of a picture only; see `operations`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from phasegan.translation.tiling.operations import Band, Operation, Shape

MIN_HALF_CHANNELS = 16
"""Channels below which a convolution in half precision saves no time but costs accuracy."""


class Convolution(Operation):
    """A convolution, zero-padded or not.

    Parameters
    ----------
    layer : torch.nn.Conv2d
        One group, no dilation.
    dtype : torch.dtype
        In which it is computed, float32 where few channels go in or come out; of the
        result, float32 where it has few channels.
    """

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self._result = dtype if layer.out_channels >= MIN_HALF_CHANNELS else torch.float32
        dtype = self._result if layer.in_channels >= MIN_HALF_CHANNELS else torch.float32
        self._weight = _channels_last(layer.weight, dtype)
        self._bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self._kernel, self._columns = layer.weight.shape[2:]
        self._step = layer.stride
        assert isinstance(layer.padding, tuple)
        self._pad = layer.padding

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the size after the convolution."""
        rows = (input_shape.rows + 2 * self._pad[0] - self._kernel) // self._step[0] + 1
        columns = (input_shape.columns + 2 * self._pad[1] - self._columns) // self._step[1] + 1
        return Shape(self._weight.shape[0], rows, columns)

    def _reach(self, band: Band) -> Band:
        step, pad = self._step[0], self._pad[0]
        return band[0] * step - pad, (band[1] - 1) * step - pad + self._kernel

    def input_rows(self, band: Band, input_shape: Shape) -> Band:
        """Return the rows under the kernel that there are."""
        low, high = self._reach(band)
        return max(low, 0), min(high, input_shape.rows)

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Convolve, with rows of 0 beyond the edges."""
        low, high = self._reach(band)
        top, bottom = max(-low, 0), max(high - input_shape.rows, 0)
        x = x.to(self._weight.dtype)
        if top or bottom:
            x = functional.pad(x, (0, 0, top, bottom))
        y = functional.conv2d(x, self._weight, self._bias, self._step, (0, self._pad[1]))
        return y.to(self._result)

    def cost(self, input_shape: Shape) -> int:
        """Return output values times weights of a channel."""
        output = self.output_shape(input_shape)
        return output.rows * output.columns * self._weight.numel()


class TransposedConvolution(Operation):
    """A transposed convolution.

    Parameters
    ----------
    layer : torch.nn.ConvTranspose2d
        One group, no dilation.
    dtype : torch.dtype
        In which it is computed.
    """

    def __init__(self, layer: nn.ConvTranspose2d, dtype: torch.dtype) -> None:
        self._weight = _channels_last(layer.weight, dtype)
        self._bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self._kernel, self._columns = layer.weight.shape[2:]
        self._step = layer.stride
        assert isinstance(layer.padding, tuple)
        self._pad, self._extra = layer.padding, layer.output_padding

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the size after the convolution."""
        sizes = [
            (size - 1) * step - 2 * pad + kernel + extra
            for size, step, pad, kernel, extra in zip(
                input_shape[1:],
                self._step,
                self._pad,
                (self._kernel, self._columns),
                self._extra,
                strict=True,
            )
        ]
        return Shape(self._weight.shape[1], sizes[0], sizes[1])

    def input_rows(self, band: Band, input_shape: Shape) -> Band:
        """Return the rows whose kernels reach the band."""
        step, pad = self._step[0], self._pad[0]
        low = -((self._kernel - 1 - band[0] - pad) // step)
        high = (band[1] - 1 + pad) // step + 1
        low = min(max(low, 0), input_shape.rows - 1)
        return low, max(min(high, input_shape.rows), low + 1)

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Spread the rows, and cut out those that are complete."""
        first = self.input_rows(band, input_shape)[0] * self._step[0] - self._pad[0]
        y = functional.conv_transpose2d(
            x.to(self._weight.dtype),
            self._weight,
            self._bias,
            self._step,
            (0, self._pad[1]),
            (0, self._extra[1]),
        )
        missing = band[1] - first - y.shape[2]
        if missing > 0:  # rows that no kernel reaches hold the bias alone
            size = (y.shape[0], y.shape[1], missing, y.shape[3])
            bias = torch.zeros(1, device=y.device) if self._bias is None else self._bias
            rest = bias.to(y.dtype).reshape(1, -1, 1, 1).expand(size)
            y = torch.cat([y, rest], 2)
        return y[:, :, band[0] - first : band[1] - first]

    def cost(self, input_shape: Shape) -> int:
        """Return input values times weights of a channel."""
        return input_shape.rows * input_shape.columns * self._weight.numel()


def _channels_last(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
