"""Scales of domains, and channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.data.images.pixels import DecodedImage
from phasegan.errors import InputError
from phasegan.translation.generators import Domain
from phasegan.translation.value_ranges import Scale, choose_scales, convert_alpha, fit_channels

BYTES, WORDS, FLOATS = (np.dtype(name) for name in ("uint8", "uint16", "float32"))
UNKNOWN = Domain(3)


@pytest.mark.parametrize("dtype", [BYTES, WORDS])
def test_integers_come_back_through_the_unit_scale(dtype, rng):
    top = np.iinfo(dtype).max
    pixels = rng.integers(0, top + 1, (9, 7, 3)).astype(dtype)
    scale = Scale(0, top)
    x = scale.to_unit(pixels)
    assert x.shape == (1, 3, 9, 7)
    assert x.abs().max() <= 1
    np.testing.assert_array_equal(scale.from_unit(x, dtype), pixels)


def test_values_beyond_the_scale_are_clipped():
    scale = Scale(10, 20)
    x = scale.to_unit(np.array([[[0], [10], [15], [20], [99]]], np.uint8))
    assert x.flatten().tolist() == [-1, -1, 0, 1, 1]
    over = torch.tensor([-5.0, 5.0]).reshape(1, 1, 1, 2)
    assert scale.from_unit(over, BYTES).flatten().tolist() == [10, 20]


@pytest.mark.parametrize(
    ("dtype", "depth", "wanted"),
    [(BYTES, "keep", BYTES), (WORDS, "keep", WORDS), (WORDS, "8", BYTES), (BYTES, "16", WORDS)],
)
def test_depth_is_kept_or_chosen(dtype, depth, wanted):
    scales = choose_scales(dtype, UNKNOWN, UNKNOWN, depth)
    assert scales.dtype == wanted
    assert scales.input == (0, np.iinfo(dtype).max)
    assert scales.output == (0, np.iinfo(wanted).max)


def test_a_depth_that_was_not_trained_on_is_scaled_by_white():
    trained = Domain(3, "uint16", 257.0, 65535.0)
    scales = choose_scales(BYTES, trained, trained)
    assert scales.input == pytest.approx((1, 255))
    assert scales.output == pytest.approx((1, 255))


def test_floats_have_the_scale_of_the_training():
    taken, given = Domain(1, "float32", -3.0, 5.0), Domain(1, "float32", 0.0, 100.0)
    scales = choose_scales(FLOATS, taken, given)
    assert (scales.input, scales.output, scales.dtype) == ((-3, 5), (0, 100), FLOATS)
    assert choose_scales(FLOATS, taken, given, "16").output == (0, 65535)


def test_floats_of_no_known_scale_are_refused_unless_it_is_given():
    with pytest.raises(InputError, match="--range LOW HIGH"):
        choose_scales(FLOATS, UNKNOWN, UNKNOWN)
    scales = choose_scales(FLOATS, UNKNOWN, UNKNOWN, limits=(-2.0, 2.0))
    assert (scales.input, scales.output, scales.dtype) == ((-2, 2), (-2, 2), FLOATS)


def test_grey_and_colour_become_each_other(rng):
    grey = rng.integers(0, 256, (5, 6, 1), dtype=np.uint8)
    colour, said = fit_channels(DecodedImage(grey, None), Domain(3))
    assert "repeated" in said
    back, said = fit_channels(DecodedImage(colour, None), Domain(1))
    assert "luma" in said
    np.testing.assert_array_equal(back, grey)
    same, said = fit_channels(DecodedImage(grey, None), Domain(1))
    assert same is grey
    assert not said


def test_other_channels_are_refused():
    with pytest.raises(InputError, match="5 channels, the generator takes 3"):
        fit_channels(DecodedImage(np.zeros((4, 4, 5), np.uint8), None), Domain(3))


def test_alpha_is_a_channel_where_the_domain_has_it():
    pixels, alpha = np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 7, np.uint8)
    found, _ = fit_channels(DecodedImage(pixels, alpha), Domain(4, "uint8", 0, 255, True))
    assert found[..., 3].tolist() == alpha.tolist()
    opaque, _ = fit_channels(DecodedImage(pixels, None), Domain(4, "uint8", 0, 255, True))
    assert (opaque[..., 3] == 255).all()


def test_alpha_changes_its_depth_over_the_full_range():
    alpha = np.array([[0, 128, 255]], np.uint8)
    assert convert_alpha(alpha, WORDS).tolist() == [[0, 128 * 257, 65535]]
    assert convert_alpha(convert_alpha(alpha, WORDS), BYTES).tolist() == alpha.tolist()
    assert convert_alpha(alpha, FLOATS).max() == 1
