"""What all commands write, made once, small."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import phasegan
from tests.interface.snapshots import Snapshots, command, draw

CASE = """
name = "small"
methods = ["zero", "cg"]
splits = ["test", "train"]
seeds = [0, 1]
[[pairs]]
samples = 2
epochs = 1
[[pairs]]
samples = 400
epochs = 1
optional = true
[[quoted]]
method = "published"
samples = 5
epochs = 5
mse_published = 18575
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew", action="store_true", help="Write the snapshots anew.")


@pytest.fixture(scope="session")
def snapshots(pytestconfig: pytest.Config) -> Snapshots:
    return Snapshots(bool(pytestconfig.getoption("--renew", default=False)))


@dataclass
class Made:
    """A folder with everything, and what the calls returned."""

    folder: Path
    reports: dict[str, Any] = field(default_factory=dict)
    printed: dict[str, Any] = field(default_factory=dict)
    """What `inspect --json` printed."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, before = tmp_path_factory.mktemp("made"), Path.cwd()
    os.chdir(folder)
    try:
        return _make(Made(folder))
    finally:
        os.chdir(before)


def _make(made: Made) -> Made:
    reports, small = made.reports, {"base_channels": 2, "blocks": 1, "discriminator_channels": 2}
    counts = {"trainA": 10, "trainB": 10, "testA": 2, "testB": 2}
    draw(Path("pair"), counts, (24, 28, 3))
    reports["prepare"] = phasegan.prepare("builtin", "tiny.h5", size=32, samples=6, test=3)
    phasegan.prepare("builtin", "padded.h5", size=16, samples=2, test=2, oversample=2)
    reports["prepare_domains"] = phasegan.prepare_domains("pair", "pair.h5", load=24)
    training = {"epochs": 1, "precision": "32", "device": "cpu"}
    for preset in ("paper", "physics"):
        sizes = {"widths": (4, 4), "discriminator_channels": 2} if preset == "physics" else small
        reports[f"train {preset}"] = phasegan.train(
            "tiny.h5", preset, preset=preset, validation=2, **training, **sizes
        )
    for preset in ("translation", "one-way"):
        reports[f"train {preset}"] = phasegan.train(
            "pair", preset, preset=preset, size=24, generator="resnet", **training, **small
        )
    reports["evaluate"] = phasegan.evaluate("tiny.h5", ["zero"], ["physics"], device="cpu")
    command("evaluate", "tiny.h5", "--method", "cg", "--run", "physics", "--json", "scores.json")
    reports["score_translations"] = phasegan.score_translations(
        "pair", ["translation"], size=16, device="cpu"
    )
    scores = json.dumps(reports["score_translations"].as_json())  # what evaluate --json writes
    Path("pair-scores.json").write_text(scores, encoding="utf-8")
    reports["reconstruct"] = phasegan.reconstruct("padded.h5", method="cg")
    command("reconstruct", "tiny.h5", "--method", "mean-magnitude", "-o", "reconstructed")
    command("reconstruct", "tiny.h5", "--method", "cg", "-o", "reconstructed.h5")
    Path("case.toml").write_text(CASE, encoding="utf-8")
    sizes = {"base_channels": 2, "blocks": 1, "widths": (4, 4), "precision": "32", "device": "cpu"}
    bench = {"case": "case.toml", "data": "tiny.h5", **sizes}
    phasegan.bench(output="bench", **bench)
    shutil.copytree("bench/rows", "before/rows")
    shutil.copy("bench/results.json", "before")
    reports["bench"] = phasegan.bench(output="bench", baseline="before", budget=3600.0, **bench)
    grid = {"oversampling": [1, 2], "noise": [0.0], "bits": [8], "images": 2}
    reports["atlas"] = phasegan.atlas("tiny.h5", "atlas", methods=["cg"], **grid)
    reports["translate"] = phasegan.translate(
        "translation", "pair/testA", "translated", direction="a2b", device="cpu"
    )
    reports["export"] = phasegan.export("translation", "exported")
    for name in ("tiny.h5", "pair.h5", "paper", "physics", "translation"):
        made.printed[name] = json.loads(command("inspect", name, "--json"))
    return made
