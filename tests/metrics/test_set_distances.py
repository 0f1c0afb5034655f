"""The sliced Wasserstein distance: a metric's laws, and what it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from phasegan.errors import InputError
from phasegan.metrics import set_distances
from phasegan.metrics.set_distances import pyramid_sizes, sliced_wasserstein, wasserstein


def smooth(rng, count, side=32, channels=3):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(rng.normal(size=(count, channels, side, side)), (0, 0, 2, 2))
    return np.clip(0.5 + noise, 0, 1).astype(np.float32)


def mean(a, b, **options):
    return sliced_wasserstein(a, b, projections=32, **options).mean


@pytest.mark.numerical
@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (7, 3), (1, 9), (8, 16)])
def test_one_dimension_agrees_with_scipy(rng, n, m):
    one, other = rng.normal(size=(3, n)), rng.normal(size=(3, m))
    found = wasserstein(torch.from_numpy(one), torch.from_numpy(other))
    expected = [wasserstein_distance(a, b) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("normalise", ["together", "apart"])
def test_equal_sets_are_at_distance_zero_in_any_order(rng, normalise):
    a = smooth(rng, 12)
    found = sliced_wasserstein(a, a[::-1].copy(), projections=32, normalise=normalise)
    assert max(found.values) < 0.01
    assert sliced_wasserstein(a, a, projections=8, normalise=normalise).values == (0.0, 0.0)


def test_a_set_and_its_double_are_the_same_distribution(rng):
    a = smooth(rng, 9)
    assert mean(a, np.concatenate([a, a])) < 0.01


def test_the_distance_is_symmetric(rng):
    a, b = smooth(rng, 9), smooth(rng, 14) ** 2
    assert mean(a, b) == pytest.approx(mean(b, a), rel=1e-5)


def test_seeds_decide_directions_and_nothing_else_does(rng):
    a, b = smooth(rng, 9), smooth(rng, 9)
    assert mean(a, b, seed=1) == mean(a, b, seed=1)
    assert mean(a, b, seed=1) != mean(a, b, seed=2)
    assert mean(a, b, seed=1) == pytest.approx(mean(a, b, seed=2), rel=0.5)


def test_triangles(rng):
    a, b, c = smooth(rng, 9), smooth(rng, 9) ** 1.5, smooth(rng, 9) ** 2
    options = {"projections": 64, "normalise": "apart"}  # alone a metric over three sets
    ab, bc, ac = (
        np.array(sliced_wasserstein(x, y, **options).values) for x, y in ((a, b), (b, c), (a, c))
    )
    assert (ac <= ab + bc + 1e-6).all()


def test_each_level_sees_its_own_scale(rng):
    a, b = smooth(rng, 24), smooth(rng, 24)
    fine = np.clip(b + 0.1 * rng.choice([-1, 1], b.shape), 0, 1).astype(np.float32)
    coarse = np.clip(b + np.float32([0.2, 0, -0.2])[:, None, None], 0, 1)
    same, noisy, tinted = (
        np.array(sliced_wasserstein(a, x, projections=64).values) for x in (b, fine, coarse)
    )
    assert noisy[0] > 5 * same[0]
    assert noisy[0] > 2 * noisy[1]
    assert tinted[1] > 5 * same[1]
    assert tinted[1] > 5 * tinted[0]


def test_a_colour_cast_is_seen_together_and_not_apart(rng):
    a, b = 0.25 + 0.5 * smooth(rng, 16), 0.25 + 0.5 * smooth(rng, 16)
    cast = b + np.float32([0.2, -0.1, 0.1])[:, None, None]
    assert mean(a, cast) > 3 * mean(a, b)
    assert mean(a, cast, normalise="apart") == pytest.approx(
        mean(a, b, normalise="apart"), rel=0.01
    )


def test_more_pictures_bring_samples_of_one_distribution_together(rng):
    few, many = mean(smooth(rng, 4), smooth(rng, 4)), mean(smooth(rng, 64), smooth(rng, 64))
    assert many < few


def test_patches_of_large_sets_are_bounded(rng, monkeypatch):
    a, b = smooth(rng, 40, side=16), smooth(rng, 30, side=16)
    monkeypatch.setattr(set_distances, "MAX_PATCHES", 400)
    taken = []
    sort = torch.Tensor.sort
    monkeypatch.setattr(torch.Tensor, "sort", lambda x, **k: taken.append(x.shape) or sort(x, **k))
    mean(a, b)
    assert {shape[1] for shape in taken} == {400, 300}


@pytest.mark.parametrize("size", [(7, 9), (33, 16), (64, 40), (63, 65)])
def test_pyramids_of_any_size_restore_the_picture(rng, size):
    picture = x = torch.from_numpy(rng.random((2, 1, *size)))
    levels, sizes = [], pyramid_sizes(*size)
    for i in range(len(sizes)):
        assert tuple(x.shape[2:]) == sizes[i]
        last = i == len(sizes) - 1
        smaller = set_distances._downsample(x)
        levels.append(x if last else x - set_distances._upsample(smaller, x))
        x = smaller
    assert min(sizes[-1]) >= min(16, *size)
    restored = levels[-1]
    for band in levels[-2::-1]:
        restored = band + set_distances._upsample(restored, band)
    flat = torch.full((1, 1, *size), 0.25, dtype=torch.float64)
    torch.testing.assert_close(set_distances._upsample(set_distances._downsample(flat), flat), flat)
    torch.testing.assert_close(restored, picture)


def test_grey_pictures_of_one_level(rng):
    a, b = smooth(rng, 5, side=20, channels=1), smooth(rng, 6, side=20, channels=1)
    found = sliced_wasserstein(a, b, projections=8)
    assert found.sizes == ((20, 20),)
    assert found.as_json() == {"mean": found.mean, "levels": {"20×20": found.values[0]}}
    assert found.mean > 0


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (np.zeros((2, 3, 8, 8)), np.zeros((2, 1, 8, 8)), {}, "same size and channels"),
        (np.zeros((2, 3, 8, 8)), np.zeros((2, 3, 8, 9)), {}, "same size and channels"),
        (np.zeros((0, 3, 8, 8)), np.zeros((2, 3, 8, 8)), {}, "a has shape"),
        (np.zeros((2, 3, 8, 8)), np.zeros((3, 8, 8)), {}, "b has shape"),
        (np.zeros((2, 3, 6, 8)), np.zeros((2, 3, 6, 8)), {}, "7×7"),
        (np.zeros((2, 3, 8, 8)), np.full((2, 3, 8, 8), 2.0), {}, "b holds values outside"),
        (np.full((2, 3, 8, 8), np.nan), np.zeros((2, 3, 8, 8)), {}, "a holds values outside"),
        (np.zeros((2, 3, 8, 8), np.uint8), np.zeros((2, 3, 8, 8)), {}, "dtype uint8"),
        (np.zeros((2, 3, 8, 8)), np.zeros((2, 3, 8, 8)), {"projections": 0}, "at least 1"),
        (np.zeros((2, 3, 8, 8)), np.zeros((2, 3, 8, 8)), {"normalise": "x"}, "together or apart"),
    ],
)
def test_what_is_refused(a, b, options, message):
    with pytest.raises(InputError, match=message):
        sliced_wasserstein(a, b, **options)
