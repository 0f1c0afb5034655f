"""Commands say once what they leave out of their pictures, also where processes decode them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

COUNT = 12


@pytest.fixture
def folder(tmp_path, rng):
    """Pictures of 12 bits in 16, with two pages and a further band; and a linked folder."""
    root = tmp_path / "set"
    for domain in ("trainA", "trainB", "testA", "testB"):
        (root / domain).mkdir(parents=True)
        (root / domain / "linked").symlink_to(root / domain, target_is_directory=True)
        for i in range(COUNT):
            with tifffile.TiffWriter(root / domain / f"{i:02}.tif") as writer:
                for _ in range(2):
                    writer.write(
                        rng.integers(0, 4096, (64, 64, 4), np.uint16),
                        photometric="rgb",
                        extrasamples=["unspecified"],
                    )
    return root


def check(err, where, count, fitting):
    """Look for one line of each kind."""
    lines = err.splitlines()
    assert sum(f"{2 * count} pictures have a further band" in line for line in lines) == where, err
    assert sum("1 linked folder is not followed, such as linked" in line for line in lines) == where
    assert sum("% of the range" in line and fitting in line for line in lines) == where, err


def test_prepare_counts(run_cli, folder):
    options = ("--size", 32, "--workers", 2)
    outcome = run_cli("prepare", folder / "trainA", *options, "-o", "a.h5")
    assert outcome.status == 0, outcome.err
    check(outcome.err, 1, COUNT, "stored as they are")
    scored = run_cli("evaluate", "a.h5", "--method", "zero")
    assert "% of the range 0 to 65535; errors on the whole range look small" in scored.err
    outcome = run_cli("prepare", folder, "--load", 32, "--workers", 2, "-o", "pair.h5")
    assert outcome.status == 0, outcome.err
    check(outcome.err, 4, COUNT, " 0 4095 makes them fill it")
    assert outcome.err.count("--range-a") == outcome.err.count("--range-b") == 2


def test_reconstruct_counts(run_cli, folder):
    options = ("--size", 32, "--method", "zero", "-o", "out")
    outcome = run_cli("reconstruct", folder / "testA", *options)
    assert outcome.status == 0, outcome.err
    check(outcome.err, 1, COUNT, "taken as they are")


def test_train_and_evaluate_count(run_cli, folder):
    options = ("--size", 64, "--epochs", 1, "--samples", 1, "--base-channels", 2)
    outcome = run_cli("train", folder, "-o", "run", *options)
    assert outcome.status == 0, outcome.err
    check(outcome.err, 2, COUNT, " 0 4095 makes them fill it")
    outcome = run_cli("evaluate", folder, "--run", "run", "--size", 32)
    assert outcome.status == 0, outcome.err
    check(outcome.err, 2, COUNT, "training with --range-a or --range-b 0 4095")
    again = run_cli("train", folder, "-o", "run", *options[:-1], 3, "--resume")
    assert again.status == 2
    assert "choose another -o (with --init-from run it begins with the weights" in again.err
    ranges = ("--range-a", 0, 4095, "--range-b", 0, 4095)
    outcome = run_cli("train", folder, "-o", "other", *options, *ranges, "--dry-run")
    assert "% of the range" not in outcome.err


@pytest.mark.parametrize("name", ["rec.png", "est.npy", "rec.TIF", "phases.mat"])
def test_reconstructions_are_no_folder_called_like_a_file(run_cli, tmp_path, rng, name):
    Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / "a.png")
    outcome = run_cli("reconstruct", tmp_path / "a.png", "--size", 32, "-o", name)
    assert outcome.status == 2
    assert (
        f"{name}: PNG pictures and a contact sheet are written there, into a folder" in outcome.err
    )
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("train", "a.h5", "-o", "run.png"), ("atlas", "a.h5", "-o", "map.csv")]
)
def test_other_folders_neither(run_cli, tmp_path, rng, arguments):
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / f"{i}.png")
    assert run_cli("prepare", tmp_path, "--size", 32, "-o", "a.h5").status == 0
    outcome = run_cli(*arguments)
    assert outcome.status == 2
    assert "are written there, into a folder; give a name without" in outcome.err


def test_phases_in_pictures_are_told_from_pictures(run_cli, tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / "a.png")
    plain = run_cli("reconstruct", tmp_path / "a.png", "--size", 32, "--method", "zero", "-o", "a")
    assert plain.status == 0
    given = run_cli("reconstruct", tmp_path / "a.png", "--layout", "centred", "-o", "b")
    assert given.status == 2
    tifffile.imwrite(tmp_path / "phase.tif", rng.random((32, 32), np.float32))
    floats = run_cli("reconstruct", tmp_path / "phase.tif", "--size", 32, "-o", "c")
    assert floats.status == 2
    assert "If its pixels are the phases, add --as-phases and --units" in floats.err
    for outcome in (plain, given):
        assert "Fourier transform" in outcome.err
        assert "add --as-phases and --units: grey8 where black is" in outcome.err
