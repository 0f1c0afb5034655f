"""Laws of the reference encoder."""

from __future__ import annotations

import numpy as np
import pytest

from phasegan.fourier.convention import forward, self_conjugate
from phasegan.fourier.phase import analyse, centred, full_plane, mirrored, mirrored_bins


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


@pytest.mark.parametrize(
    ("shape", "frame"),
    [
        ((16, 16), (16, 16)),
        ((15, 15), (15, 15)),
        ((16, 16), (24, 24)),
        ((15, 15), (23, 23)),
        ((7, 16), (23, 32)),
        ((128, 128), (128, 128)),
        ((128, 128), (256, 256)),
    ],
)
def test_mirrored_phases_are_those_of_the_mirrored_image(shape, frame, rng):
    image = rng.integers(1, 256, (3, *shape)).astype(float)
    phase = mirrored(analyse(image, frame).phase, frame, shape)
    spectrum = np.fft.rfft2(image[..., ::-1], frame)
    difference = np.angle(np.exp(1j * (phase - np.angle(spectrum))))
    assert np.abs(difference).max() < 1e-8
    assert phase.min() > -np.pi
    assert phase.max() <= np.pi
    fixed = self_conjugate(frame)
    np.testing.assert_array_equal(phase[:, fixed], analyse(image[..., ::-1], frame).phase[:, fixed])


@pytest.mark.parametrize(("n", "m"), [(16, 16), (15, 15), (15, 23)])
def test_mirroring_twice_changes_nothing(n, m, rng):
    phase = analyse(rng.integers(1, 256, (2, n, n)), (m, m)).phase
    twice = mirrored(mirrored(phase, (m, m), (n, n)), (m, m), (n, n))
    assert np.abs(np.angle(np.exp(1j * (twice - phase)))).max() < 1e-12
    np.testing.assert_array_equal(mirrored_bins(mirrored_bins(phase, (m, m)), (m, m)), phase)


@pytest.mark.parametrize("m", [16, 17, 24])
def test_undefined_phases_of_the_mirrored_image_are_at_the_mirrored_bins(m, rng):
    image = np.add.outer(rng.integers(1, 99, 16), np.zeros(16)) + np.tile([0, 3, 1, 7], (16, 4))
    undefined = analyse(image, (m, m)).undefined
    assert undefined.any() == (m != 17)
    np.testing.assert_array_equal(
        mirrored_bins(undefined, (m, m)), analyse(image[:, ::-1], (m, m)).undefined
    )
