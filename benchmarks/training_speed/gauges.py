"""What is measured of a step: time, arithmetic, idleness, memory; and what the machine can do."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from phasegan.resources import LoadMonitor, Meter
from training_speed.modes import Mode, Runner
from training_speed.recipe import Sizes

PEAKS = {
    "H200": {"bf16": 989.0, "fp16": 989.0, "tf32": 494.0, "fp32": 67.0},
    "H100": {"bf16": 989.0, "fp16": 989.0, "tf32": 494.0, "fp32": 67.0},
    "A100": {"bf16": 312.0, "fp16": 312.0, "tf32": 156.0, "fp32": 19.5},
}
"""Dense TFLOP/s by the datasheets, by a word of the GPU's name."""
SLOWER = re.compile(r"H[12]00.*(PCIe|NVL)")
"""Parts of those names with other peaks."""
PROFILED_STEPS = 5
MATRIX = {"cuda": 8192, "cpu": 2048}
"""Rows of the products that a machine is measured by."""
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def wait(device: torch.device) -> None:
    """Let a GPU finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# --- time ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """Some steps in a row, timed together.

    Attributes
    ----------
    round : int
        From 1.
    steps, images : int
        What was done.
    seconds, cpu_seconds : float
        Wall time, and time of all threads of this process.
    others : float
        Share of the cores that other processes used, 0..1.
    """

    round: int
    steps: int
    images: int
    seconds: float
    cpu_seconds: float
    others: float

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds


def time_steps(runner: Runner, device: torch.device, steps: int, turn: int = 0) -> Window:
    """Time so many steps."""
    wait(device)
    with LoadMonitor() as load:
        start, cpu = time.perf_counter(), time.process_time()
        images = sum(runner.step() for _ in range(steps))
        wait(device)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return Window(turn, steps, images, seconds, cpu, round(load.others, 4))


def prime(device: torch.device) -> None:
    """Compute something, so that the first mode does not pay for what libraries load."""
    layer = torch.nn.Conv2d(1, 1, 3).to(device)
    layer(torch.zeros(1, 1, 8, 8, device=device)).sum().backward()
    torch.optim.Adam(layer.parameters()).step()
    wait(device)


# --- memory -------------------------------------------------------------------------


def give_back(device: torch.device) -> None:
    """Return memory that nobody uses to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Memory:
    """The most memory held from its making on, beyond what was held then."""

    def __init__(self, device: torch.device) -> None:
        give_back(device)
        self._meter = Meter(device)
        held = torch.cuda.memory_allocated(device) if device.type == "cuda" else None
        self._before = self._meter.peak_bytes() if held is None else held

    def peak(self) -> int | None:
        """Return bytes; None where it is not known."""
        most = self._meter.peak_bytes()
        return None if most is None or self._before is None else max(0, most - self._before)


# --- arithmetic ---------------------------------------------------------------------


def count_flops(runner: Runner) -> float:
    """Return the floating-point operations of a step, on average over the kinds of steps.

    Products of matrices and convolutions count, at two operations a multiplication;
    transforms and what is done pixel by pixel do not.
    """
    from torch.utils.flop_counter import FlopCounterMode

    def one() -> int:
        with FlopCounterMode(display=False) as counter:
            runner.step()
        return counter.get_total_flops()

    first = one()
    return first if runner.period == 1 else (first + (runner.period - 1) * one()) / runner.period


def hand_count(sizes: Sizes) -> float:
    """Return the operations of a step of `paper` with identity and one image, by hand.

    Gradients cost as much again for the weights and as much for the input; the input
    of a network's first layer needs none, unless it comes out of another network.
    """
    channels, size, c, blocks, d = sizes
    generator = _generator_layers(channels, size, c, blocks)
    judge = _judge_layers(channels, size, d)
    whole_g, first_g = sum(generator), generator[0]
    whole_d, first_d = sum(judge), judge[0]
    pictures = 4 * (3 * whole_g - first_g)  # fakes and identities
    cycles = 2 * 3 * whole_g
    deceived = 2 * 2 * whole_d  # the weights of the discriminators stand still
    judged = 4 * (3 * whole_d - first_d)
    return 2.0 * (pictures + cycles + deceived + judged)


def _generator_layers(channels: int, size: int, c: int, blocks: int) -> list[int]:
    """Return the multiplications of each layer."""
    half, quarter = (size // 2) ** 2, (size // 4) ** 2
    sides = size**2 * 49 * channels * c
    down = [half * 9 * c * 2 * c, quarter * 9 * 2 * c * 4 * c]
    up = [quarter * 9 * 4 * c * 2 * c, half * 9 * 2 * c * c]
    return [sides, *down, *[2 * quarter * 9 * (4 * c) ** 2] * blocks, *up, sides]


def _judge_layers(channels: int, size: int, d: int) -> list[int]:
    widths = (channels, d, 2 * d, 4 * d, 8 * d, 1)
    eighth = size // 8
    rows = (size // 2, size // 4, eighth, eighth - 1, eighth - 2)
    pairs = itertools.pairwise(widths)
    return [row**2 * 16 * a * b for row, (a, b) in zip(rows, pairs, strict=True)]


def arithmetic(mode: Mode, device: torch.device) -> str:
    """Return the kind of products that a mode's convolutions are made of."""
    if mode.precision != "32":
        return mode.precision
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8
    return "tf32" if fast and mode.tf32 != "off" else "fp32"


def datasheet(gpu: str | None, kind: str) -> float | None:
    """Return a GPU's dense peak, TFLOP/s; None where it is not in the table."""
    if gpu is None or SLOWER.search(gpu):
        return None
    found = (peaks for name, peaks in PEAKS.items() if re.search(rf"\b{name}\b", gpu))
    return next(found, dict[str, float]()).get(kind)


def attainable(device: torch.device, kind: str, threads: int | None = None) -> float:
    """Measure what a machine attains, TFLOP/s: a product of large matrices or a convolution.

    The larger rate of the two, each the middle of five; on a CPU they come from different
    libraries. The convolution is that of the residual blocks, 256 channels at 64×64.
    """
    size = MATRIX["cuda" if device.type == "cuda" else "cpu"]
    before, matrices = torch.get_num_threads(), torch.backends.cuda.matmul
    tf32, images = matrices.allow_tf32, 16 if device.type == "cuda" else 1
    torch.set_num_threads(threads or before)
    matrices.allow_tf32 = kind == "tf32"
    dtype = _TYPES.get(kind, torch.float32)
    try:
        left = torch.randn(size, size, device=device).to(dtype)
        maps = torch.randn(images, 256, 66, 66, device=device).to(dtype)
        kernel = torch.randn(256, 256, 3, 3, device=device).to(dtype)
        product = _rate(lambda: left @ left, 2.0 * size**3, device)
        convolution = _rate(
            lambda: torch.nn.functional.conv2d(maps, kernel),
            2.0 * images * 64**2 * 256**2 * 9,
            device,
        )
    finally:
        torch.set_num_threads(before)
        matrices.allow_tf32 = tf32
    return max(product, convolution)


def _rate(work: Callable[[], object], operations: float, device: torch.device) -> float:
    times = []
    with torch.no_grad():
        for _ in range(7):
            start = time.perf_counter()
            work()
            wait(device)
            times.append(time.perf_counter() - start)
    return operations / statistics.median(times[2:]) / 1e12


# --- idleness -----------------------------------------------------------------------


def busy_seconds(runner: Runner, device: torch.device, steps: int = PROFILED_STEPS) -> float:
    """Return the seconds of a step in which a GPU does anything, from torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    wait(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(steps):
            runner.step()
        wait(device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        trace = json.loads(path.read_text(encoding="utf-8"))
    return covered(trace["traceEvents"]) / 1e6 / steps


def covered(events: list[dict[str, object]]) -> float:
    """Return the length of the union of the kernels, copies and fills of a trace."""
    work = ("kernel", "gpu_memcpy", "gpu_memset")
    spans = sorted(
        (float(event["ts"]), float(event["ts"]) + float(event["dur"]))  # type: ignore[arg-type]
        for event in events
        if event.get("cat") in work
    )
    total, end = 0.0, float("-inf")
    for start, stop in spans:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Time one call."""
    wait(device)
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start
