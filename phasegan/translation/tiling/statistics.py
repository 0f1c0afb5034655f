"""Statistics of a whole picture's feature maps, gathered from bands of its rows.

Maps are tensors (1, channel, row, column). Normalisation takes the mean and variance of
a map over the whole picture; those of bands, each row counted once, add up to them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_CHUNK = 1024
"""Pixels that are summed in float32 before the sums go on in float64."""


class Moments(NamedTuple):
    """Mean and variance of each channel of a map.

    Attributes
    ----------
    mean, variance : torch.Tensor
        float64, (channels,), on the CPU; the variance is that of the population.
    """

    mean: Tensor
    variance: Tensor

    def pool_groups(self, groups: int) -> Moments:
        """Pool the moments of groups of neighbouring channels.

        Parameters
        ----------
        groups : int
            A divisor of the number of channels.

        Returns
        -------
        Moments
            (channels,): those of its group for each channel.
        """
        mean = self.mean.reshape(groups, -1)
        centre = mean.mean(1, keepdim=True)
        within = self.variance.reshape(groups, -1).mean(1, keepdim=True)
        variance = within + ((mean - centre) ** 2).mean(1, keepdim=True)
        size = mean.shape[1]
        return Moments(centre.expand(-1, size).reshape(-1), variance.expand(-1, size).reshape(-1))

    def interpolate(self, other: Moments, share: float) -> Moments:
        """Return (1 − share) · these + share · others.

        Parameters
        ----------
        other : Moments
            Moments of as many channels.
        share : float
            0 to 1.

        Returns
        -------
        Moments
            Mean and variance each for itself.
        """
        return Moments(self.mean.lerp(other.mean, share), self.variance.lerp(other.variance, share))


class MomentAccumulator:
    """Sums from which the moments of a map follow.

    Values are taken relative to the first ones seen, so that a mean far from 0 costs
    the variance no digits (Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115).
    """

    def __init__(self) -> None:
        self._count = 0
        self._shift: Tensor | None = None
        self._first: Tensor
        self._second: Tensor

    def add(self, x: Tensor) -> None:
        """Count pixels.

        Parameters
        ----------
        x : torch.Tensor
            (1, channels, rows, columns), any float dtype.
        """
        flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        if self._shift is None:
            self._shift = flat[:_CHUNK].float().mean(0)
            self._first = torch.zeros(x.shape[1], dtype=torch.float64)
            self._second = torch.zeros_like(self._first)
        chunk = _CHUNK if x.device.type == "cpu" else flat.shape[0]
        for part in flat.split(chunk):
            values = part.float() - self._shift
            self._first += values.sum(0).cpu()
            self._second += values.square_().sum(0).cpu()
        self._count += flat.shape[0]

    def moments(self) -> Moments:
        """Return the mean and the variance of all that was counted."""
        assert self._shift is not None
        mean = self._first / self._count
        variance = (self._second / self._count - mean**2).clamp_min(0)
        return Moments(mean + self._shift.cpu(), variance)


class SmoothedMoments:
    """Moments that follow those of the frames of a film slowly.

    Parameters
    ----------
    inertia : float
        Share of what was used for the frame before, 0 to below 1.
    """

    def __init__(self, inertia: float) -> None:
        self._inertia = inertia
        self._smoothed: dict[int, Moments] = {}

    def __call__(self, number: int, measured: Moments) -> Moments:
        """Return the moments to use at a place of the network."""
        previous = self._smoothed.get(number)
        smoothed = measured if previous is None else measured.interpolate(previous, self._inertia)
        self._smoothed[number] = smoothed
        return smoothed

    def reset(self) -> None:
        """Forget the past, as after a cut."""
        self._smoothed.clear()
