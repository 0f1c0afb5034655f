"""Prepared files whose phases have noise and few bits."""

from __future__ import annotations

import hashlib
import json
import re

import h5py
import numpy as np
import pytest

import phasegan
from phasegan.data.hdf5.layout import SAMPLE_DATASETS, attributes_checksum, plain_attributes
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare.in_memory import encode_images
from phasegan.errors import InputError
from phasegan.fourier.degradation import add_phase_noise, quantise_phase
from phasegan.fourier.encoding import encode
from phasegan.fourier.phase import analyse
from phasegan.progress import Progress

OPTIONS = {"size": 16, "samples": 9, "test": 3}
CLEAN = [
    f"{s}/{d}" for s in ("train", "test") for d in SAMPLE_DATASETS if not d.startswith("phase")
]
CLEAN.append("train/mean_magnitude")


def contents(path, names):
    with h5py.File(path) as f:
        return {name: f[name][()] for name in names}


def phases(path, split="train"):
    with phasegan.open(path) as file:
        return file.split(split).phase()


def make_older(path):
    """Take out of a file what files had not before noise and bits were there."""
    with h5py.File(path, "r+") as f:
        recipe = json.loads(f.attrs["recipe"])
        for name in ("phase_noise", "phase_bits"):
            del f.attrs[name], recipe["preprocessing"][name]
        f.attrs["recipe"] = json.dumps(recipe, sort_keys=True)
        plain = plain_attributes(f.attrs, str(path))
        f.attrs["attributes_checksum"] = attributes_checksum(plain)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32"])
@pytest.mark.parametrize(("noise", "bits"), [(0.2, None), (None, 4), (0.2, 1), (3.0, 16)])
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_only_the_phase_differs_from_the_clean_file(
    pictures, tmp_path, dtype, noise, bits, channels
):
    clean, degraded = tmp_path / "c.h5", tmp_path / "d.h5"
    options = OPTIONS | {"phase_dtype": dtype, "channels": channels, "oversample": 1.5}
    phasegan.prepare(pictures, clean, **options)
    phasegan.prepare(pictures, degraded, **options, phase_noise=noise, phase_bits=bits)
    expected, found = contents(clean, CLEAN), contents(degraded, CLEAN)
    for name in CLEAN:
        np.testing.assert_array_equal(found[name], expected[name])
    assert (phases(clean) != phases(degraded)).mean() > 0.5 * (noise is not None or bits < 16)
    with phasegan.open(degraded) as file:
        assert verify(file) == []
        assert file.layout.degraded
        assert (file.layout.phase_noise, file.layout.phase_bits) == (noise or 0.0, bits)
        assert file.attributes["phase_noise"] == (noise or 0.0)
        assert file.attributes["phase_bits"] == (bits or 0)
        recipe = file.attributes["recipe"]["preprocessing"]
        assert (recipe["phase_noise"], recipe["phase_bits"]) == (noise or 0.0, bits)
        codes = file.train.codes()
        if dtype == "uint16" and bits:
            assert not (codes % (65536 >> bits)).any()


def test_the_noise_is_that_of_the_document(pictures, tmp_path):
    path = tmp_path / "d.h5"
    phasegan.prepare(pictures, path, **OPTIONS, seed=7, phase_noise=0.3, phase_bits=5)
    with phasegan.open(path) as file:
        name, sha256 = file.test.sources([1])[0], file.test.source_sha256([1])[0]
        image, stored = file.test.images([1])[0], file.test.codes([1])[0]
    digest = hashlib.sha256(f"7\0{name}\0{sha256}".encode()).hexdigest()
    rng = np.random.default_rng(np.random.SeedSequence(int(digest, 16)))
    noisy = add_phase_noise(analyse(image, (16, 16)).phase, 0.3, rng, (16, 16))
    np.testing.assert_array_equal(stored, encode(quantise_phase(noisy, 5), "uint16"))


def test_the_bytes_do_not_depend_on_the_workers(pictures, tmp_path):
    for workers in (1, 4):
        phasegan.prepare(
            pictures, tmp_path / f"{workers}.h5", size=16, workers=workers, phase_noise=0.5
        )
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "4.h5").read_bytes()


def test_the_noise_is_that_of_the_sample_wherever_it_stands(pictures, tmp_path):
    few, many = tmp_path / "few.h5", tmp_path / "many.h5"
    phasegan.prepare(pictures, few, size=16, samples=3, test=2, phase_noise=0.5)
    phasegan.prepare(pictures, many, size=16, samples=12, test=0, phase_noise=0.5)
    with phasegan.open(few) as a, phasegan.open(many) as b:
        where = [b.train.sources().index(name) for name in a.test.sources()]
        np.testing.assert_array_equal(a.test.phase(), b.train.phase(where))


def test_neither_samples_nor_seeds_share_their_noise(tmp_path):
    points = np.zeros((4, 16, 16), np.uint8)
    points[:, 0, 0] = 200  # every phase is 0: what is stored is the noise
    noise = []
    for seed in (0, 1):
        path = tmp_path / f"{seed}.h5"
        phasegan.prepare(points, path, size=16, test=0, phase_noise=0.5, seed=seed)
        noise += list(phases(path))
    assert len(noise) == 8
    for i, one in enumerate(noise):
        for other in noise[:i]:
            assert (one != other).mean() > 0.9


def test_undefined_phases_stay_0(tmp_path):
    images = np.full((2, 16, 16), 9, np.uint8)
    images[1, 3, 3] = 200
    phasegan.prepare(images, tmp_path / "u.h5", size=16, test=0, phase_noise=1.0, phase_bits=3)
    with phasegan.open(tmp_path / "u.h5") as file:
        undefined, phase = file.train.undefined(), file.train.phase()
    assert undefined.any()
    assert (phase[undefined] == 0).all()
    assert (phase[~undefined] != 0).any()


def test_without_the_options_the_phases_are_those_of_the_images(tiny):
    with h5py.File(tiny) as f:
        assert (f.attrs["phase_noise"], f.attrs["phase_bits"]) == (0.0, 0)
        for split in ("train", "test"):
            expected = encode(analyse(f[split]["images"][()], (32, 32)).phase, "uint16")
            np.testing.assert_array_equal(f[split]["phase"][()], expected)
    with phasegan.open(tiny) as file:
        assert not file.layout.degraded
        assert file.layout.describe().endswith("phase uint16")


def test_an_older_file_is_undegraded_and_recognised(pictures, tmp_path, run_cli):
    path = tmp_path / "p.h5"
    phasegan.prepare(pictures, path, **OPTIONS)
    make_older(path)
    with phasegan.open(path) as file:
        assert not file.layout.degraded
        assert verify(file) == []
    assert "degraded" not in run_cli("inspect", path, "--verify").out
    assert not phasegan.prepare(pictures, path, **OPTIONS).written
    with pytest.raises(InputError, match=r"phase_bits: None → 4; .*phase_noise: 0\.0 → 0\.1"):
        phasegan.prepare(pictures, path, **OPTIONS, phase_noise=0.1, phase_bits=4)


@pytest.mark.parametrize(
    ("name", "value"), [("phase_noise", -1.0), ("phase_noise", np.nan), ("phase_bits", 17)]
)
def test_attributes_out_of_range_are_damage(pictures, tmp_path, name, value):
    phasegan.prepare(pictures, tmp_path / "p.h5", **OPTIONS)
    with h5py.File(tmp_path / "p.h5", "r+") as f:
        f.attrs[name] = value
    with pytest.raises(InputError, match="contradict the format"):
        phasegan.open(tmp_path / "p.h5")


def test_pictures_in_memory_are_those_of_the_file(pictures, tmp_path):
    wanted = {"size": 16, "phase_dtype": "uint16", "phase_noise": 0.3, "phase_bits": 6}
    encoded = list(encode_images(pictures, wanted, None, Progress()))
    assert all(layout.degraded for layout, _ in encoded)
    phasegan.prepare(pictures, tmp_path / "p.h5", **wanted, test=0)
    with phasegan.open(tmp_path / "p.h5") as file:
        stored = dict(zip(file.train.sources(), file.train.codes(), strict=True))
    for _, sample in encoded:
        np.testing.assert_array_equal(sample.phase, stored[sample.source])
    others = encode_images(pictures, wanted, None, Progress(), seed=1)
    pairs = zip(encoded, others, strict=True)
    assert any((a.sample.phase != b.sample.phase).any() for a, b in pairs)
    with pytest.raises(InputError, match="phase_bits = 0"):
        next(encode_images(pictures, wanted | {"phase_bits": 0}, None, Progress()))


def test_a_recipe_can_ask_for_noise_and_bits(pictures, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'name="mine"\n[source]\nkind="folder"\npath="pictures"\n'
        "[preprocessing]\nsize=16\nphase_noise=1\nphase_bits=4\n"
    )
    layout = phasegan.prepare(recipe, tmp_path / "m.h5").layout
    assert (layout.phase_noise, layout.phase_bits) == (1.0, 4)
    layout = phasegan.prepare(recipe, tmp_path / "n.h5", phase_noise=0.0, phase_bits=5).layout
    assert (layout.phase_noise, layout.phase_bits) == (0.0, 5)


def test_the_commands_say_it(run_cli, pictures):
    made = run_cli(
        "prepare", pictures, "-o", "d.h5", "--size", 16, "--phase-noise", 0.1, "--phase-bits", 4
    )
    assert made.status == 0
    assert "phase uint16, noise 0.1 rad, 4 bits" in made.out
    again = run_cli("prepare", pictures, "-o", "1.h5", "--size", 16, "--phase-bits", 1)
    assert "phase uint16, 1 bit," in again.out
    seen = run_cli("inspect", "d.h5", "--verify")
    assert seen.status == 0
    line = next(line for line in seen.out.split("\n") if "degraded" in line)
    assert "noise of 0.1 rad, then phases rounded to 4 bit, 2πk/16" in line
    assert "every checksum matches" in seen.out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--phase-noise", "-0.1"),
        ("--phase-noise", "3.2"),
        ("--phase-noise", "nan"),
        ("--phase-noise", "much"),
        ("--phase-bits", "0"),
        ("--phase-bits", "17"),
        ("--phase-bits", "2.5"),
    ],
)
def test_bad_values_are_one_line_and_status_2(run_cli, pictures, tmp_path, option, value):
    outcome = run_cli("prepare", pictures, option, value)
    assert outcome.status == 2
    assert re.fullmatch(r"phasegan: error: [^\n]+\n", outcome.err)
    assert option in outcome.err or option[2:].replace("-", "_") in outcome.err
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("options", [{"phase_bits": True}, {"phase_bits": 4.5}, {"phase_noise": 4}])
def test_bad_values_in_python(pictures, tmp_path, options):
    with pytest.raises(InputError, match=f"prepare: {next(iter(options))} = "):
        phasegan.prepare(pictures, tmp_path / "x.h5", **options)
    assert not (tmp_path / "x.h5").exists()
