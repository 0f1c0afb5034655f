"""Scores of translations beside the untranslated pictures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import phasegan
from phasegan.errors import InputError
from phasegan.evaluation.translation import score_translations
from tests.training.pairs import make_pair

SIDE = 32


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Photographs-like noise (A) and the same scenes inverted and reddened (B), paired."""
    folder, rng = tmp_path_factory.mktemp("scores") / "pair", np.random.default_rng(3)
    for name, count in (("trainA", 16), ("trainB", 16), ("testA", 8), ("testB", 8)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            same = np.random.default_rng([9, i]) if name.startswith("test") else rng
            coarse = same.integers(0, 256, (6, 6, 3)).astype(np.uint8)
            pixels = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), 2))
            if name.endswith("B"):
                pixels = translated(pixels)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    return folder


def translated(pixels):
    return (np.array([255, 120, 120]) - pixels * np.array([1, 0.4, 0.4])).astype(np.uint8)


class Exact(nn.Module):
    """What takes A to B, or B to A."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.kind = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        top = torch.tensor([255.0, 120, 120]).view(3, 1, 1)
        slope = torch.tensor([1.0, 0.4, 0.4]).view(3, 1, 1)
        pixels = 127.5 * (x + 1)
        made = top - pixels * slope if self.way == "ab" else (top - pixels) / slope
        return made / 127.5 - 1


@pytest.fixture(scope="module")
def run(pair, tmp_path_factory):
    path = tmp_path_factory.mktemp("scored") / "run"
    phasegan.train(
        pair, path, epochs=1, size=SIDE, samples=2, generator="resnet", base_channels=2, blocks=0,
        discriminator_channels=2, device="cpu",
    )  # fmt: skip
    return path


@pytest.mark.slow
def test_what_translates_exactly_scores_as_the_other_domain(pair, run, monkeypatch):
    monkeypatch.setattr(
        "phasegan.models.inference.load_generator",
        lambda path, network: Exact(network[-2:]).eval(),
    )
    found = score_translations(pair, [run], device="cpu")
    assert (found.counts, found.size, found.paired) == ((8, 8), SIDE, True)
    rows = {(row.kind, row.way): row.values for row in found.rows}
    assert len(rows) == 6
    for way in ("ab", "ba"):
        made, raw = rows["run", way], rows["baseline", way]
        assert made["swd"] < 0.1 * raw["swd"]
        assert made["mse"] < 10 < raw["mse"]
        assert made["ssim"] > 0.95 > raw["ssim"]
        assert made["cycle_mse"] < 10
        assert made["taken"] == rows["real", way]["taken"] > 0.8
        assert raw["taken"] < 0.2
    assert found.accuracy > 0.8


@pytest.mark.slow
def test_the_command_prints_and_writes_the_table(pair, run, tmp_path, run_cli):
    outcome = run_cli(
        "evaluate", pair, "--run", run, "--json", tmp_path / "s.json", "--device", "cpu"
    )
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("untranslated") == 2
    document = json.loads((tmp_path / "s.json").read_text())
    assert [row["kind"] for row in document["rows"]] == 2 * ["baseline", "real", "run"]
    assert all(math.isfinite(row["swd"]) for row in document["rows"])


def test_what_cannot_be_scored_is_refused(pair, run, tiny, tiny_run, tmp_path, run_cli):
    with pytest.raises(InputError, match="give --run"):
        score_translations(pair, [])
    with pytest.raises(InputError, match="from phases to images; score it on a prepared"):
        score_translations(pair, [tiny_run])
    bare = make_pair(tmp_path / "bare")
    for name in ("testA", "testB"):
        (bare / name).rename(bare / f"no-{name}")
    with pytest.raises(InputError, match="no test pictures of domain A"):
        score_translations(bare, [run])
    for arguments, message in (
        (["evaluate", pair, "--run", run, "--method", "zero"], "are for phases"),
        (["evaluate", tiny, "--size", 32], "--size is for translations"),
        (["evaluate"], "give a prepared file, or a folder"),
    ):
        refused = run_cli(*arguments)
        assert (refused.status, message in refused.err) == (2, True), refused.err
