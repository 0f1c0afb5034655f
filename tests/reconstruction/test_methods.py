"""Laws of the reconstruction methods."""

from __future__ import annotations

import numpy as np
import pytest

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.image_statistics import gather_statistics
from phasegan.reconstruction.protocol import Observation, Problem, Settings
from phasegan.reconstruction.registry import METHODS, incompatibility, make_method
from phasegan.reconstruction.solvers.mean_magnitude import mean_magnitude
from phasegan.reconstruction.solvers.unit_magnitude import neutral_level, unit_magnitude


def circular(a, b):
    return np.abs(np.angle(np.exp(1j * (a - b))))


@pytest.mark.parametrize("m", [16, 17])
def test_unpadded_estimates_carry_the_given_phase(m, rng):
    phase = analyse(rng.integers(0, 256, (3, m, m)), (m, m)).phase
    magnitude = rng.uniform(1, 2, phase.shape[1:])
    magnitude[:, 0] = magnitude[:, 0] + magnitude[-np.arange(m), 0]
    if m % 2 == 0:
        magnitude[:, -1] = magnitude[:, -1] + magnitude[-np.arange(m), -1]
    for estimate in (
        unit_magnitude(phase, (m, m), (m, m), 3.0),
        mean_magnitude(phase, (m, m), (m, m), magnitude),
    ):
        assert circular(np.angle(np.fft.rfft2(estimate)), phase).max() < 1e-6


@pytest.mark.parametrize(("n", "m"), [(16, 16), (15, 15), (15, 30)])
def test_the_right_magnitude_gives_the_image(n, m, rng):
    image = rng.integers(0, 256, (n, n)).astype(float)
    phase, magnitude, _ = analyse(image, (m, m))
    np.testing.assert_allclose(
        mean_magnitude(phase[None], (m, m), (n, n), magnitude)[0], image, atol=1e-9
    )


def test_the_neutral_level_gives_half_the_range(rng):
    phase = analyse(rng.integers(0, 256, (32, 32)), (32, 32)).phase
    estimate = unit_magnitude(phase[None], (32, 32), (32, 32), neutral_level((32, 32), 255))
    assert np.sqrt(np.mean(estimate**2)) == pytest.approx(127.5)


def test_statistics_of_all_samples_are_those_of_the_file(tiny):
    with phasegan.open(tiny) as file:
        stored, computed = gather_statistics(file), gather_statistics(file, np.arange(6))
        images = file.train.images()
    np.testing.assert_allclose(stored.mean_magnitude, computed.mean_magnitude)
    np.testing.assert_allclose(stored.mean_image, images.mean(axis=0))
    with phasegan.open(tiny) as file:
        two = gather_statistics(file, np.array([4, 1]))
    assert two.samples == 2
    np.testing.assert_allclose(two.mean_image, images[[1, 4]].mean(axis=0))


def test_every_method_takes_and_gives_stacks(tiny):
    with phasegan.open(tiny) as file:
        problem = Problem(
            (32, 32), (32, 32), 255, gather_statistics(file), settings=Settings(iterations=30)
        )
        phase = file.test.phase()
    for name in METHODS:
        if incompatibility(name, problem, 0.0):
            continue
        method = make_method(name, problem)
        estimate = method(Observation(phase)).estimate
        assert estimate.shape == (3, 32, 32)
        assert estimate.dtype == np.float64
        one = method(Observation(phase[1:2])).estimate[0]
        np.testing.assert_allclose(one, estimate[1], atol=1e-4, err_msg=name)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(InputError, match="did you mean mean-magnitude"):
        make_method("mean-magnitud", Problem((8, 8), (8, 8)))


def test_a_method_without_its_statistics_says_what_to_give():
    with pytest.raises(InputError, match="--statistics"):
        make_method("mean-image", Problem((8, 8), (8, 8)))
