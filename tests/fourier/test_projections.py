"""Laws of the projections."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.phase import analyse
from phasegan.fourier.projections import (
    project_onto_phase,
    project_onto_range,
    project_onto_simplex,
    with_phase,
)

pytestmark = pytest.mark.numerical


def make(shape, frame, count=3, trusted=None):
    image = np.random.default_rng(0).integers(0, 256, (count, *shape))
    phase = torch.from_numpy(analyse(image, frame).phase)
    return PhaseOperator(phase, frame, shape, trusted), torch.from_numpy(image).double()


def random_images(shape, seed, scale=100.0):
    return scale * torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def norm(image):
    return image.square().sum((-2, -1)).sqrt()


@pytest.mark.parametrize("size", [8, 9])
def test_projecting_onto_a_phase_twice_is_projecting_once(size):
    operator, _ = make((size, size), (size, size))
    once = project_onto_phase(operator, random_images((3, size, size), 1))
    np.testing.assert_allclose(project_onto_phase(operator, once), once, atol=1e-11)
    assert operator.residual(once).max() < 1e-13
    assert operator.aligned(once).real.min() > -1e-10


@pytest.mark.parametrize("size", [8, 9])
def test_the_projection_onto_a_phase_is_the_nearest_image_with_it(size):
    operator, _ = make((size, size), (size, size))
    x = random_images((3, size, size), 1)
    nearest = project_onto_phase(operator, x)
    for seed in range(2, 12):
        with_phase = project_onto_phase(operator, random_images(x.shape, seed))
        inner = ((x - nearest) * (with_phase - nearest)).sum((-2, -1))
        assert (inner <= 1e-7).all()
        assert (norm(x - nearest) <= norm(x - with_phase)).all()


@pytest.mark.parametrize(("size", "frame"), [(8, 8), (9, 9), (8, 16), (9, 14)])
def test_projecting_onto_a_phase_brings_no_two_images_further_apart(size, frame):
    operator, _ = make((size, size), (frame, frame))
    for seed in range(10):
        a = random_images((3, size, size), seed)
        b = random_images((3, size, size), 100 + seed)
        moved = norm(project_onto_phase(operator, a) - project_onto_phase(operator, b))
        assert (moved <= norm(a - b) * (1 + 1e-12)).all()


@pytest.mark.parametrize(("size", "frame"), [(8, 8), (9, 9), (8, 16), (9, 14)])
def test_the_image_with_the_phase_stays_as_it_is(size, frame):
    operator, image = make((size, size), (frame, frame))
    np.testing.assert_allclose(project_onto_phase(operator, image), image, atol=1e-10)
    np.testing.assert_allclose(with_phase(operator, image), image, atol=1e-10)


@pytest.mark.parametrize("size", [8, 9])
def test_keeping_the_magnitude_keeps_it_and_gives_the_phase(size):
    operator, _ = make((size, size), (size, size))
    x = random_images((3, size, size), 1)
    kept = with_phase(operator, x)
    magnitude = operator.spectrum(x).abs()
    np.testing.assert_allclose(operator.spectrum(kept).abs(), magnitude, atol=1e-9)
    np.testing.assert_allclose(operator.aligned(kept).real, magnitude, atol=1e-9)


def test_samples_that_are_not_trusted_are_kept():
    trusted = torch.ones((3, 8, 5), dtype=torch.bool)
    trusted[:, 2:5, 1:4] = False
    operator, _ = make((8, 8), (8, 8), trusted=trusted)
    x = random_images((3, 8, 8), 1)
    for project in (project_onto_phase, with_phase):
        projected = operator.spectrum(project(operator, x))
        np.testing.assert_allclose(projected[~trusted], operator.spectrum(x)[~trusted], atol=1e-10)
    everywhere = PhaseOperator(operator.phase, (8, 8), (8, 8), torch.zeros_like(trusted))
    np.testing.assert_allclose(project_onto_phase(everywhere, x), x, atol=1e-11)


def test_projecting_onto_a_range_is_idempotent_and_nearest():
    x = random_images((3, 8, 8), 1)
    once = project_onto_range(x, 0.0, 50.0)
    assert torch.equal(project_onto_range(once, 0.0, 50.0), once)
    assert once.min() == 0.0
    assert once.max() == 50.0
    inside = (x >= 0) & (x <= 50)
    assert torch.equal(once[inside], x[inside])


def by_sorting(image, mean):
    """Held, Wolfe & Crowder 1974: the threshold from the sorted pixels."""
    values = np.sort(image.ravel())[::-1]
    excess = np.cumsum(values) - mean * values.size
    thresholds = excess / np.arange(1, values.size + 1)
    count = np.flatnonzero(values > thresholds)[-1]
    return np.maximum(image - thresholds[count], 0.0)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0, 100.0, 1e6])
@pytest.mark.parametrize("mean", [1.0, 37.5])
def test_the_simplex_projection_agrees_with_sorting(scale, mean):
    x = random_images((5, 7, 9), 1, scale) + 0.3 * scale
    found = project_onto_simplex(x, mean)
    for one, given in zip(found.numpy(), x.numpy(), strict=True):
        np.testing.assert_allclose(one, by_sorting(given, mean), atol=1e-11 * (scale + mean))


@pytest.mark.parametrize("offset", [-1e4, -3.0, 0.0, 3.0, 1e4])
def test_projections_onto_the_simplex_are_feasible_and_stay(offset):
    x = random_images((4, 8, 8), 2, 5.0) + offset
    found = project_onto_simplex(x)
    assert found.min() >= 0
    np.testing.assert_allclose(found.mean((-2, -1)), 1.0, rtol=1e-11)
    np.testing.assert_allclose(project_onto_simplex(found), found, atol=1e-11)


def test_no_feasible_image_is_nearer_than_the_simplex_projection():
    x = random_images((4, 8, 8), 3, 4.0)
    found = project_onto_simplex(x)
    rng = np.random.default_rng(5)
    for _ in range(30):
        other = torch.from_numpy(rng.exponential(size=(4, 8, 8)) ** rng.uniform(0.5, 5))
        other = other / other.mean((-2, -1), keepdim=True)
        inner = ((x - found) * (other - found)).sum((-2, -1))
        assert (inner <= 1e-9).all()


def test_extreme_pixels_and_single_precision_are_projected_as_well():
    x = torch.zeros(2, 6, 6, dtype=torch.float64)
    x[0, 2, 3] = 1e9
    x[1] = -1e9
    found = project_onto_simplex(x)
    assert float(found[0, 2, 3]) == pytest.approx(36.0)
    assert int((found[0] > 0).sum()) == 1
    np.testing.assert_allclose(found[1], 1.0, atol=1e-6)
    single = project_onto_simplex(random_images((4, 8, 8), 4).float())
    assert single.dtype == torch.float32
    assert single.min() >= 0
    np.testing.assert_allclose(single.mean((-2, -1)), 1.0, rtol=1e-4)
