"""Laws of known brightness and known magnitudes."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import phasegan
from phasegan.errors import InputError
from phasegan.fourier.phase import analyse
from phasegan.reconstruction.known_magnitudes import with_magnitudes
from phasegan.reconstruction.registry import METHODS

N = 16


def photographs(count, n=N, seed=0):
    picture, rng = data.camera(), np.random.default_rng(seed)
    corners = rng.integers(0, 512 - n, (count, 2))
    return np.stack([picture[i : i + n, j : j + n] for i, j in corners]).astype(np.int64)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    path = tmp_path_factory.mktemp("known") / "tiny.h5"
    phasegan.prepare("builtin", path, size=N, samples=40, test=4)
    return path


@pytest.mark.parametrize("name", [n for n in METHODS if not n.startswith("learned")])
def test_every_method_has_the_stored_mean_and_is_no_worse_for_it(name, prepared):
    options = {"method": name, "iterations": 60}
    plain = phasegan.reconstruct(prepared, **options)
    known = phasegan.reconstruct(prepared, mean="stored", **options)
    means = known.references.mean(axis=(-2, -1))
    np.testing.assert_allclose(known.estimate.mean(axis=(-2, -1)), means, rtol=1e-6)
    error = [np.mean((r.estimate - r.references) ** 2, axis=(-2, -1)) for r in (plain, known)]
    assert error[1].mean() <= error[0].mean()


@pytest.mark.parametrize("frame", [N, 24, 2 * N + 1])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_known_magnitudes_are_those_of_the_estimate(frame, share):
    image = photographs(1)[0]
    spectrum = analyse(image, (frame, frame))
    rng = np.random.default_rng(1)
    known = np.where(rng.random(spectrum.magnitude.shape) < share, spectrum.magnitude, np.nan)
    start = rng.normal(100, 50, image.shape)
    result = with_magnitudes(start, spectrum.phase, known, (frame, frame))
    inside = np.isfinite(known)
    found = np.fft.rfft2(result, s=(frame, frame))
    expected = spectrum.magnitude * np.exp(1j * spectrum.phase)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-6 * expected.real.max())
    # x is nearer to every image with these magnitudes, by Pythagoras
    moved, left = np.sum((result - start) ** 2), np.sum((result - image) ** 2)
    np.testing.assert_allclose(moved + left, np.sum((start - image) ** 2), rtol=1e-6)
    if share == 1.0:
        np.testing.assert_allclose(result, image, atol=1e-6)


@pytest.mark.parametrize("oversample", [1, 2])
@pytest.mark.parametrize("name", ["cg", "pocs", "map", "unit-magnitude", "zero"])
def test_known_magnitudes_everywhere_give_the_image(name, oversample):
    images = photographs(2)
    spectrum = analyse(images, (oversample * N, oversample * N))
    result = phasegan.reconstruct(
        spectrum.phase, shape=N, method=name, iterations=5, magnitudes=spectrum.magnitude
    )
    np.testing.assert_allclose(result.estimate, images, atol=1e-5)


def test_one_known_magnitude_fixes_the_scale_of_what_is_solved_up_to_it():
    image = photographs(1)[0] + 0.37  # no integers
    spectrum = analyse(image, (2 * N, 2 * N))
    known = np.full(spectrum.phase.shape, np.nan)
    known[3, 2] = spectrum.magnitude[3, 2]
    result = phasegan.reconstruct(
        spectrum.phase, shape=N, method="cg", iterations=400, magnitudes=known
    )
    np.testing.assert_allclose(result.estimate, image, rtol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("error", [0.0, 0.4])
def test_a_mean_says_the_common_factor_of_proved_integers(factor, error):
    image = np.random.default_rng(0).integers(0, 80, (N, N))
    phase = analyse(factor * image, (2 * N, 2 * N)).phase
    mean = factor * image.mean() + error
    result = phasegan.reconstruct(phase, shape=N, mean=mean)
    assert result.certificates[0].certified
    np.testing.assert_array_equal(result.estimate, factor * image)
    assert result.mean_known


def test_a_mean_that_contradicts_the_integers_withdraws_the_certificate():
    image = np.random.default_rng(0).integers(0, 80, (N, N))
    phase = analyse(image, (2 * N, 2 * N)).phase
    result = phasegan.reconstruct(phase, shape=N, mean=1.5 * image.mean())
    assert not result.certificates[0].certified
    assert result.unique_up_to_scale
    assert "given mean" in result.certificates[0].reason
    np.testing.assert_allclose(result.estimate, 1.5 * image, atol=1e-3)


@pytest.mark.parametrize("suffix", [".npy", ".txt", ".csv"])
@pytest.mark.parametrize("channels", [False, True])
def test_means_come_from_files(suffix, channels, tmp_path):
    means = np.array([[10.0, 20, 30], [40, 50, 60]]) if channels else np.array([100.0, 50])
    images = photographs(6).reshape(2, 3, N, N)
    path = tmp_path / f"means{suffix}"
    if suffix == ".npy":
        np.save(path, means)
    else:
        np.savetxt(path, means, delimiter="," if suffix == ".csv" else " ")
    phase = analyse(images, (N, N)).phase
    result = phasegan.reconstruct(phase, method="map", mean=path)
    expected = means if channels else np.repeat(means[:, None], 3, 1)
    np.testing.assert_allclose(result.estimate.mean((-2, -1)), expected)


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (-1, "-1"),
        (256, "white, 255"),
        (np.nan, "nan"),
        (np.inf, "inf"),
        ([1.0, 2.0, 3.0], "shape (3,)"),
        ("stored", "no images are stored"),
        ("nothing.npy", "neither a number"),
        ("brightness", "neither a number"),
        ([[1, 2], [3]], "expected a number"),
    ],
)
def test_wrong_means_are_one_line(mean, words):
    phase = analyse(photographs(2), (N, N)).phase
    with pytest.raises(InputError) as caught:
        phasegan.reconstruct(phase, method="map", mean=mean)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_magnitudes_are_one_line():
    phase = analyse(photographs(2), (N, N)).phase
    for wrong, words in ((np.ones((3, 3)), "shape"), (-np.ones(phase.shape), "not negative")):
        with pytest.raises(InputError, match=words):
            phasegan.reconstruct(phase, method="map", magnitudes=wrong)


def test_the_command_takes_a_mean(prepared, tmp_path, run_cli):
    bad = tmp_path / "bad.txt"
    bad.write_text("bright\n")
    for value, code in (("118", 0), ("stored", 0), ("-3", 2), ("300", 2), (str(bad), 2)):
        outcome = run_cli("reconstruct", prepared, "--mean", value, "-o", tmp_path / f"o{value}")
        assert outcome.status == code, outcome
