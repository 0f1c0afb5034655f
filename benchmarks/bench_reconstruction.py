"""Speed of conjugate gradients against the bare time of the FFTs that they contain.

    python benchmarks/bench_reconstruction.py [FILE.h5] [--images 500] [--iterations 100]

Without a file the photographs inside scikit-image are cut into crops. Both
sides run in one process, by turns, over the same blocks and threads; printed
are medians over the rounds, and their ratio. The transforms are those of
AᵀA: a real transform of the rows that hold pixels, one of all columns, and
the same backwards, N of the M rows kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

import phasegan
from phasegan.devices import choose_device, describe_machine
from phasegan.fourier.encoding import decode, encode
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.batching import Block, BlockSolution, solve_planes
from phasegan.reconstruction.protocol import Observation, Problem, Settings
from phasegan.reconstruction.registry import make_method
from phasegan.reconstruction.solvers.cg import CHECK_EVERY, conjugate_gradients


def load(path: str | None, count: int, size: int) -> np.ndarray:
    """Return (n, N, N) images."""
    if path is not None:
        with phasegan.open(path) as file:
            return file.test.images(slice(0, count))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "builtin.h5"
        phasegan.prepare("builtin", target, size=size, samples=1, test=count)
        with phasegan.open(target) as file:
            return file.test.images()


def transforms(rounds: int, block: Block) -> BlockSolution:
    """Do nothing but the FFTs of `rounds` products with AᵀA."""
    problem = block.problem
    rows, columns = problem.shape
    image = torch.ones((len(block.phase), rows, columns), dtype=block.dtype, device=block.device)
    height, width = problem.frame
    for _ in range(rounds):
        spectrum = torch.fft.fft(torch.fft.rfft(image, n=width, dim=-1), n=height, dim=-2)
        kept = torch.fft.fft(spectrum, dim=-2, norm="forward")[..., :rows, :]
        torch.fft.hfft(kept, n=width, dim=-1, norm="forward")
    count = len(block.phase)
    return BlockSolution(image, torch.zeros(count), torch.ones(count, dtype=torch.bool))


def gradients(iterations: int, block: Block) -> BlockSolution:
    """Do so many iterations of conjugate gradients, without any early stop."""
    ones = torch.ones(
        (len(block.phase), *block.problem.shape), dtype=torch.float64, device=block.device
    )
    found = conjugate_gradients(
        block.operator(),
        ones / ones[0].numel(),
        ones,
        iterations=iterations,
        tolerance=0.0,
        callback=lambda k, index, _: torch.zeros(len(index), dtype=torch.bool),
    )
    return BlockSolution(found.image, found.iterations, found.converged)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--size", type=int, default=128, help="N, without a file")
    parser.add_argument("--oversample", type=float, default=2.0)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json")
    options = parser.parse_args()
    device = choose_device(options.device)
    images = load(options.data, options.images, options.size)
    size = images.shape[-1]
    frame = (round(size * options.oversample),) * 2
    codes = encode(analyse(images, frame).phase, "uint16")
    observation = Observation(decode(codes), None, np.pi / 65536)
    products = options.iterations + 1  # and the fresh gradients, in float64
    fresh = -(-options.iterations // CHECK_EVERY)
    lines = []
    for dtype in ("float64", "float32"):
        problem = Problem((size, size), frame, settings=Settings(dtype=dtype, device=str(device)))

        bare = partial(solve_planes, observation, problem, "fft", partial(transforms, products))
        solver = partial(
            solve_planes, observation, problem, "cg", partial(gradients, options.iterations)
        )

        pairs = []
        for _ in range(options.rounds + 1):
            pairs.append((seconds(bare, device), seconds(solver, device)))
        pairs = pairs[1:]  # the first warms up
        ratios = [b / a for a, b in pairs]
        complete = make_method("cg", problem)
        whole = seconds(partial(complete, observation), device)
        lines.append(
            {
                "dtype": dtype,
                "images": len(images),
                "size": size,
                "padded": frame[0],
                "iterations": options.iterations,
                "ffts_s": statistics.median(a for a, _ in pairs),
                "cg_s": statistics.median(b for _, b in pairs),
                "ratio": statistics.median(ratios),
                "ratio_least": min(ratios),
                "ratio_largest": max(ratios),
                "certified_s": whole,
            }
        )
    print(
        f"{len(images)} images {size}×{size} in {frame[0]}×{frame[1]}, {device}, "
        f"{options.iterations} iterations, {fresh} fresh gradients, {options.rounds} rounds"
    )
    for line in lines:
        print(
            f"{line['dtype']}: FFTs alone {line['ffts_s']:.2f} s, cg {line['cg_s']:.2f} s, ratio "
            f"{line['ratio']:.2f} ({line['ratio_least']:.2f} to {line['ratio_largest']:.2f}); "
            f"solved and certified {line['certified_s']:.1f} s"
        )
    document = {"machine": describe_machine(), "rows": lines}
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
