"""Schedule of a computation graph: order, maps that are kept, and the memory they take.

Maps that many multiplications went into are kept; cheap ones are computed again from the
last ones kept, whenever some of their rows are needed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from phasegan.translation.tiling.convolutions import MIN_HALF_CHANNELS
from phasegan.translation.tiling.graph import ComputationGraph
from phasegan.translation.tiling.operations import Addition, Band

MIN_KEPT_COST = 1000
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
    overwritten : int or None
        A map that ends with this sweep and whose room the new one takes over.
    released : tuple of int
        Maps that are not needed any more afterwards.
    height : int
        Rows computed at a time.
    """

    number: int
    kept: bool
    overwritten: int | None
    released: tuple[int, ...]
    height: int


class Schedule:
    """The sweeps of a computation graph over one size of picture.

    Parameters
    ----------
    graph : ComputationGraph
        The graph to compute.
    rows, columns : int
        The picture's size.
    workspace : int
        Bytes that the bands of a sweep may take together.
    min_kept_cost : int
        Multiplications a value from which on a map is kept.
    dtype : torch.dtype, optional
        In which maps are kept; that of the graph by default.
    """

    def __init__(
        self,
        graph: ComputationGraph,
        rows: int,
        columns: int,
        workspace: int,
        min_kept_cost: int = MIN_KEPT_COST,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.graph, self.dtype = graph, dtype or graph.dtype
        self.shapes = graph.shapes(rows, columns)
        self.moment_users = graph.moment_users()
        self.output = len(self.shapes) - 1
        self._workspace = workspace
        self._kept = self._maps_to_keep(min_kept_cost)
        self.sweeps = self._sweeps()

    def nbytes(self, number: int) -> int:
        """Return the bytes of a map.

        Parameters
        ----------
        number : int
            Its operation's.

        Returns
        -------
        int
            In the dtype in which maps are kept.
        """
        channels, rows, columns = self.shapes[number]
        return channels * rows * columns * self.dtype.itemsize

    @property
    def peak(self) -> int:
        """Bytes of the maps that are kept at the same time, at most."""
        kept_bytes: dict[int, int] = {}
        peak = 0
        for sweep in self.sweeps:
            if sweep.kept:
                kept_bytes[sweep.number] = self.nbytes(sweep.number)
            if sweep.overwritten is not None:
                kept_bytes.pop(sweep.overwritten, None)
            peak = max(peak, sum(kept_bytes.values()))
            for number in sweep.released:
                kept_bytes.pop(number, None)
        return peak

    def cost(self, sweep: Sweep) -> int:
        """Return the multiplications of a sweep, without those at the seams of bands.

        Parameters
        ----------
        sweep : Sweep
            One of `sweeps`.

        Returns
        -------
        int
            With those of maps that are computed again.
        """
        return sum(
            self.graph.cost(number, self.shapes) for number in (*self._recomputed(sweep.number),)
        )

    def _maps_to_keep(self, min_kept_cost: int) -> set[int]:
        kept: set[int] = set()
        spent = [0]
        for number in range(1, self.output + 1):
            inputs = self.graph.inputs[number]
            own_cost = self.graph.cost(number, self.shapes)
            total = own_cost + sum(spent[i] for i in inputs if i not in kept)
            channels, rows, columns = self.shapes[number]
            is_costly = own_cost > 0 and total >= min_kept_cost * channels * rows * columns
            is_sum = isinstance(self.graph.operations[number], Addition)
            if channels >= MIN_HALF_CHANNELS and number < self.output and (is_costly or is_sum):
                kept.add(number)
                total = 0
            spent.append(total)
        return kept

    def _recomputed(self, number: int) -> list[int]:
        """Return an operation and those computed again for it, latest first."""
        numbers, queue = {number}, [number]
        while queue:
            for i in self.graph.inputs[queue.pop()]:
                if i and i not in self._kept and i not in numbers:
                    numbers.add(i)
                    queue.append(i)
        return sorted(numbers, reverse=True)

    def _sources(self, number: int) -> set[int]:
        """Return the kept maps that an operation is computed from."""
        inputs = (i for n in self._recomputed(number) for i in self.graph.inputs[n])
        return {i for i in inputs if i in self._kept}

    def input_bands(self, number: int, band: Band) -> dict[int, Band]:
        """Return which rows of which maps some rows of a map are computed from.

        Parameters
        ----------
        number : int
            The map's.
        band : (int, int)
            Rows of it.

        Returns
        -------
        dict
            Rows by the number of the map; down to kept maps and the picture.
        """
        bands = {number: band}
        for n in self._recomputed(number):
            for i in self.graph.inputs[n]:
                low, high = self.graph.operation(n).input_rows(bands[n], self.shapes[i])
                if i in bands:
                    low, high = min(low, bands[i][0]), max(high, bands[i][1])
                bands[i] = (low, high)
        return bands

    def _band_bytes(self, number: int, height: int) -> int:
        """Return the bytes of the bands for rows in the middle of a map."""
        rows = self.shapes[number].rows
        height = min(height, rows)
        start = (rows - height) // 2
        total = 0
        for n, (low, high) in self.input_bands(number, (start, start + height)).items():
            channels, _, columns = self.shapes[n]
            size = 4 if channels < MIN_HALF_CHANNELS else self.graph.dtype.itemsize
            total += channels * columns * (high - low) * size
        return total

    def _height(self, number: int) -> int:
        height, rows = 8, self.shapes[number].rows
        while height < rows and self._band_bytes(number, 2 * height) <= self._workspace:
            height *= 2
        return height

    def bands(self, number: int, height: int) -> list[Band]:
        """Return the bands of a map, from the first row to the last.

        Parameters
        ----------
        number : int
            The map's.
        height : int
            Rows of a band; the last one may be lower.

        Returns
        -------
        list of (int, int)
            Without overlap.
        """
        rows = self.shapes[number].rows
        return [(a, min(a + height, rows)) for a in range(0, rows, height)]

    def _sweeps(self) -> list[Sweep]:
        targets = sorted({*self._kept, *self.moment_users, self.output})
        last = {i: n for n in targets for i in self._sources(n)}
        sweeps = []
        for n in targets:
            height = self._height(n)
            released = tuple(i for i, final in last.items() if final == n)
            overwritten = None
            if n in self._kept:
                overwritten = next((i for i in released if self._can_overwrite(i, n, height)), None)
            sweeps.append(Sweep(n, n in self._kept, overwritten, released, height))
        return sweeps

    def _can_overwrite(self, old: int, new: int, height: int) -> bool:
        """Tell whether a map can be written over one it is computed from, a band late."""
        if self.shapes[old] != self.shapes[new]:
            return False
        bands = self.bands(new, height)
        return all(
            self.input_bands(new, band)[old][0] >= before[0]
            for before, band in itertools.pairwise(bands)
        )
