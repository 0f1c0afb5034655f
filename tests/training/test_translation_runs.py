"""Whole trainings between two domains of pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.config.translation import TranslationConfig
from phasegan.errors import InputError
from phasegan.io.atomic import read_json
from phasegan.models.weights import load_generator
from phasegan.plotting.translations import stopping_advice
from phasegan.training import trainer
from phasegan.training.presets import PRESET_TABLE
from tests.training.pairs import make_pair
from tests.training.several import SECOND

SMALL = {
    "size": 24,
    "base_channels": 2,
    "blocks": 1,
    "discriminator_channels": 2,
    "device": "cpu",
    "generator": "resnet",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair") / "stripes2checks")


@pytest.fixture(scope="module")
def run(pair, tmp_path_factory):
    """A finished run of both ways, with validation; read only."""
    path = tmp_path_factory.mktemp("runs") / "run"
    phasegan.train(pair, path, epochs=4, validation=1, **SMALL)
    return path


def weights(path):
    return {name: (path / f"{name}.safetensors").read_bytes() for name in NETWORKS}


NETWORKS = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")


def test_a_run_leaves_networks_pictures_and_a_gallery(run):
    config, status = RunFolder(run).read_config(), RunFolder(run).read_status()
    assert isinstance(config, TranslationConfig)
    assert status.state == "finished"
    assert status.best.swd == min(v for _, v in validations(run))
    assert weights(run).keys() == {*NETWORKS}
    assert Image.open(run / "training.png").width == 1260
    assert Image.open(run / "epochs.webp").n_frames >= 2
    assert Image.open(run / "contact-sheet.png").width > 6 * 160
    assert len(list((run / "samples").glob("*.png"))) == 4
    page = (run / "gallery.html").read_text()
    assert page.count("<img") >= 2 * 2 * 4
    assert "identity: A shown to B → A" in page


def validations(run):
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return [(x["epoch"], x["validation"]["swd"]) for x in lines if "validation" in x]


def test_the_gallery_shows_the_weights_that_are_kept(pair, tmp_path, monkeypatch):
    scores = iter([1.0, 2.0, 3.0])
    preset = PRESET_TABLE["translation"]._replace(validate=lambda *_: next(scores))
    monkeypatch.setitem(PRESET_TABLE, "translation", preset)
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    path = tmp_path / "run"
    report = phasegan.train(pair, path, epochs=3, validation=1, learning_rate=0.01, **SMALL)
    assert report.status.best.epoch == 1
    frames = [np.load(path / "samples" / f"epoch-{n:04d}.npy")[0] for n in (1, 3)]
    sheet = np.asarray(Image.open(path / "contact-sheet.png"))
    first, last = (holds(sheet, np.moveaxis(frame, 0, -1)) for frame in frames)
    assert (first, last) == (True, False)


def holds(sheet, tile):
    """Tell whether a tile, enlarged by a whole factor, stands somewhere on a sheet."""
    factor = -(-160 // tile.shape[0])
    large = tile.repeat(factor, 0).repeat(factor, 1)
    rows, columns = (np.flatnonzero((sheet == large[0, 0]).all(-1).any(axis)) for axis in (1, 0))
    return any(
        np.array_equal(sheet[r : r + len(large), c : c + len(large)], large)
        for r in rows
        for c in columns
    )


@pytest.mark.slow
def test_a_run_keeps_the_average_of_the_weights_unless_told_otherwise(pair, tmp_path):
    for name, options in (("average", {}), ("latest", {"average": 0.0})):
        phasegan.train(pair, tmp_path / name, epochs=1, **SMALL, **options)
    average, latest = weights(tmp_path / "average"), weights(tmp_path / "latest")
    same = {name for name in NETWORKS if average[name] == latest[name]}
    assert same == {"discriminator_a", "discriminator_b"}  # the training is the same


def test_networks_are_rebuilt_from_their_files(run):
    network = load_generator(run / "generator_ab.safetensors")
    assert network.design["base_channels"] == 2
    assert network(torch.zeros(1, 3, 25, 31)).shape == (1, 3, 25, 31)


@pytest.mark.numerical
def test_a_run_that_is_interrupted_goes_on_to_the_same_end(pair, run, tmp_path, monkeypatch):
    path, options = tmp_path / "run", {"epochs": 4, "validation": 1, **SMALL}
    interrupt(pair, path, monkeypatch, 8, options)
    with pytest.raises(InputError, match="unfinished run"):
        phasegan.train(pair, path, **options)
    report = phasegan.train(pair, path, resume=True, **options)
    assert report.trained
    assert weights(path) == weights(run)
    again = phasegan.train(pair, path, resume=True, **options)
    assert not again.trained


def interrupt(pair, path, monkeypatch, step, options):
    """Begin a training and stop it when the checkpoint of a step is written."""
    save = trainer.Trainer._save

    def stop(self, state):
        save(self, state)
        if self.steps_done == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            phasegan.train(pair, path, **options)


@pytest.mark.slow
@pytest.mark.numerical
def test_dropout_follows_the_seed_through_a_resume_and_no_other_generator(
    pair, tmp_path, monkeypatch
):
    options = {"epochs": 2, "validation": 1, "dropout": True, **SMALL}
    runs = [("one", 0, False), ("two", 0, True), ("other", 1, False)]
    for around, (name, seed, interrupted) in enumerate(runs):
        torch.manual_seed(around)
        before = torch.get_rng_state()
        if interrupted:
            interrupt(pair, tmp_path / name, monkeypatch, 4, options)
            assert torch.equal(torch.get_rng_state(), before)
            torch.manual_seed(10)
            before = torch.get_rng_state()
        phasegan.train(pair, tmp_path / name, seed=seed, resume=interrupted, **options)
        assert torch.equal(torch.get_rng_state(), before)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    assert weights(tmp_path / "one") != weights(tmp_path / "other")


def test_other_pictures_are_another_run(run, tmp_path):
    folder = make_pair(tmp_path / "pair")
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "trainA" / "more.png")
    with pytest.raises(InputError, match="holds a run of another configuration"):
        phasegan.train(folder, run, epochs=4, validation=1, **SMALL)


def test_domains_may_be_two_folders(pair, tmp_path):
    report = phasegan.train(
        domain_a=pair / "trainA",
        domain_b=pair / "trainB",
        output=tmp_path / "run",
        epochs=1,
        dry_run=True,
        **SMALL,
    )
    assert report.config.label == "translation-2ch-1b"
    with pytest.raises(InputError, match="give both"):
        phasegan.train(domain_a=pair / "trainA", **SMALL)
    with pytest.raises(InputError, match="not both"):
        phasegan.train(pair, domain_a=pair / "trainA", domain_b=pair / "trainB", **SMALL)


def test_one_way_is_trained_and_kept(pair, tmp_path):
    path = tmp_path / "run"
    phasegan.train(pair, path, preset="one-way", cycle_a=0.0, epochs=1, **SMALL)
    assert sorted(p.stem for p in path.glob("*.safetensors")) == ["discriminator_b", "generator_ab"]
    page = (path / "gallery.html").read_text()
    assert "A → B" in page
    assert "B → A" not in page


def test_a_training_starts_from_the_weights_of_another(pair, run, tmp_path):
    report = phasegan.train(
        pair,
        tmp_path / "more",
        init_from=run,
        epochs=1,
        size=24,
        learning_rate=1e-12,
        device="cpu",
    )
    assert report.config.networks.base_channels == 2
    assert report.config.start is not None
    picture = torch.rand(1, 3, 24, 24)
    one, other = (load_generator(p / "generator_ab.safetensors") for p in (run, tmp_path / "more"))
    torch.testing.assert_close(one(picture), other(picture), atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="its generator_ab has base_channels 2"):
        phasegan.train(
            pair, tmp_path / "other", init_from=run, epochs=1, base_channels=3, device="cpu"
        )
    with pytest.raises(InputError, match="no weights of a generator"):
        phasegan.train(pair, init_from=pair, device="cpu")


def test_runs_are_not_taken_for_one_another(run, tiny, tiny_run, pair):
    with pytest.raises(InputError, match="not from phases; use it with `phasegan translate`"):
        phasegan.evaluate(tiny, runs=[run])
    with pytest.raises(InputError, match="two domains of pictures: a folder with trainA"):
        phasegan.train(preset="translation", device="cpu")
    with pytest.raises(InputError, match="trains on phase spectra"):
        phasegan.train(pair, preset="paper", device="cpu")
    with pytest.raises(InputError, match="--generator belongs to the presets translation"):
        phasegan.train(tiny, generator="unet", device="cpu")
    with pytest.raises(InputError, match="a folder without trainA and trainB"):
        phasegan.train(tiny.parent, device="cpu")


class TestAdvice:
    def records(self, values):
        return [{"epoch": i + 1, "validation": {"swd": v}} for i, v in enumerate(values)]

    @pytest.fixture
    def config(self, run):
        return RunFolder(run).read_config()

    def test_without_validation_it_says_how_to_get_it(self, config):
        none = config.model_copy(
            update={"validation": config.validation.model_copy(update={"samples": 0})}
        )
        assert "--validation 50" in stopping_advice([], none)

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ([100, 90], "Too few validations"),
            ([200, 150, 120, 100, 90, 80, 70, 60], "more epochs are likely to help"),
            ([200, 100, 100.5, 100, 100, 100, 99.9, 100], "unlikely to help"),
            ([200, 100, 120, 150, 180, 190, 200, 210], "stop there"),
        ],
    )
    def test_it_follows_the_validations(self, config, values, said):
        assert said in stopping_advice(self.records(values), config)


def test_the_command_trains_and_says_what_next(pair, tmp_path, run_cli):
    flags = []
    for name, value in SMALL.items():
        flags += [f"--{name.replace('_', '-')}", value]
    outcome = run_cli("train", pair, "-o", tmp_path / "run", "--epochs", 1, *flags)
    assert outcome.status == 0, outcome.err
    assert f"phasegan translate {tmp_path / 'run'} PICTURES" in outcome.out
    assert read_json(tmp_path / "run" / "config.json")["label"] == "translation-2ch-1b"
    said = run_cli("inspect", tmp_path / "run", "--verify")
    assert "A: 5 pictures of 3 channels, uint8 0 to 255" in said.out
    refused = run_cli("train", tmp_path, "--device", "cpu")
    assert (refused.status, "trainA" in refused.err) == (2, True)
    assert "Traceback" not in refused.err
