"""The network of the classifier of two domains, and how it is trained.

Pictures are (n, C, rows, columns), float32 in 0..1, 0 black and 1 white.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from phasegan.progress import Progress

BATCH = 64
LEARNING_RATE = 2e-3
MIN_CROP = 0.7
"""Sides of a crop, as a share of the picture's."""
BLUR = 1.0
"""Largest σ of the blur, pixels."""
NOISE = 0.03
"""Largest σ of the noise, on 0..1."""


def make_network(channels: int) -> nn.Module:
    """Return the untrained network of the classifier.

    Parameters
    ----------
    channels : int
        C of the images.

    Returns
    -------
    torch.nn.Module
        From (n, C, rows, columns) in 0..1 to (n,), the logits of B.
    """
    layers: list[nn.Module] = [nn.BatchNorm2d(channels, affine=False)]
    before = channels
    for width, stride in ((32, 2), (64, 2), (128, 2), (128, 1)):
        layers += [
            nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        before = width
    layers += [
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(before, 1),
        nn.Flatten(0),
    ]  # fmt: skip
    return nn.Sequential(*layers)


def fit(
    network: nn.Module,
    domains: list[Tensor],
    rng: np.random.Generator,
    steps: int,
    progress: Progress,
) -> None:
    """Train the network.

    Parameters
    ----------
    network : torch.nn.Module
        From `make_network`.
    domains : list of torch.Tensor
        A and B, each (n, C, rows, columns), of one size.
    rng : numpy.random.Generator
        Generator of batches, augmentation and dropout.
    steps : int
        Batches, half of each domain.
    progress : Progress
        Where to report.
    """
    device = next(network.parameters()).device
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    labels = torch.cat([torch.zeros(BATCH // 2), torch.ones(BATCH // 2)]).to(device)
    orders = [_shuffled_forever(len(images), rng) for images in domains]
    network.train()
    forked = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(forked), progress.task("classifier", steps) as task:
        torch.manual_seed(int(rng.integers(2**31)))
        for _ in range(steps):
            halves = [
                images[[next(order) for _ in range(BATCH // 2)]]
                for images, order in zip(domains, orders, strict=True)
            ]
            batch = augment(torch.cat(halves), rng).to(device)
            loss = functional.binary_cross_entropy_with_logits(network(batch), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            task.advance()


def augment(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror, crop, blur and cover with noise, each image in its own way.

    Parameters
    ----------
    x : torch.Tensor
        (n, C, rows, columns), float32 in 0..1.
    rng : numpy.random.Generator
        Generator of all changes.

    Returns
    -------
    torch.Tensor
        As `x`.
    """
    n = len(x)

    def column(values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)

    sides = rng.uniform(MIN_CROP, 1.0, (n, 2))
    transform = np.zeros((n, 2, 3), dtype=np.float32)
    transform[:, 0, 0] = sides[:, 0] * rng.choice([-1.0, 1.0], n)
    transform[:, 1, 1] = sides[:, 1]
    transform[:, :, 2] = (1.0 - sides) * rng.uniform(-1.0, 1.0, (n, 2))
    grid = functional.affine_grid(torch.from_numpy(transform), list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    sigma = column(rng.uniform(0.1, BLUR, n))
    taps = torch.exp(-0.5 * (torch.arange(-2.0, 3.0).view(1, 1, 1, 5) / sigma) ** 2)
    x = _filter_columns(_filter_columns(x, taps).transpose(2, 3), taps).transpose(2, 3)
    strength = column(rng.uniform(0.0, NOISE, n))
    noise = torch.from_numpy(rng.standard_normal(tuple(x.shape), dtype=np.float32))
    return (x + strength * noise).clamp(0.0, 1.0)


def _filter_columns(x: Tensor, taps: Tensor) -> Tensor:
    """Filter each picture along its columns with its own five taps."""
    taps = taps / taps.sum(dim=-1, keepdim=True)
    padded = functional.pad(x, (2, 2, 0, 0), "reflect")
    total = x * taps[..., 2:3]
    for i in (0, 1, 3, 4):
        total = total + padded[..., i : i + x.shape[-1]] * taps[..., i : i + 1]
    return total


def _shuffled_forever(count: int, rng: np.random.Generator) -> Iterator[int]:
    """Yield each number below `count` once, then once more in another order, and so on."""
    while True:
        yield from rng.permutation(count).tolist()
