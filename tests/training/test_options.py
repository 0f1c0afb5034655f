"""Options of a training, and the data it takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError
from phasegan.eta import Estimate

SECOND = Estimate(1.0, 1.0, 1.0)

SMALL = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}


def lines(run):
    return [json.loads(line) for line in RunFolder(run).losses_path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 7}, r"--samples 7.*1 to 6"),
        ({"samples": 0}, r"--samples 0"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"precision": "8"}, "precision = '8'"),
        ({"epochs": 0}, "epochs = 0"),
        ({"variant": "huge"}, "full, small"),
        ({"preset": "magic"}, "preset = 'magic'"),
        ({"preset": "paper", "identity": -1.0}, "identity = -1.0"),
        ({"cycle_b": -1.0}, "cycle_b = -1.0"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"device": "quantum"}, "auto, cpu, cuda, mps"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(tiny, tmp_path, options, message):
    with pytest.raises(InputError, match=message) as caught:
        phasegan.train(tiny, tmp_path / "r", **{"device": "cpu", **options})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny, tmp_path):
    with pytest.raises(InputError, match="no CUDA GPU"):
        phasegan.train(tiny, tmp_path / "r", device="cuda")


def test_padded_phases_are_refused_by_the_paper_preset(tmp_path):
    phasegan.prepare("builtin", tmp_path / "p.h5", size=32, oversample=2, samples=2, test=1)
    with pytest.raises(InputError, match=r"unpadded phases.*M = 64, N = 32.*--oversample 1"):
        phasegan.train(tmp_path / "p.h5", tmp_path / "r", preset="paper", device="cpu")


def test_images_too_small_for_the_discriminator_are_refused(tmp_path):
    phasegan.prepare("builtin", tmp_path / "p.h5", size=16, samples=2, test=1)
    with pytest.raises(InputError, match="too small for the 70×70"):
        phasegan.train(tmp_path / "p.h5", tmp_path / "r", preset="paper", device="cpu")


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "paper-small"),
        ({"variant": "full"}, "paper-full"),
        ({"base_channels": 64, "blocks": 6}, "paper-full"),
        ({"base_channels": 8}, "paper-small"),
        ({"base_channels": 4, "blocks": 2}, "paper-4ch-2b"),
    ],
)
def test_labels_name_the_size(tiny, tmp_path, monkeypatch, options, label):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    report = phasegan.train(
        tiny, tmp_path / "r", preset="paper", dry_run=True, device="cpu", **options
    )
    assert report.config.label == label
    assert not (tmp_path / "r").exists()


def test_defaults_are_the_published_ones(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    config = phasegan.train(tiny, tmp_path / "r", preset="paper", dry_run=True, device="cpu").config
    assert (config.losses.cycle_a, config.losses.cycle_b, config.losses.identity) == (10, 10, 0.5)
    assert (config.optimiser.learning_rate, config.optimiser.beta1) == (2e-4, 0.5)
    assert (config.batch_size, config.pool_size) == (1, 50)


@pytest.mark.slow
@pytest.mark.parametrize("channels", ["gray", "rgb"])
@pytest.mark.parametrize("size", [32, 33, 30])
def test_sizes_and_colours(tmp_path, channels, size):
    data = tmp_path / "d.h5"
    phasegan.prepare("builtin", data, size=size, channels=channels, samples=2, test=1)
    phasegan.train(data, tmp_path / "r", epochs=1, batch_size=2, **SMALL)
    result = phasegan.reconstruct(data, run=tmp_path / "r", device="cpu")
    assert result.estimate.shape == result.references.shape
    assert 0 <= result.estimate.min() <= result.estimate.max() <= 255


@pytest.mark.slow
def test_constant_images_train_without_nan(tmp_path):
    folder = tmp_path / "flat"
    folder.mkdir()
    for i, value in enumerate((0, 1, 128, 255)):
        Image.fromarray(np.full((32, 32), value, np.uint8)).save(folder / f"{i}.png")
    phasegan.prepare(folder, tmp_path / "f.h5", size=32, test=1)
    for precision in ("32", "bf16"):
        run = tmp_path / precision
        phasegan.train(tmp_path / "f.h5", run, epochs=2, precision=precision, **SMALL)
        assert all(np.isfinite(list(line.values())).all() for line in lines(run))


@pytest.mark.slow
def test_the_first_line_says_what_phases_are_like_where_they_are_not_the_usual(tiny, tmp_path):
    from phasegan.progress import Progress

    class Heard(Progress):
        def __init__(self):
            self.said = []

        def say(self, text):
            self.said.append(text)

    data = tmp_path / "n.h5"
    phasegan.prepare("builtin", data, size=32, oversample=2, phase_noise=0.1, samples=2, test=1)
    kind = "n.h5 (32×32 gray, 8 bit, M = 64 (2×), phase uint16, noise 0.1 rad), 1 steps left"
    for path, text in ((data, f"2 samples × 1 epochs of {kind}"), (tiny, "1 epochs, 1 steps left")):
        heard = Heard()
        run = tmp_path / path.stem
        phasegan.train(path, run, epochs=1, widths=(4, 4), device="cpu", progress=heard)
        assert text in heard.said[0]
