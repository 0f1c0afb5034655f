"""What the networks are given."""

import numpy as np
import pytest

from phasegan.models.domains import denormalise_images, normalise_images, phase_image


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("frame", [(8, 8), (9, 9), (8, 9), (9, 6)])
def test_phase_pictures_reach_from_minus_one_to_one(rng, channels, frame):
    image = rng.normal(size=(4, *channels, *frame))
    picture = phase_image(np.angle(np.fft.rfft2(image)), frame)
    assert picture.shape == (4, len(np.zeros(channels)) if channels else 1, *frame)
    assert picture.dtype == np.float32
    assert np.abs(picture).max() <= 1
    expected = np.fft.fftshift(np.angle(np.fft.fft2(image)), axes=(-2, -1)) / np.pi
    turns = np.abs(
        np.exp(1j * np.pi * picture.reshape(expected.shape)) - np.exp(1j * np.pi * expected)
    )
    assert turns.max() < 1e-5


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_images_go_there_and_back(dtype, top):
    images = np.linspace(0, top, 64).astype(dtype).reshape(1, 8, 8)
    picture = normalise_images(images, top)
    assert picture.min() == -1
    assert picture.max() == 1
    back = denormalise_images(picture.astype(np.float64), top)
    np.testing.assert_array_equal(np.rint(back[0]), images)
