"""Pictures are brought to one kind and size, and back to values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from phasegan.data.dataset import as_nchw, grey_levels
from phasegan.data.images.pixel_format import PixelFormat, from_unit_range, to_planes, to_unit_range
from phasegan.data.images.pixels import DecodedImage, UnreadableImageError, white
from phasegan.data.images.resizing import resize, resize_to_load

GREY, RGB = PixelFormat(1, "uint8", 0, 255), PixelFormat(3, "uint8", 0, 255)
TYPES = ["uint8", "uint16", "float32"]


def kind(channels, dtype, alpha=False):
    return PixelFormat(channels, dtype, 0.0, white(np.dtype(dtype)) or 1.0, alpha)


def values(rng, shape, dtype):
    top = white(np.dtype(dtype)) or 1.0
    return (rng.uniform(0, top, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_picture_of_the_kind_is_only_turned(rng, channels, dtype):
    pixels = values(rng, (6, 4, channels), dtype)
    planes = to_planes(DecodedImage(pixels, None), kind(channels, dtype))
    assert planes.dtype == dtype
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes, np.moveaxis(pixels, -1, 0))


@pytest.mark.parametrize("dtype", TYPES)
def test_grey_among_rgb_is_repeated_and_survives_the_way_back(rng, dtype):
    grey = values(rng, (6, 4, 1), dtype)
    planes = to_planes(DecodedImage(grey, None), kind(3, dtype))
    for plane in planes:
        np.testing.assert_array_equal(plane, grey[..., 0])
    back = to_planes(DecodedImage(np.moveaxis(planes, 0, -1), None), kind(1, dtype))
    np.testing.assert_allclose(back[0], grey[..., 0], rtol=1e-6)


def test_rgb_among_grey_becomes_pillows_luma(rng):
    colours = values(rng, (9, 9, 3), "uint8")
    expected = np.asarray(Image.fromarray(colours).convert("L"))
    np.testing.assert_array_equal(to_planes(DecodedImage(colours, None), GREY)[0], expected)


def test_8_bit_among_16_bit_keeps_black_and_white():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    planes = to_planes(DecodedImage(ramp, None), kind(1, "uint16"))
    np.testing.assert_array_equal(planes[0] / 65535, ramp[..., 0] / 255)


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_kept_made_up_or_dropped(rng, channels):
    pixels, alpha = values(rng, (5, 6, channels), "uint8"), values(rng, (5, 6), "uint8")
    kept = to_planes(DecodedImage(pixels, alpha), kind(4, "uint8", alpha=True))
    np.testing.assert_array_equal(kept[3], alpha)
    opaque = to_planes(DecodedImage(pixels, None), kind(4, "uint8", alpha=True))
    np.testing.assert_array_equal(opaque[3], np.full((5, 6), 255))
    dropped = to_planes(DecodedImage(pixels, alpha), kind(channels, "uint8"))
    np.testing.assert_array_equal(dropped, np.moveaxis(pixels, -1, 0))
    deep = to_planes(DecodedImage(pixels, alpha), kind(4, "uint16", alpha=True))
    np.testing.assert_array_equal(deep[3], alpha.astype(int) * 257)


@pytest.mark.parametrize(
    ("pixels", "wanted", "reason"),
    [
        (np.zeros((4, 4, 5), np.uint8), RGB, "5 channels, the domain has 3"),
        (np.zeros((4, 4, 3), np.uint8), kind(5, "uint8"), "3 channels, the domain has 5"),
        (np.zeros((4, 4, 3), np.uint16), RGB, "uint16 values, the domain has uint8"),
        (np.zeros((4, 4, 3), np.float32), RGB, "float32 values, the domain has uint8"),
    ],
)
def test_what_does_not_fit_the_kind_is_named(pixels, wanted, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        to_planes(DecodedImage(pixels, None), wanted)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(7, 5), (30, 44), (20, 16)])
def test_resizing_keeps_constants_and_the_range(rng, dtype, size):
    planes = values(rng, (2, 20, 16), dtype)
    found = resize(planes, *size)
    assert found.shape == (2, *size)
    assert found.dtype == dtype
    assert found.min() >= (0 if dtype != "float32" else planes.min())
    assert found.max() <= (planes.max() if dtype == "float32" else white(np.dtype(dtype)))
    flat = np.full((1, 9, 9), planes[0, 0, 0])
    np.testing.assert_allclose(resize(flat, *size), np.full((1, *size), planes[0, 0, 0]), rtol=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
def test_resizing_commutes_with_mirrors_and_channels(rng, dtype):
    planes = values(rng, (3, 24, 18), dtype)
    found = resize(planes, 13, 11)
    for turned, back in ((planes[:, ::-1], found[:, ::-1]), (planes[..., ::-1], found[..., ::-1])):
        np.testing.assert_allclose(
            resize(turned, 13, 11).astype(float), back.astype(float), rtol=1e-5, atol=1e-5
        )
    np.testing.assert_array_equal(resize(planes[1:2], 13, 11)[0], found[1])


@pytest.mark.parametrize("dtype", TYPES)
def test_reduction_averages(rng, dtype):
    checks = np.indices((64, 64)).sum(0) % 2 * (white(np.dtype(dtype)) or 1.0)
    found = resize(checks[None].astype(dtype), 8, 8).astype(float)
    np.testing.assert_allclose(found, np.full((1, 8, 8), checks.mean()), rtol=0.02)


@given(rows=st.integers(1, 60), columns=st.integers(1, 60), load=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_loading_brings_sides_to_the_size(rows, columns, load):
    planes = np.zeros((1, rows, columns), np.uint8)
    assert resize_to_load(planes, load, "none") is planes
    assert resize_to_load(planes, load, "stretch").shape == (1, load, load)
    found = resize_to_load(planes, load, "short-side").shape[1:]
    assert min(found) == load
    assert max(found) == pytest.approx(load * max(rows, columns) / min(rows, columns), abs=0.51)
    assert np.argmax(found) == np.argmax((rows, columns)) or found[0] == found[1]


@pytest.mark.parametrize("wanted", [RGB, kind(3, "uint16"), PixelFormat(3, "float32", -2.0, 6.0)])
def test_units_run_from_minus_one_to_one_and_back(rng, wanted):
    planes = rng.uniform(wanted.low, wanted.high, (3, 8, 8)).astype(wanted.dtype)
    planes[0, 0, :2] = wanted.low, wanted.high
    found = to_unit_range(planes, wanted)
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (-1, 1)
    back = from_unit_range(found, wanted)
    assert back.dtype == wanted.dtype
    if wanted.dtype == "float32":
        np.testing.assert_allclose(back, planes, atol=1e-6)
    else:
        np.testing.assert_array_equal(back, planes)


@pytest.mark.parametrize("wanted", [RGB, kind(3, "uint16"), PixelFormat(3, "float32", -2.3, 6.7)])
def test_units_of_tensors_have_the_bits_of_those_of_arrays(rng, wanted):
    planes = rng.uniform(wanted.low, wanted.high, (2, 3, 40, 40)).astype(wanted.dtype)
    expected = to_unit_range(planes, wanted)
    crops = torch.from_numpy(as_nchw(planes))
    np.testing.assert_array_equal(to_unit_range(grey_levels(crops), wanted).numpy(), expected)


def test_units_and_values_are_clipped():
    wide = PixelFormat(1, "float32", 0.0, 1.0)
    np.testing.assert_array_equal(
        to_unit_range(np.array([[[-3.0, 9.0]]], np.float32), wide), [[[-1, 1]]]
    )
    np.testing.assert_array_equal(from_unit_range(np.array([[[-3.0, 9.0]]]), RGB), [[[0, 255]]])


def test_kinds_say_what_they_are():
    assert RGB.describe() == "3 channels, uint8"
    assert kind(2, "uint16", alpha=True).describe() == "2 channels, the last is alpha, uint16"
    assert PixelFormat(1, "float32", -0.5, 2.0).describe() == "1 channel, float32, -0.5 to 2"
