"""What of a program is kept whole, in what order it is computed, and how much memory that takes.

Maps that many multiplications went into are kept; cheap ones are computed again from the
last ones kept, whenever some of their rows are needed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from phasegan.translation.tiling.convolutions import FEW
from phasegan.translation.tiling.graph import Program
from phasegan.translation.tiling.operations import Addition, Band

DEAR = 1000
"""Multiplications a value from which on a map is kept rather than computed again."""


@dataclass(frozen=True)
class Sweep:
    """One passage over the rows of a map.

    Attributes
    ----------
    number : int
        The operation's.
    kept : bool
        Whether the map is kept.
    heir : int or None
        A map that ends with this sweep and whose room the new one takes over.
    ended : tuple of int
        Maps that are not needed any more afterwards.
    height : int
        Rows computed at a time.
    """

    number: int
    kept: bool
    heir: int | None
    ended: tuple[int, ...]
    height: int


class Schedule:
    """The sweeps of a program over one size of picture.

    Parameters
    ----------
    program : Program
        What is computed.
    rows, columns : int
        The picture's size.
    workspace : int
        Bytes that the bands of a sweep may take together.
    dear : int
        Multiplications a value from which on a map is kept.
    dtype : torch.dtype, optional
        In which maps are kept; that of the program by default.
    """

    def __init__(
        self,
        program: Program,
        rows: int,
        columns: int,
        workspace: int,
        dear: int = DEAR,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.program, self.dtype = program, dtype or program.dtype
        self.shapes = program.shapes(rows, columns)
        self.measured = program.measured()
        self.output = len(self.shapes) - 1
        self._workspace = workspace
        self._kept = self._dear_ones(dear)
        self.sweeps = self._sweeps()

    def nbytes(self, number: int) -> int:
        """Return the bytes of a map."""
        channels, rows, columns = self.shapes[number]
        return channels * rows * columns * self.dtype.itemsize

    @property
    def peak(self) -> int:
        """Bytes of the maps that are kept at the same time, at most."""
        live: dict[int, int] = {}
        peak = 0
        for sweep in self.sweeps:
            if sweep.kept:
                live[sweep.number] = self.nbytes(sweep.number)
            if sweep.heir is not None:
                live.pop(sweep.heir, None)
            peak = max(peak, sum(live.values()))
            for number in sweep.ended:
                live.pop(number, None)
        return peak

    def cost(self, sweep: Sweep) -> int:
        """Return the multiplications of a sweep, without those at the seams of bands."""
        return sum(
            self.program.cost(number, self.shapes) for number in (*self._between(sweep.number),)
        )

    def _dear_ones(self, dear: int) -> set[int]:
        kept: set[int] = set()
        spent = [0]
        for number in range(1, self.output + 1):
            inputs = self.program.inputs[number]
            own = self.program.cost(number, self.shapes)
            total = own + sum(spent[i] for i in inputs if i not in kept)
            channels, rows, columns = self.shapes[number]
            worth = own > 0 and total >= dear * channels * rows * columns
            sum_of_maps = isinstance(self.program.operations[number], Addition)
            if channels >= FEW and number < self.output and (worth or sum_of_maps):
                kept.add(number)
                total = 0
            spent.append(total)
        return kept

    def _between(self, number: int) -> list[int]:
        """Return an operation and those computed again for it, latest first."""
        found, queue = {number}, [number]
        while queue:
            for i in self.program.inputs[queue.pop()]:
                if i and i not in self._kept and i not in found:
                    found.add(i)
                    queue.append(i)
        return sorted(found, reverse=True)

    def _sources(self, number: int) -> set[int]:
        """Return the kept maps that an operation is computed from."""
        inputs = (i for n in self._between(number) for i in self.program.inputs[n])
        return {i for i in inputs if i in self._kept}

    def reach(self, number: int, band: Band) -> dict[int, Band]:
        """Return which rows of which maps some rows of a map are computed from."""
        found = {number: band}
        for n in self._between(number):
            for i in self.program.inputs[n]:
                low, high = self.program.operation(n).needs(found[n], self.shapes[i])
                if i in found:
                    low, high = min(low, found[i][0]), max(high, found[i][1])
                found[i] = (low, high)
        return found

    def _bytes_at_work(self, number: int, height: int) -> int:
        """Return the bytes of the bands for rows in the middle of a map."""
        rows = self.shapes[number].rows
        height = min(height, rows)
        start = (rows - height) // 2
        total = 0
        for n, (low, high) in self.reach(number, (start, start + height)).items():
            channels, _, columns = self.shapes[n]
            size = 4 if channels < FEW else self.program.dtype.itemsize
            total += channels * columns * (high - low) * size
        return total

    def _height(self, number: int) -> int:
        height, rows = 8, self.shapes[number].rows
        while height < rows and self._bytes_at_work(number, 2 * height) <= self._workspace:
            height *= 2
        return height

    def bands(self, number: int, height: int) -> list[Band]:
        """Return the bands of a map, from the first row to the last."""
        rows = self.shapes[number].rows
        return [(a, min(a + height, rows)) for a in range(0, rows, height)]

    def _sweeps(self) -> list[Sweep]:
        targets = sorted({*self._kept, *self.measured, self.output})
        last = {i: n for n in targets for i in self._sources(n)}
        found = []
        for n in targets:
            height = self._height(n)
            ended = tuple(i for i, final in last.items() if final == n)
            heir = None
            if n in self._kept:
                heir = next((i for i in ended if self._fits(i, n, height)), None)
            found.append(Sweep(n, n in self._kept, heir, ended, height))
        return found

    def _fits(self, old: int, new: int, height: int) -> bool:
        """Tell whether a map can be written over one it is computed from, a band late."""
        if self.shapes[old] != self.shapes[new]:
            return False
        bands = self.bands(new, height)
        return all(
            self.reach(new, band)[old][0] >= before[0] for before, band in itertools.pairwise(bands)
        )
