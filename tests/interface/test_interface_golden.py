"""Prepared files of kinds that `tests/data/golden` has not, kept as they were written.

`--renew` writes those that are missing and leaves the others.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import phasegan
from tests.interface.snapshots import command, draw

GOLDEN = Path(__file__).parent / "golden"
SIDE = 8
PHASES = {
    "deep.h5": {"phase_dtype": "float32"},
    "half.h5": {"phase_dtype": "float16", "phase_noise": 0.1, "oversample": 2.0},
    "wide.h5": {"size": (6, SIDE), "phase_bits": 8, "oversample": 1.25},
}
PAIRS = {"own-size.h5": {"fit": "none", "alpha": "keep"}, "short.h5": {"fit": "short-side"}}


def pictures(folder: Path, deep: bool) -> Path:
    """Draw the pictures that the files were made of."""
    return draw(folder, {"pictures": 4}, (SIDE, SIDE), "uint16" if deep else "uint8") / "pictures"


@pytest.fixture(scope="module", autouse=True)
def _written(snapshots, tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    missing = [n for n in (*PHASES, *PAIRS) if not (GOLDEN / n).exists()] if snapshots.renew else []
    GOLDEN.mkdir(exist_ok=True)
    for name in missing:
        if name in PHASES:
            source = pictures(folder / name, name == "deep.h5")
            options = {"size": SIDE, "test": 1, "workers": 1, **PHASES[name]}
            phasegan.prepare(source, GOLDEN / name, **options)
        else:
            draw(folder / name, {"trainA": 2, "testA": 1}, (26, 28, 4))
            draw(folder / name, {"trainB": 2, "testB": 1}, (28, 25), "uint16")
            options = {"load": 24} if name == "short.h5" else {}
            phasegan.prepare_domains(folder / name, GOLDEN / name, **options, **PAIRS[name])


@pytest.mark.parametrize("name", [*PHASES, *PAIRS])
def test_it_is_intact(name):
    assert "every checksum matches" in command("inspect", GOLDEN / name, "--verify")


@pytest.mark.parametrize("name", PHASES)
def test_it_holds_what_it_held(name, tmp_path):
    deep = name == "deep.h5"
    options = {"size": SIDE, "test": 1, "workers": 1, **PHASES[name]}
    phasegan.prepare(pictures(tmp_path / "p", deep), tmp_path / "again.h5", **options)
    with phasegan.open(GOLDEN / name) as file, phasegan.open(tmp_path / "again.h5") as again:
        assert file.train.images().dtype == (np.uint16 if deep else np.uint8)
        np.testing.assert_array_equal(file.train.images(), again.train.images())
        assert file.train.sources() == again.train.sources()
        apart = np.angle(np.exp(1j * (file.train.phase() - again.train.phase())))
        defined = ~file.train.undefined()
        assert np.abs(apart[defined]).max() < 0.01


@pytest.mark.parametrize("name", PHASES)
def test_it_is_reconstructed_and_scored(name):
    shape = PHASES[name].get("size", (SIDE, SIDE))
    assert phasegan.reconstruct(GOLDEN / name, method="zero").estimate.shape == (1, *shape)
    rows = phasegan.evaluate(GOLDEN / name, ["mean-magnitude"], device="cpu").rows
    assert [row.method for row in rows] == ["mean-magnitude"]


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_trained_on(name):
    report = phasegan.train(
        GOLDEN / name, "never", size=24, base_channels=2, blocks=1, discriminator_channels=2,
        generator="resnet", fit=PAIRS[name]["fit"], alpha=PAIRS[name].get("alpha"), load=24,
        epochs=1, device="cpu", dry_run=True,
    )  # fmt: skip
    assert report.config.samples == 2
