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
from phasegan.translation.tiling.graph import Program
from phasegan.translation.tiling.operations import Addition, Band, Normalisation, Pointwise, Shift
from phasegan.translation.tiling.schedule import DEAR, Schedule, Sweep
from phasegan.translation.tiling.statistics import Moments, MomentSum

Source = Callable[[Band], Tensor]
"""Gives rows of the picture, (1, C, band, columns), float32 in [−1, 1]."""
Sink = Callable[[int, Tensor], None]
"""Takes the first row's number and rows of the translation, (1, C, n, columns), float32."""
Choice = Callable[[int, Moments], Moments]
"""Chooses the moments to use at a place of the network, given those measured there."""

_LARGEST = 60000.0
"""What float16 holds, with something to spare."""
_WORKSPACE = 96 * 2**20
_LEAST_WORKSPACE = 16 * 2**20


def plan(
    program: Program, rows: int, columns: int, budget: int, *, halves: bool = True
) -> Schedule:
    """Choose what is kept and how high bands are.

    Parameters
    ----------
    program : Program
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
    kinds = [program.dtype]
    if halves and program.dtype == torch.float32:
        kinds.append(torch.float16)
    for kind in kinds:
        for dear in (0, DEAR):
            found = Schedule(program, rows, columns, workspace, dear, kind)
            if found.peak + workspace <= budget:
                return found
    return found


def translate_bands(
    schedule: Schedule,
    source: Source,
    sink: Sink,
    *,
    device: torch.device,
    budget: int,
    folder: Path,
    choose: Choice | None = None,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Translate one picture.

    Parameters
    ----------
    schedule : Schedule
        From `plan`, for the picture's size.
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
        Of temporary files.
    choose : callable, optional
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
        work = _Work(schedule, source, device, budget, folder)
        try:
            for sweep in schedule.sweeps:
                work.run(sweep, sink, choose, advance)
        finally:
            work.close()


class _Work:
    def __init__(
        self, schedule: Schedule, source: Source, device: torch.device, budget: int, folder: Path
    ) -> None:
        self._schedule, self._source = schedule, source
        self._program, self._shapes = schedule.program, schedule.shapes
        self._device, self._folder = device, folder
        self._left = budget - max(_LEAST_WORKSPACE, min(_WORKSPACE, budget // 4))
        self._maps: dict[int, FeatureMap] = {}
        self._inside: set[FeatureMap] = set()

    def run(
        self,
        sweep: Sweep,
        sink: Sink,
        choose: Choice | None,
        advance: Callable[[int], None] | None,
    ) -> None:
        number, schedule = sweep.number, self._schedule
        narrow = sweep.kept and schedule.dtype == torch.float16
        sums = MomentSum() if number in schedule.measured else None
        target = self._target(sweep)
        bands = schedule.bands(number, sweep.height)
        late: tuple[int, Tensor] | None = None
        for band in bands:
            y, _ = self._rows(number, band)
            if narrow and not y.abs().amax() < _LARGEST:
                raise OverflowError
            if sums is not None:
                sums.add(y)
            if number == schedule.output:
                self._emit(y, band, sink)
            if target is not None:
                if late is not None:
                    target.write(*late)
                late = (band[0], y)
                if sweep.heir is None:
                    target.write(*late)
                    late = None
            if advance is not None:
                advance(schedule.cost(sweep) * (band[1] - band[0]) // self._shapes[number].rows)
        if target is not None:
            if late is not None:
                target.write(*late)
            self._maps[number] = target
        self._end(sweep)
        if sums is not None:
            self._settle(number, sums.moments(), choose)

    def _emit(self, y: Tensor, band: Band, sink: Sink) -> None:
        """Hand rows of the translation on, without what the network padded."""
        _, rows, columns = self._shapes[0]
        if band[0] < rows:
            sink(band[0], y[:, :, : rows - band[0], :columns].float())

    def _settle(self, number: int, measured: Moments, choose: Choice | None) -> None:
        used = measured if choose is None else choose(number, measured)
        for user in self._schedule.measured[number]:
            operation = self._program.operations[user]
            assert isinstance(operation, Normalisation | Shift)
            operation.use(used)

    def _rows(self, number: int, band: Band) -> tuple[Tensor, bool]:
        """Return rows of a map, and whether they may be changed."""
        if number == 0:
            return self._source(band).to(self._device), True
        if number in self._maps:
            return self._maps[number].read(band), False
        operation, inputs = self._program.operation(number), self._program.inputs[number]
        given = self._shapes[inputs[0]]
        x, own = self._rows(inputs[0], operation.needs(band, given))
        if isinstance(operation, Addition):
            other = self._rows(inputs[1], band)[0][..., : x.shape[3]]
            return (x.add_(other) if own and x.dtype == other.dtype else x + other), True
        if not own and isinstance(operation, Pointwise):
            x, own = x.clone(), True
        y = operation.compute(x, band, given)
        return y, own or y.data_ptr() != x.data_ptr()

    def _target(self, sweep: Sweep) -> FeatureMap | None:
        if not sweep.kept:
            return None
        if sweep.heir is not None:
            return self._maps[sweep.heir]
        shape, dtype = self._shapes[sweep.number], self._schedule.dtype
        size = self._schedule.nbytes(sweep.number)
        if size <= self._left:
            self._left -= size
            found = FeatureMap(shape, dtype, self._device)
            self._inside.add(found)
            return found
        if self._device.type != "cpu":
            return FeatureMap(shape, dtype, torch.device("cpu"), home=self._device)
        return FeatureMap(shape, dtype, self._device, self._folder)

    def _end(self, sweep: Sweep) -> None:
        for number in sweep.ended:
            ended = self._maps.pop(number)
            if number != sweep.heir:
                if ended in self._inside:
                    self._left += ended.nbytes
                    self._inside.remove(ended)
                ended.close()

    def close(self) -> None:
        for one in self._maps.values():
            one.close()
