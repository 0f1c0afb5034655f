"""Two small domains of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = {"trainA": 5, "trainB": 3, "testA": 2, "testB": 2}


def make_pair(
    folder: Path,
    side: int = 30,
    channels: tuple[int, int] = (3, 3),
    counts: dict[str, int] = COUNTS,
) -> Path:
    """Write stripes (A) and checks (B) of random colours; of one channel they are grey."""
    rng = np.random.default_rng(7)
    rows, columns = np.indices((side, side + 6)) // 5 % 2
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        domain = "AB".index(name[-1])
        pattern = columns if domain == 0 else rows ^ columns
        for i in range(count):
            colours = rng.integers(0, 256, (2, channels[domain]))
            pixels = colours[pattern].astype(np.uint8)
            Image.fromarray(pixels if channels[domain] == 3 else pixels[..., 0]).save(
                folder / name / f"{i}.png"
            )
    return folder
