"""Laws of maximum a posteriori and of plug and play."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

import phasegan
from phasegan.fourier.degradation import add_phase_noise
from phasegan.fourier.magnitude_prior import photograph_prior
from phasegan.fourier.map_estimate import DEFICIT, maximum_posterior
from phasegan.fourier.operator import PhaseOperator, plane_weight
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.solvers.mean_magnitude import mean_magnitude
from phasegan.reconstruction.solvers.pnp import denoise, estimate_noise_level
from phasegan.reconstruction.solvers.power_law import power_law_magnitude
from phasegan.reconstruction.summary import describe_result


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (20 * count, 2))
    found = np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)
    return found[found.std(axis=(1, 2)) > 20][:count]


def noisy_phase(images, frame, sigma, seed=0):
    clean = analyse(images, frame).phase
    return add_phase_noise(clean, sigma, np.random.default_rng(seed), frame)


def make(n, m, count=2, sigma=0.05):
    images, frame = photographs(n, count), (m, m)
    phase = torch.from_numpy(noisy_phase(images, frame, sigma))
    prior = torch.from_numpy(power_law_magnitude(frame, (n, n), 127.5))
    return PhaseOperator(phase, frame, (n, n)), prior, images


def objective(operator, image, prior, sigma, spread):
    """Return Σ Im(s)² / (σ m)² + (Re(s) − m)² / (τ m)² over the full plane, as documented."""
    s = operator.aligned(image)
    terms = (s.imag / (sigma * prior)) ** 2 + ((s.real - prior) / (spread * prior)) ** 2
    return (terms * plane_weight(operator.frame)).sum((-2, -1))


@pytest.mark.parametrize(("n", "m"), [(16, 32), (16, 24), (15, 22), (16, 18)])
@pytest.mark.parametrize(("sigma", "spread"), [(0.05, 2.0), (0.3, 0.5)])
def test_the_result_is_the_minimiser_of_the_documented_objective(n, m, sigma, spread):
    operator, prior, _ = make(n, m, 1)
    image, _, converged = maximum_posterior(
        operator, prior, sigma, spread=spread, rounds=0, iterations=3000, tolerance=1e-9
    )
    assert converged.all()

    def value(x):
        return objective(operator, x.reshape(1, n, n), prior, sigma, spread).sum()

    origin = torch.zeros(n * n, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(value, origin)
    bend = torch.autograd.functional.hessian(value, origin)
    expected = torch.linalg.solve(bend, -slope).reshape(1, n, n)
    np.testing.assert_allclose(image, expected, atol=1e-5 * float(expected.abs().max()))
    least = value(image)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        other = image + 0.1 * torch.randn(image.shape, generator=generator, dtype=torch.float64)
        assert value(other) > least


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize("sigma", [0.01, 0.5])
def test_without_padding_the_result_is_the_prior_with_the_phase(size, sigma):
    operator, prior, _ = make(size, size, 3)
    image, iterations, converged = maximum_posterior(operator, prior, sigma, rounds=0)
    expected = mean_magnitude(operator.phase.numpy(), (size, size), (size, size), prior.numpy())
    np.testing.assert_allclose(image, expected, atol=1e-8 * np.abs(expected).max())
    assert converged.all()
    assert (iterations <= 2).all()


def test_the_scale_of_the_prior_is_that_of_the_result():
    operator, prior, _ = make(16, 32)
    options = {"rounds": 2, "tolerance": 1e-8}
    one = maximum_posterior(operator, prior, 0.05, **options)[0]
    ten = maximum_posterior(operator, 10 * prior, 0.05, **options)[0]
    np.testing.assert_allclose(ten, 10 * one, atol=1e-6 * float(ten.abs().max()))


def test_the_true_magnitude_and_phase_give_the_image():
    images = photographs(16, 8)
    images = images[analyse(images, (32, 32)).magnitude.min(axis=(1, 2)) > 4]
    assert len(images) > 2
    spectrum = analyse(images, (32, 32))
    operator = PhaseOperator(torch.from_numpy(spectrum.phase), (32, 32), (16, 16))
    prior = torch.from_numpy(spectrum.magnitude)
    image, _, converged = maximum_posterior(
        operator, prior, 0.05, rounds=0, iterations=3000, tolerance=1e-9
    )
    assert converged.all()
    np.testing.assert_allclose(image, images, atol=1e-3)


def condition(operator, prior, sigma, spread):
    """Return the condition number of the system of one plane, the documented objective's."""
    n = operator.shape[0]
    bend = torch.autograd.functional.hessian(
        lambda x: objective(operator, x.reshape(1, n, n), prior, sigma, spread).sum(),
        torch.zeros(n * n, dtype=torch.float64),
    )
    values = torch.linalg.eigvalsh(bend)
    return float(values[-1] / values[0])


@pytest.mark.numerical
@pytest.mark.parametrize("adaptation", [None, 4.0])
def test_planes_of_a_stack_are_solved_as_if_alone(adaptation):
    # Kernels round differently in stacks of other sizes, and conjugate gradients amplify
    # that up to what they still lack: two solves that end at a relative residual ε agree to
    # ε κ^½ in units of the image, κ the condition number, and so much again for each system
    # whose weights come from the one before. Stops may shift by some iterations.
    operator, prior, _ = make(16, 32, 3)
    epsilon, rounds = 1e-9, 2
    options = {"rounds": rounds, "tolerance": epsilon, "adaptation": adaptation}
    together = maximum_posterior(operator, prior, 0.1, **options)
    assert together[2].all()
    for i in range(3):
        one = operator.select(torch.tensor([i]))
        alone = maximum_posterior(one, prior, 0.1, **options)
        lacking = epsilon * condition(one, prior, 0.1, 2.0) ** 0.5 * (rounds + 1)
        largest = float(alone[0].abs().max())
        np.testing.assert_allclose(alone[0][0], together[0][i], atol=2 * lacking * largest)
        np.testing.assert_allclose(alone[1][0], together[1][i], rtol=0.1)


@pytest.mark.numerical
@pytest.mark.parametrize("iterations", [25, 60, 4000])
@pytest.mark.parametrize("m", [16, 20, 32])
def test_neighbours_take_no_iterations_away(m, iterations):
    # the hard neighbour, of a spectrum far from the prior, uses up what it may
    images, frame = photographs(16, 2), (m, m)
    images[1] = np.random.default_rng(0).integers(0, 256, (16, 16))
    phase = torch.from_numpy(noisy_phase(images, frame, 0.05))
    prior = torch.from_numpy(power_law_magnitude(frame, (16, 16), 127.5))
    limits = (0.0, 255.0) if m < 23 else None
    options = {"iterations": iterations, "limits": limits, "rounds": 0 if limits else 1}
    pair, one = (PhaseOperator(p, frame, (16, 16)) for p in (phase, phase[:1]))
    together, alone = (maximum_posterior(o, prior, 0.05, **options) for o in (pair, one))
    assert (together[1] <= iterations).all()
    # each solve may end an iteration sooner or later where kernels round differently
    np.testing.assert_allclose(together[1][0], alone[1][0], atol=80 if limits else 10)
    if not alone[2][0]:
        assert together[1][0] == alone[1][0] == iterations


@pytest.mark.parametrize(("n", "m"), [(24, 48), (24, 36)])
@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_what_has_converged_lacks_little_of_the_posterior(n, m, sigma):
    operator, prior, _ = make(n, m, 3, sigma)
    options = {"spread": 1.0, "rounds": 0}
    image, iterations, converged = maximum_posterior(operator, prior, sigma, **options)
    assert converged.all()
    best, more, _ = maximum_posterior(operator, prior, sigma, tolerance=1e-10, **options)
    assert (more > iterations).all()
    # the objective counts both halves of the plane and is minus twice a logarithm
    values = [objective(operator, x, prior, sigma, 1.0) / 4 for x in (image, best)]
    assert (values[0] - values[1] < 10 * DEFICIT).all()
    assert (values[0] - values[1] > -1e-6).all()


def test_a_still_start_is_not_taken_for_the_end():
    # pixels of white noise are far from the prior: at first nearly nothing is gained
    images = np.random.default_rng(0).integers(1, 256, (1, 16, 16))
    phase = torch.from_numpy(analyse(images, (32, 32)).phase)
    operator = PhaseOperator(phase, (32, 32), (16, 16))
    prior = torch.from_numpy(photograph_prior().magnitude((32, 32), (16, 16), 255.0))
    image, _, converged = maximum_posterior(operator, prior, 0.0, spread=2.0, rounds=0)
    assert converged.all()
    assert psnr(image.numpy(), images) > 60


def test_what_iterations_ended_says_so_and_more_iterations_help():
    images = photographs(32, 3)
    phase = noisy_phase(images, (48, 48), 0.01)
    options = {"method": "map", "shape": (32, 32), "noise": 0.01}
    short, longer, whole = (
        phasegan.reconstruct(phase, iterations=k, **options) for k in (40, 160, None)
    )
    assert (short.iterations == 40).all()
    assert not short.converged.any()
    assert "3 of 3 planes had not converged" in describe_result(short)[0]
    assert psnr(longer.estimate, images) > psnr(short.estimate, images) + 1
    assert whole.converged.all()
    assert (whole.iterations > 160).all()
    assert psnr(whole.estimate, images) > psnr(longer.estimate, images)
    assert not any("converged" in line for line in describe_result(whole))


@pytest.mark.parametrize("method", ["map", "pnp"])
@pytest.mark.parametrize(("n", "m"), [(7, 14), (8, 8), (15, 23), (33, 50)])
def test_without_statistics_any_size_is_solved(method, n, m):
    images = photographs(n, 2)
    result = phasegan.reconstruct(
        noisy_phase(images, (m, m), 0.05), method=method, shape=(n, n), noise=0.05
    )
    assert np.isfinite(result.estimate).all()
    assert result.estimate.shape == images.shape


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(("m", "sigma"), [(256, 0.1), (192, 0.05)])
def test_without_statistics_photographs_come_out_as_with_them(real_data, tmp_path, m, sigma):
    folder = real_data / "scenes150"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no scenes150")
    path = tmp_path / "scenes.h5"
    phasegan.prepare(folder, path, size=128, oversample=m / 128, samples=300, test=3)
    with phasegan.open(path) as file:
        images = file.test.images()
    phase = noisy_phase(images, (m, m), sigma)
    options = {"shape": (128, 128)}
    known, unknown, informed = (
        phasegan.reconstruct(phase, **options, **more).estimate
        for more in (
            {"method": "map", "noise": sigma},
            {},
            {"method": "map", "noise": sigma, "statistics": path},
        )
    )
    for i in range(3):
        one = slice(i, i + 1)
        assert psnr(known[one], images[one]) > psnr(informed[one], images[one]) - 1
        assert psnr(unknown[one], images[one]) > psnr(known[one], images[one]) - 1


@pytest.mark.parametrize(("n", "m"), [(16, 16), (16, 20)])
def test_limits_are_kept(n, m):
    operator, prior, _ = make(n, m, 4)
    prior = 2 * prior
    free, *_ = maximum_posterior(operator, prior, 0.1, rounds=0)
    kept, *_ = maximum_posterior(operator, prior, 0.1, rounds=0, limits=(0.0, 255.0))

    def excess(image):
        return float((image - image.clamp(0.0, 255.0)).square().mean().sqrt())

    assert excess(free) > 10
    assert excess(kept) < 6
    assert excess(kept) < 0.1 * excess(free)


def test_limits_that_nothing_reaches_change_nothing():
    operator, prior, _ = make(16, 20)
    options = {"rounds": 0, "tolerance": 1e-8, "iterations": 2000}
    free = maximum_posterior(operator, prior, 0.1, **options)[0]
    wide = maximum_posterior(operator, prior, 0.1, limits=(-1e6, 1e6), **options)[0]
    np.testing.assert_allclose(wide, free, atol=1e-3 * float(free.abs().max()))


def test_phases_that_are_not_trusted_do_not_count():
    images = photographs(16, 2)
    phase = analyse(images, (32, 32)).phase
    mask = np.random.default_rng(0).random((32, 17)) < 0.8
    mask[0, 0] = True
    options = {"method": "map", "shape": (16, 16), "mask": mask, "noise": 0.1}
    given = phasegan.reconstruct(phase, **options).estimate
    spoilt = phasegan.reconstruct(np.where(mask, phase, 1.0), **options).estimate
    np.testing.assert_array_equal(given, spoilt)
    assert np.isfinite(given).all()


def psnr(estimates, images):
    """Return the mean peak signal-to-noise ratio after the best scale of each, decibels."""
    e, x = estimates.reshape(len(images), -1), images.reshape(len(images), -1).astype(float)
    e = e * ((e * x).sum(1) / (e * e).sum(1))[:, None]
    return float(np.mean(10 * np.log10(255**2 / ((e - x) ** 2).mean(1))))


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_under_noise_the_posterior_beats_least_squares_and_denoising_costs_little(sigma):
    images = photographs(48, 6)
    phase = noisy_phase(images, (96, 96), sigma)
    options = {"shape": (48, 48), "noise": sigma}
    least, posterior, denoising = (
        psnr(phasegan.reconstruct(phase, method=name, **options).estimate, images)
        for name in ("cg", "map", "pnp")
    )
    assert posterior > least + 1.0
    assert denoising > posterior - 0.3


@pytest.mark.parametrize("method", ["map", "pnp"])
def test_clean_phases_are_nearly_solved(method):
    images = photographs(32, 3)
    phase = analyse(images, (64, 64)).phase
    result = phasegan.reconstruct(phase, method=method, shape=(32, 32))
    assert psnr(result.estimate, images) > 30
    assert result.certificates is None
    assert (result.residual < 0.02).all()


def test_the_noise_that_is_left_is_estimated():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(64.0), np.arange(64.0))
    for sigma in (1.0, 8.0):
        image = torch.from_numpy(smooth + rng.normal(scale=sigma, size=(3, 64, 64)))
        level = estimate_noise_level(image)
        assert level.shape == (3, 1, 1)
        np.testing.assert_allclose(level.flatten(), sigma, rtol=0.15)
    assert (estimate_noise_level(torch.from_numpy(smooth)[None]) > 0).all()


def test_the_denoiser_removes_noise_and_keeps_the_mean():
    rng = np.random.default_rng(1)
    image = np.where(np.arange(32)[:, None] < 16, 50.0, 150.0) * np.ones((2, 1, 32))
    noisy = torch.from_numpy(image + rng.normal(scale=5.0, size=image.shape))
    clean = denoise(noisy, torch.full((2, 1, 1), 5.0)).numpy()
    assert ((clean - image) ** 2).mean() < 0.3 * ((noisy.numpy() - image) ** 2).mean()
    assert abs(clean.mean() - image.mean()) < 1.0


@pytest.mark.parametrize("m", [16, 20])
def test_no_more_iterations_are_made_than_were_asked_for(m):
    phase = analyse(photographs(16, 2), (m, m)).phase
    result = phasegan.reconstruct(phase, method="map", shape=(16, 16), iterations=5)
    assert (result.iterations <= 5).all()
