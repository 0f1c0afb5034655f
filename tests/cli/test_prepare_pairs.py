"""`phasegan prepare` and `phasegan inspect` on two domains of pictures."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from PIL import Image

from phasegan.data.domain_folders import open_domains


@pytest.fixture
def pair(tmp_path, rng):
    root = tmp_path / "flowers"
    for name, count in {"trainA": 3, "trainB": 2, "testA": 1}.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (14 + i, 12, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_a_folder_of_two_domains_becomes_a_file(run_cli, pair):
    outcome = run_cli("prepare", pair, "--load", 20, "--fit", "short-side")
    assert outcome.status == 0, outcome.err
    assert "wrote flowers.h5: 3 trainA, 2 trainB, 1 testA pictures, short-side 20" in outcome.out
    assert "3 channels, uint8" in outcome.out
    assert "phasegan train flowers.h5" in outcome.out
    stored = open_domains("flowers.h5")
    assert [len(part) for part in stored.train] == [3, 2]
    assert stored.test[0].read(0).pixels.shape == (14, 12, 3)
    assert min(stored.train[0].read(2).pixels.shape[:2]) == 20
    again = run_cli("prepare", pair, "--load", 20, "--fit", "short-side")
    assert again.status == 0
    assert "flowers.h5 is there already" in again.out
    other = run_cli("prepare", pair, "--load", 21)
    assert other.status == 2
    assert "prepared otherwise" in other.err


def test_domains_have_options_of_their_own(run_cli, pair):
    own = ("--domain-a", pair / "trainA", "--domain-b", pair / "trainB")
    dry = run_cli("prepare", *own, "--dry-run")
    assert (dry.status, dry.err) == (0, "")
    assert "would write trainA-trainB.h5: 3 trainA, 2 trainB pictures, stretch 286" in dry.out
    outcome = run_cli("prepare", *own, "--fit", "none", "-o", "own.h5", "--threads", 1)
    assert outcome.status == 0, outcome.err
    assert open_domains("own.h5").prepared == (286, "none")


@pytest.mark.parametrize(
    "option",
    [
        ("--size", 32),
        ("--channels", "rgb"),
        ("--oversample", 2),
        ("--samples", 3),
        ("--test", 1),
        ("--phase-dtype", "uint16"),
        ("--phase-noise", 0.1),
        ("--phase-bits", 3),
        ("--without-images",),
    ],
)
def test_options_of_phases_are_refused_for_domains(run_cli, pair, option):
    outcome = run_cli("prepare", pair, *option)
    assert outcome.status == 2
    assert f"{option[0].removeprefix('--without-')}" in outcome.err
    assert "belongs to phase spectra" in outcome.err


@pytest.mark.parametrize("option", [("--load", 32), ("--alpha", "keep")])
def test_options_of_domains_are_refused_for_phases(run_cli, option):
    outcome = run_cli("prepare", "builtin", *option)
    assert outcome.status == 2
    assert f"{option[0]} belongs to two domains of pictures" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{pair}", "--fit", "crop"], "choose one of stretch, short-side, none"),
        (["{pair}", "--domain-a", "{pair}/trainA"], "not both"),
        (["--domain-a", "{pair}/trainA"], "give both"),
        (["builtin", "--fit", "none"], "fit"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(run_cli, pair, arguments, message):
    outcome = run_cli("prepare", *(a.format(pair=pair) for a in arguments))
    assert outcome.status == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_inspect_describes_and_verifies(run_cli, pair):
    run_cli("prepare", pair, "--load", 20)
    outcome = run_cli("inspect", "flowers.h5", "--verify")
    assert outcome.status == 0, outcome.err
    for text in (
        "3 + 2 for training, 1 + 0 for testing",
        "trainA      3 pictures, stretched to 20×20",
        "testA       1 pictures, at their own size",
        "every checksum matches",
    ):
        assert text in outcome.out
    facts = json.loads(run_cli("inspect", "flowers.h5", "--json").out)
    assert (facts["kind"], facts["trainB"], facts["load"]) == ("picture domains", 2, 20)
    assert facts["kinds"]["a"]["channels"] == 3
    with h5py.File("flowers.h5", "r+") as f:
        f["trainB/pixels"][7] ^= 1
    damaged = run_cli("inspect", "flowers.h5", "--verify")
    assert damaged.status == 2
    assert "checksums do not match for trainB/pixels" in damaged.err


def test_an_interrupted_preparation_is_continued_or_refused(run_cli, pair, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("phasegan.data.prepare.partial.atomic.replace", interrupt)
        stopped = run_cli("prepare", pair, "--load", 20)
    assert stopped.status == 130
    assert "continue with --resume" in stopped.err
    other = run_cli("prepare", pair, "--load", 21, "--resume")
    assert other.status == 2
    assert "an interrupted preparation is in the way" in other.err
    outcome = run_cli("prepare", pair, "--load", 20, "--resume")
    assert outcome.status == 0, outcome.err
    assert "continued after 6 pictures that were done already" in outcome.out


def test_commands_for_phases_say_what_the_file_is(run_cli, pair):
    run_cli("prepare", pair, "--load", 20)
    outcome = run_cli("evaluate", "flowers.h5", "--method", "zero")
    assert outcome.status == 2
    assert "translations have --run" in outcome.err
    outcome = run_cli("atlas", "flowers.h5")
    assert outcome.status == 2
    assert "two domains of pictures" in outcome.err
