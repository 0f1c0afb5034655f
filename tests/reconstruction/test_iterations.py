"""Laws of the fixed-point iterations: hlo, pocs, pocs-accelerated and fista."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from skimage import data

import phasegan
from phasegan.fourier.operator import PhaseOperator, plane_weight
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.solvers.fista import fista
from phasegan.reconstruction.solvers.hlo import hayes_lim_oppenheim
from phasegan.reconstruction.solvers.iteration import phase_only
from phasegan.reconstruction.solvers.pocs import alternating_projections

N, M = 20, 40


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


def operator_of(images, dtype=torch.float64, frame=M):
    phase = torch.from_numpy(analyse(images, (frame, frame)).phase)
    return PhaseOperator(phase, (frame, frame), images.shape[-2:], dtype=dtype)


def start_of(operator):
    return phase_only(operator, 127.5 * operator.frame[0])


def norm(image):
    return image.double().square().sum((-2, -1)).sqrt()


SOLVERS = {
    "hlo": hayes_lim_oppenheim,
    "pocs": lambda operator, start, **o: alternating_projections(operator, start, 255.0, **o),
    "pocs-accelerated": lambda operator, start, **o: alternating_projections(
        operator, start, 255.0, accelerated=True, **o
    ),
    "fista": lambda operator, start, **o: fista(operator, start.clamp(min=0) + 1, **o),
}


def run(name, operator, start=None, *, iterations=60, tolerance=0.0, callback=None):
    start = start_of(operator) if start is None else start
    return SOLVERS[name](
        operator, start, iterations=iterations, tolerance=tolerance, callback=callback
    )


def followed(name, operator, start=None, iterations=300):
    """Return the iterates that a watch is shown: (checks, n, N, N)."""
    seen = []
    run(
        name,
        operator,
        start,
        iterations=iterations,
        callback=lambda k, i, x: seen.append(x.clone()),
    )
    return torch.stack(seen)


def falling(values, slack=1e-9):
    """Tell whether values (checks, n) never grow."""
    return bool((values[1:] <= values[:-1] * (1 + slack) + 1e-12).all())


def objective(operator, image):
    """Return what fista minimises, of images scaled to mean 1: (n,)."""
    aligned = operator.aligned(image / image.mean((-2, -1), keepdim=True))
    wrong = aligned.imag.square() + aligned.real.clamp(max=0.0).square()
    pixels = operator.frame[0] * operator.frame[1]
    return 0.5 * (wrong * plane_weight(operator.frame)).sum((-2, -1)) / pixels


@pytest.mark.parametrize("name", ["hlo", "pocs"])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_distance_to_every_solution_never_grows(name, share):
    images = photographs(N, 5)
    operator, solution = operator_of(images), share * torch.from_numpy(images).double()
    seen = followed(name, operator)
    assert falling(torch.stack([norm(x - solution) for x in seen]))
    assert (norm(seen[-1] - solution) < norm(seen[0] - solution)).all()


def test_two_images_never_drift_apart_under_hlo():
    operator = operator_of(photographs(N, 5))
    generator = torch.Generator().manual_seed(0)
    a, b = (100 * torch.randn((5, N, N), generator=generator).double() for _ in range(2))
    pairs = zip(followed("hlo", operator, a), followed("hlo", operator, b), strict=True)
    assert falling(torch.stack([norm(x - y) for x, y in pairs]))


def test_the_energy_and_the_steps_of_hlo_never_grow():
    # keeping a magnitude is nonexpansive: | |X| − |Y| | ≤ |X − Y|
    operator = operator_of(photographs(N, 5))
    seen = torch.stack([start_of(operator), *followed("hlo", operator)])
    assert falling(norm(seen))
    steps = norm(seen[1:] - seen[:-1])
    assert falling(steps)
    assert (steps[-1] < 0.5 * steps[0]).all()


def test_the_solution_is_a_fixed_point_of_every_iteration():
    images = photographs(N, 4)
    operator, solution = operator_of(images), torch.from_numpy(images).double()
    for name in SOLVERS:
        given = solution if name != "fista" else solution - 1
        scale = 1.0 if name != "fista" else solution.mean((-2, -1), keepdim=True)
        last = followed(name, operator, given, iterations=20)[-1] * scale
        np.testing.assert_allclose(last, solution, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_the_result_fits_better_than_the_start_and_than_fewer_iterations(name, dtype, close):
    operator = operator_of(photographs(N, 5), dtype)
    start = start_of(operator)
    least = operator.residual(start) * (1 + close)
    for count in (10, 50, 200):
        image, iterations, converged = run(name, operator, iterations=count)
        assert image.dtype == dtype
        assert (operator.residual(image) <= least).all()
        assert (iterations == count).all()
        assert not converged.any()
        least = operator.residual(image) * (1 + close)


@pytest.mark.parametrize("name", ["pocs", "pocs-accelerated", "fista"])
def test_estimates_stay_inside_their_sets(name):
    operator = operator_of(photographs(N, 5))
    for image in followed(name, operator, iterations=60):
        assert image.min() >= 0
        if name == "fista":
            np.testing.assert_allclose(image.mean((-2, -1)), 1.0, rtol=1e-9)
        else:
            assert image.max() <= 255


def test_acceleration_needs_fewer_iterations():
    operator = operator_of(photographs(N, 8, seed=1))
    plain = run("pocs", operator, iterations=2000, tolerance=3e-3)
    fast = run("pocs-accelerated", operator, iterations=2000, tolerance=3e-3)
    assert fast[2].all()
    assert (fast[1] <= plain[1]).all()
    assert fast[1].sum() < 0.6 * plain[1].sum()


def test_fista_reaches_a_lower_objective_than_alternating_projections():
    operator = operator_of(photographs(N, 8, seed=2))
    for count in (50, 200):
        ours = objective(operator, followed("fista", operator, iterations=count)[-1])
        others = objective(operator, followed("pocs", operator, iterations=count)[-1])
        assert (ours < others).all()


def test_fista_reaches_the_image_that_the_phase_determines():
    images = photographs(16, 3, seed=3)
    operator = operator_of(images, frame=32)
    image = run("fista", operator, iterations=3000, tolerance=1e-9)[0]
    truth = torch.from_numpy(images).double()
    truth = truth / truth.mean((-2, -1), keepdim=True)
    assert (norm(image - truth) < 0.02 * norm(truth)).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_samples_stop_for_themselves_and_blocks_do_not_matter(name):
    easy = np.zeros((1, N, N), np.int64)
    easy[0, 0, 0], easy[0, 3, 5] = 200, 1
    images = np.concatenate([photographs(N, 2, seed=4), easy, photographs(N, 1)])
    options = {"iterations": 120, "tolerance": 4e-3}
    together = run(name, operator_of(images), **options)
    assert together[2][2], "the easy one converges"
    assert together[1][2] < together[1].max()
    for i, image in enumerate(images):
        alone = run(name, operator_of(image[None]), **options)
        assert alone[1][0] == together[1][i]
        assert alone[2][0] == together[2][i]
        np.testing.assert_allclose(alone[0][0], together[0][i], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", SOLVERS)
def test_what_has_converged_has_a_residual_below_the_tolerance(name):
    operator = operator_of(photographs(N, 6))
    image, _, converged = run(name, operator, iterations=150, tolerance=0.02)
    residual = operator.residual(image)
    assert converged.any()
    assert ((residual <= 0.02) == converged).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_a_watch_is_told_every_ten_iterations_of_those_at_work(name):
    operator = operator_of(photographs(N, 3))
    calls = []

    def callback(k, index, images):
        calls.append((k, index.tolist(), tuple(images.shape)))

    run(name, operator, iterations=25, callback=callback)
    assert calls == [(k, [0, 1, 2], (3, N, N)) for k in (10, 20, 25)]


@pytest.mark.parametrize("name", SOLVERS)
def test_phases_that_are_not_trusted_are_not_used(name):
    images = photographs(N, 3)
    phase = analyse(images, (M, M)).phase
    mask = np.random.default_rng(0).random((M, M // 2 + 1)) < 0.8
    mask[0, 0] = True
    solve = partial(phasegan.reconstruct, method=name, shape=(N, N), mask=mask, iterations=20)
    spoilt = np.where(mask, phase, 0.5)
    np.testing.assert_array_equal(solve(phase).estimate, solve(spoilt).estimate)


def test_the_phase_only_image_has_the_phase_and_a_flat_spectrum():
    operator = operator_of(photographs(16, 2), frame=16)
    aligned = operator.aligned(phase_only(operator, 5.0))
    np.testing.assert_allclose(aligned.real, 5.0, rtol=1e-10)
    np.testing.assert_allclose(aligned.imag, 0.0, atol=1e-10)
