"""The benchmark that asks whether speed costs quality, on very little."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phasegan.config.run_folder import RunFolder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "parity.py"
SMALL = ("--size", 24, "--base-channels", 2, "--blocks", 1, "--epochs", 1, "--device", "cpu")


@pytest.fixture(scope="module")
def parity():
    spec = importlib.util.spec_from_file_location("parity", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call(parity, capsys):
    def call(*arguments):
        status = parity.main([str(a) for a in arguments])
        return status, capsys.readouterr().err

    return call


@pytest.fixture
def folder(tmp_path, rng):
    for name, count in (("trainA", 4), ("trainB", 5), ("testA", 3), ("testB", 2)):
        path = tmp_path / "pictures" / name
        path.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / f"{i}.png")
    return tmp_path / "pictures"


def read(output):
    return json.loads((output / "results.json").read_text(encoding="utf-8"))


def test_pictures_are_trained_in_every_mode_and_finished_rows_are_reused(
    folder, tmp_path, call, parity, monkeypatch
):
    output = tmp_path / "out"
    monkeypatch.setattr(parity, "SEEDS", (0, 1))
    assert call("paper", folder, "-o", output, *SMALL)[0] == 0
    document = read(output)
    names = [mode.name for mode in parity.PAPER_MODES]
    assert [(row["mode"]["name"], row["seed"]) for row in document["rows"]] == [
        (name, seed) for seed in (0, 1) for name in names
    ]
    assert document["command"].startswith("python benchmarks/parity.py paper ")
    for row in document["rows"]:
        assert {"processor", "threads", "torch"} <= row["machine"].keys()
        for direction in ("A → B", "B → A"):
            assert len(row["scores"][direction]["mse"]) == 2, "pairs of equal names"
    same = parity.Pictures(parity.argparse.Namespace(**options_of(folder)))
    first, second = same._test
    expected = ((first.astype(float) - second) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(document["untrained"]["A → B"]["mse"], expected)
    table = (output / "table.md").read_text(encoding="utf-8")
    assert all(f"| {name} | 2 |" in table for name in names)
    document["rows"].pop(3)
    (output / "results.json").write_text(json.dumps(document), encoding="utf-8")
    trained = []
    train = parity.Pictures.train

    def counted(self, *arguments):
        trained.append(arguments[:2])
        return train(self, *arguments)

    monkeypatch.setattr(parity.Pictures, "train", counted)
    status, err = call("paper", folder, "-o", output, *SMALL)
    assert (status, "7 of 8 rows are there" in err) == (0, True)
    assert trained == [(parity.PAPER_MODES[3], 0)]
    status, err = call("paper", folder, "-o", output, *SMALL, "--epochs", 2)
    assert (status, "rows of other settings" in err) == (2, True)


def options_of(folder):
    return {"data": folder, "device": "cpu", "size": 24, "epochs": 1, "test": None}


def test_the_same_row_twice_is_the_same(folder, parity):
    made = options_of(folder) | {"base_channels": 2, "blocks": 1}
    study, mode = parity.Pictures(parity.argparse.Namespace(**made)), parity.PAPER_MODES[2]
    one, other = (study.train(mode, 1, "row", parity.Progress()) for _ in range(2))
    assert one == other
    assert one != study.train(mode, 2, "row", parity.Progress())
    slow = study.config(parity.PAPER_MODES[0], 0)
    fast = study.config(parity.PAPER_MODES[3], 0)
    assert (slow.precision, slow.batch_size, slow.learning_rate) == ("32", 1, 2e-4)
    assert (fast.precision, fast.batch_size, fast.learning_rate) == ("bf16", 4, 4e-4)


def test_a_prepared_file_is_trained_in_every_mode(tiny, tmp_path, call, parity, monkeypatch):
    output = tmp_path / "out"
    monkeypatch.setattr(parity, "SEEDS", (0,))
    monkeypatch.setattr(parity, "PHYSICS_MODES", parity.PHYSICS_MODES[::3])
    monkeypatch.setattr(parity.Prepared, "modes", parity.PHYSICS_MODES)
    options = ("--epochs", 1, "--samples", 4, "--widths", 4, 4, "--device", "cpu")
    assert call("physics", tiny, "-o", output, *options)[0] == 0
    document = read(output)
    assert [row["mode"]["batch"] for row in document["rows"]] == [8, 32]
    assert all(len(row["scores"]["phase → image"]["mse"]) == 3 for row in document["rows"])
    configs = [RunFolder(run).read_config() for run in sorted((output / "runs").iterdir())]
    assert {(c.batch_size, c.learning_rate, c.precision) for c in configs} == {
        (8, 1e-3, "32"),
        (32, 2e-3, "bf16"),
    }
    assert "| reference | 1 |" in (output / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["testA", "trainB"])
def test_missing_folders_are_one_line(folder, tmp_path, call, missing):
    (folder / missing).rename(tmp_path / "elsewhere")
    status, err = call("paper", folder, "-o", tmp_path / "out", *SMALL)
    assert status == 2
    assert f"{missing}: no such folder" in err
    assert len(err.splitlines()) == 1
