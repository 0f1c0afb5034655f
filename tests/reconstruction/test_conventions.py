"""Clean phases of other conventions are named; noisy and right ones are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data
from skimage.transform import resize

import phasegan
from phasegan.progress import Progress
from phasegan.reconstruction.exact.certificate import Verdict
from phasegan.reconstruction.inputs.conventions import identify_convention, identify_sign_pattern

N, M = 24, 48


class Listening(Progress):
    def __init__(self):
        super().__init__()
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def image():
    return np.rint(255 * resize(data.camera(), (N, N), anti_aliasing=True))


def embed(image, row=0, column=0, frame=M):
    whole = np.zeros((frame, frame))
    whole[: image.shape[0], : image.shape[1]] = image
    return np.roll(whole, (row, column), (0, 1))


def phase_of(whole):
    return np.angle(np.fft.rfft2(whole))


MIDDLE = (M - N) // 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: phase_of(embed(x, MIDDLE, MIDDLE)), "an image in the middle of the frame"),
        (lambda x: -phase_of(embed(x)), "the conjugate transform of the image: negate them"),
        (
            lambda x: -phase_of(embed(x, MIDDLE, MIDDLE)),
            "the conjugate transform of an image in the middle of the frame",
        ),
        (lambda x: phase_of(embed(x, -N // 2, -N // 2)), "an image around the frame's origin"),
        (lambda x: phase_of(embed(x, 5, 17)), "an image that begins at row 5, column 17"),
        (lambda x: phase_of(embed(x - x.mean())), "an image whose mean was subtracted"),
    ],
)
def test_where_the_image_stands_is_named(image, make, said):
    assert said in identify_convention(make(image), None, (M, M), (N, N), 0.3)


def test_the_advice_moves_the_image_to_the_corner(image):
    given = phase_of(embed(image, MIDDLE, MIDDLE))
    said = identify_convention(given, None, (M, M), (N, N), 0.3)
    assert f"add 2π({MIDDLE}k/{M} + {MIDDLE}l/{M})" in said
    k, l = np.arange(M)[:, None], np.arange(M // 2 + 1)  # noqa: E741 - as in the advice
    moved = given + 2 * np.pi * (MIDDLE * k / M + MIDDLE * l / M)
    result = phasegan.reconstruct(np.angle(np.exp(1j * moved)), shape=(N, N), method="cg")
    found = result.estimate / result.estimate.sum()
    np.testing.assert_allclose(found, image / image.sum(), atol=1e-5)


def test_odd_frames_and_sizes(image):
    small = image[:21, :21]
    for room in (12, 13):
        given = phase_of(embed(small, room, room, 46))
        assert "in the middle" in identify_convention(given, None, (46, 46), (21, 21), 0.3)
    mask = np.random.default_rng(0).uniform(size=given.shape) > 0.05
    assert "in the middle" in identify_convention(given, mask, (46, 46), (21, 21), 0.3)


def test_noise_and_right_phases_are_no_convention(image, rng):
    given = phase_of(embed(image))
    noisy = given + rng.normal(0, 0.2, given.shape)
    assert identify_convention(noisy, None, (M, M), (N, N), 0.2) is None
    assert identify_convention(rng.uniform(-3, 3, given.shape), None, (M, M), (N, N), 0.5) is None


def test_signs_of_pixels_are_named(image):
    rows, columns = np.mgrid[:N, :N]
    assert "like a chessboard" in identify_sign_pattern(image * (-1) ** (rows + columns))
    assert "background subtracted" in identify_sign_pattern(image - 60)
    assert (
        identify_sign_pattern(image)
        is identify_sign_pattern(-image)
        is identify_sign_pattern(0 * image)
        is None
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: phase_of(embed(x, MIDDLE, MIDDLE)), "are those of an image in the middle"),
        (lambda x: phase_of(embed(x - 60)), "an image with negative pixels"),
        (lambda x: phase_of(embed(x, N, N)), "does the image stand in another corner"),
    ],
)
def test_auto_says_it(image, make, said):
    listening = Listening()
    result = phasegan.reconstruct(make(image), shape=(N, N), iterations=400, progress=listening)
    assert len(listening.warnings) == 1
    assert said in listening.warnings[0]
    assert "noisy" not in listening.warnings[0]
    assert not result.certified.any()


def test_an_image_with_opposite_phases_is_not_unique_up_to_scale(image):
    """Half of the phases are half a turn off, which the linear condition does not see."""
    result = phasegan.reconstruct(phase_of(embed(image, N, 0)), shape=(N, N), method="cg")
    (certificate,) = result.certificates
    assert certificate.verdict == Verdict.NOT_EXPLAINED
    assert not result.unique_up_to_scale.any()
    assert result.residual < 1e-6
