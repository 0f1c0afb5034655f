"""Meters of time, memory and load; limits of this process."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import torch

_IMPORTED = time.monotonic()
_PEAK_LINE = "VmHWM:"
_RESET_PEAK = "5"  # see proc(5), clear_refs


class Meter:
    """Wall time, device time and peak memory since its construction.

    Device time of a CPU is that of all its cores together; of a GPU it is the time
    that the work was on it, waited for at both ends. Peak memory is the process's
    resident memory, or what torch held on the GPU.

    Parameters
    ----------
    device : torch.device
        Where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._wait()
        if device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(device)
            self._resettable = True
        else:
            self._resettable = _reset_peak()
        self._start = self._clocks()

    def _wait(self) -> None:
        import torch

        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def _clocks(self) -> tuple[float, float]:
        return time.monotonic(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of wall time and of device time that went by."""
        self._wait()
        wall, cpu = (now - then for now, then in zip(self._clocks(), self._start, strict=True))
        return wall, cpu if self._device.type == "cpu" else wall

    def peak_bytes(self) -> int | None:
        """Return the most memory held at once; None where it is not known."""
        if self._device.type == "cuda":
            import torch

            return int(torch.cuda.max_memory_allocated(self._device))
        return _peak() if self._resettable else None


def _reset_peak() -> bool:
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
            stream.write(_RESET_PEAK)
    except OSError:
        return False
    return True


def _peak() -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
            for line in stream:
                if line.startswith(_PEAK_LINE):
                    return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None


def _busy_seconds() -> float | None:
    """Return the seconds that this process's cores were busy since boot; None where unknown."""
    try:
        cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        with open("/proc/stat", encoding="utf-8") as stream:
            lines = [line.split() for line in stream]
        ticks = sum(
            sum(int(value) for value in fields[1:4]) + sum(int(value) for value in fields[6:9])
            for fields in lines
            if fields and fields[0] in cores
        )
        return ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


class LoadMonitor:
    """Load of this process's cores by other processes during a block.

    Attributes
    ----------
    others : float
        Their share of all core seconds of the block, 0..1; 0 where unknown.
    """

    def __init__(self) -> None:
        self.others = 0.0

    def __enter__(self) -> Self:
        self._start = time.monotonic(), time.process_time(), _busy_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        wall, own_cpu, busy = self._start
        passed, now = time.monotonic() - wall, _busy_seconds()
        if busy is None or now is None or passed < 0.1:
            return
        cores = len(os.sched_getaffinity(0))
        others = (now - busy) - (time.process_time() - own_cpu)
        self.others = min(1.0, max(0.0, others / (passed * cores)))


def process_seconds() -> float:
    """Return the seconds since this process started; since this module was imported if unknown."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])  # see proc(5), starttime
        booted = time.clock_gettime(time.CLOCK_BOOTTIME)
        return max(0.0, booted - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return time.monotonic() - _IMPORTED


def interpreter_seconds() -> float:
    """Return the seconds that a fixed piece of Python takes here, the least of three: its unit.

    Drawing with matplotlib and starting a process are work of the interpreter. They take about
    as many of these units on any machine.
    """
    clocks = [time.perf_counter()]
    for _ in range(3):
        sum(number * number for number in range(100_000))
        clocks.append(time.perf_counter())
    return min(after - before for before, after in itertools.pairwise(clocks))


def available_cores() -> int:
    """Return the number of cores this process may use, in many jobs fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def idle_cores(seconds: float = 0.2) -> int:
    """Measure how many of this process's cores others leave idle.

    Parameters
    ----------
    seconds : float
        Duration of the measurement.

    Returns
    -------
    int
        At least 1; all cores where the load is not known.
    """
    with LoadMonitor() as load:
        time.sleep(seconds)
    cores = available_cores()
    return max(1, cores - round(load.others * cores))


def raise_open_file_limit(count: int) -> float:
    """Raise this process's limit on open files as far as the system allows.

    Parameters
    ----------
    count : int
        How many more are going to be opened.

    Returns
    -------
    float
        The limit then; infinite where there is none that is known.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = count + 256
        if soft != resource.RLIM_INFINITY and soft < limit:
            soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft != resource.RLIM_INFINITY:
            return float(soft)
    return math.inf
