"""Prepared files that hold phases and no images."""

from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest

import phasegan
from phasegan.data.hdf5.layout import SAMPLE_DATASETS, attributes_checksum, plain_attributes
from phasegan.data.hdf5.verification import verify
from phasegan.errors import InputError

OPTIONS = {"size": 16, "samples": 9, "test": 3}


@pytest.fixture
def both(pictures, tmp_path):
    """The same pictures with their images and as phases alone."""
    whole, alone = tmp_path / "whole.h5", tmp_path / "alone.h5"
    phasegan.prepare(pictures, whole, **OPTIONS)
    phasegan.prepare(pictures, alone, **OPTIONS, images=False)
    return whole, alone


def without_attribute(path):
    """Make a file what it was before `has_images` was there."""
    with h5py.File(path, "r+") as f:
        recipe = json.loads(f.attrs["recipe"])
        del f.attrs["has_images"], recipe["preprocessing"]["images"]
        f.attrs["recipe"] = json.dumps(recipe, sort_keys=True)
        plain = plain_attributes(f.attrs, str(path))
        f.attrs["attributes_checksum"] = attributes_checksum(plain)


@pytest.mark.parametrize("channels", ["gray", "rgb"])
@pytest.mark.parametrize("degraded", [{}, {"phase_noise": 0.2, "phase_bits": 4}])
def test_nothing_but_images_and_what_is_taken_from_them_is_missing(
    pictures, tmp_path, channels, degraded
):
    options = OPTIONS | degraded | {"channels": channels, "oversample": 1.5}
    phasegan.prepare(pictures, tmp_path / "whole.h5", **options)
    phasegan.prepare(pictures, tmp_path / "alone.h5", **options, images=False)
    names = {f"{s}/{d}" for s in ("train", "test") for d in SAMPLE_DATASETS}
    with h5py.File(tmp_path / "whole.h5") as whole, h5py.File(tmp_path / "alone.h5") as alone:
        found: list[str] = []
        alone.visit(found.append)
        kept = {name for name in names if not name.split("/")[1].startswith("images")}
        assert set(found) == kept | {"train", "test"}
        for name in kept:
            np.testing.assert_array_equal(whole[name][()], alone[name][()])
        summed = {name for name in kept if not name.endswith("/phase_sha256")}
        assert set(json.loads(alone.attrs["checksums"])) == summed
        assert whole.attrs["has_images"]
        assert not alone.attrs["has_images"]
        assert whole.attrs["source_checksum"] == alone.attrs["source_checksum"]


def test_the_file_says_what_it_lacks(both):
    with phasegan.open(both[0]) as whole, phasegan.open(both[1]) as alone:
        assert (whole.has_images, alone.has_images) == (True, False)
        assert alone.layout.describe().endswith(", no images")
        assert alone.layout.sample_bytes == alone.test.codes([0]).nbytes
        assert whole.digest != alone.digest
        for call in (alone.test.images, alone.train.images, alone.mean_magnitude):
            with pytest.raises(InputError, match=r"alone\.h5 holds phases and no images: [^\n]+$"):
                call()


def test_it_is_verified_and_strangers_are_found(both):
    with phasegan.open(both[1]) as file:
        assert verify(file) == []
    with h5py.File(both[1], "r+") as f:
        f["train/images"] = np.zeros((9, 16, 16), np.uint8)
        f["train/phase"][0, 1, 1] += 1
    with phasegan.open(both[1]) as file:
        assert verify(file) == ["train/phase (1 sample: 0)", "train/images (unknown)"]


def test_files_from_before_the_attribute_read_as_before(both, pictures):
    without_attribute(both[0])
    with phasegan.open(both[0]) as file:
        assert file.has_images
        assert verify(file) == []
        assert file.test.images().shape == (3, 16, 16)
    assert not phasegan.prepare(pictures, both[0], **OPTIONS).written
    without_attribute(both[1])
    with pytest.raises(InputError, match="train/images is missing"):
        phasegan.open(both[1])


def test_the_attribute_must_be_a_boolean(both):
    with h5py.File(both[0], "r+") as f:
        f.attrs["has_images"] = "no"
    with pytest.raises(InputError, match="damaged attributes"):
        phasegan.open(both[0])


def test_preparing_otherwise_is_refused(both, pictures):
    with pytest.raises(InputError, match=r"prepared otherwise \(.*images"):
        phasegan.prepare(pictures, both[0], **OPTIONS, images=False)
    again = phasegan.prepare(pictures, both[1], **OPTIONS, images=False)
    assert (again.written, again.train, again.test) == (False, 9, 3)


def test_a_recipe_can_ask_for_phases_alone(pictures, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'name="mine"\n[source]\nkind="folder"\npath="pictures"\n'
        "[preprocessing]\nsize=16\nimages=false\n"
    )
    assert not phasegan.prepare(recipe, tmp_path / "m.h5").layout.has_images
    assert phasegan.prepare(recipe, tmp_path / "n.h5", images=True).layout.has_images
    with pytest.raises(InputError, match="prepare: images = "):
        phasegan.prepare(recipe, tmp_path / "o.h5", images=1)


def test_it_is_reconstructed_without_references(both):
    whole, alone = both
    for method in ("zero", "unit-magnitude", "power-law", "map"):
        result = phasegan.reconstruct(alone, method=method, iterations=3)
        assert result.references is None
        assert result.estimate.shape == (3, 16, 16)
    expected = phasegan.reconstruct(whole, method="mean-magnitude")
    found = phasegan.reconstruct(alone, method="mean-magnitude", statistics=whole)
    np.testing.assert_array_equal(found.estimate, expected.estimate)
    assert phasegan.reconstruct(alone, iterations=3).method == "auto (map)"


@pytest.mark.parametrize("method", ["mean-image", "mean-magnitude", "shrinkage"])
def test_methods_that_need_statistics_name_the_option(both, method):
    with pytest.raises(InputError, match=r"no images: .*--statistics OTHER\.h5"):
        phasegan.reconstruct(both[1], method=method)
    with pytest.raises(InputError, match=r"alone\.h5 .*--statistics OTHER\.h5"):
        phasegan.reconstruct(both[0], method=method, statistics=both[1])


def test_pictures_can_be_reconstructed_without_references(pictures):
    options = {"size": 16, "images": False}
    result = phasegan.reconstruct(pictures, method="zero", preprocessing=options)
    assert result.references is None


def test_what_needs_references_refuses_it_before_any_work(both, tmp_path):
    out = tmp_path / "out"
    for call in (
        lambda: phasegan.evaluate(both[1]),
        lambda: phasegan.evaluate(both[1], ["zero"]),
        lambda: phasegan.evaluate(both[1], ["shrinkage"]),
        lambda: phasegan.atlas(both[1], out),
        lambda: phasegan.bench(2, 1, data=both[1], output=out, device="cpu"),
    ):
        with pytest.raises(InputError, match=r"alone\.h5 holds phases and no images: "):
            call()
    assert not out.exists()


def test_the_commands_say_it(run_cli, pictures):
    made = run_cli("prepare", pictures, "-o", "a.h5", "--size", 16, "--without-images")
    assert made.status == 0
    assert "phase uint16, no images, in" in made.out
    seen = run_cli("inspect", "a.h5", "--verify")
    assert "  images      no images, the phases are those of 16×16 gray, 8 bit" in seen.out
    assert "every checksum matches" in seen.out
    facts = json.loads(run_cli("inspect", "a.h5", "--json").out)
    assert facts["has_images"] is False
    done = run_cli("reconstruct", "a.h5", "--method", "unit-magnitude", "-o", "out")
    assert done.status == 0
    assert "MSE" not in done.out
    for command in (["evaluate", "a.h5"], ["atlas", "a.h5"], ["bench", "--data", "a.h5"]):
        refused = run_cli(*command)
        assert refused.status == 2
        assert re.fullmatch(r"phasegan: error: a\.h5 holds phases and no images: .+\n", refused.err)
