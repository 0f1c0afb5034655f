"""Distance of two sets of images, without pairs and without learned features.

Pictures are (n, C, rows, columns), float32 in 0..1, 0 black and 1 white.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Normalisation = Literal["together", "apart"]

PATCH = 7
"""Pixels along a side of a patch."""
MIN_LEVEL_SIDE = 16
"""No level of the pyramid has a shorter side, unless the pictures themselves have."""
PATCHES_PER_IMAGE = 128
"""Patches of a picture on each level."""
MAX_PATCHES = 2**17
"""Patches of a set on one level: beyond 1024 pictures each gives fewer than `PATCHES_PER_IMAGE`."""
MIN_PATCHES_PER_IMAGE = 8
UNIT = 1e3
"""Distances are reported in thousandths, as published."""
_CHUNK = 64
_DIRECTIONS_AT_ONCE = 16
_TINY = 1e-8


@dataclass(frozen=True)
class SlicedWasserstein:
    """Distance between two sets of pictures, level by level."""

    sizes: tuple[tuple[int, int], ...]
    """(rows, columns) of the levels, the finest first."""
    values: tuple[float, ...]
    """Distance on each level, times 1000; 0 for equal sets."""

    @property
    def mean(self) -> float:
        """Mean over the levels, times 1000."""
        return float(np.mean(self.values))

    def as_json(self) -> dict[str, Any]:
        """Return JSON values: `levels` maps `rows×columns` to a distance."""
        names = [f"{rows}×{columns}" for rows, columns in self.sizes]
        return {"mean": self.mean, "levels": dict(zip(names, self.values, strict=True))}


def sliced_wasserstein(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    *,
    projections: int = 512,
    seed: int = 0,
    normalise: Normalisation = "together",
) -> SlicedWasserstein:
    """Measure the sliced Wasserstein distance of the patches of two sets of images.

    Both sets are taken apart into Laplacian pyramids (Burt & Adelson 1983,
    doi:10.1109/TCOM.1983.1095851; binomial filter of five taps, mirrored
    borders), down to a side of 16 pixels. On each level the 7×7 patches of a
    set are points in 49·C dimensions; the distance of the two clouds is the
    mean over random directions of the Wasserstein-1 distance of their
    projections (Rabin et al. 2011, doi:10.1007/978-3-642-24785-9_37). Karras
    et al. 2018 (arXiv:1710.10196, section 5) proposed it for generated
    pictures. Fine levels compare texture, the coarsest composition and colour.

    It differs from what they did in two places. Patches are taken at the same
    128 places of every picture, drawn once for a level: the distance depends on
    neither set's order, and is exactly 0 for equal sets. And each channel is
    brought to mean 0 and variance 1 with the statistics of both sets together,
    each set counting one half however many pictures it has: a colour cast or a
    loss of contrast is part of the distance. `normalise="apart"` is the
    published way, which takes each set's own statistics and so is blind to both.

    Two samples of one distribution are at a distance above 0, the larger the
    fewer they are. Measure it, as between training and test pictures of one
    domain, before reading anything into a value.

    Parameters
    ----------
    a, b : numpy.ndarray
        (n, C, rows, columns), float in 0..1; n may differ, the rest not. Sides
        of at least 7 pixels.
    projections : int
        Random directions, at least 1; the time is proportional to it.
    seed : int
        Seed of the directions and the places.
    normalise : {"together", "apart"}
        Which statistics the channels are divided by.

    Returns
    -------
    SlicedWasserstein
        A symmetric function of the sets, equal for equal seeds on a machine.

    Raises
    ------
    InputError
        If shapes do not fit, a set is empty, or a value is not finite.
    """
    check_images(a, "a")
    check_images(b, "b")
    if a.shape[1:] != b.shape[1:]:
        raise InputError(
            f"pictures of shape {a.shape[1:]} against {b.shape[1:]} (channels, rows, columns): "
            "bring both sets to the same size and channels first"
        )
    if min(a.shape[2:]) < PATCH:
        raise InputError(
            f"pictures of {a.shape[2]}×{a.shape[3]} pixels: patches have {PATCH}×{PATCH}"
        )
    if projections < 1:
        raise InputError(f"projections = {projections}: must be at least 1")
    if normalise not in ("together", "apart"):
        raise InputError(f"normalise = {normalise!r}: together or apart")
    sizes = pyramid_sizes(a.shape[2], a.shape[3])
    most = max(len(a), len(b))
    count = min(PATCHES_PER_IMAGE, max(MIN_PATCHES_PER_IMAGE, MAX_PATCHES // most))
    values = []
    for level, size in enumerate(sizes):
        rng = np.random.default_rng([seed, level])
        where = _patch_positions(size, count, rng)
        one, other = (_patches(images, level, len(sizes), where) for images in (a, b))
        _normalise(one, other, apart=normalise == "apart")
        directions = rng.normal(size=(one.shape[1] * one.shape[2], projections))
        directions /= np.linalg.norm(directions, axis=0)
        values.append(UNIT * _mean_wasserstein(one.flatten(1), other.flatten(1), directions))
    return SlicedWasserstein(tuple(sizes), tuple(values))


def check_images(images: NDArray[np.floating], name: str) -> None:
    """Refuse an array that is not a set of images.

    Parameters
    ----------
    images : numpy.ndarray
        To be (n, C, rows, columns), float in 0..1, n at least 1.
    name : str
        For the message.

    Raises
    ------
    InputError
        If the shape, the dtype or a value is another.
    """
    if not isinstance(images, np.ndarray) or images.ndim != 4 or 0 in images.shape:
        raise InputError(
            f"{name} has shape {np.shape(images)}; pictures are (n, channels, rows, columns)"
        )
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"{name} has dtype {images.dtype}; pictures are floats in 0..1")
    for chunk in np.array_split(images, -(-len(images) // _CHUNK)):
        if not (chunk.min() >= 0 and chunk.max() <= 1):
            raise InputError(f"{name} holds values outside 0..1, or that are not finite")


def pyramid_sizes(rows: int, columns: int) -> list[tuple[int, int]]:
    """Return the sizes of the levels: halved, rounding up, while no side is below 16.

    Parameters
    ----------
    rows, columns : int
        Size of the images.

    Returns
    -------
    list of (int, int)
        Rows and columns, the finest level first.
    """
    sizes = [(rows, columns)]
    while min(rows, columns) >= 2 * MIN_LEVEL_SIDE:
        rows, columns = -(-rows // 2), -(-columns // 2)
        sizes.append((rows, columns))
    return sizes


def _patch_positions(
    size: tuple[int, int], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the patches' upper left corners, none twice."""
    rows, columns = size[0] - PATCH + 1, size[1] - PATCH + 1
    corners = rng.permutation(rows * columns)[:count]
    row, column = np.divmod(np.sort(corners), columns)
    return row, column


def _binomial_filter(x: Tensor, dim: int, gain: float = 1.0, stride: int = 1) -> Tensor:
    """Filter rows (2) or columns (3) by five binomial taps, mirrored at the borders."""
    import torch
    from torch.nn import functional

    taps = gain * torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=x.dtype) / 16
    kernel, steps, border = (
        (taps.view(1, 1, 5, 1), (stride, 1), (0, 0, 2, 2))
        if dim == 2
        else (taps.view(1, 1, 1, 5), (1, stride), (2, 2, 0, 0))
    )
    planes = functional.pad(x, border, "reflect").flatten(0, 1)[:, None]
    return functional.conv2d(planes, kernel, stride=steps)[:, 0].unflatten(0, x.shape[:2])


def _downsample(x: Tensor) -> Tensor:
    return _binomial_filter(_binomial_filter(x, 2, stride=2), 3, stride=2)


def _upsample(x: Tensor, target: Tensor) -> Tensor:
    rows, columns = target.shape[2:]
    taller = x.new_zeros(*x.shape[:2], rows, x.shape[3])
    taller[:, :, ::2] = x
    wider = x.new_zeros(*x.shape[:2], rows, columns)
    wider[..., ::2] = _binomial_filter(taller, 2, gain=2.0)
    return _binomial_filter(wider, 3, gain=2.0)


def _level(images: NDArray[np.floating], level: int, levels: int) -> Iterator[Tensor]:
    """Yield one level of the Laplacian pyramids, a few pictures at a time."""
    import torch

    for start in range(0, len(images), _CHUNK):
        chunk = np.array(images[start : start + _CHUNK], dtype=np.float32, order="C")
        x = torch.from_numpy(chunk)
        for _ in range(level):
            x = _downsample(x)
        yield x if level == levels - 1 else x - _upsample(_downsample(x), x)


def _patches(
    images: NDArray[np.floating],
    level: int,
    levels: int,
    where: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Tensor:
    """Return the patches of a level, (n · places, C, 49), float32."""
    import torch

    row, column = (torch.from_numpy(index)[:, None, None] for index in where)
    step = torch.arange(PATCH)
    patches = torch.empty(len(images), len(row), images.shape[1], PATCH, PATCH)
    start = 0
    for chunk in _level(images, level, levels):
        values = chunk[:, :, row + step[:, None], column + step]
        patches[start : start + len(chunk)] = values.transpose(1, 2)
        start += len(chunk)
    return patches.flatten(0, 1).flatten(2)


def _normalise(one: Tensor, other: Tensor, *, apart: bool) -> None:
    """Bring each channel to mean 0 and variance 1, in place."""
    groups = ((one,), (other,)) if apart else ((one, other),)
    for group in groups:
        mean, square = np.mean([_moments(patches) for patches in group], axis=0)
        deviation = np.sqrt(np.maximum(square - mean**2, _TINY))
        for patches in group:
            for channel in range(patches.shape[1]):
                patches[:, channel] -= mean[channel]
                patches[:, channel] /= deviation[channel]


def _moments(patches: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and mean square of each channel."""
    import torch

    mean = patches.mean((0, 2), dtype=torch.float64)
    square = torch.stack([x.pow(2).mean(dtype=torch.float64) for x in patches.unbind(1)])
    return mean.numpy(), square.numpy()


def _mean_wasserstein(one: Tensor, other: Tensor, directions: NDArray[np.float64]) -> float:
    """Return the mean over directions, (dimensions, projections), of the 1-D distances."""
    import torch

    columns = torch.from_numpy(directions).to(one.dtype)
    total = 0.0
    for part in columns.split(_DIRECTIONS_AT_ONCE, dim=1):
        total += float(wasserstein((one @ part).T, (other @ part).T).sum())
    return total / columns.shape[1]


def wasserstein(one: Tensor, other: Tensor) -> Tensor:
    """Return Wasserstein-1 distances between samples of real numbers.

    Parameters
    ----------
    one, other : torch.Tensor
        (k, n) and (k, m), float: k pairs of samples.

    Returns
    -------
    torch.Tensor
        (k,), float64: the integral over 0..1 of the difference of the two
        quantile functions, without sign; exact for unequal n and m.
    """
    import torch

    n, m = one.shape[1], other.shape[1]
    ordered, others = one.contiguous().sort(dim=1).values, other.contiguous().sort(dim=1).values
    if n == m:
        return (ordered - others).abs().mean(dim=1, dtype=torch.float64)
    steps = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    before = torch.cat([steps.new_zeros(1), steps[:-1]])
    apart = (ordered[:, before // m] - others[:, before // n]).abs().double()
    return apart @ (steps - before).double() / (n * m)
