"""The shrinkage cascade: images from unpadded phases by regressions in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.convention import forward, inverse
from phasegan.fourier.magnitude import shrunk_magnitude
from phasegan.fourier.phase import analyse
from phasegan.models import cascade_fit
from phasegan.models.cascade import image_statistics, make_grid, shrinkage_terms
from phasegan.models.cascade_fit import fit_shrinkage

PHOTOGRAPHS = 8
"""That the crops to fit to come from."""


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Grey crops at 32×32: 200 to fit to, 60 of other photographs; read only."""
    path = tmp_path_factory.mktemp("crops") / "crops.h5"
    phasegan.prepare("builtin", path, size=32, channels="gray", samples=200, test=60)
    with phasegan.open(path) as file:
        assert len(set(file.train.source_sha256())) == PHOTOGRAPHS
        return file.train.images(), file.test.images()


@pytest.fixture(scope="module")
def cascade(crops):
    return fit_shrinkage(crops[0], data_range=255, photographs=PHOTOGRAPHS)


def phase_of(images):
    return analyse(images, images.shape[-2:]).phase


def mean_magnitude_image(fitted, images):
    magnitude = analyse(fitted, fitted.shape[-2:]).magnitude.mean(0)
    spectrum = magnitude * np.exp(1j * phase_of(images))
    return np.clip(inverse(spectrum, images.shape[-2:]), 0, 255)


def mse(estimate, images):
    return float(np.mean((estimate - images) ** 2))


def test_it_beats_the_mean_magnitude_on_held_out_images(crops, cascade):
    fitted, held_out = crops
    baseline = mse(mean_magnitude_image(fitted, held_out), held_out)
    assert mse(cascade(phase_of(held_out)), held_out) < 0.75 * baseline


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_few_images_do_no_harm(crops, count):
    fitted, held_out = crops[0][:count], crops[1]
    baseline = mse(mean_magnitude_image(fitted, held_out), held_out)
    estimate = fit_shrinkage(fitted, data_range=255)(phase_of(held_out))
    assert mse(estimate, held_out) < 1.01 * baseline


def test_crops_of_few_photographs_are_fitted_with_caution(crops, cascade):
    fitted, held_out = crops
    phase = phase_of(held_out)
    trusting = fit_shrinkage(fitted, data_range=255)
    assert mse(cascade(phase), held_out) < mse(trusting(phase), held_out)
    one = fit_shrinkage(fitted, data_range=255, photographs=1)(phase)
    magnitude = np.abs(np.fft.rfft2(fitted)).mean(0)
    spread = fitted.mean((1, 2)).std()
    start = shrunk_magnitude(magnitude, 1, fitted.shape[1:], 255, spread) * np.exp(1j * phase)
    np.testing.assert_allclose(one, np.fft.irfft2(start, fitted.shape[1:]).clip(0, 255), atol=15)


@pytest.mark.parametrize("value", [0, 255])
def test_blank_images_are_no_trouble(value):
    blank = np.full((3, 12, 12), value, np.uint8)
    estimate = fit_shrinkage(blank, data_range=255, stages=2)(phase_of(blank))
    np.testing.assert_allclose(estimate, value, atol=1e-3)


def test_the_phase_is_kept_up_to_clipping(crops, cascade):
    phase = phase_of(crops[1])
    magnitude = cascade._magnitude(phase, make_grid(cascade.frame))
    assert magnitude.min() >= 0
    unclipped = inverse(magnitude * np.exp(1j * phase), cascade.frame)
    aligned = forward(unclipped, cascade.frame) * np.exp(-1j * phase)
    np.testing.assert_allclose(aligned, magnitude, atol=1e-3 * magnitude.mean())
    np.testing.assert_array_equal(cascade(phase), np.clip(unclipped, 0, 255))


def test_every_step_lowers_the_error_of_the_fit_images(crops):
    errors = [
        mse(fit_shrinkage(crops[0], data_range=255, stages=s)(phase_of(crops[0])), crops[0])
        for s in (1, 2, 4)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.numerical
def test_equal_images_give_equal_bits(crops):
    phase = phase_of(crops[1][:4])
    first, second = (fit_shrinkage(crops[0][:30], data_range=255)(phase) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.numerical
def test_a_batch_is_its_images_one_by_one(crops, cascade):
    phase = phase_of(crops[1][:5])
    one_by_one = np.concatenate([cascade(p[None]) for p in phase])
    np.testing.assert_allclose(cascade(phase), one_by_one, atol=0.01)
    assert cascade(phase[:0]).shape == (0, 32, 32)


@pytest.mark.parametrize("frame", [(8, 8), (9, 31), (31, 14), (40, 33)])
def test_any_frame(crops, frame):
    big = np.pad(crops[0], ((0, 0), (0, 8), (0, 8)), mode="symmetric")
    images = big[:, : frame[0], : frame[1]]
    fitted, held_out = images[:150], images[150:]
    cascade = fit_shrinkage(fitted, data_range=255, stages=2)
    estimate = cascade(phase_of(held_out))
    assert estimate.shape == held_out.shape
    assert estimate.dtype == np.float64
    assert mse(estimate, held_out) < mse(mean_magnitude_image(fitted, held_out), held_out)


def test_deep_images_are_reconstructed_like_shallow_ones(crops):
    fitted, phase = crops[0][:60], phase_of(crops[1])
    shallow = fit_shrinkage(fitted, data_range=255)(phase)
    deep = fit_shrinkage(fitted.astype(np.uint16) * 257, data_range=65535)(phase)
    np.testing.assert_allclose(deep, shallow * 257, atol=257 * 0.05)
    real = fit_shrinkage(fitted.astype(np.float64), data_range=255)(phase)
    np.testing.assert_array_equal(real, shallow)


def test_of_many_images_an_even_selection_is_fitted_to(crops, monkeypatch):
    phase = phase_of(crops[1][:3])
    expected = fit_shrinkage(crops[0][::4], data_range=255)
    monkeypatch.setattr(cascade_fit, "MAX_FIT_IMAGES", 50)
    cascade = fit_shrinkage(crops[0], data_range=255)
    assert cascade.samples == 50
    np.testing.assert_array_equal(cascade(phase), expected(phase))
    monkeypatch.setattr(cascade_fit, "MAX_FIT_PIXELS", 10 * 32 * 32)
    assert fit_shrinkage(crops[0], data_range=255).samples == 10


@pytest.mark.numerical
def test_mirror_images_count_below_a_number(crops, monkeypatch):
    half = crops[0][:40]
    whole = np.stack([half, half[:, :, ::-1]], axis=1).reshape(80, 32, 32)
    joined = fit_shrinkage(half, data_range=255).mean_magnitude
    monkeypatch.setattr(cascade_fit, "MIRROR_BELOW", 0)
    given = fit_shrinkage(whole, data_range=255, photographs=40).mean_magnitude
    np.testing.assert_allclose(joined, given, rtol=1e-4)


@pytest.mark.numerical
def test_expanded_terms_are_gradients_of_an_energy(crops):
    # D G_s e of small gradients is kept whole: ⟨e, T(e)⟩ → ‖D G_s e‖², here with s = 0
    image = torch.from_numpy(crops[0][:2].astype(np.float32)) / 255
    spectrum = forward(image, (32, 32))
    terms = shrinkage_terms(image, spectrum.abs(), spectrum / spectrum.abs(), make_grid((32, 32)))
    full = torch.fft.fft2(image).abs().square().sum()
    weight = torch.full((17,), 2.0)
    weight[[0, -1]] = 1.0
    products = [(spectrum.abs() * t * weight).sum() / 32**2 for t in terms]
    torch.testing.assert_close(products[0] * 32**2, full, rtol=1e-4, atol=0.0)
    assert float(terms[1].abs().max()) < 1e-3
    energy = sum(image.diff(dim=axis).square().sum() for axis in (1, 2))
    torch.testing.assert_close(products[3], energy, rtol=0.02, atol=0.0)


def test_bands_cover_the_half_plane_and_the_zero_frequency_is_alone():
    for frame in ((8, 8), (9, 31), (64, 64), (100, 32)):
        grid = make_grid(frame)
        assert torch.equal(torch.unique(grid.band), torch.arange(grid.bands))
        assert int((grid.band == 0).sum()) == 1
        assert int(grid.band[0, 0]) == 0
        columns = grid.band[1:]
        assert torch.equal(columns[:, 0], columns.flip(0)[:, 0])
        for pool in (*grid.pools, *grid.coarse):
            torch.testing.assert_close(pool.sum(1), torch.ones(len(pool)))


def test_statistics_of_a_blank_image_are_finite():
    assert bool(image_statistics(torch.zeros(1, 9, 40), make_grid((9, 40))).isfinite().all())


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros((8, 8), np.uint8), {}, r"shape \(8, 8\), expected numbers of shape"),
        (np.zeros((0, 8, 8), np.uint8), {}, "n at least 1"),
        (np.zeros((2, 8, 8), complex), {}, "complex128"),
        (np.zeros((2, 7, 8), np.uint8), {}, "at least 8 along each side"),
        (np.full((2, 8, 8), 256), {}, r"pixels from 256 to 256, expected 0\.\.255"),
        (np.full((2, 8, 8), np.nan), {}, "pixels from nan"),
        (np.zeros((2, 8, 8)), {"stages": 0}, "stages = 0"),
        (np.zeros((2, 8, 8)), {"data_range": 0}, "data_range = 0"),
        (np.zeros((2, 8, 8)), {"photographs": 0}, "photographs = 0"),
    ],
)
def test_bad_images_are_refused(images, options, message):
    with pytest.raises(InputError, match=message):
        fit_shrinkage(images, **{"data_range": 255, **options})


@pytest.mark.parametrize("shape", [(2, 32, 32), (32, 17), (1, 3, 32, 17), (2, 64, 33)])
def test_phases_of_another_shape_are_refused(cascade, shape):
    with pytest.raises(InputError, match=r"unpadded phases of 32×32 images, \(n, 32, 17\)"):
        cascade(np.zeros(shape))
