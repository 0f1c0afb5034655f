"""The running mean."""

import numpy as np
import pytest

from phasegan.fourier.magnitude import RunningMean, shrunk_magnitude


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


def test_brightness_of_few_images_is_drawn_to_that_of_photographs_where_it_varies(rng):
    images = rng.uniform(0, 60, (8, 1, 1)) + rng.uniform(0, 9, (8, 16, 16))
    mean, frame = np.abs(np.fft.rfft2(images)).mean(0), (16, 16)

    def bright(samples, spread):
        return shrunk_magnitude(mean, samples, frame, 255.0, spread)[0, 0] / 256

    own = mean[0, 0] / 256
    assert bright(8, 0.0) == pytest.approx(own)
    assert bright(8, 25.5) == pytest.approx((8 * own + 5 * 0.45 * 255) / 13)
    assert bright(8, 255.0) == pytest.approx(bright(8, 25.5))
    assert own < bright(8, 5.0) < bright(8, 25.5) < bright(1, 25.5)
    np.testing.assert_allclose(shrunk_magnitude(mean, 10**9, frame, 255.0, 99.0), mean, rtol=1e-6)


def test_the_mean_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing"):
        _ = RunningMean().mean
