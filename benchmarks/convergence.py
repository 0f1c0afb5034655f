"""The convergence figure of docs/methods.md: error against iterations, by method.

    python benchmarks/convergence.py FILE.h5 -o docs/images/convergence.png [--images 8]

The test images of a prepared file are transformed again for each panel. Drawn
is the median over images of the PSNR after a scale fit; a diamond marks where
half of the images were certified and left the iteration.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import phasegan
from phasegan.benchmark.atlas import observe
from phasegan.fourier.convention import forward
from phasegan.io.atomic import atomic_file, write_text
from phasegan.reconstruction.image_statistics import Statistics
from phasegan.reconstruction.protocol import Problem, Settings
from phasegan.reconstruction.registry import make_method

PANELS = (
    ("M/N = 2", 2.0, 0.0),
    ("M/N = 1.5", 1.5, 0.0),
    ("M/N = 2, phase noise 0.1 rad", 2.0, 0.1),
)
METHODS = ("hlo", "pocs", "pocs-accelerated", "fista", "cg", "map")
ITERATIONS = 500
CEILING = 100.0


def fitted_psnr(estimate: NDArray[np.float64], image: NDArray[np.float64]) -> float:
    """Return the PSNR in dB after the best scale."""
    scale = (estimate * image).sum() / max((estimate**2).sum(), 1e-300)
    error = np.mean((scale * estimate - image) ** 2)
    return float(min(CEILING, 10 * np.log10(255.0**2 / max(error, 1e-30))))


def statistics_of(training: NDArray[np.generic], frame: tuple[int, int]) -> Statistics:
    """Return the means over training images."""
    images = training.astype(np.float64)
    magnitude = np.mean([np.abs(forward(image, frame)) for image in images], axis=0)
    return Statistics(images.mean(axis=0), magnitude, len(images), 255)


def trace(
    method: str, pictures: NDArray[np.generic], problem: Problem, noise: float
) -> dict[int, list[float]]:
    """Return the PSNR of each image by iteration."""
    found: dict[int, list[float]] = defaultdict(list)
    images = pictures.astype(np.float64)

    def note(k: int, planes: NDArray[np.int64], estimates: NDArray[np.float64]) -> None:
        for plane, estimate in zip(planes, estimates, strict=True):
            found[k].append(fitted_psnr(estimate, images[plane]))

    settings = Settings(iterations=ITERATIONS, callback=note)
    known = Problem(
        problem.shape, problem.frame, problem.data_range, problem.statistics, noise, settings
    )
    make_method(method, known)(observe(pictures, problem.frame[0], "noise", noise, 0))
    return found


def main() -> None:
    """Measure, draw, and write the numbers beside the figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("-o", "--output", default="convergence.png")
    parser.add_argument("--images", type=int, default=8)
    options = parser.parse_args()
    with phasegan.open(options.data) as file:
        pictures = file.test.images(slice(0, options.images))
        training = file.train.images(slice(0, 500))
    size = pictures.shape[-1]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, len(PANELS), sharey=True)
    lines = []
    for panel, (title, ratio, noise) in zip(axes, PANELS, strict=True):
        frame = (round(size * ratio),) * 2
        problem = Problem((size, size), frame, 255, statistics_of(training, frame))
        for i, method in enumerate(METHODS):
            if method == "map" and noise == 0:
                continue
            found = trace(method, pictures, problem, noise)
            steps = sorted(found)
            if method == "map":
                level = float(np.median(found[steps[-1]]))
                panel.axhline(level, color=f"C{i}", linestyle="--", label=method)
                lines.append((title, method, "", len(found[steps[-1]]), level))
                continue
            present = [k for k in steps if len(found[k]) > len(pictures) / 2]
            middle = [float(np.median(found[k])) for k in present]
            panel.plot(present, middle, color=f"C{i}", label=method, linewidth=1.5)
            if present[-1] < ITERATIONS and method == "cg" and noise == 0:
                panel.plot(present[-1], middle[-1], "D", color=f"C{i}", markersize=6)
            lines += [
                (title, method, k, len(found[k]), value)
                for k, value in zip(present, middle, strict=True)
            ]
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("iterations")
        panel.grid(alpha=0.25)
    axes[0].set_ylabel("PSNR after a scale fit (dB), median")
    axes[-1].legend(fontsize=8, frameon=False)
    with atomic_file(options.output) as temporary:
        figure.savefig(temporary, format="png", dpi=140)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("panel", "method", "iteration", "images", "psnr_scale_db"))
    writer.writerows(lines)
    write_text(Path(options.output).with_suffix(".csv"), table.getvalue())


if __name__ == "__main__":
    main()
