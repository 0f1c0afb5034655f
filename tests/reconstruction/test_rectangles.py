"""Methods on rectangles: frames of unequal ratios and odd sides, and the law of transposing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from phasegan.errors import InputError
from phasegan.fourier.convention import forward
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.image_statistics import Statistics
from phasegan.reconstruction.protocol import Observation, Problem, Settings, Verdict
from phasegan.reconstruction.registry import METHODS, make_method

SHAPE = (12, 17)
PADDED = [(24, 34), (25, 33), (24, 51)]
"""Frames that determine the image."""
ITERATIVE = {"hlo", "pocs", "pocs-accelerated", "fista"}
LEARNED = {"learned", "learned-coarse"}
DIRECTED = {"unit-magnitude", "shrinkage", "auto"}
"""Methods whose learned level or coefficients are those of a half-plane, or that choose them."""


def pictures(count: int) -> np.ndarray:
    noise = np.random.default_rng(count).normal(size=(count, *SHAPE))
    smooth = gaussian_filter(noise, (0, 1.5, 1.5))
    return np.rint(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def solve(name: str, images: np.ndarray, training: np.ndarray, frame: tuple[int, int]):
    magnitude = np.abs(forward(training.astype(float), frame)).mean(0)
    statistics = Statistics(
        training.mean(0), magnitude, len(training), 255, lambda count: training[:count]
    )
    settings = Settings(iterations=30 if name in ITERATIVE else None, device="cpu")
    problem = Problem(images.shape[1:], frame, 255, statistics, 0.0, settings)
    return make_method(name, problem)(Observation(analyse(images, frame).phase))


def transposed(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 2, 1))


@pytest.mark.parametrize("frame", PADDED)
@pytest.mark.parametrize("name", sorted(METHODS.keys() - DIRECTED - LEARNED))
def test_transposed_images_have_transposed_estimates(name, frame):
    images, training = pictures(2), pictures(20)
    estimate = solve(name, images, training, frame).estimate
    turned = solve(name, transposed(images), transposed(training), frame[::-1]).estimate
    assert estimate.shape == images.shape
    np.testing.assert_allclose(transposed(turned), estimate, atol=5e-3)


@pytest.mark.parametrize("frame", PADDED)
@pytest.mark.parametrize("name", ["cg", "auto"])
def test_a_rectangle_is_certified(name, frame):
    images = pictures(3)
    solution = solve(name, images, pictures(20), frame)
    assert [c.verdict for c in solution.certificates] == [Verdict.CERTIFIED] * 3
    np.testing.assert_allclose(solution.estimate, images)


def test_padding_of_one_axis_alone_determines_nothing():
    frame = (12, 51)
    solution = solve("cg", pictures(2), pictures(20), frame)
    assert {c.verdict for c in solution.certificates} == {Verdict.NOT_UNIQUE}
    assert not Problem(SHAPE, frame).is_determined
    assert solve("auto", pictures(2), pictures(20), frame).certificates is None


@pytest.mark.parametrize("axis", [0, 1])
def test_black_borders_on_opposite_sides_of_one_axis_are_told_alike(axis):
    images = pictures(1)
    black = [slice(None)] * 3
    for black[axis + 1] in (slice(0, 3), slice(-3, None)):
        images[tuple(black)] = 0
    upright = solve("cg", images, pictures(20), (24, 34))
    turned = solve("cg", transposed(images), pictures(20), (34, 24))
    np.testing.assert_allclose(transposed(turned.estimate), upright.estimate, atol=1e-6)
    (first,), (second,) = upright.certificates, turned.certificates
    assert first.verdict == second.verdict == Verdict.CERTIFIED
    content = [(0, SHAPE[0]), (0, SHAPE[1])]
    content[axis] = (3, SHAPE[axis] - 3)
    assert first.support == (*content[0], *content[1])
    assert second.support == (*content[1], *content[0])


@pytest.mark.parametrize("name", sorted(METHODS.keys() - LEARNED))
def test_every_method_takes_unpadded_rectangles(name):
    estimate = solve(name, pictures(2), pictures(20), SHAPE).estimate
    assert estimate.shape == (2, *SHAPE)
    assert np.isfinite(estimate).all()


@pytest.mark.parametrize(
    ("name", "frame", "message"),
    [
        ("learned", SHAPE, r"N = M = 128, these have N = M = 12×17; prepare with --size 128 "),
        ("learned", (24, 34), r"these have N = 12×17, M = 24×34"),
        ("shrinkage", (24, 34), r"these have M = 24×34, N = 12×17"),
    ],
)
def test_methods_for_other_shapes_say_both(name, frame, message):
    with pytest.raises(InputError, match=message):
        solve(name, pictures(1), pictures(20), frame)


def test_the_mean_magnitude_of_its_own_image_is_the_image():
    image = pictures(1)
    solution = solve("mean-magnitude", image, image, (25, 34))
    np.testing.assert_allclose(solution.estimate, image, atol=1e-9)
