"""Laws of the Fourier convention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phasegan.errors import InputError
from phasegan.fourier.convention import (
    forward,
    frame_ratio,
    half_plane,
    inverse,
    padded_frame,
    rounding_note,
    self_conjugate,
)

pytestmark = pytest.mark.numerical

SIZES = [(8, 8), (8, 12), (7, 7), (5, 9), (16, 24), (9, 16)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_forward_is_numpys_transform_of_the_padded_image(n, m, rng):
    image = rng.normal(size=(3, n, n))
    padded = np.zeros((3, m, m))
    padded[:, :n, :n] = image
    expected = np.fft.fft2(padded)[..., : m // 2 + 1]
    np.testing.assert_allclose(forward(image, (m, m)), expected, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_inverse_undoes_forward(n, m, rng):
    image = rng.normal(size=(2, 3, n, n))
    spectrum = forward(image, (m, m))
    assert spectrum.shape == (2, 3, *half_plane((m, m)))
    np.testing.assert_allclose(inverse(spectrum, (m, m), (n, n)), image, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_parseval(n, m, rng):
    image = rng.normal(size=(n, n))
    full = np.fft.fft2(image, s=(m, m))
    half = forward(image, (m, m))
    weight = np.full(m // 2 + 1, 2.0)
    weight[0] = 1.0
    if m % 2 == 0:
        weight[-1] = 1.0
    energy = np.sum(np.abs(half) ** 2 * weight) / m**2
    assert energy == pytest.approx(np.sum(image**2))
    assert energy == pytest.approx(np.sum(np.abs(full) ** 2) / m**2)


def test_torch_tensors_give_torch_tensors(rng):
    image = rng.normal(size=(9, 9)).astype(np.float32)
    theirs = forward(torch.from_numpy(image), (12, 12))
    assert isinstance(theirs, torch.Tensor)
    assert theirs.dtype == torch.complex64
    np.testing.assert_allclose(theirs.numpy(), forward(image, (12, 12)), rtol=1e-4, atol=1e-4)
    back = inverse(theirs, (12, 12), (9, 9))
    np.testing.assert_allclose(back.numpy(), image, atol=1e-5)


@pytest.mark.parametrize("m", [4, 5, 8, 9, 128, 129])
def test_self_conjugate_bins_are_the_real_ones(m, rng):
    spectrum = forward(rng.normal(size=(20, m, m)), (m, m))
    real = np.all(np.abs(spectrum.imag) < 1e-9 * np.abs(spectrum), axis=0)
    np.testing.assert_array_equal(self_conjugate((m, m)), real)
    assert self_conjugate((m, m)).sum() == (4 if m % 2 == 0 else 1)


@pytest.mark.parametrize(
    ("n", "ratio", "m"),
    [
        (128, 1, 128),
        (128, 1.5, 192),
        (64, 2, 128),
        (100, 1.41, 141),
        (7, 4, 28),
        (128, 1.2, 154),
        (128, 1.41, 180),
        (5, 1.1, 6),
        (3, 1.5, 4),
    ],
)
def test_the_frame_is_the_nearest_on_each_axis(n, ratio, m):
    assert padded_frame((n, n), ratio) == (m, m)
    assert padded_frame((n, 64), ratio) == (m, padded_frame((64, 64), ratio)[1])


def test_a_frame_that_is_rounded_is_said():
    assert rounding_note((128, 128), 1.5) == rounding_note((192, 128), 1.5) == ""
    assert rounding_note((128, 128), 1.2) == "M = 154×154, the nearest to 1.2 × 128: 1.203"
    note = "M = 230×154, the nearest to 1.2 × 192×128: 1.198 and 1.203"
    assert rounding_note((192, 128), 1.2) == note


@given(st.tuples(st.integers(2, 300), st.integers(2, 300)), st.floats(1, 4))
def test_the_ratio_of_a_frame_gives_that_frame(shape, ratio):
    frame = padded_frame(shape, ratio)
    again = frame_ratio(shape, frame)
    assert padded_frame(shape, again) == frame
    if shape[0] == shape[1]:
        assert again == frame[0] / shape[0]


@pytest.mark.parametrize("ratio", [0.5, 4.5, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(InputError, match="from 1 to 4"):
        padded_frame((128, 128), ratio)


def test_an_image_larger_than_the_frame_is_refused():
    with pytest.raises(InputError, match="cannot hold"):
        forward(np.zeros((9, 9)), (8, 8))
