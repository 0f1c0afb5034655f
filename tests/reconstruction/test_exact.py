"""Laws of exact reconstruction: what is certified is right, and what can be is certified."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d
from skimage import data

import phasegan
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.encoding import decode, encode, half_steps
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.exact.certificate import PlaneObservation, Verdict, misfit
from phasegan.reconstruction.exact.integers import divide_by_gcd
from phasegan.reconstruction.protocol import Observation, Problem
from phasegan.reconstruction.registry import make_method


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


def textured(n, count, seed=0):
    """Return photographs with some contrast: a flat one hardly differs from a constant."""
    found = photographs(n, 20 * count, seed)
    return found[found.std(axis=(1, 2)) > 20][:count]


def reduced(images):
    return np.stack([divide_by_gcd(image) for image in images])


def wrong(result, images):
    """Return how many of the certified images are not the true ones, up to a common factor."""
    right = (result.estimate == reduced(images)).all(axis=(1, 2))
    return int((result.certified & ~right).sum())


def solve(images, frame=None, dtype=None, bits=None, **options):
    """Reconstruct integer images from phases that a dtype keeps."""
    n = images.shape[-1]
    m = frame or 2 * n
    phase = analyse(images, (m, m)).phase
    phase = phase if bits is None else quantise_phase(phase, bits)
    phase = phase if dtype is None else phase.astype(dtype)
    return phasegan.reconstruct(phase, shape=(n, n), **{"method": "cg", **options})


def kept(images, dtype, bits=None, data_range=255):
    """Reconstruct from codes, as from a prepared file."""
    n = images.shape[-1]
    spectrum = analyse(images, (2 * n, 2 * n))
    phase = spectrum.phase if bits is None else quantise_phase(spectrum.phase, bits)
    codes = encode(phase, dtype)
    trusted = ~spectrum.undefined if spectrum.undefined.any() else None
    observation = Observation(decode(codes), trusted, half_steps(codes, bits))
    found = make_method("cg", Problem((n, n), (2 * n, 2 * n), data_range))(observation)
    return np.array([c.certified for c in found.certificates]), found.estimate


@pytest.mark.parametrize("method", ["cg", "auto"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_photographs_come_back_bit_by_bit_and_certified(dtype, method):
    images = textured(32, 6)
    result = solve(images, dtype=dtype, method=method)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, images)
    assert (result.residual < 1e-6).all()
    assert result.converged.all()


@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
def test_prepared_files_come_back_bit_by_bit(dtype, tmp_path):
    images = textured(24, 6, seed=1).astype(np.uint8)
    path = tmp_path / "a.h5"
    phasegan.prepare(images, path, size=24, oversample=2, samples=1, test=5, phase_dtype=dtype)
    result = phasegan.reconstruct(path)
    assert wrong(result, result.references.astype(np.int64)) == 0
    assert result.certified.sum() >= (3 if dtype == "float16" else 5)
    for i in np.flatnonzero(result.certified):
        np.testing.assert_array_equal(result.estimate[i], result.references[i])


@pytest.mark.parametrize("frame", [30, 36, 41, 64])
def test_other_oversamplings_are_certified_too(frame):
    images = textured(20, 4, seed=2)
    result = solve(images, frame=frame, iterations=4000)
    assert wrong(result, images) == 0
    assert result.certified.mean() >= 0.5


def test_a_certificate_brings_what_it_rests_on():
    images = textured(24, 3)
    for certificate in solve(images).certificates:
        assert certificate.exclusion == "bound"
        assert certificate.explains
        assert certificate.unique
        assert certificate.gap > 1e-6
        assert certificate.support == (0, 24, 0, 24)


def test_a_certified_image_changed_by_one_grey_level_does_not_fit():
    result = solve(textured(24, 2))
    rng = np.random.default_rng(0)
    for estimate, phase in zip(result.estimate.astype(np.int64), result.phase, strict=True):
        known = PlaneObservation(phase, None, 0.0)
        assert misfit(estimate, known, (48, 48)) == 0
        for _ in range(30):
            changed = estimate.copy()
            changed[tuple(rng.integers(0, 24, 2))] += rng.choice([-1, 1])
            assert misfit(changed, known, (48, 48)) > 0


@pytest.mark.parametrize("factor", [2, 3])
def test_a_multiple_is_certified_as_the_smallest_integers(factor):
    images = factor * (textured(24, 4) // 3)
    result = solve(images, mask=~analyse(images, (48, 48)).undefined)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, reduced(images))


def opposite_borders(count, n=20):
    rng = np.random.default_rng(3)
    images = textured(n, count, seed=3) // 2 + 1
    windows = []
    for image in images:
        top, bottom, left, right = rng.integers(1, 6, 4)
        image[:top] = image[n - bottom :] = 0
        image[:, :left] = image[:, n - right :] = 0
        windows.append((top, n - bottom, left, n - right))
    return images, windows


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_opposite_black_borders_are_certified_on_the_smallest_window_or_not_at_all(dtype):
    images, windows = opposite_borders(10)
    result = solve(images, dtype=dtype)
    assert wrong(result, images) == 0
    assert result.certified.sum() >= 6
    for certificate, window in zip(result.certificates, windows, strict=True):
        if certificate.certified:
            assert certificate.support == window
            assert "smallest window" in certificate.reason
            assert "none of them integer and in range" in certificate.reason
        else:
            assert certificate.reason


def centrosymmetric(count, n=16):
    images = photographs(n, count, seed=4) // 2
    return images + images[:, ::-1, ::-1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_centrosymmetric_images_are_never_certified(dtype):
    result = solve(centrosymmetric(5), dtype=dtype)
    assert not result.certified.any()
    assert {c.verdict for c in result.certificates} == {Verdict.NOT_UNIQUE}


@pytest.mark.parametrize("value", [1, 128, 255])
def test_constant_images_are_never_certified(value):
    images = np.full((1, 16, 16), value)
    defined = ~analyse(images, (32, 32)).undefined
    assert not solve(images).certified.any()
    result = solve(images, mask=defined)
    assert result.certificates[0].verdict is Verdict.NOT_UNIQUE


@pytest.mark.parametrize(
    ("gap", "reason"), [(1e-9, "other images"), (0.9e-6, "other"), (np.nan, "not be decided")]
)
def test_an_image_that_fits_is_not_certified_where_others_may_fit_too(gap, reason, monkeypatch):
    monkeypatch.setattr(
        "phasegan.reconstruction.exact.solver.second_singular_value",
        lambda operator, solution, enough, **_: np.full(len(solution), gap),
    )
    result = solve(textured(16, 2))
    assert not result.certified.any()
    for certificate in result.certificates:
        assert certificate.explains
        assert certificate.verdict is Verdict.NOT_UNIQUE
        assert reason in certificate.reason


@pytest.mark.parametrize("sigma", [1e-4, 1e-3, 0.1])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_noisy_phases_are_never_certified(sigma, dtype):
    images = np.concatenate([photographs(12, 6), photographs(24, 6)[:, :12, :12]])
    clean = analyse(images, (24, 24)).phase
    noisy = add_phase_noise(clean, sigma, np.random.default_rng(5), (24, 24))
    for noise in (None, sigma):
        result = phasegan.reconstruct(noisy.astype(dtype), method="cg", shape=(12, 12), noise=noise)
        assert not result.certified.any()
        assert not any(c.explains for c in result.certificates)


@pytest.mark.parametrize("bits", [4, 8])
def test_no_photograph_of_few_bits_a_phase_is_certified_wrongly(bits):
    for n in (12, 24):
        images = photographs(n, 15, seed=6)
        certified, estimate = kept(images, "uint16", bits)
        right = (estimate == reduced(images)).all(axis=(1, 2))
        assert not (certified & ~right).any()
        if bits == 4:
            assert not certified.any()


@pytest.mark.parametrize(("dtype", "bits"), [("uint16", None), ("float32", 12), ("float32", 10)])
def test_no_small_photograph_is_certified_wrongly_from_rounded_phases(dtype, bits):
    images = photographs(4, 60)
    certified, estimate = kept(images, dtype, bits)
    right = (estimate == reduced(images)).all(axis=(1, 2))
    assert not (certified & ~right).any()


@pytest.mark.parametrize("n", [16, 32])
def test_no_flat_photograph_is_certified_wrongly_from_half_precision(n):
    images = photographs(n, 200, seed=77)
    images = images[images.std(axis=(1, 2)) < 2][:12]
    spectrum = analyse(images, (2 * n, 2 * n))
    phase = spectrum.phase.astype(np.float16)
    result = phasegan.reconstruct(phase, method="cg", shape=(n, n), mask=~spectrum.undefined)
    assert wrong(result, images) == 0


@pytest.mark.parametrize("method", ["cg", "auto"])
def test_phases_without_padding_certify_nothing(method):
    result = solve(photographs(16, 3), frame=16, method=method)
    assert not result.certified.any()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_masked_phases_are_never_certified_wrongly(share):
    images = textured(16, 5, seed=7)
    mask = np.random.default_rng(7).random((32, 17)) < share
    result = solve(images, mask=mask)
    assert wrong(result, images) == 0
    if share == 0.3:
        assert not result.certified.any()
    if share == 0.9:
        assert result.certified.all()


def test_values_under_the_mask_do_not_matter():
    images = textured(16, 2, seed=7)
    phase = analyse(images, (32, 32)).phase
    mask = np.random.default_rng(7).random((32, 17)) < 0.9
    spoilt = np.where(mask, phase, 1.0)
    result = phasegan.reconstruct(spoilt, method="cg", shape=(16, 16), mask=mask)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, images)


def test_a_negative_image_is_not_certified_and_its_phases_are_said_to_be_half_a_turn_off():
    images = -textured(16, 2, seed=8)
    result = solve(images)
    assert not result.certified.any()
    assert (result.estimate.sum((1, 2)) < 0).all()
    for certificate in result.certificates:
        assert certificate.verdict is Verdict.UNIQUE_UP_TO_SCALE
        assert "half a turn off" in certificate.reason


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_images_that_are_no_integers_are_unique_up_to_scale(dtype):
    images = np.random.default_rng(9).random((4, 16, 16)) - 0.2
    result = solve(images, dtype=dtype)
    assert {c.verdict for c in result.certificates} == {Verdict.UNIQUE_UP_TO_SCALE}
    assert result.unique_up_to_scale.all()
    assert not result.certified.any()
    assert not any(c.explains for c in result.certificates)
    assert all(c.unique and c.gap > 1e-6 for c in result.certificates)
    scale = (result.estimate * images).sum((1, 2)) / (images**2).sum((1, 2))
    fitted = scale[:, None, None] * images
    error = np.abs(result.estimate - fitted).max((1, 2)) / np.abs(fitted).max((1, 2))
    assert (error < (1e-4 if dtype == "float32" else 1e-8)).all()


def test_noisy_and_unsolved_images_are_not_called_unique():
    phase = analyse(textured(16, 3), (32, 32)).phase
    noisy = add_phase_noise(phase, 0.01, np.random.default_rng(0), (32, 32))
    for given in (
        phasegan.reconstruct(noisy, shape=(16, 16), method="cg"),
        phasegan.reconstruct(phase, shape=(16, 16), method="cg", iterations=3),
        solve(textured(16, 3), frame=20),
        solve(centrosymmetric(3)),
    ):
        assert not given.unique_up_to_scale.any()


@pytest.mark.parametrize(("n", "apart"), [(32, 16), (16, 3)])
def test_two_pixels_are_never_certified_with_another_ratio(n, apart):
    rng = np.random.default_rng(3)
    images = np.zeros((40, n, n), np.int64)
    images[:, 0, 0], images[:, 0, apart] = rng.integers(1, 256, (2, 40))
    spectrum = analyse(images, (2 * n, 2 * n))
    codes = encode(spectrum.phase, "uint16")
    trusted = ~spectrum.undefined
    observation = Observation(decode(codes), trusted, half_steps(codes))
    found = make_method("cg", Problem((n, n), (2 * n, 2 * n)))(observation)
    right = (found.estimate == reduced(images)).all(axis=(1, 2))
    reasons = set()
    for certificate, same in zip(found.certificates, right, strict=True):
        assert same or not certificate.certified
        if not certificate.certified and certificate.unique:
            assert certificate.verdict is Verdict.UNIQUE_UP_TO_SCALE
            reasons.add(certificate.reason.split(",")[0])
    assert "other integers give the same phases" in reasons
    assert right.sum() > 4


@pytest.mark.parametrize("dtype", ["float64", "uint16"])
def test_integer_blurs_of_a_picture_are_not_certified_as_that_picture(dtype):
    rng = np.random.default_rng(11)
    content = rng.integers(1, 60, (12, 8, 12))
    images = np.stack([convolve2d(c, np.outer([1, 2, 1], [1])) for c in content])
    images = np.pad(images, ((0, 0), (0, 2), (0, 0)))
    if dtype == "float64":
        certified, estimate = solve(images).certified, solve(images).estimate
    else:
        certified, estimate = kept(images, dtype)
    right = (estimate == reduced(images)).all(axis=(1, 2))
    assert not (certified & ~right).any()


def test_borders_are_those_of_the_content_where_the_window_is_wider():
    content = np.array(
        [[60, 9, 5, 1, 0], [28, 30, 13, 11, 10], [18, 56, 29, 2, 24]],
    )
    image = convolve2d(content, [[1], [2], [1]])[None]
    certified, estimate = kept(image, "float32")
    assert not certified.any() or np.array_equal(estimate, image)


def test_images_with_both_signs_are_not_certified():
    signed = textured(16, 6)
    signed = signed - (signed.max(axis=(1, 2), keepdims=True) * 2) // 3
    assert (signed.min((1, 2)) < 0).all()
    assert (signed.max((1, 2)) > 0).all()
    assert not solve(signed).certified.any()


def test_a_sample_that_vanishes_does_not_hinder_a_proof():
    images = textured(16, 40) // 4
    undefined = analyse(images, (32, 32)).undefined
    images = images[undefined.any(axis=(1, 2))][:3]
    known = solve(images, mask=~analyse(images, (32, 32)).undefined)
    assert known.certified.all()
    phase = np.angle(np.fft.rfft2(images, s=(32, 32)))
    given = phasegan.reconstruct(phase, method="cg", shape=(16, 16), symmetrise=True)
    assert given.certified.all()


def test_a_plane_is_certified_alike_alone_and_in_a_stack():
    images = np.concatenate([textured(20, 3), centrosymmetric(1, 20), opposite_borders(2)[0]])
    together = solve(images)
    for i, image in enumerate(images):
        alone = solve(image[None])
        assert alone.certificates[0].verdict is together.certificates[i].verdict
        assert alone.certificates[0].support == together.certificates[i].support
        if alone.certified[0]:
            np.testing.assert_array_equal(alone.estimate[0], together.estimate[i])


def test_a_plane_with_undefined_phases_changes_nothing_for_its_neighbours():
    images = opposite_borders(2)[0][:1]
    pair = np.zeros((1, 20, 20), np.int64)
    pair[0, 0, [0, 2]] = 5
    pair[0, 7, 3] = 0
    stack = np.concatenate([images, pair])
    spectrum = analyse(stack, (40, 40))
    assert not spectrum.undefined[0].any()
    assert spectrum.undefined[1].any()
    options = {"method": "cg", "shape": (20, 20)}
    alone = phasegan.reconstruct(spectrum.phase[:1], **options)
    together = phasegan.reconstruct(spectrum.phase, mask=~spectrum.undefined, **options)
    assert alone.certificates[0].certified
    assert together.certificates[0].certified


def test_an_image_that_is_nearly_centrosymmetric_is_not_called_so():
    image = photographs(16, 1, seed=3)[0]
    image = (image + image[::-1, ::-1]) // 2
    image[2, 3] += 1
    assert (image != image[::-1, ::-1]).any()
    certificate = solve(image[None], iterations=5000).certificates[0]
    assert "equals itself" not in certificate.reason


def test_16_bit_images_are_certified():
    rng = np.random.default_rng(10)
    images = 257 * textured(12, 2) + rng.integers(0, 200, (2, 12, 12))
    images = images.clip(0, 65535)
    result = solve(images, data_range=65535, iterations=400)
    assert result.certified.all()
    np.testing.assert_array_equal(result.estimate, reduced(images))


def test_iterations_that_do_not_suffice_certify_nothing_wrong():
    images = textured(32, 4)
    for count in (1, 10, 60):
        result = solve(images, iterations=count)
        assert wrong(result, images) == 0
        assert (result.iterations <= count).all()
    assert not solve(images, iterations=1).certified.any()
