"""Running a generator within a memory limit: small images whole, large ones in bands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from phasegan.devices import memory_guard
from phasegan.errors import InputError
from phasegan.translation.generators import Translator
from phasegan.translation.tiling.bands import (
    MomentFilter,
    Sink,
    Source,
    plan_schedule,
    translate_bands,
)
from phasegan.translation.tiling.graph import UnknownLayerError, build_graph

PRECISIONS = ("auto", "32", "bf16")
DEFAULT_MEMORY = "1.5GiB"
_GPU_SHARE = 0.6
"""Share of a GPU's free memory that may be taken, by default."""
_RESERVED = 160 * 2**20
"""Bytes that libraries take while they convolve, and that freed memory is slow to come back."""
_MIN_MEMORY = 64 * 2**20
_MAX_WHOLE_PIXELS = 2**18
"""Pixels of the largest picture that goes through whole on a CPU: bands are as fast."""
_COPIES = 4
"""Maps of the widest layer's size that a forward pass holds at the same time."""
_MIN_SIDE = 8
_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_memory(text: str) -> int:
    """Parse an amount of memory.

    Parameters
    ----------
    text : str
        `1.5GiB`, `800MB`, `2G` or a number of bytes.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    InputError
        If it is none of these, or below 64 MiB.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?)b?\s*", text.lower())
    size = 0.0 if match is None or match[2] == "i" else float(match[1]) * _UNITS[match[2]]
    if not _MIN_MEMORY <= size < 2**50:
        raise InputError(f"memory = {text!r}: an amount such as 1.5GiB or 800MB, 64 MiB or more")
    return int(size)


def resident_bytes() -> int:
    """Return the bytes of main memory that this process takes now, where that can be found out."""
    import os
    import sys

    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 400 * 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


class GeneratorRunner:
    """A generator on a device.

    Parameters
    ----------
    translator : Translator
        The generator; it is moved to the device.
    device : torch.device
        Where it runs.
    memory : str, optional
        Main memory that the whole process may take, or memory that may be taken of a
        GPU; `DEFAULT_MEMORY`, and 60 % of what is free on a GPU, by default.
    precision : {"auto", "32", "bf16"}
        `auto` is 32 on a CPU, where bf16 saves little time and costs 1 to 2 levels of
        255, and bf16 on a GPU that has it.
    folder : pathlib.Path
        Folder of temporary files, which have no name there and end with the process.
    moment_filter : callable, optional
        Changes the statistics that normalisation uses; every picture then goes through
        by itself.

    Raises
    ------
    InputError
        If the amount of memory or the precision is not known.
    """

    def __init__(
        self,
        translator: Translator,
        device: torch.device,
        *,
        memory: str | None = None,
        precision: str = "auto",
        folder: Path,
        moment_filter: MomentFilter | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise InputError(f"precision = {precision!r}: choose one of {', '.join(PRECISIONS)}")
        gpu = device.type == "cuda"
        if precision == "auto":
            fast = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if fast else "32"
        self.precision = precision
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._device, self._folder, self._moment_filter = device, folder, moment_filter
        self._limit = parse_memory(memory or DEFAULT_MEMORY)
        self._has_limit = memory is not None
        needed = resident_bytes() + _RESERVED + _MIN_MEMORY
        if self._has_limit and device.type == "cpu" and self._limit < needed:
            raise InputError(
                f"memory = {memory}: the process takes {resident_bytes() / 1e6:.0f} MB before any "
                f"picture; give {needed / 1e6 + 1:.0f}MB or more"
            )
        self._network = translator.network.to(device).eval()
        try:
            self._graph = build_graph(self._network, self._dtype)
        except UnknownLayerError as error:
            raise InputError(f"{translator.label}: has an unknown kind of layer, {error}") from None

    @property
    def _budget(self) -> int:
        """Bytes for feature maps."""
        if self._device.type == "cuda":
            free = torch.cuda.mem_get_info(self._device)[0]
            return min(free, self._limit) if self._has_limit else int(_GPU_SHARE * free)
        least = _MIN_MEMORY if self._has_limit else self._limit // 3
        return max(self._limit - resident_bytes() - _RESERVED, least)

    def fits_whole(self, rows: int, columns: int, count: int = 1) -> bool:
        """Return whether images of a size go through the network together, without bands.

        Parameters
        ----------
        rows, columns : int
            Their size.
        count : int
            How many go together.

        Returns
        -------
        bool
            False also where the statistics of normalisation are filtered.
        """
        if self._moment_filter is not None:
            return False
        if self._device.type == "cpu" and count * rows * columns > _MAX_WHOLE_PIXELS:
            return False
        widest = max(c * r * w for c, r, w in self._graph.shapes(rows, columns))
        return _COPIES * widest * count * self._dtype.itemsize <= self._budget

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse pictures that are too small to be padded as the network does.

        Parameters
        ----------
        rows, columns : int
            Size of a picture.

        Raises
        ------
        InputError
            If a side is shorter than 8.
        """
        if min(rows, columns) < _MIN_SIDE:
            raise InputError(f"{columns}×{rows} pixels; a side has {_MIN_SIDE} at least")

    def run_batch(self, x: Tensor) -> Tensor:
        """Translate images whole.

        Parameters
        ----------
        x : torch.Tensor
            (n, C, rows, columns), float32 in [−1, 1].

        Returns
        -------
        torch.Tensor
            (n, C′, rows, columns), float32 in [−1, 1], on the runner's device.
        """
        with (
            memory_guard("pictures of this size; lower --memory or --batch-size"),
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            y: Tensor = self._network(x.to(self._device))
            return y.float()

    def run_bands(
        self,
        rows: int,
        columns: int,
        source: Source,
        sink: Sink,
        advance: Callable[[int], None] | None = None,
        reserve: int = 0,
    ) -> None:
        """Translate one picture in bands of rows.

        Parameters
        ----------
        rows, columns : int
            Its size.
        source, sink : callable
            Where rows come from and go, see `phasegan.translation.tiling.bands`. The rows
            may be asked for more than once.
        advance : callable, optional
            Called with the thousandth parts of the work that are done.
        reserve : int
            Bytes of main memory that the sink is going to fill.
        """
        budget = max(self._budget - (reserve if self._device.type == "cpu" else 0), _MIN_MEMORY)
        for halves in (True, False):
            schedule = plan_schedule(self._graph, rows, columns, budget, halves=halves)
            total = max(sum(schedule.cost(sweep) for sweep in schedule.sweeps), 1)
            done = [0, 0]

            def count(cost: int, total: int = total, done: list[int] = done) -> None:
                done[0] += cost
                step = 1000 * done[0] // total - done[1]
                done[1] += step
                if advance is not None and step:
                    advance(step)

            try:
                with memory_guard("a picture of this size; lower --memory"):
                    translate_bands(
                        schedule,
                        source,
                        sink,
                        device=self._device,
                        budget=budget,
                        folder=self._folder,
                        moment_filter=self._moment_filter,
                        advance=count,
                    )
                return
            except OverflowError:
                continue
