"""The layers of a generator, computed for some rows of a picture only.

An operation says which rows of its input some rows of its output need, and computes
them from those. Rows beyond the picture are made as the layer makes them for a whole
picture, so that bands of rows put together are the whole. Maps are tensors
(1, channel, row, column); a band is a pair of row numbers, the second one excluded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from phasegan.translation.tiling.statistics import Moments

Band = tuple[int, int]


class Shape(NamedTuple):
    """Size of a map."""

    channels: int
    rows: int
    columns: int


class Operation:
    """A layer with one input of equal size; `Addition` has two, others another size."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the size of the output.

        Parameters
        ----------
        input_shape : Shape
            Size of the whole input.

        Returns
        -------
        Shape
            Size of the whole output.
        """
        return input_shape

    def input_rows(self, band: Band, input_shape: Shape) -> Band:
        """Return the rows of the input that rows of the output depend on.

        Parameters
        ----------
        band : (int, int)
            Rows of the output.
        input_shape : Shape
            Size of the whole input.

        Returns
        -------
        (int, int)
            Rows that the input has, at least one.
        """
        return band

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Compute rows of the output.

        Parameters
        ----------
        x : torch.Tensor
            (1, channels, rows, columns): the rows `input_rows(band)` of the input. It may
            be changed in place by a `Pointwise`.
        band : (int, int)
            Rows of the output.
        input_shape : Shape
            Size of the whole input.

        Returns
        -------
        torch.Tensor
            (1, channels, band, columns).
        """
        raise NotImplementedError

    def cost(self, input_shape: Shape) -> int:
        """Return the multiplications for the whole map.

        Parameters
        ----------
        input_shape : Shape
            Size of the whole input.

        Returns
        -------
        int
            0 where they do not count.
        """
        return 0


@dataclass(frozen=True)
class Pointwise(Operation):
    """A function of each value, such as an activation; it may work in place."""

    function: Callable[[Tensor], Tensor]

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Apply the function."""
        return self.function(x)


@dataclass(frozen=True)
class ChannelMean(Operation):
    """The mean over the channels, as every channel of the result."""

    channels: int

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the size with the new number of channels."""
        return input_shape._replace(channels=self.channels)

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Take the mean."""
        return x.mean(1, keepdim=True).repeat(1, self.channels, 1, 1)


def _source_row(row: int, rows: int, mode: str) -> int:
    if mode == "replicate":
        return min(max(row, 0), rows - 1)
    row = abs(row)
    return row if row < rows else 2 * (rows - 1) - row


@dataclass(frozen=True)
class Padding(Operation):
    """Rows and columns beyond the edges, mirrored or repeated.

    Parameters
    ----------
    sides : (int, int, int, int)
        Left, right, top, bottom.
    mode : {"reflect", "replicate"}
        As `torch.nn.functional.pad` has them.
    """

    sides: tuple[int, int, int, int]
    mode: str

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the size with the edges."""
        left, right, top, bottom = self.sides
        return Shape(
            input_shape.channels,
            input_shape.rows + top + bottom,
            input_shape.columns + left + right,
        )

    def _source_rows(self, band: Band, rows: int) -> list[int]:
        top = self.sides[2]
        return [_source_row(row - top, rows, self.mode) for row in range(*band)]

    def input_rows(self, band: Band, input_shape: Shape) -> Band:
        """Return the rows, also those that are mirrored."""
        sources = self._source_rows(band, input_shape.rows)
        return min(sources), max(sources) + 1

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Pad the columns, and pick the rows."""
        sources = self._source_rows(band, input_shape.rows)
        first = min(sources)
        if sources != list(range(first, first + x.shape[2])):
            rows = torch.tensor(sources, device=x.device) - first
            x = x.index_select(2, rows)
        left, right = self.sides[:2]
        return functional.pad(x, (left, right, 0, 0), mode=self.mode) if left or right else x


@dataclass(frozen=True)
class PadToMultiple(Operation):
    """Rows and columns at the bottom and right, so that both divide by a number."""

    multiple: int
    mode: str

    def _padding(self, input_shape: Shape) -> Padding:
        right, bottom = -input_shape.columns % self.multiple, -input_shape.rows % self.multiple
        return Padding((0, right, 0, bottom), self.mode)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the size that divides."""
        return self._padding(input_shape).output_shape(input_shape)

    def input_rows(self, band: Band, input_shape: Shape) -> Band:
        """Return the rows, also those that are mirrored."""
        return self._padding(input_shape).input_rows(band, input_shape)

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Pad."""
        return self._padding(input_shape).compute(x, band, input_shape)


@dataclass(frozen=True)
class NearestUpsampling(Operation):
    """Each pixel repeated in both directions."""

    times: int

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the larger size."""
        return Shape(
            input_shape.channels, input_shape.rows * self.times, input_shape.columns * self.times
        )

    def input_rows(self, band: Band, input_shape: Shape) -> Band:
        """Return the rows that are repeated."""
        return band[0] // self.times, (band[1] - 1) // self.times + 1

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Repeat."""
        first = self.input_rows(band, input_shape)[0] * self.times
        y = functional.interpolate(x, scale_factor=self.times, mode="nearest")
        return y[:, :, band[0] - first : band[1] - first]


class Addition(Operation):
    """The sum of two maps; the second may be larger at the bottom and right."""

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Return the first one; the sum is the executor's."""
        return x


class Normalisation(Operation):
    """(x − mean) / √(variance + ε) · weight + bias, from moments of the whole picture.

    Parameters
    ----------
    eps : float
        ε.
    weight, bias : torch.Tensor or None
        (channels,).
    groups : int or None
        Channels normalised together; None for each by itself.
    fixed : Moments or None
        Instead of those of the picture, as in batch normalisation after training.
    """

    def __init__(
        self,
        eps: float,
        weight: Tensor | None,
        bias: Tensor | None,
        groups: int | None = None,
        fixed: Moments | None = None,
    ) -> None:
        self._eps, self._groups = eps, groups
        self._weight = None if weight is None else weight.detach().float()
        self._bias = None if bias is None else bias.detach().float()
        self._moments = fixed
        self.needs_moments = fixed is None

    def set_moments(self, moments: Moments) -> None:
        """Take the moments of the picture.

        Parameters
        ----------
        moments : Moments
            Moments of the whole map.
        """
        self._moments = moments if self._groups is None else moments.pool_groups(self._groups)

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Normalise."""
        assert self._moments is not None
        mean, variance = (moment.float().to(x.device) for moment in self._moments)
        return functional.batch_norm(
            x, mean, variance, self._weight, self._bias, False, 0.0, self._eps
        )


class ChannelShift(Operation):
    """Add to each channel what a function makes of the moments of all channels.

    Parameters
    ----------
    function : callable
        From (1, 2 · channels), means and standard deviations, float32, to (1, channels).
    """

    needs_moments = True

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._shift: Tensor | None = None

    def set_moments(self, moments: Moments) -> None:
        """Take the moments of the picture.

        Parameters
        ----------
        moments : Moments
            Moments of the whole map.
        """
        pooled = torch.cat([moments.mean, moments.variance.sqrt()]).float()
        self._shift = self._function(pooled[None]).reshape(1, -1, 1, 1)

    def compute(self, x: Tensor, band: Band, input_shape: Shape) -> Tensor:
        """Add."""
        assert self._shift is not None
        return x + self._shift.to(x.device, x.dtype)
