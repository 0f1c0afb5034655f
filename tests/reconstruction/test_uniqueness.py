"""Laws of the exclusion of other integer images with the same phases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d
from skimage import data

from phasegan.fourier.degradation import quantise_phase
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.exact.blurs import excludes_blurs
from phasegan.reconstruction.exact.certificate import second_singular_value
from phasegan.reconstruction.exact.uniqueness import (
    deviation_radius,
    excludes_neighbours,
    rounding_sensitivity,
    search_scales,
)


def photograph(n, seed=0):
    picture, rng = data.camera().astype(np.int64), np.random.default_rng(seed)
    while True:
        i, j = rng.integers(0, 512 - n, 2)
        if picture[i : i + n, j : j + n].std() > 20:
            return picture[i : i + n, j : j + n]


def coded(image, bits):
    """Return A of an image's quantised phases, the image, half a step and σ₂."""
    frame = tuple(2 * n for n in image.shape)
    phase = quantise_phase(analyse(image, frame).phase, bits, frame)
    operator = PhaseOperator(torch.from_numpy(phase)[None], frame, image.shape)
    tensor = torch.from_numpy(image).double()[None]
    gap = float(second_singular_value(operator, tensor, 1e-9)[0])
    return operator, tensor, np.pi / 2**bits, 0.8 * gap


def near_the_ray(x, white, radius):
    """Return all y ≠ k x within α r of an α x, apart from those near an integer α."""
    every = np.array(list(itertools.product(range(white + 1), repeat=x.size)))[1:]
    every = every[(every * x.max() != every.max(1, keepdims=True) * x).any(1)]
    nearest = every @ x / (x @ x)
    found = set()
    for share in np.linspace(0.9, 1.1, 41):
        alpha = share * nearest
        near = np.linalg.norm(every - alpha[:, None] * x, axis=1) <= alpha * radius
        apart = np.abs(alpha - np.maximum(np.rint(alpha), 1)) * x.max() > 0.5
        found |= {tuple(y) for y in every[near & apart].tolist()}
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 15), min_size=2, max_size=3).filter(any),
    st.floats(1e-3, 0.6),
)
def test_every_other_integer_image_near_the_ray_is_a_candidate(pixels, radius):
    x = np.array(pixels)
    x = x // np.gcd.reduce(x)
    found = search_scales(x[None], 15, radius)
    if found.complete:
        candidates = {tuple(c[0].tolist()) for c in found.candidates}
        assert near_the_ray(x, 15, radius) <= candidates


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=4).filter(any),
    st.floats(1e-3, 1.0),
)
def test_where_neighbours_are_excluded_only_multiples_are_near(pixels, radius):
    x = np.array(pixels)
    x = x // np.gcd.reduce(x)
    if not excludes_neighbours(x[None], 12, radius):
        return
    for factor in range(1, 12 // x.max() + 1):
        for change in itertools.product((-1, 0, 1), repeat=x.size):
            y = factor * x + np.array(change)
            alpha = (x @ y) / (x @ x)
            if any(change) and abs(alpha - factor) * x.max() <= 0.5 and y.min() >= 0:
                assert np.linalg.norm(y - alpha * x) > alpha * radius


def test_a_pair_of_pixels_has_other_ratios_near_by():
    image = np.zeros((4, 4), np.int64)
    image[0, 0], image[0, 2] = 207, 240
    found = search_scales(image, 255, 0.2)
    assert any(c[0, 0] == 163 and c[0, 2] == 189 for c in found.candidates)
    assert found.complete
    precise = search_scales(image, 255, 1e-5)
    assert precise.candidates == []
    assert precise.complete


def test_a_photograph_has_none():
    image = photograph(64)
    for radius in (1e-6, 0.1, 5.0):
        found = search_scales(image, 255, radius)
        assert found.complete
        assert found.candidates == []
    assert not search_scales(image, 255, 1e9).complete
    assert not search_scales(image, 255, np.inf).complete


def test_16_bit_pictures_are_searched_too():
    rng = np.random.default_rng(0)
    found = search_scales(rng.integers(0, 65536, (16, 16)), 65535, 0.01)
    assert found.complete
    assert found.candidates == []


@pytest.mark.parametrize("bits", [8, 10, 14])
def test_images_of_equal_codes_lie_within_the_radius(bits):
    image = photograph(12, seed=bits)
    operator, tensor, step, gap = coded(image, bits)
    radius = deviation_radius(operator, tensor, step, gap)
    codes = np.rint(operator.phase[0].numpy() / (2 * step))
    rng, tried = np.random.default_rng(1), 0
    for alpha in (0.5, 1.0, 3.0):
        for _ in range(20):
            change = rng.normal(size=image.shape)
            for _ in range(60):  # the largest change that leaves every code
                other = alpha * (image + change)
                phase = analyse(other, operator.frame).phase
                off = np.rint(phase / (2 * step)) - codes
                if not (off % 2**bits).any():
                    share = (other * image).sum() / (image * image).sum()
                    assert np.linalg.norm(other - share * image) <= share * radius
                    tried += 1
                    break
                change *= 0.8
    assert tried > 30


def test_the_radius_grows_with_the_step_and_ends_with_the_gap():
    operator, tensor, _, gap = coded(photograph(12), 16)
    small, large = (deviation_radius(operator, tensor, step, gap) for step in (1e-5, 1e-3))
    assert small < large
    assert deviation_radius(operator, tensor, 1e-3, 1e-3) == np.inf


def test_what_rounding_does_is_in_proportion_to_its_step():
    operator, tensor, _, _ = coded(photograph(16), 16)
    fine, coarse = (rounding_sensitivity(operator, tensor, step) for step in (1e-6, 1e-4))
    for name in ("largest", "deviation", "norm"):
        assert getattr(coarse, name) == pytest.approx(100 * getattr(fine, name), rel=0.02)
    assert fine.separates(1.0)
    assert not rounding_sensitivity(operator, tensor, 0.1).separates(1.0)


# --- blurs --------------------------------------------------------------------------------


@pytest.mark.parametrize("border", [(1, 0), (0, 2), (2, 2), (3, 1)])
def test_no_blur_of_a_bright_photograph_is_in_range(border):
    content = photograph(20, seed=sum(border))
    content = content * 255 // content.max()
    assert excludes_blurs(content, border, 255)


@pytest.mark.parametrize("kernel", [[1, 2, 1], [1, 3, 1], [1, 6, 1], [1, 0, 2, 0, 1]])
def test_a_blur_in_range_is_not_excluded(kernel):
    rng = np.random.default_rng(2)
    content = rng.integers(0, 255 // sum(kernel), (8, 9))
    content[0, 0] = 1
    border = (0, len(kernel) // 2)
    assert convolve2d(content, [kernel]).max() <= 255
    assert not excludes_blurs(content, border, 255)
    assert not excludes_blurs(content.T, border[::-1], 255)


def test_kernels_with_negative_coefficients_count():
    edge = [1, 3, 8, 20, 45, 90, 150, 200, 230, 240]
    content = np.outer([*edge, *edge[::-1]], np.ones(5, int))
    kernel = np.array([[1, -2, 3, -2, 1]]).T  # its spectrum is (1 − 2 cos)²
    blurred = convolve2d(content, kernel)
    assert blurred.min() >= 0
    assert blurred.max() <= 255
    assert not excludes_blurs(content, (2, 0), 255)
    assert excludes_blurs(content, (1, 0), 255)


def test_without_room_there_is_no_blur():
    assert excludes_blurs(np.ones((3, 3), np.int64), (0, 0), 255)
    assert not excludes_blurs(photograph(8), (60, 60), 255)
