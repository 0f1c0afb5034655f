"""Laws of the choice of a method."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import phasegan
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.phase import analyse
from phasegan.progress import Progress
from phasegan.reconstruction.auto import MAX_EXACT_NOISE, choose_method
from phasegan.reconstruction.exact.certificate import Verdict
from phasegan.reconstruction.image_statistics import Statistics
from phasegan.reconstruction.noise_level import estimate_noise
from phasegan.reconstruction.protocol import Observation, Problem


def photographs(n, count, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (20 * count, 2))
    found = np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)
    return found[found.std(axis=(1, 2)) > 20][:count]


def problem(n, m, statistics=None):
    return Problem((n, n), (m, m), statistics=statistics)


def means(n, m, training=None):
    return Statistics(np.zeros((n, n)), np.ones((m, m // 2 + 1)), 1, 255, training)


class Listening(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.warnings, self.details = [], []

    def warn(self, text):
        self.warnings.append(text)

    def detail(self, text):
        self.details.append(text)


def scaled_error(estimates, images):
    e, x = estimates.reshape(len(images), -1), images.reshape(len(images), -1).astype(float)
    e = e * ((e * x).sum(1) / (e * e).sum(1))[:, None]
    return ((e - x) ** 2).mean(1)


@pytest.mark.parametrize(("n", "m"), [(32, 64), (32, 46), (32, 128)])
def test_clean_phases_of_enough_padding_are_solved_by_cg(n, m):
    assert choose_method(problem(n, m), 0.0) == "cg"
    assert choose_method(problem(n, m), MAX_EXACT_NOISE) == "cg"
    assert choose_method(problem(n, m), 1.01 * MAX_EXACT_NOISE) == "map"


@pytest.mark.parametrize(("n", "m"), [(32, 45), (32, 33)])
def test_too_few_phases_are_left_to_map(n, m):
    for noise in (0.0, 0.3):
        assert choose_method(problem(n, m), noise) == "map"
        with_images = means(n, m, lambda count: np.zeros((count, n, n)))
        assert choose_method(problem(n, m, with_images), noise) == "map"


def test_without_padding_training_images_decide():
    assert choose_method(problem(32, 32), 0.0) == "map"
    assert choose_method(problem(32, 32, means(32, 32)), 0.0) == "map"
    training = means(32, 32, lambda count: np.zeros((count, 32, 32)))
    assert choose_method(problem(32, 32, training), 0.0) == "shrinkage"


def test_oversampling_counts_over_both_axes():
    assert choose_method(Problem((8, 32), (32, 34)), 0.0) == "cg"
    assert choose_method(Problem((8, 32), (32, 32)), 0.0) == "map"  # any blur along a row is free
    assert choose_method(Problem((30, 32), (32, 32)), 0.0) == "map"


@pytest.mark.parametrize(
    ("m", "options", "method"),
    [
        (32, {}, "cg"),
        (32, {"noise": 0.1}, "map"),
        (16, {}, "map"),
        (20, {}, "map"),
    ],
)
def test_auto_gives_what_the_method_that_it_takes_gives(m, options, method):
    phase = analyse(photographs(16, 3), (m, m)).phase
    listening = Listening()
    automatic = phasegan.reconstruct(phase, shape=(16, 16), progress=listening, **options)
    named = phasegan.reconstruct(phase, shape=(16, 16), method=method, **options)
    np.testing.assert_array_equal(automatic.estimate, named.estimate)
    assert automatic.method == f"auto ({method})"
    assert f"auto: {method}" in listening.details
    assert listening.warnings == []


def test_prepared_files_say_how_noisy_and_coarse_they_are(tmp_path):
    images = photographs(16, 5).astype(np.uint8)
    expected = {
        ("uint16", None, None): "cg",
        ("float16", None, None): "cg",
        ("uint16", 0.05, None): "map",
        ("uint16", None, 6): "map",
        ("float32", None, 12): "cg",
    }
    for i, ((dtype, noise, bits), method) in enumerate(expected.items()):
        path = tmp_path / f"{i}.h5"
        phasegan.prepare(
            images, path, size=16, oversample=2, samples=2, test=3,
            phase_dtype=dtype, phase_noise=noise, phase_bits=bits,
        )  # fmt: skip
        listening = Listening()
        phasegan.reconstruct(path, progress=listening)
        assert f"auto: {method}" in listening.details, (dtype, noise, bits)


def test_unpadded_files_bring_training_images(tiny):
    listening = Listening()
    result = phasegan.reconstruct(tiny, progress=listening)
    assert "auto: shrinkage" in listening.details
    named = phasegan.reconstruct(tiny, method="shrinkage")
    np.testing.assert_array_equal(result.estimate, named.estimate)


@pytest.mark.parametrize("sigma", [0.03, 0.1, 0.3])
def test_noise_that_nobody_declared_is_noticed_and_taken_into_account(sigma):
    images = photographs(32, 5)
    clean = analyse(images, (64, 64)).phase
    noisy = add_phase_noise(clean, sigma, np.random.default_rng(1), (64, 64))
    listening = Listening()
    found = phasegan.reconstruct(noisy, shape=(32, 32), progress=listening)
    assert len(listening.warnings) == 1
    assert "taken as noisy" in listening.warnings[0]
    assert not found.certified.any()
    assert found.method == "auto (map)"
    assert found.certificates is None
    least = phasegan.reconstruct(noisy, shape=(32, 32), method="cg")
    ours, theirs = (scaled_error(r.estimate, images) for r in (found, least))
    assert ours.mean() < 0.8 * theirs.mean()
    stated = phasegan.reconstruct(noisy, shape=(32, 32), noise=sigma)
    assert ours.mean() < 1.5 * scaled_error(stated.estimate, images).mean()


@pytest.mark.parametrize("ratio", [1.5, 2.0])
@pytest.mark.parametrize("sigma", [0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_noise_is_estimated_from_the_phases_alone(ratio, sigma, factor):
    images, m = photographs(48, 3), round(48 * ratio)
    noisy = add_phase_noise(analyse(images, (m, m)).phase, sigma, np.random.default_rng(0), (m, m))
    found = estimate_noise(Observation(noisy), problem(48, m), np.full(3, factor * sigma))
    assert (found > 0.7 * sigma).all()
    assert (found < 1.6 * sigma).all()


@pytest.mark.numerical
def test_the_noise_of_a_sample_does_not_depend_on_its_neighbours():
    images = photographs(24, 3)
    phase = analyse(images, (48, 48)).phase
    for i, sigma in enumerate((0.02, 0.1, 0.3)):
        phase[i] = add_phase_noise(phase[i], sigma, np.random.default_rng(i), (48, 48))
    together = phasegan.reconstruct(phase, shape=(24, 24))
    stack = estimate_noise(Observation(phase), problem(24, 48), np.array([0.02, 0.1, 0.3]))
    for i, guess in enumerate((0.02, 0.1, 0.3)):
        alone = estimate_noise(Observation(phase[i : i + 1]), problem(24, 48), np.array([guess]))
        # of two significant digits, of which rounding may shift the last by one
        np.testing.assert_allclose(alone[0], stack[i], rtol=0.11)
        single = phasegan.reconstruct(phase[i], shape=(24, 24))
        errors = [
            scaled_error(e[None], images[i : i + 1])
            for e in (single.estimate, together.estimate[i])
        ]
        np.testing.assert_allclose(*errors, rtol=0.1)


@pytest.mark.parametrize("ratio", [1.5, 2.0])
def test_little_noise_is_noticed_too(ratio):
    images, m = photographs(32, 4), round(32 * ratio)
    noisy = add_phase_noise(analyse(images, (m, m)).phase, 0.01, np.random.default_rng(1), (m, m))
    listening = Listening()
    found = phasegan.reconstruct(noisy, shape=(32, 32), progress=listening)
    assert "of 4 of 4 samples" in listening.warnings[0]
    stated = phasegan.reconstruct(noisy, shape=(32, 32), noise=0.01)
    ours, theirs = (scaled_error(r.estimate, images) for r in (found, stated))
    assert (ours < 1.26 * theirs).all()  # 1 dB


def test_coarse_phases_that_nobody_declared_are_noticed():
    images = photographs(32, 3)
    coarse = quantise_phase(analyse(images, (64, 64)).phase, 4)
    listening = Listening()
    found = phasegan.reconstruct(coarse, shape=(32, 32), progress=listening)
    assert "taken as noisy" in listening.warnings[0]
    assert not found.certified.any()


def test_one_noisy_sample_among_clean_ones_changes_nothing_for_them():
    images = photographs(32, 4)
    phase = analyse(images, (64, 64)).phase
    phase[2] = add_phase_noise(phase[2], 0.1, np.random.default_rng(2), (64, 64))
    listening = Listening()
    found = phasegan.reconstruct(phase, shape=(32, 32), progress=listening)
    assert "of 1 of 4 samples" in listening.warnings[0]
    assert found.certified.tolist() == [True, True, False, True]
    assert found.method == "auto (cg, map)"
    assert found.certificates[2].verdict is Verdict.NOT_TRIED
    assert "map" in found.certificates[2].reason
    for i in (0, 1, 3):
        np.testing.assert_array_equal(found.estimate[i], images[i])
    assert found.residual[2] > 0.01


def test_clean_phases_are_not_taken_for_noisy_ones():
    images = photographs(24, 4)
    images[0, :3] = images[0, -2:] = 0
    images[1] = (images[1] + images[1][::-1, ::-1]) // 2
    listening = Listening()
    phasegan.reconstruct(analyse(images, (48, 48)).phase, shape=(24, 24), progress=listening)
    assert listening.warnings == []


@pytest.mark.parametrize("oversampling", [1, 1.5, 2])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_black_planes_are_black_whatever_the_others_are(oversampling, noise):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 20, 28)).astype(float)
    images[0, 2] = images[1] = 0.0
    frame = tuple(round(side * oversampling) for side in images.shape[-2:])
    spectrum = np.fft.rfft2(images, s=frame)
    phase = np.angle(spectrum) + noise * rng.standard_normal(spectrum.shape)
    phase = np.angle(np.exp(1j * phase))
    mask = np.abs(spectrum) > 1e-9
    result = phasegan.reconstruct(
        phase, shape=(20, 28), mask=mask, symmetrise=noise > 0, noise=None
    )
    assert np.isfinite(result.estimate).all()
    assert not result.estimate[0, 2].any()
    assert not result.estimate[1].any()
    if oversampling == 2 and not noise:
        certified = [c.certified for c in result.certificates]
        assert certified == [True, True, False, False, False, False]
        assert "no phase is defined" in result.certificates[2].reason
