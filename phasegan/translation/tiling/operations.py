"""The layers of a generator, computed for some rows of a picture only.

An operation says which rows of its input some rows of its output need, and computes
them from those. Rows beyond the picture are made as the layer makes them for a whole
picture, so that bands of rows put together are the whole. Maps are tensors
(1, channel, row, column); a band is a pair of row numbers, the second one excluded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

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


class Operation(Protocol):
    """A layer with one input; `Addition` has two."""

    def shape(self, given: Shape) -> Shape:
        """Return the size of the output."""

    def needs(self, band: Band, given: Shape) -> Band:
        """Return the rows of the input that rows of the output depend on."""

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Return rows `band` of the output from rows `needs(band)` of the input."""

    def cost(self, given: Shape) -> int:
        """Return multiplications for the whole map."""


class _SameSize:
    def shape(self, given: Shape) -> Shape:
        return given

    def needs(self, band: Band, given: Shape) -> Band:
        return band

    def cost(self, given: Shape) -> int:
        return 0


@dataclass(frozen=True)
class Pointwise(_SameSize):
    """A function of each value, such as an activation; it may work in place."""

    function: Callable[[Tensor], Tensor]

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Apply the function."""
        return self.function(x)


@dataclass(frozen=True)
class ChannelMean(_SameSize):
    """The mean over the channels, as every channel of the result."""

    channels: int

    def shape(self, given: Shape) -> Shape:
        """Return the size with the new number of channels."""
        return given._replace(channels=self.channels)

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Take the mean."""
        return x.mean(1, keepdim=True).repeat(1, self.channels, 1, 1)


def _mirrored(row: int, rows: int, mode: str) -> int:
    if mode == "replicate":
        return min(max(row, 0), rows - 1)
    row = abs(row)
    return row if row < rows else 2 * (rows - 1) - row


@dataclass(frozen=True)
class Padding:
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

    def shape(self, given: Shape) -> Shape:
        """Return the size with the edges."""
        left, right, top, bottom = self.sides
        return Shape(given.channels, given.rows + top + bottom, given.columns + left + right)

    def _sources(self, band: Band, rows: int) -> list[int]:
        top = self.sides[2]
        return [_mirrored(row - top, rows, self.mode) for row in range(*band)]

    def needs(self, band: Band, given: Shape) -> Band:
        """Return the rows, also those that are mirrored."""
        sources = self._sources(band, given.rows)
        return min(sources), max(sources) + 1

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Pad the columns, and pick the rows."""
        sources = self._sources(band, given.rows)
        first = min(sources)
        if sources != list(range(first, first + x.shape[2])):
            rows = torch.tensor(sources, device=x.device) - first
            x = x.index_select(2, rows)
        left, right = self.sides[:2]
        return functional.pad(x, (left, right, 0, 0), mode=self.mode) if left or right else x

    def cost(self, given: Shape) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True)
class ToMultiple:
    """Rows and columns at the bottom and right, so that both divide by a number."""

    multiple: int
    mode: str

    def _padding(self, given: Shape) -> Padding:
        right, bottom = -given.columns % self.multiple, -given.rows % self.multiple
        return Padding((0, right, 0, bottom), self.mode)

    def shape(self, given: Shape) -> Shape:
        """Return the size that divides."""
        return self._padding(given).shape(given)

    def needs(self, band: Band, given: Shape) -> Band:
        """Return the rows, also those that are mirrored."""
        return self._padding(given).needs(band, given)

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Pad."""
        return self._padding(given).compute(x, band, given)

    def cost(self, given: Shape) -> int:
        """Return 0."""
        return 0


@dataclass(frozen=True)
class Enlargement:
    """Each pixel repeated in both directions."""

    times: int

    def shape(self, given: Shape) -> Shape:
        """Return the larger size."""
        return Shape(given.channels, given.rows * self.times, given.columns * self.times)

    def needs(self, band: Band, given: Shape) -> Band:
        """Return the rows that are repeated."""
        return band[0] // self.times, (band[1] - 1) // self.times + 1

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Repeat."""
        first = self.needs(band, given)[0] * self.times
        y = functional.interpolate(x, scale_factor=self.times, mode="nearest")
        return y[:, :, band[0] - first : band[1] - first]

    def cost(self, given: Shape) -> int:
        """Return 0."""
        return 0


class Addition(_SameSize):
    """The sum of two maps; the second may be larger at the bottom and right."""

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Return the first one; the sum is the executor's."""
        return x


class Normalisation(_SameSize):
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
        self._used = fixed
        self.measures = fixed is None

    def use(self, moments: Moments) -> None:
        """Take the moments of the picture."""
        self._used = moments if self._groups is None else moments.grouped(self._groups)

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Normalise."""
        assert self._used is not None
        mean, variance = (moment.float().to(x.device) for moment in self._used)
        return functional.batch_norm(
            x, mean, variance, self._weight, self._bias, False, 0.0, self._eps
        )


class Shift(_SameSize):
    """Add to each channel what a function makes of the moments of all channels.

    Parameters
    ----------
    function : callable
        From (1, 2 · channels), means and standard deviations, float32, to (1, channels).
    """

    measures = True

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._shift: Tensor | None = None

    def use(self, moments: Moments) -> None:
        """Take the moments of the picture."""
        pooled = torch.cat([moments.mean, moments.variance.sqrt()]).float()
        self._shift = self._function(pooled[None]).reshape(1, -1, 1, 1)

    def compute(self, x: Tensor, band: Band, given: Shape) -> Tensor:
        """Add."""
        assert self._shift is not None
        return x + self._shift.to(x.device, x.dtype)
