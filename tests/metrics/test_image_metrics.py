"""Laws of the image metrics."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from phasegan.errors import InputError, RunError
from phasegan.metrics.image_metrics import concatenate_scores, psnr, score, summarise


@pytest.fixture
def references(rng):
    return rng.integers(0, 256, (5, 16, 16), dtype=np.uint8)


def test_a_perfect_estimate(references):
    result = score(references.astype(float), references, data_range=255)
    assert (result.mse == 0).all()
    assert result.exact.all()
    np.testing.assert_allclose(result.ssim, 1.0)
    row = summarise(result)
    assert row["psnr"] is None
    assert row["exact"] == 5


def test_zero_scores_the_mean_square(references):
    result = score(np.zeros(references.shape), references, data_range=255)
    expected = np.mean(references.astype(float) ** 2, axis=(1, 2))
    np.testing.assert_allclose(result.mse, expected)
    np.testing.assert_allclose(result.mse_scale, expected)
    np.testing.assert_allclose(result.mse_affine, references.reshape(5, -1).var(axis=1))


@pytest.mark.parametrize("shape", [(5, 16, 16), (5, 3, 16, 16)])
def test_fits_forgive_what_they_say_and_no_more(rng, shape):
    references = rng.integers(0, 256, shape, dtype=np.uint8)
    noisy = references + rng.normal(0, 5, shape)
    base = score(noisy, references, data_range=255)
    scaled = score(noisy * 0.3, references, data_range=255)
    moved = score(noisy * 0.3 + 40, references, data_range=255)
    np.testing.assert_allclose(scaled.mse_scale, base.mse_scale)
    np.testing.assert_allclose(moved.mse_affine, base.mse_affine)
    assert (moved.mse_scale > base.mse_scale).all()
    assert (base.mse_affine <= base.mse_scale + 1e-9).all()
    assert (scaled.mse > base.mse * 10).all()


def test_each_channel_has_its_own_scale(rng):
    references = rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    tinted = references * np.array([0.2, 0.5, 0.9])[:, None, None]
    np.testing.assert_allclose(score(tinted, references, data_range=255).mse_scale, 0, atol=1e-9)


def test_the_headline_is_clipped(references):
    beyond = np.where(references > 127, 1e6, -1e6)
    result = score(beyond, references, data_range=255)
    limits = np.where(references > 127, 255.0, 0.0)
    np.testing.assert_allclose(result.mse, np.mean((limits - references) ** 2, axis=(1, 2)))


def test_a_known_mean_is_the_value_at_frequency_0(rng):
    references = rng.integers(60, 200, (4, 3, 8, 8), dtype=np.uint8)
    estimate = references + rng.normal(0, 5, references.shape) + rng.normal(0, 9, (4, 3, 1, 1))
    spectrum = np.fft.rfft2(estimate)
    phase = np.angle(spectrum)
    spectrum[..., 0, 0] = references.sum((-2, -1))
    known = np.fft.irfft2(spectrum, s=(8, 8))
    result = score(estimate, references, data_range=255)
    np.testing.assert_allclose(result.mse_mean, np.mean((known - references) ** 2, (1, 2, 3)))
    np.testing.assert_allclose(np.angle(np.fft.rfft2(known)), phase, atol=1e-9)
    assert (result.mse_mean < result.mse).all()
    shifted = score(estimate - 300.0, references, data_range=255)
    np.testing.assert_allclose(shifted.mse_mean, result.mse_mean)


def test_a_known_mean_is_set_before_clipping(references):
    far = references.astype(float) * 40
    mean = references.mean((1, 2), keepdims=True)
    expected = np.clip(far + mean - 40 * mean, 0, 255) - references
    result = score(far, references, data_range=255)
    np.testing.assert_allclose(result.mse_mean, np.mean(expected**2, axis=(1, 2)))


def test_the_published_protocol_measures_the_data(references):
    tanh_units = np.random.default_rng(1).uniform(-1, 1, references.shape)
    estimate = (tanh_units + 1) * 127.5
    result = score(estimate, references, data_range=255)
    expected = np.mean((references - tanh_units) ** 2, axis=(1, 2))
    np.testing.assert_allclose(result.mse_published, expected)
    mean_square = np.mean(references.astype(float) ** 2, axis=(1, 2))
    np.testing.assert_allclose(result.mse_published, mean_square, rtol=0.02)


def test_16_bit_scores_are_on_the_same_scale(references, rng):
    estimate = references + rng.normal(0, 9, references.shape)
    narrow = score(estimate, references, data_range=255)
    wide = score(estimate * 257, references.astype(np.uint16) * 257, data_range=65535)
    for name in ("mse", "mse_scale", "mse_affine", "mse_mean", "mse_published", "ssim"):
        np.testing.assert_allclose(getattr(wide, name), getattr(narrow, name))


def test_exact_needs_every_pixel(references):
    estimate = references + 0.49
    estimate[0, 3, 3] += 1
    result = score(estimate, references, data_range=255)
    np.testing.assert_array_equal(result.exact, [False, True, True, True, True])


def test_ssim_is_the_one_of_wang_et_al(rng):
    reference = rng.integers(0, 256, (1, 32, 32), dtype=np.uint8)
    estimate = np.clip(reference + rng.normal(0, 30, reference.shape), 0, 255)
    expected = structural_similarity(
        reference[0].astype(float),
        estimate[0],
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert score(estimate, reference, data_range=255).ssim[0] == pytest.approx(expected)


def test_summary_has_standard_errors_and_no_nan(rng):
    small = rng.integers(0, 256, (1, 8, 8), dtype=np.uint8)
    row = summarise(score(small * 0.5, small, data_range=255))
    assert row["mse_stderr"] is None
    assert row["ssim"] is None
    many = rng.integers(0, 256, (9, 8, 8), dtype=np.uint8)
    result = score(many * 0.5, many, data_range=255)
    row = summarise(result)
    assert row["mse"] == pytest.approx(result.mse.mean())
    assert row["mse_stderr"] == pytest.approx(result.mse.std(ddof=1) / 3)


def test_concatenation_equals_scoring_at_once(references):
    estimate = references * 0.9
    parts = [score(estimate[a:b], references[a:b], data_range=255) for a, b in ((0, 2), (2, 5))]
    whole = score(estimate, references, data_range=255)
    np.testing.assert_array_equal(concatenate_scores(parts).mse, whole.mse)


def test_psnr():
    assert psnr(255.0**2) == pytest.approx(0)
    assert psnr(1.0) == pytest.approx(48.13, abs=0.01)


def test_bad_estimates_are_errors(references):
    with pytest.raises(InputError, match="against references"):
        score(np.zeros((5, 8, 8)), references, data_range=255)
    bad = np.zeros(references.shape)
    bad[0, 0, :2] = np.nan, np.inf
    with pytest.raises(RunError, match="2 values that are not finite"):
        score(bad, references, data_range=255)
