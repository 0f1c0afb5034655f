"""Fit the prior of magnitudes that comes with phasegan to training photographs.

    PHASEGAN_TEST_DATA=DATA python benchmarks/fit_magnitude_prior.py [--images 10000] [-o FILE]

Spectra of `scenes150/train` at 128×128 and of `landscapes256/train` at 256×256,
under a Hann window and without their mean, are averaged in the logarithm; the
curves of `phasegan.fourier.magnitude_prior` are fitted to them by least squares,
octaves of frequency counting alike. A Rayleigh distributed magnitude has
E ln |X|² = ln S − 0.577.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from phasegan.fourier.magnitude_prior import PRIOR_FILE, RAYLEIGH_MEAN, RIDGE, hat_functions

VERSION = 1
KNOTS = np.array([1 / 64, 1 / 32, 1 / 16, 1 / 8, 0.2, 0.3, 0.4, 0.5, 0.7])
SETS = (("scenes150/train", 128), ("landscapes256/train", 256))


def photographs(folder: Path, size: int, count: int) -> list[NDArray[np.float64]]:
    """Return grey photographs of a set, evenly chosen, white 1."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int))
    pictures = []
    for i in chosen:
        with Image.open(paths[i]) as opened:
            grey = ImageOps.fit(opened.convert("L"), (size, size), Image.Resampling.LANCZOS)
            pictures.append(np.asarray(grey, np.float64) / 255)
    return pictures


def spectra(images: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of |X| and the variance of ln |X| under a window of norm 1."""
    size = len(images[0])
    window = np.outer(np.hanning(size + 1)[:size], np.hanning(size + 1)[:size])
    window = window / np.linalg.norm(window)
    magnitude = np.abs([np.fft.rfft2((image - image.mean()) * window) for image in images])
    return magnitude.mean(axis=0), np.log(magnitude + 1e-6).var(axis=0)


def weighted_least_squares(
    design: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the coefficients."""
    root = np.sqrt(weight)
    return np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]


def on_an_axis(
    lines: list[tuple[int, NDArray[np.float64], NDArray[np.float64]]],
    curves: NDArray[np.float64],
    axial: float,
    axis: int,
) -> NDArray[np.float64]:
    """Fit the density of what is constant along rows (0) or columns (1).

    The power on the axis, less the stationary process's there, is that density
    times (Σ h)² / Σ h² = 2N/3 for the Hann window h.
    """
    radius, target = [], []
    for size, *powers in lines:
        frequency = np.arange(3, size // 2) / size
        hats = hat_functions(frequency, KNOTS)
        stationary = np.exp(hats @ (curves[0] + (2 * axis - 1) * curves[1] + curves[2]) + axial)
        more = np.maximum(powers[axis] - stationary, 0.05 * powers[axis])
        radius.append(frequency)
        target.append(np.log(more / (2 * size / 3)))
    inside = KNOTS <= 0.5
    frequency = np.concatenate(radius)
    fitted = weighted_least_squares(
        hat_functions(frequency, KNOTS[inside]), np.concatenate(target), 1 / frequency
    )
    return np.append(fitted, np.full((~inside).sum(), fitted[-1]))


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=10000, help="of each set, at most")
    parser.add_argument("-o", "--output", type=Path, default=PRIOR_FILE)
    options = parser.parse_args()
    root = Path(os.environ["PHASEGAN_TEST_DATA"])
    rows, targets, weights, variances, brightness, lines = [], [], [], [], [], []
    for folder, size in SETS:
        images = photographs(root / folder, size, options.images)
        brightness += [image.mean() for image in images]
        mean, variance = spectra(images)
        power = (mean / RAYLEIGH_MEAN) ** 2
        first, second = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
        radius, angle = np.hypot(first, second), np.arctan2(first, second)
        # the window hides what is nearer to an axis, where rows and columns are
        kept = np.minimum(np.abs(first), second) > 2.5 / size
        hats = hat_functions(radius[kept], KNOTS)
        double = 2 * angle[kept][:, None]
        turns = (hats, hats * np.cos(double), hats * np.cos(2 * double), np.cos(double) ** RIDGE)
        rows.append(np.hstack(turns))
        targets.append(np.log(power[kept]))
        weights.append(1 / radius[kept] / size)
        variances.append(variance[kept])
        lines.append((size, power[3 : size // 2, 0], power[0, 3 : size // 2]))
    design, target, weight = np.vstack(rows), np.concatenate(targets), np.concatenate(weights)
    *fitted, axial = weighted_least_squares(design, target, weight)
    curves = np.reshape(fitted, (3, -1))
    spread = np.sqrt(np.average(np.concatenate(variances), weights=weight))
    document = {
        "version": VERSION,
        "fitted_to": ", ".join(f"{folder} at {size}×{size}" for folder, size in SETS),
        "images": len(brightness),
        "brightness": round(float(np.mean(brightness)), 4),
        "spread": round(float(spread), 3),
        "axial": round(float(axial), 5),
    }
    values = {"frequency": KNOTS}
    values |= dict(zip(("radial", "horizontal", "diagonal"), curves, strict=True))
    values |= {
        "rows": on_an_axis(lines, curves, axial, 0),
        "columns": on_an_axis(lines, curves, axial, 1),
    }
    document |= {name: [round(float(v), 5) for v in curve] for name, curve in values.items()}
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
