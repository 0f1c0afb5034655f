"""A picture of any size through a generator in bounded memory, exactly.

Normalisation needs the statistics of the whole picture at every layer, so tiles that are
translated one by one differ from the whole and show seams. Here each layer is computed for
the whole picture before the next one, a band of rows at a time: statistics are those of
the whole picture, rows at the seams come from their neighbours, and nothing is blended.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from phasegan.translation.tiling.feature_maps import FeatureMap
from phasegan.translation.tiling.graph import ComputationGraph
from phasegan.translation.tiling.operations import (
    Addition,
    Band,
    ChannelShift,
    Normalisation,
    Pointwise,
)
from phasegan.translation.tiling.schedule import MIN_KEPT_COST, Schedule, Sweep
from phasegan.translation.tiling.statistics import MomentAccumulator, Moments

Source = Callable[[Band], Tensor]
"""Gives rows of the picture, (1, C, band, columns), float32 in [−1, 1]."""
Sink = Callable[[int, Tensor], None]
"""Takes the first row's number and rows of the translation, (1, C, n, columns), float32."""
MomentFilter = Callable[[int, Moments], Moments]
"""Chooses the moments to use at a place of the network, given those measured there."""

_FLOAT16_LIMIT = 60000.0
"""Largest value that float16 holds, with a margin."""
_WORKSPACE = 96 * 2**20
_LEAST_WORKSPACE = 16 * 2**20


def plan_schedule(
    graph: ComputationGraph, rows: int, columns: int, budget: int, *, halves: bool = True
) -> Schedule:
    """Choose the maps to keep and the height of bands.

    Parameters
    ----------
    graph : ComputationGraph
        The generator's.
    rows, columns : int
        The picture's size.
    budget : int
        Bytes for maps and bands together.
    halves : bool
        Keep maps of float32 as float16 where they do not fit otherwise.

    Returns
    -------
    Schedule
        The one that computes least again among those that fit; one that does not fit
        where none does: its maps go to a temporary file.
    """
    workspace = max(_LEAST_WORKSPACE, min(_WORKSPACE, budget // 4))
    dtypes = [graph.dtype]
    if halves and graph.dtype == torch.float32:
        dtypes.append(torch.float16)
    for dtype in dtypes:
        for min_kept_cost in (0, MIN_KEPT_COST):
            schedule = Schedule(graph, rows, columns, workspace, min_kept_cost, dtype)
            if schedule.peak + workspace <= budget:
                return schedule
    return schedule


def translate_bands(
    schedule: Schedule,
    source: Source,
    sink: Sink,
    *,
    device: torch.device,
    budget: int,
    folder: Path,
    moment_filter: MomentFilter | None = None,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Translate one picture.

    Parameters
    ----------
    schedule : Schedule
        From `plan_schedule`, for the picture's size.
    source : callable
        Where rows of the picture come from.
    sink : callable
        Where rows of the translation go, from the first to the last.
    device : torch.device
        Where it is computed.
    budget : int
        Bytes for maps and bands together; maps beyond go to `folder`, from a GPU to
        main memory.
    folder : pathlib.Path
        Folder of temporary files.
    moment_filter : callable, optional
        Changes the moments that normalisation uses.
    advance : callable, optional
        Called with the multiplications done.

    Raises
    ------
    RunError
        If there is no room for temporary files.
    OverflowError
        If values are too large for the half precision that maps are kept in.
    """
    with torch.inference_mode():
        work = _BandExecutor(schedule, source, device, budget, folder)
        try:
            for sweep in schedule.sweeps:
                work.run(sweep, sink, moment_filter, advance)
        finally:
            work.close()


class _BandExecutor:
    def __init__(
        self, schedule: Schedule, source: Source, device: torch.device, budget: int, folder: Path
    ) -> None:
        self._schedule, self._source = schedule, source
        self._graph, self._shapes = schedule.graph, schedule.shapes
        self._device, self._folder = device, folder
        self._free_bytes = budget - max(_LEAST_WORKSPACE, min(_WORKSPACE, budget // 4))
        self._maps: dict[int, FeatureMap] = {}
        self._in_budget: set[FeatureMap] = set()

    def run(
        self,
        sweep: Sweep,
        sink: Sink,
        moment_filter: MomentFilter | None,
        advance: Callable[[int], None] | None,
    ) -> None:
        number, schedule = sweep.number, self._schedule
        is_half = sweep.kept and schedule.dtype == torch.float16
        sums = MomentAccumulator() if number in schedule.moment_users else None
        target = self._output_map(sweep)
        bands = schedule.bands(number, sweep.height)
        pending: tuple[int, Tensor] | None = None
        for band in bands:
            y, _ = self._rows(number, band)
            if is_half and not y.abs().amax() < _FLOAT16_LIMIT:
                raise OverflowError
            if sums is not None:
                sums.add(y)
            if number == schedule.output:
                self._emit(y, band, sink)
            if target is not None:
                if pending is not None:
                    target.write(*pending)
                pending = (band[0], y)
                if sweep.overwritten is None:
                    target.write(*pending)
                    pending = None
            if advance is not None:
                advance(schedule.cost(sweep) * (band[1] - band[0]) // self._shapes[number].rows)
        if target is not None:
            if pending is not None:
                target.write(*pending)
            self._maps[number] = target
        self._release(sweep)
        if sums is not None:
            self._set_moments(number, sums.moments(), moment_filter)

    def _emit(self, y: Tensor, band: Band, sink: Sink) -> None:
        """Pass rows of the translation on, without the network's padding."""
        _, rows, columns = self._shapes[0]
        if band[0] < rows:
            sink(band[0], y[:, :, : rows - band[0], :columns].float())

    def _set_moments(
        self, number: int, moments: Moments, moment_filter: MomentFilter | None
    ) -> None:
        if moment_filter is not None:
            moments = moment_filter(number, moments)
        for user in self._schedule.moment_users[number]:
            operation = self._graph.operations[user]
            assert isinstance(operation, Normalisation | ChannelShift)
            operation.set_moments(moments)

    def _rows(self, number: int, band: Band) -> tuple[Tensor, bool]:
        """Return rows of a map, and whether they may be changed."""
        if number == 0:
            return self._source(band).to(self._device), True
        if number in self._maps:
            return self._maps[number].read(band), False
        operation, inputs = self._graph.operation(number), self._graph.inputs[number]
        input_shape = self._shapes[inputs[0]]
        x, is_owned = self._rows(inputs[0], operation.input_rows(band, input_shape))
        if isinstance(operation, Addition):
            other = self._rows(inputs[1], band)[0][..., : x.shape[3]]
            return (x.add_(other) if is_owned and x.dtype == other.dtype else x + other), True
        if not is_owned and isinstance(operation, Pointwise):
            x, is_owned = x.clone(), True
        y = operation.compute(x, band, input_shape)
        return y, is_owned or y.data_ptr() != x.data_ptr()

    def _output_map(self, sweep: Sweep) -> FeatureMap | None:
        if not sweep.kept:
            return None
        if sweep.overwritten is not None:
            return self._maps[sweep.overwritten]
        shape, dtype = self._shapes[sweep.number], self._schedule.dtype
        size = self._schedule.nbytes(sweep.number)
        if size <= self._free_bytes:
            self._free_bytes -= size
            feature_map = FeatureMap(shape, dtype, self._device)
            self._in_budget.add(feature_map)
            return feature_map
        if self._device.type != "cpu":
            return FeatureMap(shape, dtype, torch.device("cpu"), compute_device=self._device)
        return FeatureMap(shape, dtype, self._device, self._folder)

    def _release(self, sweep: Sweep) -> None:
        for number in sweep.released:
            released = self._maps.pop(number)
            if number != sweep.overwritten:
                if released in self._in_budget:
                    self._free_bytes += released.nbytes
                    self._in_budget.remove(released)
                released.close()

    def close(self) -> None:
        for feature_map in self._maps.values():
            feature_map.close()
