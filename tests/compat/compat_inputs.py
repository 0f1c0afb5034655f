"""The inputs of the fixtures and the commands that made them, in spellings of their time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

FILES = Path(__file__).parent / "files"
CASE = """name = "tiny"
presets = ["paper"]
variant = "small"
methods = ["zero", "mean-magnitude"]
pairs = [{samples = 2, epochs = 2}, {samples = 3, epochs = 2}]
"""
_ALONE = ("--threads", "1")
FOLDER = ("prepare", "pictures", "--size", "32", "--workers", "1", "--resume", *_ALONE)
PAIR = ("prepare", "pair", "--load", "28", "--workers", "1", "--resume", *_ALONE)
SHARDS = (*FOLDER, "--shards", "2")
_SMALL = ("--epochs", "2", "--batch-size", "2", "--pool-size", "2", "--precision", "32")
_SMALL = (*_SMALL, "--discriminator-channels", "1", "--device", "cpu", "--resume", *_ALONE)
_ONE = ("--base-channels", "1", "--blocks", "1")
TRAININGS = {
    "physics": (
        *("train", "plain.h5", "--preset", "physics", "--widths", "2", "--samples", "6"),
        *("--encodings", "mean,white", *_SMALL),
    ),
    "paper": ("train", "plain.h5", "--preset", "paper", "--samples", "4", *_ONE, *_SMALL),
    "translation": (
        *("train", "pair.h5", "--preset", "translation", "--size", "24", "--load", "28"),
        *("--generator", "resnet", *_ONE, *_SMALL),
    ),
}
BENCH = (
    *("bench", "--case", "tiny.toml", "--data", "plain.h5", *_ONE),
    *("--precision", "32", "--device", "cpu", *_ALONE),
)


def write_pictures(folder: Path) -> None:
    """Write pictures by integers alone, in files without compression: the same everywhere."""
    folder.mkdir()
    row, column = np.mgrid[0:32, 0:32]
    for i in range(36):
        values = (row * (i + 3) * 7 + column * column * (i % 5 + 2) + i * 31) % 256
        Image.fromarray(values.astype(np.uint8)).save(folder / f"{i:02d}.bmp")


def write_pair(folder: Path) -> None:
    """Write two domains of such pictures."""
    for group, count in (("trainA", 4), ("trainB", 3), ("testA", 2), ("testB", 2)):
        (folder / group).mkdir(parents=True)
        for i in range(count):
            row, column, channel = np.mgrid[0:28, 0:28, 0:3]
            values = (
                row * 5 * (channel + 1) + column * (i + 3) + len(group) + ord(group[-1])
            ) % 256
            Image.fromarray(values.astype(np.uint8)).save(folder / group / f"{i}.bmp")
