"""Laws of the search for the smallest window with a solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from phasegan.fourier.phase import analyse
from phasegan.reconstruction.exact.support import (
    centrosymmetry,
    shift_to_corner,
    tightest_support,
    window_fits,
)

FLOOR = 1e-7


def photograph(n, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    i, j = rng.integers(0, 512 - n, 2)
    return picture[i : i + n, j : j + n].astype(np.int64) + 1


def phase_of(image, frame):
    return torch.from_numpy(analyse(image[None], frame).phase)


def bordered(n, top, bottom, left, right, seed=0):
    image = photograph(n, seed)
    image[:top] = image[n - bottom :] = 0
    image[:, :left] = image[:, n - right :] = 0
    return image


def turn(a, b):
    return np.abs(np.angle(np.exp(1j * (np.asarray(a) - np.asarray(b)))))


@pytest.mark.parametrize("frame", [(24, 24), (25, 27)])
@pytest.mark.parametrize("window", [(3, 9, 2, 11), (0, 12, 4, 12), (5, 6, 5, 6)])
def test_the_phase_of_a_window_is_that_of_its_content(window, frame):
    image = np.zeros((12, 12), np.int64)
    inside = np.s_[window[0] : window[1], window[2] : window[3]]
    image[inside] = photograph(12)[inside]
    moved = shift_to_corner(phase_of(image, frame), frame, window)
    spectrum = analyse(image[inside][None], frame)
    clear = spectrum.magnitude > 1e-6 * spectrum.magnitude.max()
    assert turn(moved, spectrum.phase)[clear].max() < 1e-8


def test_the_whole_frame_is_no_move():
    phase = phase_of(photograph(12), (24, 24))
    assert torch.equal(shift_to_corner(phase, (24, 24), (0, 12, 0, 12)), phase)


def test_centrosymmetric_images_have_the_peak_of_a_shift():
    image = photograph(12)
    even = image + image[::-1, ::-1]
    odd = np.zeros((12, 12), np.int64)
    odd[:11, :11] = image[:11, :11] + image[:11, :11][::-1, ::-1]
    moved = np.zeros((16, 16), np.int64)
    moved[1:13, 3:15] = even
    for symmetric, frame in ((even, (24, 24)), (odd, (24, 24)), (odd, (23, 23)), (moved, (32, 32))):
        assert float(centrosymmetry(phase_of(symmetric, frame), frame)) > 0.99
    assert float(centrosymmetry(phase_of(image, (24, 24)), (24, 24))) < 0.9
    assert float(centrosymmetry(phase_of(image, (24, 24)), (24, 24))) >= 0


def test_a_window_fits_when_it_holds_the_content():
    image = bordered(16, 3, 2, 2, 4)
    phase, frame = phase_of(image, (32, 32)), (32, 32)
    assert window_fits(phase, frame, (3, 14, 2, 12), FLOOR)
    assert window_fits(phase, frame, (2, 15, 1, 13), FLOOR)
    for cut in ((4, 14, 2, 12), (3, 13, 2, 12), (3, 14, 3, 12), (3, 14, 2, 11)):
        assert not window_fits(phase, frame, cut, FLOOR)


@pytest.mark.parametrize("borders", [(3, 2, 2, 4), (1, 1, 1, 1), (5, 1, 1, 6), (2, 2, 5, 5)])
def test_the_tightest_support_is_the_content(borders):
    top, bottom, left, right = borders
    image = bordered(20, *borders)
    expected = (top, 20 - bottom, left, 20 - right)
    assert tightest_support(phase_of(image, (40, 40)), (40, 40), (20, 20), FLOOR) == expected


def test_an_axis_without_borders_on_both_sides_is_left_as_it_is():
    for borders in ((0, 0, 0, 0), (4, 0, 0, 3), (0, 3, 0, 0)):
        image = bordered(20, *borders, seed=1)
        window = tightest_support(phase_of(image, (40, 40)), (40, 40), (20, 20), FLOOR)
        assert window == (0, 20, 0, 20)
    image = bordered(20, 2, 3, 0, 0, seed=1)
    window = tightest_support(phase_of(image, (40, 40)), (40, 40), (20, 20), FLOOR)
    assert window == (2, 17, 0, 20)
