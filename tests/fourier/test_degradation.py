"""Laws of phases with noise and few bits."""

from __future__ import annotations

import numpy as np
import pytest

from phasegan.errors import InputError
from phasegan.fourier.convention import self_conjugate
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.phase import analyse, full_plane

FRAMES = [(16, 16), (15, 15), (16, 15), (15, 16), (2, 2), (1, 1), (1, 4), (4, 1)]


def phases(frame, seed=0, count=3):
    image = np.random.default_rng(seed).normal(size=(count, *frame))
    return analyse(image, frame).phase


def distance(one, other):
    return np.abs(np.angle(np.exp(1j * (one - other))))


def assert_phase_of_a_real_image(phase, frame):
    """φ(−k) = −φ(k), on the full plane: its inverse transform is real and equals irfft2's."""
    plane = np.exp(1j * full_plane(phase, frame))
    image = np.fft.ifft2(plane)
    np.testing.assert_allclose(image.imag, 0, atol=1e-12)
    again = np.fft.irfft2(np.exp(1j * phase), s=frame)
    np.testing.assert_allclose(image.real, again, atol=1e-12)
    assert phase.min() > -np.pi
    assert phase.max() <= np.pi


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("sigma", [0.1, 1.0, np.pi])
def test_noise_keeps_the_spectrum_that_of_a_real_image(frame, sigma, rng):
    clean = phases(frame)
    noisy = add_phase_noise(clean, sigma, rng, frame)
    assert_phase_of_a_real_image(noisy, frame)
    where = self_conjugate(frame)
    np.testing.assert_array_equal(noisy[:, where], clean[:, where])
    if not where.all():
        assert (noisy != clean)[:, ~where].mean() > 0.9


@pytest.mark.parametrize("frame", [(32, 32), (31, 31)])
def test_sigma_is_the_standard_deviation_in_every_bin(frame, rng):
    clean = np.zeros((2000, frame[0], frame[1] // 2 + 1))
    noise = add_phase_noise(clean, 0.3, rng, frame)[:, ~self_conjugate(frame)]
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=5 / np.sqrt(2 * 2000))
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=5 * 0.3 / np.sqrt(2000))


def test_noise_is_independent_between_bins_and_images(rng):
    noise = add_phase_noise(np.zeros((4000, 6, 4)), 0.3, rng, (6, 6))
    free = np.ones((6, 4), bool)
    free[self_conjugate((6, 6))] = False
    free[4:, [0, 3]] = False
    correlation = np.corrcoef(noise[:, free], rowvar=False)
    np.testing.assert_allclose(correlation, np.eye(free.sum()), atol=5 / np.sqrt(4000))
    assert abs(np.corrcoef(noise[:-1, free].ravel(), noise[1:, free].ravel())[0, 1]) < 0.02


def test_no_noise_changes_nothing(rng):
    edge = phases((16, 16))
    edge[0, 3, 3], edge[0, 3, 4] = np.pi, np.nextafter(-np.pi, 0)
    before = edge.copy()
    np.testing.assert_array_equal(add_phase_noise(edge, 0, rng, (16, 16)), edge)
    add_phase_noise(edge, 1, rng, (16, 16))
    np.testing.assert_array_equal(edge, before)


def test_the_generator_decides_the_noise_and_sigma_its_scale():
    clean = np.zeros((16, 9))

    def noise(seed, sigma=0.1):
        return add_phase_noise(clean, sigma, np.random.default_rng(seed), (16, 16))

    np.testing.assert_array_equal(noise(1), noise(1))
    assert (noise(1) != noise(2)).sum() > 100
    np.testing.assert_allclose(noise(1, 0.2), 2 * noise(1), rtol=1e-14)


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("frame", FRAMES)
def test_rounding(bits, frame):
    clean = phases(frame, count=50)
    rounded = quantise_phase(clean, bits, frame)
    assert distance(rounded, clean).max() <= np.pi / 2**bits + 1e-12
    np.testing.assert_array_equal(quantise_phase(rounded, bits, frame), rounded)
    codes = rounded / (2 * np.pi / 2**bits)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
    assert len(np.unique(rounded)) <= 2**bits
    assert_phase_of_a_real_image(rounded, frame)
    where = self_conjugate(frame)
    np.testing.assert_array_equal(rounded[:, where], clean[:, where])


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("nudge", [1e-15, -1e-15, 0.0])
def test_ties_that_rounding_errors_tip_stay_those_of_a_real_image(bits, nudge):
    tie = np.pi / 2**bits
    phase = np.zeros((8, 5))
    phase[1:4, [0, 4]] = tie * np.array([[1], [-1], [1]])
    phase[5:, [0, 4]] = -phase[1:4, [0, 4]][::-1] + nudge
    phase[:, 1] = tie
    assert_phase_of_a_real_image(quantise_phase(phase, bits), (8, 8))


def test_all_values_occur_and_both_ends_are_pi():
    turn = np.linspace(-np.pi, np.pi, 4099)[1:]  # one row: no bin of column 0 has a mirror
    values = quantise_phase(turn[None], 3, (1, 2 * len(turn) - 1))
    np.testing.assert_allclose(np.unique(values), np.arange(-3, 5) * np.pi / 4, atol=1e-15)
    assert values[0, 0] == values[0, -1] == np.pi


def test_what_is_out_of_range_is_said(rng):
    phase = np.zeros((16, 9))
    for sigma in (-0.1, 3.2, np.nan, np.inf):
        with pytest.raises(InputError, match="must be from 0 to π rad"):
            add_phase_noise(phase, sigma, rng, (16, 16))
    for bits in (0, 17, 2.5, -1):
        with pytest.raises(InputError, match="must be an integer from 1 to 16"):
            quantise_phase(phase, bits)
    with pytest.raises(InputError, match="a frame of 15×15"):
        add_phase_noise(phase, 0.1, rng, (15, 15))
    with pytest.raises(InputError, match=r"phases of shape \(9,\)"):
        quantise_phase(phase[0], 4)
