"""Augmentation of images before they are transformed to phases.

Phases cannot be cropped, mirrored or resized: the image is augmented, and then its phase
is taken. Images are (n, C, N₁, N₂), float32, 0 black and 1 white.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from phasegan.config.physics import AugmentationConfig
from phasegan.data.unpaired_sampler import BatchSlice

CROPPED = 0.8
"""Share of the images that are cropped."""
ASPECT = 0.1
"""The sides of a crop differ by up to this share."""


def augment(
    images: Tensor,
    config: AugmentationConfig,
    rng: np.random.Generator,
    data_range: int = 255,
    part: BatchSlice | None = None,
) -> Tensor:
    """Mirror, crop and change the tones of images, each in its own way.

    In this order: with probability ½ mirrored left to right; of 80 %, a crop
    whose sides are a uniformly random share of the whole, at least `crop`, with
    sides up to 10 % apart, resized bicubically (Keys 1981,
    doi:10.1109/TASSP.1981.1163711); x^γ with ln γ ~ N(0, gamma²);
    mean + c (x − mean) with ln c ~ N(0, contrast²); plus b ~ N(0, brightness²).
    The result is clipped and rounded to grey levels, as images in a file are.

    Parameters
    ----------
    images : torch.Tensor
        (n, C, N₁, N₂), float32 in 0..1.
    config : AugmentationConfig
        What to do; parts that are off draw no random numbers.
    rng : numpy.random.Generator
        Equal generators give equal images on the same device.
    data_range : int
        255 or 65535: the number of grey levels above 0.
    part : BatchSlice, optional
        Which images of a batch these are: each is changed as if all were here. Tones are
        computed in float64, where the device has it. The way in which threads divide a
        batch decides the last digit of a mean or a power; in float32 that digit would
        now and then decide a pixel's grey level.

    Returns
    -------
    torch.Tensor
        Same shape, float32 in 0..1. The images themselves if nothing is on.
    """
    if not config.active:
        return images
    part = part or BatchSlice.full(len(images))
    count = part.total

    def column(values: np.ndarray) -> Tensor:
        own = values[part.rows].astype(np.float32)
        return _to_device(own, images).view(-1, 1, 1, 1)

    if config.flip:
        images = torch.where(column(rng.random(count) < 0.5) > 0, images.flip(-1), images)
    if config.crop < 1:
        images = _crop(images, config.crop, rng, part)
    images = images.to(torch.float32 if images.device.type == "mps" else torch.float64)
    if config.gamma > 0:
        images = images.clamp(0.0, 1.0) ** column(np.exp(config.gamma * rng.normal(size=count)))
    if config.contrast > 0:
        factor = column(np.exp(config.contrast * rng.normal(size=count)))
        mean = images.mean((-3, -2, -1), keepdim=True)
        images = mean + factor * (images - mean)
    if config.brightness > 0:
        images = images + column(config.brightness * rng.normal(size=count))
    return torch.round(images.clamp(0.0, 1.0) * data_range).to(torch.float32) / data_range


def _crop(images: Tensor, least: float, rng: np.random.Generator, part: BatchSlice) -> Tensor:
    """Replace most images by a crop of the same size."""
    count = part.total
    cropped = rng.random(count) < CROPPED
    share = rng.uniform(least, 1.0, count)
    ratio = 1.0 + rng.uniform(-ASPECT, ASPECT, count)
    sides = np.stack([share * np.sqrt(ratio), share / np.sqrt(ratio)], axis=1).clip(least, 1.0)
    sides[~cropped] = 1.0
    # The middle of the crop, from −1 to 1 across the image.
    middle = (1.0 - sides) * rng.uniform(-1.0, 1.0, (count, 2))
    transform = np.zeros((count, 2, 3), dtype=np.float32)
    transform[:, 0, 0], transform[:, 1, 1] = sides[:, 1], sides[:, 0]
    transform[:, :, 2] = middle[:, ::-1]
    transform, cropped = transform[part.rows], cropped[part.rows]
    grid = functional.affine_grid(
        _to_device(transform, images), list(images.shape), align_corners=False
    )
    resized = functional.grid_sample(
        images, grid, mode="bicubic", padding_mode="border", align_corners=False
    )
    uncropped = _to_device(~cropped, images).view(-1, 1, 1, 1)
    return torch.where(uncropped, images, resized)


def _to_device(values: np.ndarray, images: Tensor) -> Tensor:
    """Return random numbers where the images are, without waiting for the device."""
    return torch.from_numpy(values).to(images.device, non_blocking=True)
