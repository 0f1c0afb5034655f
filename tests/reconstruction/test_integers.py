"""Laws of the brightness that makes pixels integers."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from phasegan.reconstruction.exact.integers import divide_by_gcd, integer_scales


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


def reduced(image):
    return image // np.gcd.reduce(image, axis=None)


def found(image, expected, data_range=255):
    return any(np.array_equal(one, expected) for one in integer_scales(image, data_range))


@pytest.mark.parametrize("factor", [1e-9, 0.003, 0.1, 1.0, np.pi, 1e12])
def test_an_integer_image_comes_back_from_any_multiple(factor):
    for image in photographs(32, 5):
        first = integer_scales(factor * image, 255)[0]
        assert first.dtype == np.int64
        np.testing.assert_array_equal(first, reduced(image))


def noisy_photographs(count):
    rng = np.random.default_rng(1)
    for image in photographs(32, count, seed=1):
        yield image, image + rng.normal(scale=0.1, size=image.shape)


def nearly(candidate, image):
    """Tell whether all but a few pixels are right: 0.5 is 5 standard deviations."""
    return np.mean(candidate != image) < 0.01


@pytest.mark.parametrize("factor", [1e-4, 1.7, 1e4])
def test_noise_of_a_tenth_of_a_grey_level_does_no_harm(factor):
    right = [
        any(nearly(one, image) for one in integer_scales(factor * noisy, 255))
        for image, noisy in noisy_photographs(40)
    ]
    assert np.mean(right) > 0.9


def test_the_right_scale_of_a_noisy_image_comes_first():
    right = [nearly(integer_scales(noisy, 255)[0], image) for image, noisy in noisy_photographs(40)]
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("divisor", [2, 3, 5])
def test_common_factors_are_divided_out(divisor):
    image = divisor * (photographs(32, 1)[0] // divisor)
    first = integer_scales(0.37 * image, 255)[0]
    np.testing.assert_array_equal(first, reduced(image))
    assert np.gcd.reduce(first, axis=None) == 1


def test_dividing_by_the_common_factor_once_is_enough():
    image = 6 * photographs(8, 1)[0]
    once = divide_by_gcd(image)
    assert np.gcd.reduce(once, axis=None) == 1
    np.testing.assert_array_equal(divide_by_gcd(once), once)
    assert np.gcd.reduce(image, axis=None) % 6 == 0
    np.testing.assert_array_equal(once * np.gcd.reduce(image, axis=None), image)
    zeros = np.zeros((4, 4), np.int64)
    np.testing.assert_array_equal(divide_by_gcd(zeros), zeros)


def special_images():
    rng = np.random.default_rng(2)
    sparse = np.where(rng.random((32, 32)) < 0.03, rng.integers(1, 256, (32, 32)), 0)
    return {
        "many zeros": sparse,
        "dark": rng.integers(0, 6, (32, 32)),
        "low contrast": rng.integers(120, 126, (32, 32)),
        "bright": rng.integers(250, 256, (32, 32)),
        "two values": np.where(rng.random((32, 32)) < 0.5, 3, 250),
        "black and white": np.where(rng.random((32, 32)) < 0.5, 0, 1),
        "one pixel": np.eye(1, 1024, 77, dtype=np.int64).reshape(32, 32),
        "full range": rng.integers(0, 256, (32, 32)),
        "saturated": np.minimum(rng.integers(0, 400, (32, 32)), 255),
    }


@pytest.mark.parametrize("name", special_images())
@pytest.mark.parametrize("factor", [0.004, 1.0, 33.3])
def test_special_images_are_among_the_candidates(name, factor):
    image = special_images()[name].astype(np.int64)
    assert found(factor * image, reduced(image))
    rounding = np.random.default_rng(3).normal(scale=1e-4, size=image.shape)
    assert found(factor * (image + rounding), reduced(image))


@pytest.mark.parametrize("data_range", [255, 65535])
def test_candidates_are_in_range_and_without_common_factor(data_range):
    rng = np.random.default_rng(4)
    for image in (rng.random((16, 16)), rng.normal(size=(16, 16)), rng.integers(0, 99, (16, 16))):
        for candidate in integer_scales(image.astype(float), data_range):
            assert candidate.min() >= 0
            assert candidate.max() <= data_range
            assert np.gcd.reduce(candidate, axis=None) == 1


def test_16_bit_images_come_back():
    rng = np.random.default_rng(5)
    image = rng.integers(0, 65536, (24, 24))
    np.testing.assert_array_equal(integer_scales(0.01 * image, 65535)[0], reduced(image))
    photograph = 257 * photographs(24, 1)[0] + rng.integers(-100, 100, (24, 24)).clip(0)
    photograph = photograph.clip(0, 65535)
    noisy = photograph + rng.normal(scale=0.1, size=photograph.shape)
    first = integer_scales(1e-5 * noisy, 65535)[0]
    assert (first != photograph).mean() < 0.01


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8)),
        -np.ones((8, 8)),
        np.full((8, 8), np.nan),
        np.where(np.eye(8) > 0, np.inf, 1.0),
    ],
)
def test_what_has_no_bright_pixel_or_is_not_finite_gives_nothing(image):
    assert integer_scales(image, 255) == []


def test_images_with_both_signs_give_nothing():
    signed = photographs(32, 1)[0] - 150.0
    assert signed.min() < -1
    assert signed.max() > 1
    assert integer_scales(signed, 255) == []


def test_what_is_nothing_like_integers_is_far_from_every_candidate():
    rng = np.random.default_rng(6)
    values = 100 * rng.random((32, 32))
    for candidate in integer_scales(values, 255):
        scale = (candidate * values).sum() / (candidate * candidate).sum()
        assert np.abs(values / scale - candidate).max() > 0.4, "a caller can tell"


def test_a_candidate_fits_better_than_its_neighbours_in_scale():
    image = photographs(32, 1, seed=7)[0]
    first = integer_scales(image / 7.3, 255)[0]
    for top in (image.max() - 1, image.max() + 1):
        other = image * (top / image.max())
        assert np.abs(other - np.rint(other)).std() > 10 * np.abs(image - first).std()
