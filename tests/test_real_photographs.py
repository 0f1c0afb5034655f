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
