"""The grid that upsampling leaves in translations.

    python benchmarks/grid.py FOLDER RUN [RUN ...]

Prints, for the test pictures of FOLDER and for what each run makes of them, the power at periods
of 8, 4, 8/3 and 2 pixels along rows and columns over that of frequencies three and four steps away:
geometric mean, about 0.9 for photographs, more where there is a grid.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.data.domain_folders import open_domains
from phasegan.data.domain_scan import centre_squares, domain_format
from phasegan.evaluation.translation import TranslationRun

PICTURES = 64


def grid(pictures: NDArray[np.float32]) -> float:
    """Return the excess of a stack, (n, C, N, N)."""
    grey = pictures.mean(1)
    size = grey.shape[-1]
    window = np.hanning(size)[:, None] * np.hanning(size)
    centred_grey = (grey - grey.mean((1, 2), keepdims=True)) * window
    power = (np.abs(np.fft.fft2(centred_grey)) ** 2).mean(0)
    excess = []
    for axis in (0, 1):
        line = power.mean(1 - axis)
        for place in (size // 8, size // 4, 3 * size // 8, size // 2):
            near = [line[(place + step) % size] for step in (-4, -3, 3, 4)]
            excess.append(np.log(line[place]) - np.mean(np.log(near)))
    return float(np.exp(np.mean(excess)))


def main(folder: str, paths: list[str]) -> None:
    """Print a line for the pictures themselves and one a run."""
    runs = [TranslationRun(path, torch.device("cpu")) for path in paths]
    config = runs[0].config
    real = []
    for part, domain in zip(open_domains(folder).test, (config.data.a, config.data.b), strict=True):
        if part is None:
            sys.exit(f"error: {folder}: no test pictures")
        kind = domain_format(domain)
        real.append(centre_squares(part, kind, config.size, range(min(PICTURES, len(part)))))
    print(f"photographs    A {grid(real[0]):.2f}      B {grid(real[1]):.2f}")
    for path, run in zip(paths, runs, strict=True):
        made = [grid(run.translate(real["ab".index(way[0])], way)) for way in run.scored_ways]
        print(f"{path}    " + "    ".join(f"{x:.2f}" for x in made))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python benchmarks/grid.py FOLDER RUN [RUN ...]")
    main(sys.argv[1], sys.argv[2:])
