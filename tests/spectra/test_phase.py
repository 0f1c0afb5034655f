"""Laws of the reference encoder."""

from __future__ import annotations

import numpy as np
import pytest

from phasegan.spectra.fourier import forward, self_conjugate
from phasegan.spectra.phase import analyse, centred, full_plane


@pytest.mark.parametrize(("n", "m"), [(16, 16), (15, 15), (16, 24), (15, 23), (1, 4)])
def test_phase_and_magnitude_are_the_spectrum(n, m, rng):
    image = rng.integers(1, 256, (4, n, n))
    phase, magnitude, undefined = analyse(image, (m, m))
    spectrum = forward(image.astype(float), (m, m))
    np.testing.assert_allclose(magnitude * np.exp(1j * phase), spectrum, atol=1e-9 * 255 * n * n)
    assert not undefined.any()
    assert phase.dtype == np.float64
    assert phase.min() > -np.pi
    assert phase.max() <= np.pi


@pytest.mark.parametrize("m", [16, 17])
def test_self_conjugate_bins_hold_exactly_0_or_pi(m, rng):
    phase = analyse(rng.integers(0, 256, (50, m, m)), (m, m)).phase
    values = phase[:, self_conjugate((m, m))]
    assert set(np.unique(values)) == ({0.0, np.pi} if m % 2 == 0 else {0.0})
    assert (phase[:, 0, 0] == 0).all()


@pytest.mark.parametrize("value", [1, 7, 255])
def test_a_constant_image_has_one_defined_phase(value):
    phase, _, undefined = analyse(np.full((20, 20), value), (20, 20))
    assert undefined.sum() == undefined.size - 1
    assert not undefined[0, 0]
    assert (phase == 0).all()


def test_a_black_image_has_no_defined_phase_and_no_nan():
    phase, magnitude, undefined = analyse(np.zeros((2, 8, 8), np.uint8), (8, 8))
    assert undefined.all()
    assert (phase == 0).all()
    assert (magnitude == 0).all()


def test_images_of_a_stack_do_not_affect_one_another(rng):
    bright, dark = rng.integers(0, 256, (16, 16)), rng.random((16, 16)) * 1e-14
    together = analyse(np.stack([bright, dark]), (16, 16))
    np.testing.assert_array_equal(together.phase[1], analyse(dark, (16, 16)).phase)
    assert not together.undefined[1].all()


@pytest.mark.parametrize("m", [8, 9, 128, 129])
def test_full_plane_is_the_angle_of_the_full_transform(m, rng):
    image = rng.normal(size=(2, m, m))
    plane = full_plane(analyse(image, (m, m)).phase, (m, m))
    difference = np.angle(np.exp(1j * (plane - np.angle(np.fft.fft2(image)))))
    np.testing.assert_allclose(difference, 0, atol=1e-9)
    assert plane.min() > -np.pi


@pytest.mark.parametrize("m", [8, 9])
def test_centred_puts_frequency_zero_in_the_middle(m, rng):
    half = rng.uniform(-3, 3, (m, m // 2 + 1))
    half[0, 0] = 0.125
    assert centred(half, (m, m))[m // 2, m // 2] == 0.125
