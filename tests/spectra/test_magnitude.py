"""The running mean."""

import numpy as np
import pytest

from phasegan.spectra.magnitude import RunningMean


def test_it_is_the_mean(rng):
    values = rng.normal(size=(7, 4, 3))
    mean = RunningMean()
    for value in values:
        mean.add(value)
    assert mean.count == 7
    np.testing.assert_allclose(mean.mean, values.mean(axis=0))


def test_integers_do_not_overflow():
    mean = RunningMean()
    for _ in range(10):
        mean.add(np.full(3, 255, np.uint8))
    np.testing.assert_array_equal(mean.mean, 255.0)


def test_the_mean_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing"):
        _ = RunningMean().mean
