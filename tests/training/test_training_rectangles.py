"""Trainings on phases of rectangles, and what their runs take."""

from __future__ import annotations

import numpy as np
import pytest

import phasegan
from phasegan.errors import InputError

OPTIONS = {
    "physics": {"widths": (2, 4), "oversample": 1.3},
    "paper": {"base_channels": 2, "blocks": 1, "oversample": 1.0},
}


@pytest.mark.parametrize("preset", OPTIONS)
def test_a_run_on_rectangles_takes_rectangles_like_them_alone(preset, tmp_path):
    options = dict(OPTIONS[preset])
    prepared = {"oversample": options.pop("oversample"), "samples": 4, "test": 2}
    report = phasegan.prepare("builtin", tmp_path / "wide.h5", size=(25, 36), **prepared)
    trained = phasegan.train(
        report.path, tmp_path / "run", preset=preset, discriminator_channels=2, epochs=1,
        device="cpu", **options,
    )  # fmt: skip
    assert trained.config.data.shape == (25, 36)
    assert trained.config.data.frame == report.layout.frame
    result = phasegan.reconstruct(report.path, run=tmp_path / "run", device="cpu")
    assert result.estimate.shape == (2, 25, 36)
    assert result.frame == report.layout.frame
    assert np.isfinite(result.estimate).all()
    turned = phasegan.prepare("builtin", tmp_path / "tall.h5", size=(36, 25), **prepared)
    sizes = "N = M = 25×36" if preset == "paper" else "N = 25×36, M = 32×47"
    with pytest.raises(InputError, match=f"{sizes}"):
        phasegan.reconstruct(turned.path, run=tmp_path / "run", device="cpu")


def test_phases_and_images_of_other_shapes_are_refused_with_both(tmp_path):
    sizes = {"wide.h5": (24, 36), "tall.h5": (36, 24)}
    for name, size in sizes.items():
        phasegan.prepare("builtin", tmp_path / name, size=size, samples=2, test=1)
    with pytest.raises(InputError, match=r"N = 36×24, the phases of .* have N = 24×36"):
        phasegan.train(tmp_path / "wide.h5", tmp_path / "r", images=tmp_path / "tall.h5")


def test_sides_that_are_too_small_are_refused(tmp_path):
    phasegan.prepare("builtin", tmp_path / "flat.h5", size=(16, 64), samples=2, test=1)
    with pytest.raises(InputError, match="images of 16×64 are too small for the 70×70"):
        phasegan.train(tmp_path / "flat.h5", tmp_path / "r", preset="paper", device="cpu")
