"""Runs that get more epochs than they were begun with."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import phasegan
from phasegan.config.options.train import DEFAULT_EPOCHS
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError, Interrupted
from phasegan.evaluation.inspection import inspect
from phasegan.training.checkpoint import Checkpoints
from phasegan.training.cyclegan import CycleGAN
from phasegan.training.physics.gan import PhysicsGAN
from phasegan.training.presets import PRESET_TABLE
from phasegan.training.schedule import linear_decay, sample_epochs, warmup_cosine
from tests.training.pairs import make_pair
from tests.training.several import SECOND

COMMON = {"device": "cpu", "precision": "32"}
OPTIONS = {
    "paper": {"preset": "paper", "base_channels": 2, "blocks": 1, "pool_size": 3, **COMMON},
    "physics": {"widths": (4, 4), "discriminator_channels": 2, "adversarial": 0.1, **COMMON},
    "translation": {"size": 24, "base_channels": 2, "discriminator_channels": 2, **COMMON},
}
GANS = {"paper": CycleGAN, "physics": PhysicsGAN, "translation": CycleGAN}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pairs") / "pair")


@pytest.fixture(autouse=True)
def _no_estimate(monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)


@pytest.fixture(params=sorted(OPTIONS))
def preset(request):
    return request.param


@pytest.fixture
def train(preset, tiny, pair, tmp_path):
    """Train the preset into a folder by its name."""
    data = pair if preset == "translation" else tiny

    def run(name, epochs, **options):
        return phasegan.train(data, tmp_path / name, epochs=epochs, **OPTIONS[preset], **options)

    return run


def left(run):
    """Return what a run leaves but for times: weights, checkpoint, log, names of the samples."""
    folder = RunFolder(run)
    files = [Checkpoints(folder.checkpoints_path).newest(), *run.glob("*.safetensors")]
    tensors = {
        f"{path.name} {key}": value
        for path in files
        for key, value in load_file(path).items()
        if value.ndim
    }
    log = [json.loads(line) for line in folder.losses_path.read_text().splitlines()]
    for line in log:
        line.pop("images_per_second", None)
    return tensors, log, sorted(p.name for p in folder.samples_path.glob("*.png"))


def assert_equal_runs(one, other):
    (tensors, *rest), (others, *other_rest) = left(one), left(other)
    assert tensors.keys() == others.keys()
    for key, value in tensors.items():
        assert torch.equal(value, others[key]), key
    assert rest == other_rest


def interrupt(monkeypatch, preset, step):
    """Send SIGINT during a step, counted from now on."""
    gan = GANS[preset]
    count, original = [0], gan.training_step

    def stepped(self, batch, *rest):
        count[0] += 1
        if count[0] == step:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch, *rest)

    monkeypatch.setattr(gan, "training_step", stepped)


@pytest.mark.numerical
@pytest.mark.parametrize("part", ["before the end", "after it"])
def test_a_run_that_goes_on_ends_the_same_wherever_it_is_interrupted(
    preset, train, tmp_path, monkeypatch, part
):
    train("whole", 2)
    first = left(tmp_path / "whole")
    report = train("whole", 4, resume=True)
    assert report.trained
    assert report.config.epochs_text == report.status.schedule == "2 + 2"
    per_epoch = report.config.steps_per_epoch
    if part == "before the end":  # asked for more epochs in the middle of the first two
        with monkeypatch.context() as patch:
            interrupt(patch, preset, per_epoch + 1)
            with pytest.raises(Interrupted):
                train("parts", 2)
    else:
        train("parts", 2)
        with monkeypatch.context() as patch:
            interrupt(patch, preset, per_epoch + 1)
            with pytest.raises(Interrupted):
                train("parts", 4, resume=True)
        assert RunFolder(tmp_path / "parts").read_status().schedule == "2 + 2"
    assert train("parts", 4, resume=True).trained
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    log = left(tmp_path / "whole")[1]
    assert log[: len(first[1])] == first[1]
    factor = PRESET_TABLE[preset].lr_factor
    rates = {line["step"]: line["learning_rate"] for line in log}
    for step, rate in rates.items():
        assert rate == pytest.approx(report.config.learning_rate * factor(report.config, step - 1))


@pytest.mark.numerical
def test_a_run_that_went_on_is_not_the_longer_run(train, tmp_path):
    train("short", 2)
    train("short", 3, resume=True)
    config = train("long", 3).config
    assert not config.extended_at
    long, short = (left(tmp_path / name)[0] for name in ("long", "short"))
    assert any(not torch.equal(value, short[key]) for key, value in long.items())
    assert (
        "extended_at" not in json.loads((tmp_path / "long" / "config.json").read_text())["config"]
    )
    with pytest.raises(InputError, match="cannot become one of 2"):
        train("short", 2, resume=True)


def test_learning_rates_are_those_of_the_new_length_from_its_end_on(preset, train):
    config = train("short", 2).config.model_copy(update={"epochs": 9, "extended_at": (2, 5)})
    factor, n = PRESET_TABLE[preset].lr_factor, config.steps_per_epoch

    def planned(step, epochs):
        return (
            warmup_cosine(step, epochs * n)
            if preset == "physics"
            else linear_decay(step // n, epochs)
        )

    lengths = [2] * (2 * n) + [5] * (3 * n) + [9] * (4 * n)
    assert [factor(config, step) for step in range(9 * n)] == [
        planned(step, epochs) for step, epochs in enumerate(lengths)
    ]
    assert config.epochs_text == "2 + 3 + 4"


@pytest.mark.parametrize("epochs", [21, 45, 400])
def test_sheets_of_a_run_that_went_on_are_those_of_both_lengths(epochs):
    both = sample_epochs(epochs, (20,))
    assert {e for e in both if e <= 20} == sample_epochs(20)
    assert {e for e in both if e > 20} == {e for e in sample_epochs(epochs) if e > 20}
    assert sample_epochs(epochs) == sample_epochs(epochs, ())


@pytest.mark.parametrize("preset", ["paper"], indirect=True)
def test_resuming_a_finished_run_asks_for_nothing_more_than_its_epochs(train, tmp_path):
    train("run", 1)
    before = RunFolder(tmp_path / "run").status_path.read_bytes()
    for epochs in (1, None):  # without --epochs those of the run, not the default
        assert DEFAULT_EPOCHS != 1
        assert not train("run", epochs, resume=True).trained
    assert RunFolder(tmp_path / "run").status_path.read_bytes() == before
    with pytest.raises(
        InputError, match=r"run of 1 epochs, 1 of them done: with --resume .* 1 \+ 1"
    ):
        train("run", 2)
    with pytest.raises(InputError, match=r"another configuration \(epochs: 1 → 2; seed: 0 → 4\)"):
        train("run", 2, resume=True, seed=4)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(InputError, match="holds no checkpoint"):
        train("run", 2, resume=True)
    assert not train("run", 1, resume=True).trained


@pytest.mark.parametrize("preset", ["paper"], indirect=True)
def test_a_run_that_stopped_early_goes_on_from_there_with_new_patience(
    train, tmp_path, monkeypatch
):
    options = {"validation": 2, "patience": 1}
    scores = iter([1.0, 2.0, 3.0, 0.5, 4.0])
    entry = PRESET_TABLE["paper"]._replace(validate=lambda *_: next(scores))
    monkeypatch.setitem(PRESET_TABLE, "paper", entry)
    assert train("run", 9, **options).status.epoch == 2
    report = train("run", 10, resume=True, **options)
    assert report.config.extended_at == (2,)
    assert report.status.epoch == 3  # the first one is no better: patience is up again
    report = train("run", 11, resume=True, **options)
    assert report.status.schedule == "2 + 1 + 8"
    assert (report.status.epoch, report.status.best.epoch) == (5, 4)


@pytest.mark.parametrize("preset", ["paper"], indirect=True)
def test_tables_tell_a_run_that_went_on_from_one_of_its_length(train, tiny, tmp_path):
    train("run", 1)
    train("run", 2, resume=True)
    row = phasegan.evaluate(tiny, runs=[tmp_path / "run"], device="cpu").rows[0]
    assert (row.method, row.epochs) == ("paper-2ch-1b, 1 + 1 epochs", None)
    document = row.as_json()
    assert (document["epochs"], document["schedule"]) == (None, "1 + 1")
    assert type(row).from_json(document) == row
    assert "1 + 1 epochs" in "\n".join(inspect(tmp_path / "run").lines)


def test_a_bench_keeps_runs_of_its_length(tiny, tmp_path):
    options = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}
    report = phasegan.bench(2, 1, data=tiny, output=tmp_path / "bench", methods=["zero"], **options)
    run = tmp_path / "bench" / next(row.run for row in report.rows if row.run)
    with pytest.raises(InputError, match=r"training of a bench.*copy"):
        phasegan.train(tiny, run, epochs=2, samples=2, resume=True, **options)
    assert RunFolder(run).read_config().epochs == 1
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(run, elsewhere)
    phasegan.train(tiny, elsewhere, epochs=2, samples=2, resume=True, **options)
    shutil.rmtree(run)
    shutil.copytree(elsewhere, run)
    for row in (tmp_path / "bench" / "rows").iterdir():
        row.unlink()
    with pytest.raises(InputError, match=r"another configuration.*extended_at: \[1\] → None"):
        phasegan.bench(2, 1, data=tiny, output=tmp_path / "bench", methods=["zero"], **options)


def test_added_pictures_name_the_ways(pair, tmp_path):
    folder = shutil.copytree(pair, tmp_path / "pair")
    run, options = tmp_path / "run", OPTIONS["translation"]
    phasegan.train(folder, run, epochs=1, **options)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "trainA" / "more.png")
    for epochs in (1, 2):
        with pytest.raises(
            InputError, match=r"other pictures \(.*pictures: .*--init-from.*as they"
        ):
            phasegan.train(folder, run, epochs=epochs, resume=True, **options)
    assert RunFolder(run).read_config().epochs == 1
