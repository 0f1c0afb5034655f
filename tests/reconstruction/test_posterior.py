"""Laws of maximum a posteriori and of plug and play."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

import phasegan
from phasegan.reconstruction.mean_magnitude import mean_magnitude
from phasegan.reconstruction.pnp import denoised, noise_level
from phasegan.reconstruction.power_law import power_law_magnitude
from phasegan.spectra.degradation import add_phase_noise
from phasegan.spectra.maximum_posterior import maximum_posterior
from phasegan.spectra.operator import PhaseOperator, plane_weight
from phasegan.spectra.phase import analyse


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
    expected = mean_magnitude(operator.phase.numpy(), (size, size), prior.numpy())
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


def test_planes_of_a_stack_are_solved_as_if_alone():
    operator, prior, _ = make(16, 32, 3)
    together = maximum_posterior(operator, prior, 0.1, rounds=2)
    for i in range(3):
        alone = maximum_posterior(operator.select(torch.tensor([i])), prior, 0.1, rounds=2)
        np.testing.assert_allclose(alone[0][0], together[0][i], atol=1e-6)
        assert alone[1][0] == together[1][i]


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
        level = noise_level(image)
        assert level.shape == (3, 1, 1)
        np.testing.assert_allclose(level.flatten(), sigma, rtol=0.15)
    assert (noise_level(torch.from_numpy(smooth)[None]) > 0).all()


def test_the_denoiser_removes_noise_and_keeps_the_mean():
    rng = np.random.default_rng(1)
    image = np.where(np.arange(32)[:, None] < 16, 50.0, 150.0) * np.ones((2, 1, 32))
    noisy = torch.from_numpy(image + rng.normal(scale=5.0, size=image.shape))
    clean = denoised(noisy, torch.full((2, 1, 1), 5.0)).numpy()
    assert ((clean - image) ** 2).mean() < 0.3 * ((noisy.numpy() - image) ** 2).mean()
    assert abs(clean.mean() - image.mean()) < 1.0


@pytest.mark.parametrize("m", [16, 20])
def test_no_more_iterations_are_made_than_were_asked_for(m):
    phase = analyse(photographs(16, 2), (m, m)).phase
    result = phasegan.reconstruct(phase, method="map", shape=(16, 16), iterations=5)
    assert (result.iterations <= 5).all()
