"""Noisy phases without statistics and without a hint, beside those with both.

    python benchmarks/noise_without_statistics.py SCENES128.h5 LANDSCAPES256.h5 --json FILE

The first test images of each prepared file are transformed again at M/N = 1.5 and 2 and get
phase noise. `map` with the true σ, and `auto` without it, know nothing else; the reference is
`map` with the true σ, the mean magnitude of the file's training images, ten times the
iterations and a relative residual of 1e-4. PSNR after a scale fit, decibels.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import phasegan
from phasegan.devices import describe_machine
from phasegan.fourier.convention import forward
from phasegan.fourier.degradation import add_phase_noise
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.image_statistics import Statistics
from phasegan.reconstruction.solvers.posterior import ITERATIONS

NOISE = (0.01, 0.03, 0.05, 0.1, 0.2, 0.3)
RATIOS = (1.5, 2.0)
REFERENCE = {"iterations": 10 * ITERATIONS, "tolerance": 1e-4}


def psnr(estimate: NDArray[np.float64], image: NDArray[np.generic]) -> float:
    """Return the peak signal-to-noise ratio after the best scale, decibels."""
    e, x = estimate.ravel(), image.ravel().astype(np.float64)
    error = np.mean((e * ((e @ x) / (e @ e)) - x) ** 2)
    return float(10 * np.log10(255**2 / error))


def statistics_of(images: NDArray[np.generic], padded: int) -> Statistics:
    """Return the means over training images in another frame."""
    magnitude = sum(np.abs(forward(x.astype(np.float64), (padded, padded))) for x in images)
    return Statistics(images.mean(axis=0), magnitude / len(images), len(images), 255)


def measure(
    phase: NDArray[np.float64], image: NDArray[np.generic], **options: Any
) -> dict[str, Any]:
    """Reconstruct one picture."""
    start = time.perf_counter()
    result = phasegan.reconstruct(phase, shape=image.shape, **options)
    seconds = time.perf_counter() - start
    return {
        "psnr": round(psnr(result.estimate, image), 3),
        "iterations": int(result.iterations),
        "converged": bool(result.converged),
        "seconds": round(seconds, 3),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return one line of Markdown for each size, ratio and noise."""
    lines = [
        "| N | M/N | σ | `map` | `auto` | reference | reference − `map` | `map` − `auto` "
        "| iterations | seconds |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size, ratio, sigma in dict.fromkeys((r["size"], r["ratio"], r["noise"]) for r in rows):
        cell = [r for r in rows if (r["size"], r["ratio"], r["noise"]) == (size, ratio, sigma)]
        values = {
            name: np.array([r[name]["psnr"] for r in cell]) for name in ("map", "auto", "reference")
        }
        behind = values["reference"] - values["map"]
        unknown = values["map"] - values["auto"]
        lines.append(
            f"| {size} | {ratio:g} | {sigma:g} | "
            + " | ".join(f"{np.median(value):.1f}" for value in values.values())
            + f" | {behind.max():+.2f} ({np.median(behind):+.2f})"
            + f" | {unknown.max():+.2f} ({np.median(unknown):+.2f})"
            + f" | {np.median([r['map']['iterations'] for r in cell]):.0f}"
            + f" | {np.median([r['map']['seconds'] for r in cell]):.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--images", type=int, default=10, help="of each file")
    parser.add_argument("--first", type=int, default=0, help="test image to begin with")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    for path in options.data:
        with phasegan.open(path) as file:
            images = file.test.images(slice(options.first, options.first + options.images))
            training = file.train.images(slice(0, len(file.train)))
        size = images.shape[-1]
        for ratio in RATIOS:
            padded = round(size * ratio)
            statistics = statistics_of(training, padded)
            clean = analyse(images, (padded, padded)).phase
            for sigma in NOISE:
                for i, image in enumerate(images):
                    rng = np.random.default_rng(options.first + i)
                    phase = add_phase_noise(clean[i], sigma, rng, (padded, padded))
                    known = {"method": "map", "noise": sigma}
                    row = {
                        "data": Path(path).name, "image": options.first + i, "size": size,
                        "ratio": ratio, "noise": sigma, "training": len(training),
                        "map": measure(phase, image, **known),
                        "auto": measure(phase, image),
                        "reference": measure(
                            phase, image, statistics=statistics, **known, **REFERENCE
                        ),
                    }  # fmt: skip
                    rows.append(row)
                    print(json.dumps(row), flush=True)
                print(table(rows[-len(images) :]), flush=True)
                if options.json:
                    document = {"machine": describe_machine(), "threads": options.threads}
                    document |= {"reference": REFERENCE, "rows": rows}
                    text = json.dumps(document, indent=1) + "\n"
                    Path(options.json).write_text(text, encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
