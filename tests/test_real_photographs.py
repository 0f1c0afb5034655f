"""The main job on real photographs, where there are some."""

from __future__ import annotations

import pytest

import phasegan

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def scenes(real_data, tmp_path_factory):
    folder = real_data / "scenes150"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no scenes150")
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    report = phasegan.prepare(folder, path)
    assert (report.train, report.test, report.skipped) == (4500, 500, [])
    return path


@pytest.mark.slow
def test_baselines_have_the_known_errors(scenes):
    rows = phasegan.evaluate(scenes, ["zero", "mean-image", "mean-magnitude"]).rows
    mse = [row.values["mse"] for row in rows]
    assert mse == pytest.approx([18031, 3919, 1967], rel=0.01)
    assert rows[2].values["mse_scale"] == pytest.approx(1142, rel=0.01)
    assert rows[2].values["mse_affine"] == pytest.approx(893, rel=0.01)


def test_every_stored_scene_is_restored_by_its_phase(scenes):
    import numpy as np

    with phasegan.open(scenes) as file:
        phase, images = file.test.phase(), file.test.images()
    magnitude = np.abs(np.fft.rfft2(images.astype(float)))
    restored = np.fft.irfft2(magnitude * np.exp(1j * phase), s=(128, 128))
    np.testing.assert_array_equal(np.rint(restored), images)


def test_flowers_of_any_shape_are_prepared(real_data, tmp_path):
    folder = real_data / "sunflower2daisy" / "testA"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no sunflower2daisy")
    report = phasegan.prepare(folder, tmp_path / "f.h5", channels="rgb", fit="pad", oversample=1.5)
    assert report.train + report.test == 138
    assert report.layout.phase_shape == (3, 192, 97)


def _twice_padded(scenes, indices):
    import numpy as np

    from phasegan.benchmark.atlas import observe

    with phasegan.open(scenes) as file:
        images = file.test.images(np.asarray(indices))
    return images, lambda pictures, kind="noise", level=0.0: observe(pictures, 256, kind, level, 0)


def _solved(observation):
    from phasegan.reconstruction.protocol import Problem
    from phasegan.reconstruction.registry import make_method

    return make_method("cg", Problem((128, 128), (256, 256)))(observation)


HARD = [47, 70, 288, 290, 469]
"""Badly conditioned photographs, and one with black borders on opposite sides."""


@pytest.mark.slow
def test_photographs_are_certified_from_their_phase_alone(scenes):
    import numpy as np

    images, observed = _twice_padded(scenes, [*range(10), *HARD])
    found = _solved(observed(images))
    assert all(c.certified for c in found.certificates)
    np.testing.assert_array_equal(found.estimate, images)
    assert found.certificates[13].support == (13, 111, 0, 128)


@pytest.mark.slow
def test_black_borders_are_certified_on_their_window_or_not_at_all(scenes):
    import numpy as np

    images, observed = _twice_padded(scenes, range(20, 26))
    rng = np.random.default_rng(3)
    for image in images:
        top, bottom, left, right = rng.integers(1, 25, 4)
        image[:top], image[128 - bottom :] = 0, 0
        image[:, :left], image[:, 128 - right :] = 0, 0
    found = _solved(observed(images))
    for estimate, image, certificate in zip(
        found.estimate, images, found.certificates, strict=True
    ):
        if certificate.certified:
            np.testing.assert_array_equal(estimate, image)
        else:
            assert certificate.verdict in ("not unique", "unique up to scale")
            assert certificate.reason
    assert sum(c.certified for c in found.certificates) >= 3


@pytest.mark.slow
def test_nothing_is_certified_falsely(scenes):
    images, observed = _twice_padded(scenes, range(30, 36))
    turned = (images.astype(int) + images[:, ::-1, ::-1]) // 2
    for pictures, kind, level in (
        (images, "noise", 1e-4),
        (images, "noise", 0.1),
        (images, "bits", 8.0),
        (turned.astype("uint8"), "noise", 0.0),
    ):
        found = _solved(observed(pictures, kind, level))
        assert not any(c.certified for c in found.certificates), (kind, level)


@pytest.mark.slow
def test_a_short_training_moves_flowers_towards_the_other_domain(real_data, tmp_path):
    folder = real_data / "sunflower2daisy"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no sunflower2daisy")
    run = tmp_path / "run"
    phasegan.train(
        folder, run, size=32, samples=120, epochs=6, base_channels=8, discriminator_channels=8,
        variant="small", device="cpu",
    )  # fmt: skip
    found = phasegan.score_translations(folder, [run], device="cpu")
    assert (found.counts, found.paired) == ((138, 126), False)
    rows = {(row.kind, row.way): row.values for row in found.rows}
    for way in ("ab", "ba"):
        made, raw = rows["run", way], rows["baseline", way]
        assert made["swd"] < 0.9 * raw["swd"]
        assert made["taken"] > raw["taken"] + 0.05


def test_test_pictures_of_equal_names_are_pairs(real_data):
    folder = real_data / "photo2hayao"
    if not folder.is_dir():
        pytest.skip("PHASEGAN_TEST_DATA has no photo2hayao")
    from phasegan.data.domain_folders import open_domains

    domains = open_domains(folder)
    assert domains.paired
    assert [len(part) for part in domains.train] == [250, 250]
