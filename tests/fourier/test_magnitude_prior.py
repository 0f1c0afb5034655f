"""Laws of the prior of magnitudes that comes with phasegan."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from phasegan.fourier.magnitude_prior import (
    PRIOR_FILE,
    RAYLEIGH_MEAN,
    MagnitudePrior,
    hat_functions,
    photograph_prior,
)
from phasegan.fourier.operator import plane_weight


def power_of(prior, frame, shape):
    """Return E|X|², of which the mean magnitude is made, but for frequency 0."""
    mean = prior.magnitude(frame, shape, 1.0)
    mean[0, 0] = 0
    return (mean / RAYLEIGH_MEAN) ** 2


def test_the_file_says_its_version_and_what_it_was_fitted_to():
    document = json.loads(PRIOR_FILE.read_text(encoding="utf-8"))
    assert document["version"] == 1
    assert "scenes150/train" in document["fitted_to"]
    assert "landscapes256/train" in document["fitted_to"]
    assert document["images"] > 1000
    assert PRIOR_FILE.stat().st_size < 4000
    prior = photograph_prior()
    assert prior.version == document["version"]
    assert prior == MagnitudePrior.load(PRIOR_FILE)


@pytest.mark.parametrize(
    ("shape", "frame"),
    [
        ((1, 1), (1, 1)),
        ((7, 7), (14, 14)),
        ((16, 16), (16, 16)),
        ((33, 33), (47, 47)),
        ((20, 31), (40, 50)),
        ((30, 30), (45, 45)),
    ],
)
def test_it_fits_any_size(shape, frame):
    magnitude = photograph_prior().magnitude(frame, shape, 255.0)
    assert magnitude.shape == (frame[0], frame[1] // 2 + 1)
    assert np.isfinite(magnitude).all()
    assert (magnitude > 0).all()
    mirrored = magnitude[-np.arange(frame[0]) % frame[0], 0]
    np.testing.assert_allclose(magnitude[:, 0], mirrored, rtol=1e-6)


def test_white_is_a_factor():
    prior = photograph_prior()
    eight, sixteen = (prior.magnitude((24, 24), (16, 16), white) for white in (255.0, 65535.0))
    np.testing.assert_allclose(sixteen, 257 * eight, rtol=1e-12)


def test_a_frame_of_twice_the_size_holds_the_same_samples():
    prior = photograph_prior()
    small = prior.magnitude((24, 24), (16, 16), 255.0)
    large = prior.magnitude((48, 48), (16, 16), 255.0)
    # the densities are sampled on grids of 48 and 48: equal but for rounding
    np.testing.assert_allclose(large[::2, ::2], small, rtol=1e-9)


def test_padding_adds_no_power():
    # Parseval: Σ |X|² / M² is the power of the image, whatever M ≥ 2N, but for frequency 0,
    # which is left out, and for what is slower than a period of the grid: hence near sizes
    prior, shape = replace(photograph_prior(), brightness=0.0), (32, 32)
    totals = []
    for size in (64, 65, 66, 68):
        power = power_of(prior, (size, size), shape) * plane_weight((size, size)).numpy()
        totals.append(power.sum() / (size**2 - 1))
    np.testing.assert_allclose(totals, totals[0], rtol=0.05)


def test_frequency_zero_is_the_mean_pixel():
    prior = photograph_prior()
    for frame in ((16, 16), (24, 24), (32, 32)):
        magnitude = prior.magnitude(frame, (16, 16), 255.0)
        assert magnitude[0, 0] == pytest.approx(255 * 256 * prior.brightness)


def test_the_basis_is_a_partition_of_unity_and_exact_at_its_knots():
    knots = np.array([0.01, 0.1, 0.3, 0.5])
    np.testing.assert_allclose(hat_functions(knots, knots), np.eye(4), atol=1e-12)
    frequency = np.geomspace(0.003, 0.7, 50)
    np.testing.assert_allclose(hat_functions(frequency, knots).sum(-1), 1.0)


@pytest.mark.real
@pytest.mark.parametrize(("folder", "size"), [("scenes150", 128), ("landscapes256", 256)])
@pytest.mark.parametrize("ratio", [1.5, 2.0])
def test_it_is_near_the_mean_magnitude_of_photographs_it_has_not_seen(
    real_data, folder, size, ratio
):
    paths = sorted((real_data / folder / "test").rglob("*.jpg"))
    if not paths:
        pytest.skip(f"PHASEGAN_TEST_DATA has no {folder}")
    padded, total = round(size * ratio), 0.0
    for path in paths[:200]:
        with Image.open(path) as opened:
            picture = np.asarray(opened.convert("L").resize((size, size)), np.float64)
        total = total + np.abs(np.fft.rfft2(picture, s=(padded, padded)))
    prior = photograph_prior().magnitude((padded, padded), (size, size), 255.0)
    off = np.log(prior * len(paths[:200]) / total)
    assert off.std() < 0.15
    assert abs(off.mean()) < 0.4
