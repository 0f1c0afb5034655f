"""Laws of least squares by conjugate gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from phasegan.fourier.degradation import add_phase_noise
from phasegan.fourier.operator import PhaseOperator
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.exact.integers import integer_scales
from phasegan.reconstruction.solvers.cg import conjugate_gradients


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


def operator_of(images, frame, dtype=torch.float64, noise=0.0):
    phase = analyse(images, frame).phase
    if noise:
        phase = add_phase_noise(phase, noise, np.random.default_rng(9), frame)
    return PhaseOperator(torch.from_numpy(phase), frame, images.shape[-2:], dtype=dtype)


def solve(operator, **options):
    ones = torch.ones((len(operator), *operator.shape), dtype=torch.float64)
    return conjugate_gradients(operator, ones, ones, **{"iterations": 300, **options})


def errors(found, images):
    """Return the relative error of each image, scaled to its best."""
    x = torch.from_numpy(np.asarray(images)).double().flatten(1)
    e = found.flatten(1)
    e = e * ((e * x).sum(1) / (e * e).sum(1))[:, None]
    return ((e - x).norm(dim=1) / x.norm(dim=1)).numpy()


def dense(operator):
    """Return AᵀA of the first phase as a matrix."""
    pixels = operator.shape[0] * operator.shape[1]
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, *operator.shape)
    repeated = operator.select(torch.zeros(pixels, dtype=torch.long))
    return repeated.normal(basis).reshape(pixels, pixels).numpy()


@pytest.mark.parametrize("frame", [24, 25, 28, 32, 40, 48])
def test_the_solution_is_the_smallest_right_singular_vector(frame):
    for image in photographs(16, 3, seed=frame):
        operator = operator_of(image[None], (frame, frame))
        _, vectors = np.linalg.eigh(dense(operator))
        found = solve(operator, iterations=4000).image
        assert errors(found, vectors[:, 0].reshape(1, 16, 16)) < 2e-5
        assert errors(found, image[None]) < 2e-5


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_solution_is_the_constrained_minimum_of_the_objective(noise):
    operator = operator_of(photographs(16, 1), (32, 32), noise=noise)
    matrix = dense(operator)
    ones = np.ones(256)
    bordered = np.block([[matrix, -ones[:, None]], [ones[None], np.zeros((1, 1))]])
    expected = np.linalg.solve(bordered, np.append(np.zeros(256), 1.0))[:-1]
    found = solve(operator, iterations=3000).image
    np.testing.assert_allclose(found.flatten(), expected, atol=1e-7)


def test_the_functional_that_fixes_the_brightness_stays_1():
    images = photographs(16, 4)
    operator = operator_of(images, (32, 32), noise=0.1)
    generator = torch.Generator().manual_seed(0)
    anchor = 1 + torch.rand((4, 16, 16), generator=generator, dtype=torch.float64)
    start = torch.rand((4, 16, 16), generator=generator, dtype=torch.float64)
    found = conjugate_gradients(operator, anchor, start, iterations=200).image
    np.testing.assert_allclose((anchor * found).sum((-2, -1)), 1.0, rtol=1e-10)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_objective_never_grows_from_check_to_check(dtype, noise):
    operator = operator_of(photographs(24, 6), (48, 48), dtype, noise)
    fine = operator.as_double()
    seen = torch.full((6,), torch.inf, dtype=torch.float64)

    def watch(_, index, images):
        energy = (images * fine.select(index).normal(images)).sum((-2, -1))
        value = energy / images.square().sum((-2, -1))
        assert (value <= seen[index] * (1 + 1e-9) + 1e-25).all()
        seen[index] = value

    solve(operator, iterations=1000, callback=watch)
    assert (seen < torch.inf).all()


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_many_more_iterations_never_give_a_worse_fit(dtype, noise):
    images = photographs(24, 6, seed=2)
    operator = operator_of(images, (48, 48), dtype, noise)
    few, many = (solve(operator, iterations=count).image for count in (300, 5000))
    fine = operator.as_double()
    assert (fine.residual(many) <= fine.residual(few) * (1 + 1e-9) + 1e-13).all()
    if not noise:
        assert (errors(many, images) <= errors(few, images) * (1 + 1e-6) + 1e-9).all()


def test_single_precision_reaches_the_same_integers():
    images = photographs(24, 6, seed=3)
    for dtype in (torch.float64, torch.float32):
        found = solve(operator_of(images, (48, 48), dtype), iterations=1500).image
        assert found.dtype == torch.float64
        for one, image in zip(found.numpy(), images, strict=True):
            np.testing.assert_array_equal(integer_scales(one, 255)[0], image)


def test_samples_stop_for_themselves():
    easy = np.zeros((1, 24, 24), np.int64)
    easy[0, 0, 0] = 200  # its phase is 0: the first step ends there
    easy[0, 3, 5] = 1
    hard = photographs(24, 1, seed=4)
    together = solve(operator_of(np.concatenate([easy, hard]), (48, 48)), iterations=3000)
    assert together.iterations[0] < together.iterations[1]
    for i, image in enumerate((easy, hard)):
        alone = solve(operator_of(image, (48, 48)), iterations=3000)
        assert alone.iterations[0] == together.iterations[i]
        assert alone.converged[0] == together.converged[i]
        assert errors(together.image[i : i + 1], alone.image) < 1e-6


def test_a_callback_sees_every_sample_and_can_stop_some():
    operator = operator_of(photographs(24, 4), (48, 48), noise=0.1)
    calls = []

    def watch(k, index, images):
        calls.append((k, index.tolist()))
        assert images.shape == (len(index), 24, 24)
        return index == 2 if k >= 10 else None

    result = solve(operator, iterations=23, tolerance=0.0, callback=watch, every=5)
    everyone, left = [0, 1, 2, 3], [0, 1, 3]
    assert calls == [(5, everyone), (10, everyone), (15, left), (20, left), (23, left)]
    assert result.iterations.tolist() == [23, 23, 10, 23]
    assert not result.converged.any()


def test_the_last_iteration_is_always_seen():
    operator = operator_of(photographs(24, 1), (48, 48))
    few = solve(operator, iterations=7)
    assert few.iterations.tolist() == [7]
    assert operator.residual(few.image) < operator.residual(torch.ones(1, 24, 24).double())


def test_what_is_started_at_the_solution_stays_there():
    images = photographs(16, 2)
    operator = operator_of(images, (32, 32))
    truth = torch.from_numpy(images).double()
    ones = torch.ones_like(truth)
    result = conjugate_gradients(operator, ones, truth, iterations=1000)
    assert result.converged.all()
    assert (result.iterations == 25).all()
    assert (errors(result.image, images) < 1e-12).all()


@pytest.mark.parametrize("factor", [-3.0, 1e-6, 1e6])
def test_the_scale_of_the_start_does_not_matter(factor):
    operator = operator_of(photographs(16, 2), (32, 32))
    ones = torch.ones((2, 16, 16), dtype=torch.float64)
    a = conjugate_gradients(operator, ones, ones, iterations=60).image
    b = conjugate_gradients(operator, ones, factor * ones, iterations=60).image
    np.testing.assert_allclose(a, b, rtol=1e-6)
