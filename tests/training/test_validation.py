"""Validation while training: on what, what it keeps, when it stops."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.samplers import choose_subset
from phasegan.errors import InputError, Interrupted
from phasegan.metrics.image_metrics import clipped_mse
from phasegan.models.domains import denormalise_images
from phasegan.progress import Progress
from phasegan.training.callbacks.validation import validation_indices
from phasegan.training.presets import PRESET_TABLE
from tests.training.test_physics_runs import assert_same_weights, stop_at

SMALL = {"widths": (4, 4), "discriminator_channels": 2, "batch_size": 4, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("validation") / "d.h5"
    phasegan.prepare("builtin", path, size=32, samples=20, test=2, seed=1)
    return path


def validations(run):
    lines = RunFolder(run).losses_path.read_text().splitlines()
    return [
        (r["epoch"], r["validation"]["mse"]) for r in map(json.loads, lines) if "validation" in r
    ]


def test_samples_that_validate_are_never_trained_on(data, tmp_path):
    report = phasegan.train(data, tmp_path / "r", epochs=1, validation=6, **SMALL)
    assert report.config.data.samples == 14
    with PreparedFile(data) as file:
        chosen = validation_indices(report.config, file)
    assert not set(chosen) & set(choose_subset(20, 14, report.config.seed))
    assert len(set(chosen)) == 6


def test_the_score_is_that_of_the_weights_that_are_kept(data, tmp_path):
    report = phasegan.train(data, tmp_path / "r", epochs=3, validation=6, **SMALL)
    found = validations(tmp_path / "r")
    assert [epoch for epoch, _ in found] == [1, 2, 3]
    best = report.status.best
    assert (best.epoch, best.mse) == min(found, key=lambda pair: pair[1])
    with PreparedFile(data) as file:
        rows = validation_indices(report.config, file)
        phase, images = file.train.phase(rows), file.train.images(rows)
        trusted = ~file.train.undefined(rows)
    gan = PRESET_TABLE[report.config.preset].gan(report.config, torch.device("cpu"))
    gan.ema.load_state_dict(load_file(RunFolder(tmp_path / "r").weights_path("generator_ab")))
    made = denormalise_images(gan.reconstruct(phase, trusted), 255).reshape(images.shape)
    assert clipped_mse(made, images, data_range=255).mean() == pytest.approx(best.mse, rel=1e-4)


def test_a_run_stops_after_some_validations_without_a_better_one(data, tmp_path, monkeypatch):
    estimated = 0.0  # the estimate of the duration validates once
    scores = iter([estimated, 5.0, 4.0, 4.5, 4.0, 3.0, 9.0])
    preset = PRESET_TABLE["physics"]._replace(validate=lambda *_: next(scores))
    monkeypatch.setitem(PRESET_TABLE, "physics", preset)
    options = {"epochs": 12, "validation": 6, "validate_every": 2, "patience": 2, **SMALL}
    report = phasegan.train(data, tmp_path / "r", **options)
    assert [epoch for epoch, _ in validations(tmp_path / "r")] == [2, 4, 6, 8]
    assert (report.status.state, report.status.epoch) == ("finished", 8)
    assert (report.status.best.epoch, report.status.best.mse) == (4, 4.0)
    again = phasegan.train(data, tmp_path / "r", resume=True, **options)
    assert not again.trained


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 8, 11])
def test_an_interrupted_run_keeps_the_same_best(data, tmp_path, monkeypatch, step):
    options = {"epochs": 4, "validation": 6, "patience": 3, **SMALL}
    whole = phasegan.train(data, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Interrupted):
            phasegan.train(data, tmp_path / "broken", **options)
    broken = phasegan.train(data, tmp_path / "broken", resume=True, **options)
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    assert validations(tmp_path / "whole") == validations(tmp_path / "broken")
    assert whole.status.best == broken.status.best


def test_crops_of_photographs_that_are_trained_on_are_warned_of(data, tmp_path):
    said = []

    class Heard(Progress):
        def warn(self, text):
            said.append(text)

    phasegan.train(data, tmp_path / "r", epochs=1, validation=6, progress=Heard(), **SMALL)
    assert any("crops of photographs that are trained on" in text for text in said)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 20}, r"--validation 20: .* has 20 training samples"),
        ({"validation": 5, "samples": 16}, "lower --validation or --samples"),
        ({"patience": 2}, "need --validation"),
        ({"validate_every": 2}, "need --validation"),
    ],
)
def test_what_does_not_fit_is_one_line(data, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        phasegan.train(data, tmp_path / "r", epochs=1, **options, **SMALL)
    assert not (tmp_path / "r").exists()


def test_the_command_says_what_was_kept(data, tmp_path, run_cli):
    arguments = ("train", data, "-o", tmp_path / "r", "--epochs", 2, "--validation", 5)
    told = run_cli(*arguments, "--widths", "4,4", "--discriminator-channels", 2)
    assert told.status == 0
    assert "best validation: MSE" in told.out
    assert "training.png" in told.out
    assert "best MSE" in run_cli("inspect", tmp_path / "r").out
