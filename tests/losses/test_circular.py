"""The distance of phases on the circle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.losses.reconstruction import circular_distance, phase_weights, soft_clipped_mse

pytestmark = pytest.mark.numerical


def spectrum(rng, size=16, count=2):
    values = np.fft.rfft2(rng.uniform(0, 1, (count, 1, size, size)))
    return torch.from_numpy(values.astype(np.complex64))


def mean_magnitude(rng, size=16):
    return torch.from_numpy(rng.uniform(1, 2, (1, size, size // 2 + 1)).astype(np.float32))


@pytest.mark.parametrize("size", [15, 16])
def test_equal_phases_are_0_apart_opposite_ones_2(rng, size):
    there, mean = spectrum(rng, size), mean_magnitude(rng, size)
    weights = phase_weights(mean, size)
    for turn, expected in ((0.0, 0.0), (np.pi, 2.0), (np.pi / 2, 1.0), (2 * np.pi, 0.0)):
        distance = circular_distance(there, there.angle() + turn, mean * 1e-6, weights)
        assert float(distance) == pytest.approx(expected, abs=1e-5)


def test_it_is_the_equation(rng):
    here, there, mean = spectrum(rng), spectrum(rng), mean_magnitude(rng) * 1e-6
    twice = np.full(9, 2.0)
    twice[[0, 8]] = 1.0
    weight = mean.numpy() * twice / (mean.numpy() * twice).sum()
    turned = here.angle().double().numpy() - there.angle().double().numpy()
    expected = (weight * (1 - np.cos(turned))).sum((-2, -1)).mean()
    distance = circular_distance(here, there.angle(), mean, phase_weights(mean, 16))
    assert float(distance) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_the_gradient_is_finite_where_the_spectrum_is_0(rng, scale):
    zero = torch.zeros(1, 1, 16, 9, dtype=torch.complex64, requires_grad=True)
    mean = scale * mean_magnitude(rng)
    distance = circular_distance(zero, torch.zeros(1, 1, 16, 9), mean, phase_weights(mean, 16))
    distance.backward()
    assert torch.isfinite(torch.view_as_real(zero.grad)).all()
    assert torch.isfinite(distance)


def test_what_is_not_trusted_counts_for_nothing(rng):
    here, mean = spectrum(rng).requires_grad_(), mean_magnitude(rng)
    trusted = torch.ones(2, 1, 16, 9, dtype=torch.bool)
    trusted[..., 3, 4] = False
    phase = spectrum(rng).angle()
    changed = phase.clone()
    changed[..., 3, 4] += 1.0
    weights = phase_weights(mean, 16)
    one = circular_distance(here, phase, mean, weights, trusted)
    assert one == circular_distance(here, changed, mean, weights, trusted)
    one.backward()
    assert not here.grad[..., 3, 4].any()


def test_brightness_does_not_matter(rng):
    here, there, mean = spectrum(rng), spectrum(rng).angle(), mean_magnitude(rng) * 1e-6
    weights = phase_weights(mean, 16)
    distances = [circular_distance(c * here, there, mean, weights) for c in (0.1, 1.0, 7.0)]
    assert float(distances[0]) == pytest.approx(float(distances[1]), rel=1e-5)
    assert float(distances[2]) == pytest.approx(float(distances[1]), rel=1e-5)


def test_squared_is_the_clipped_error_and_a_tenth_of_the_free_one():
    estimate, target = torch.tensor([-0.5, 0.5, 2.0]), torch.tensor([0.0, 0.25, 1.0])
    clipped, free = 0.25**2 / 3, (0.5**2 + 0.25**2 + 1.0) / 3
    assert float(soft_clipped_mse(estimate, target)) == pytest.approx(0.9 * clipped + 0.1 * free)
    estimate.requires_grad_()
    soft_clipped_mse(estimate, target).backward()
    assert (estimate.grad != 0).all()
