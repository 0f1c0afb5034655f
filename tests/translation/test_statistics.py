"""Moments of bands add up to those of the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from phasegan.translation.tiling.statistics import MomentAccumulator, Moments, SmoothedMoments


@pytest.mark.numerical
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.floats(-1e4, 1e4))
def test_moments_do_not_depend_on_the_bands(heights, offset):
    source = torch.Generator().manual_seed(sum(heights))
    x = torch.randn(1, 4, sum(heights), 40, generator=source, dtype=torch.float64) + offset
    x = x.float()
    sums = MomentAccumulator()
    for part in x.split(heights, 2):
        sums.add(part)
    exact = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    found = sums.moments()
    torch.testing.assert_close(found.mean, exact[1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.variance, exact[0], rtol=1e-4, atol=1e-7)


def test_groups_are_those_of_group_normalisation():
    x = torch.randn(1, 12, 9, 7) * torch.arange(1, 13).reshape(1, -1, 1, 1)
    sums = MomentAccumulator()
    sums.add(x)
    for groups in (1, 3, 12):
        mean, variance = sums.moments().pool_groups(groups)
        mine = (x - mean.reshape(1, -1, 1, 1)) / (variance.reshape(1, -1, 1, 1) + 1e-5).sqrt()
        torch.testing.assert_close(mine.float(), nn.GroupNorm(groups, 12)(x).detach())


def test_steady_moments_follow_and_forget():
    first = Moments(torch.zeros(2).double(), torch.ones(2).double())
    second = Moments(torch.ones(2).double(), 3 * torch.ones(2).double())
    steady = SmoothedMoments(0.75)
    assert steady(0, first) is first
    assert steady(0, second).mean[0] == pytest.approx(0.25)
    assert steady(1, second) is second, "places are apart"
    for _ in range(60):
        last = steady(0, second)
    torch.testing.assert_close(last.variance, second.variance)
    steady.reset()
    assert steady(0, first) is first
