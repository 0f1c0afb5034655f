"""Pictures and phases made to win a certificate wrongly, for `certificates.py`.

Each family takes a random generator, a number and a size N, and returns integer
pictures, (n, N, N). They are what defeats a proof of the shape (symmetric factors,
symmetry), of the scale (few pixels, few levels) and of the last grey level (16 bit,
bright and flat, coarse phases).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve2d

Pictures = NDArray[np.int64]
Random = np.random.Generator
DEEP = 65535


def sparse(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Two to six pixels that are not black."""
    pictures = np.zeros((count, size * size), np.int64)
    for picture in pictures:
        places = rng.choice(size * size, min(int(rng.integers(2, 7)), size * size), replace=False)
        picture[places] = rng.integers(1, white + 1, len(places))
        picture[0] = picture[0] or rng.integers(0, 2) * rng.integers(1, white + 1)
    return pictures.reshape(count, size, size)


def few_levels(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Two to four grey levels, 0 often among them."""
    pictures = np.empty((count, size, size), np.int64)
    for picture in pictures:
        levels = rng.integers(0, white + 1, rng.integers(2, 5))
        levels[0] *= rng.integers(0, 2)
        picture[:] = rng.choice(levels, picture.shape)
    return pictures


def periodic(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Tiles of two to four pixels a side, sometimes with one pixel changed."""
    pictures = np.empty((count, size, size), np.int64)
    for picture in pictures:
        side = int(rng.integers(2, 5))
        tile = rng.integers(0, white + 1, (side, side))
        picture[:] = np.tile(tile, (size // side + 1,) * 2)[:size, :size]
        if rng.random() < 0.5:
            picture[tuple(rng.integers(0, size, 2))] = rng.integers(0, white + 1)
    return pictures


def blurred(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Products y ∗ h, h symmetric with a positive spectrum, some with changed pixels."""
    kernels = [np.outer(a, b) for a in ((1,), (1, 2, 1), (1, 3, 1)) for b in ((1, 2, 1), (1, 4, 1))]
    pictures = np.zeros((count, size, size), np.int64)
    for picture in pictures:
        kernel = kernels[rng.integers(len(kernels))]
        kernel = kernel if rng.random() < 0.5 else kernel.T
        inner = (size - kernel.shape[0] + 1, size - kernel.shape[1] + 1)
        content = rng.integers(0, max(2, white // int(kernel.sum()) + 1), inner)
        if rng.random() < 0.3:
            content[rng.random(inner) < 0.7] = 0
        picture[:] = convolve2d(content, kernel)
        for _ in range(rng.integers(0, 4)):
            place = tuple(rng.integers(0, size, 2))
            picture[place] = np.clip(picture[place] + rng.choice([-1, 1]), 0, white)
    return pictures


def nearly_centrosymmetric(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Equal to themselves turned by 180° but for a few pixels."""
    pictures = rng.integers(0, white // 2 + 1, (count, size, size))
    pictures = pictures + pictures[:, ::-1, ::-1]
    for picture in pictures:
        for _ in range(rng.integers(1, 5)):
            change = rng.integers(1, max(2, white // 16)) if rng.random() < 0.5 else 1
            place = tuple(rng.integers(0, size, 2))
            picture[place] = np.clip(picture[place] + rng.choice([-change, change]), 0, white)
    return pictures


def flat(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Bright and nearly constant: two neighbouring grey levels, or one pixel off."""
    base = rng.integers(1, white, (count, 1, 1))
    share = rng.choice([0.0, 0.02, 0.5], (count, 1, 1))
    pictures = base + (rng.random((count, size, size)) < share)
    pictures[np.arange(count), rng.integers(0, size, count), rng.integers(0, size, count)] += 1
    return np.minimum(pictures, white)


def dark(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Few and small grey levels, of which many multiples are in range."""
    top = rng.integers(1, 12, (count, 1, 1))
    return (rng.random((count, size, size)) * (top + 1)).astype(np.int64)


def bordered(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Black or nearly black on opposite sides."""
    pictures = rng.integers(0, white + 1, (count, size, size))
    for picture in pictures:
        soft = int(rng.integers(0, 3))
        for view in (picture, picture.T):
            first, last = rng.integers(0, max(2, size // 3), 2)
            view[:first] = rng.integers(0, soft + 1, view[:first].shape)
            view[size - last :] = rng.integers(0, soft + 1, view[size - last :].shape)
    return pictures


def uniform(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Independent pixels."""
    return rng.integers(0, white + 1, (count, size, size))


def smooth(rng: Random, count: int, size: int, white: int = 255) -> Pictures:
    """Add up a few cosines, as photographs of few details."""
    row, column = np.mgrid[:size, :size] / size
    pictures = np.zeros((count, size, size))
    for _ in range(4):
        u, v, p, a = (rng.normal(size=(count, 1, 1)) * s for s in (6, 6, 3, 1))
        pictures += a * np.cos(u * row + v * column + p)
    low = pictures.min((1, 2), keepdims=True)
    return np.rint((pictures - low) / np.ptp(pictures, (1, 2), keepdims=True) * white).astype(int)


FAMILIES: dict[str, Callable[..., Pictures]] = {
    "sparse": sparse,
    "few levels": few_levels,
    "periodic": periodic,
    "symmetric factors": blurred,
    "nearly centrosymmetric": nearly_centrosymmetric,
    "nearly flat": flat,
    "dark": dark,
    "borders, soft and hard": bordered,
    "independent pixels": uniform,
    "smooth": smooth,
}
