"""Whole runs of the preset physics: what they leave, continue, take and refuse."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError, Interrupted
from phasegan.eta import Estimate
from phasegan.models.weights import weights_intact
from phasegan.plotting.filmstrip import FrameStore, film_strip
from phasegan.reconstruction.learned import LearnedMethod
from phasegan.reconstruction.protocol import Observation
from phasegan.training.checkpoint import Checkpoints, load_checkpoint
from phasegan.training.physics.gan import PhysicsGAN

SECOND = Estimate(1.0, 1.0, 1.0)

SMALL = {"widths": (4, 4), "discriminator_channels": 2, "batch_size": 2, "device": "cpu"}


def weights(run):
    names = RunFolder(run).read_config().network_names
    return {name: load_file(RunFolder(run).weights_path(name)) for name in names}


def assert_same_weights(one, other):
    for name, tensors in weights(one).items():
        for key, value in weights(other)[name].items():
            assert torch.equal(tensors[key], value), (name, key)


def lines(run):
    """Return the record of a run but for how fast it was."""
    found = [json.loads(line) for line in RunFolder(run).losses_path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in found]


def stop_at(monkeypatch, step):
    count, original = [0], PhysicsGAN.training_step

    def stepped(self, batch, *rest):
        count[0] += 1
        if count[0] == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, *rest)

    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    monkeypatch.setattr(PhysicsGAN, "training_step", stepped)


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("physics") / "run"
    phasegan.train(tiny, path, epochs=2, **SMALL)
    return path


@pytest.fixture(scope="module")
def phases_alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "phases.h5"
    phasegan.prepare("builtin", path, size=32, samples=5, test=2, seed=3, images=False)
    return path


def test_a_run_leaves_what_its_docs_say(run, tiny):
    folder = RunFolder(run)
    config = folder.read_config()
    assert (config.preset, config.label) == ("physics", "physics-4-4")
    assert config.network_names == ("generator_ab", "discriminator_b")
    assert all(weights_intact(folder.weights_path(name)) for name in config.network_names)
    assert not folder.weights_path("generator_ba").exists()
    assert folder.read_status().state == "finished"
    assert [line["step"] for line in lines(run)] == [3, 6]
    names = {"cycle_b", "structure", "cycle_a", "adversarial_ab", "discriminator_b"}
    assert names <= set(lines(run)[0])
    assert Image.open(folder.samples_path / "epoch-0001.png").width > 480
    store = FrameStore(folder.samples_path, 255)
    assert store.epochs() == [1, 2]
    with phasegan.open(tiny) as file:
        references = file.test.images(slice(0, 4))
    strip = film_strip(store.frames(), references, 255)
    np.testing.assert_array_equal(Image.open(folder.film_strip_path), strip)
    method = LearnedMethod(run, torch.device("cpu"), mirror=False)
    with phasegan.open(tiny) as file:
        last = method(Observation(file.test.phase(slice(0, 4)))).estimate
    difference = store.frames()[-1][1] - np.clip(last, 0, 255)
    assert np.abs(difference).max() < 3


def test_the_weights_of_the_run_are_the_averaged_ones_and_the_checkpoint_holds_both(run):
    newest = Checkpoints(RunFolder(run).checkpoints_path).newest()
    state = load_checkpoint(newest, torch.device("cpu"))["gan"]
    saved = weights(run)["generator_ab"]
    assert all(torch.equal(saved[key], value) for key, value in state["average"].items())
    assert any(not torch.equal(saved[key], v) for key, v in state["generator_ab"].items())


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("adversarial", [0.0, 0.1])
def test_an_interrupted_run_resumed_ends_with_the_same_weights(
    tmp_path, monkeypatch, step, adversarial, noisy
):
    options = {"epochs": 3, "pool_size": 2, "adversarial": adversarial, **SMALL}
    options["adversarial_every"] = 2
    phasegan.train(noisy, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Interrupted):
            phasegan.train(noisy, tmp_path / "broken", **options)
    frames = {name: FrameStore(tmp_path / name / "samples", 255) for name in ("whole", "broken")}
    frames["broken"].add(9, np.zeros((2, 32, 32)))
    assert phasegan.train(noisy, tmp_path / "broken", resume=True, **options).trained
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    assert lines(tmp_path / "whole") == lines(tmp_path / "broken")
    assert frames["whole"].epochs() == frames["broken"].epochs() == [1, 2, 3]
    strips = [RunFolder(tmp_path / name).film_strip_path.read_bytes() for name in frames]
    assert strips[0] == strips[1]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    path = tmp_path_factory.mktemp("noisy") / "noisy.h5"
    phasegan.prepare(
        "builtin", path, size=32, samples=6, test=2, oversample=1.5, phase_noise=0.2, phase_bits=8
    )
    return path


@pytest.mark.slow
@pytest.mark.numerical
def test_a_resumed_run_has_the_cascades_it_had(tmp_path, monkeypatch):
    phasegan.prepare("builtin", tmp_path / "d.h5", size=32, samples=40, test=2)
    options = {**SMALL, "epochs": 2, "batch_size": 10}
    phasegan.train(tmp_path / "d.h5", tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(Interrupted):
            phasegan.train(tmp_path / "d.h5", tmp_path / "broken", **options)
    phasegan.train(tmp_path / "d.h5", tmp_path / "broken", resume=True, **options)
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    assert lines(tmp_path / "whole") == lines(tmp_path / "broken")


@pytest.mark.slow
def test_seeds_decide(tiny, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        phasegan.train(tiny, tmp_path / name, epochs=1, seed=seed, **SMALL)
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "a", tmp_path / "c")


def test_terms_that_are_off_are_not_logged(tiny, tmp_path):
    off = dict.fromkeys(("adversarial", "cycle_a", "structure"), 0)
    report = phasegan.train(tiny, tmp_path / "r", epochs=1, **off, **SMALL)
    assert report.config.network_names == ("generator_ab",)
    assert set(lines(tmp_path / "r")[0]) == {"step", "epoch", "learning_rate", "cycle_b"}
    assert not RunFolder(tmp_path / "r").weights_path("discriminator_b").exists()


def test_a_run_is_a_method_and_is_described(run, tiny, run_cli):
    result = phasegan.reconstruct(tiny, run=run, device="cpu")
    assert result.method == "physics-4-4"
    assert result.estimate.shape == result.references.shape
    row = phasegan.evaluate(tiny, runs=[run], device="cpu").rows[0]
    assert np.isfinite(row.values["mse"])
    told = run_cli("inspect", run, "--verify")
    assert told.status == 0
    assert "U-Net 4-4 on cascade + mean" in told.out
    assert "every checksum matches" in told.out


@pytest.mark.slow
def test_a_run_takes_the_phases_it_was_trained_on_and_refuses_others(noisy, tiny, run, tmp_path):
    phasegan.train(noisy, tmp_path / "r", epochs=1, **SMALL)
    result = phasegan.reconstruct(noisy, run=tmp_path / "r", device="cpu")
    assert result.estimate.shape == (2, 32, 32)
    phase = result.phase
    with pytest.raises(InputError, match=r"48×48 in frames of 48, the run .* N = 32, M = 48"):
        phasegan.reconstruct(phase, run=tmp_path / "r", noise=0.2, device="cpu")
    options = {"shape": (32, 32), "run": tmp_path / "r", "device": "cpu"}
    with pytest.raises(InputError, match=r"noise of 0 rad.*takes noise of 0.2 rad, rounded to 8"):
        phasegan.reconstruct(phase, **options)
    again = phasegan.reconstruct(phase, noise=0.2, **options)
    np.testing.assert_allclose(again.estimate, result.estimate, atol=0.01)
    other = tmp_path / "other.h5"
    phasegan.prepare("builtin", other, size=32, samples=2, test=1, phase_noise=0.1)
    with pytest.raises(InputError, match=r"noise of 0.1 rad, not rounded, the run .* up to 0.05"):
        phasegan.evaluate(other, runs=[run], device="cpu")


def test_pictures_are_degraded_as_the_run_wants(noisy, pictures, tmp_path):
    phasegan.train(noisy, tmp_path / "r", epochs=1, **SMALL)
    result = phasegan.reconstruct(pictures, run=tmp_path / "r", device="cpu", limit=2)
    assert result.phase.shape == (2, 48, 25)
    assert len(np.unique(result.phase)) <= 256
    with pytest.raises(InputError, match="--phase-noise: the run"):
        phasegan.reconstruct(pictures, run=tmp_path / "r", preprocessing={"phase_noise": 0.1})


@pytest.mark.slow
@pytest.mark.parametrize("size", [31, 48])
@pytest.mark.parametrize("channels", ["gray", "rgb"])
def test_sizes_and_colours(tmp_path, size, channels):
    data = tmp_path / "d.h5"
    phasegan.prepare("builtin", data, size=size, channels=channels, samples=2, test=1)
    phasegan.train(data, tmp_path / "r", epochs=1, **SMALL)
    result = phasegan.reconstruct(data, run=tmp_path / "r", device="cpu")
    assert result.estimate.shape == result.references.shape


def test_images_too_small_for_a_discriminator_do_without_one(tmp_path):
    phasegan.prepare("builtin", tmp_path / "p.h5", size=16, samples=2, test=1)
    with pytest.raises(InputError, match=r"too small for the 70×70.*--adversarial 0"):
        phasegan.train(tmp_path / "p.h5", tmp_path / "r", **SMALL)
    phasegan.train(tmp_path / "p.h5", tmp_path / "r", epochs=1, adversarial=0, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_constant_images_train_without_nan(tmp_path, precision):
    folder = tmp_path / "flat"
    folder.mkdir()
    for i, value in enumerate((0, 1, 128, 255)):
        Image.fromarray(np.full((32, 32), value, np.uint8)).save(folder / f"{i}.png")
    phasegan.prepare(folder, tmp_path / "f.h5", size=32, test=1)
    options = {"epochs": 2, "precision": precision, "adversarial_every": 1}
    phasegan.train(tmp_path / "f.h5", tmp_path / "r", **options, **SMALL)
    assert all(np.isfinite(list(line.values())).all() for line in lines(tmp_path / "r"))
    estimate = phasegan.reconstruct(tmp_path / "f.h5", run=tmp_path / "r", device="cpu").estimate
    assert np.isfinite(estimate).all()


def test_phases_alone_need_images_and_train_with_them(phases_alone, tiny, tmp_path):
    with pytest.raises(InputError, match=r"--images IMAGES\.h5"):
        phasegan.train(phases_alone, tmp_path / "r", **SMALL)
    report = phasegan.train(phases_alone, tmp_path / "r", images=tiny, epochs=1, **SMALL)
    data = report.config.data
    with phasegan.open(tiny) as file:
        assert data.images_digest == file.digest
    assert (data.samples, data.phase_samples, report.config.steps) == (6, 5, 3)
    assert "cycle_a" in lines(tmp_path / "r")[0]
    assert Image.open(RunFolder(tmp_path / "r").samples_path / "epoch-0001.png").width < 480
    assert RunFolder(tmp_path / "r").film_strip_path.is_file()
    result = phasegan.reconstruct(phases_alone, run=tmp_path / "r", device="cpu")
    assert result.estimate.shape == (2, 32, 32)
    with pytest.raises(InputError, match="leave --disjoint out"):
        phasegan.train(phases_alone, tmp_path / "x", images=tiny, disjoint=True, **SMALL)


def test_images_of_another_kind_are_refused(phases_alone, tmp_path):
    other = tmp_path / "o.h5"
    phasegan.prepare("builtin", other, size=40, samples=2, test=1)
    with pytest.raises(InputError, match=r"N = 40, the phases of .* have N = 32"):
        phasegan.train(phases_alone, tmp_path / "r", images=other, **SMALL)
    with pytest.raises(InputError, match="holds phases without images"):
        phasegan.train(phases_alone, tmp_path / "r", images=phases_alone, **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blocks", 1], "--blocks belongs to the presets paper, translation and one-way"),
        (["--preset", "paper", "--widths", "4,4"], "--widths belongs to the preset physics"),
        (["--preset", "paper", "--no-augmentation"], "--no-augmentation belongs to the preset"),
        (["--preset", "paper", "--disjoint"], "--disjoint belongs to the preset physics"),
        (["--preset", "paper", "--images", "{tiny}"], "--images belongs to the preset physics"),
        (["--widths", "4,x"], "integers from 1"),
        (["--widths", "4,0"], "integers from 1"),
        (["--encodings", "mean,magic"], "encodings.1 = 'magic'"),
        (
            ["--cycle-b", 0, "--structure", 0, "--cycle-a", 0, "--adversarial", 0],
            "every loss is switched off",
        ),
        (["--crop", 0], "--crop"),
        (["--crop", 0.5, "--no-augmentation"], "give one of them"),
        (["--samples", 1, "--disjoint"], "2 samples or more"),
        (["--images", "nowhere.h5"], "no such file"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(run_cli, tiny, arguments, message):
    filled = [str(a).format(tiny=tiny) for a in arguments]
    outcome = run_cli("train", tiny, "--device", "cpu", *filled)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_unknown_options_are_a_type_error(tiny):
    with pytest.raises(TypeError, match="'adverserial'"):
        phasegan.train(tiny, adverserial=1.0)


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "physics-small"),
        ({"variant": "full"}, "physics-full"),
        ({"widths": [24, 48, 96]}, "physics-24-48-96"),
        ({"unrolled": 2, "projection": "off"}, "physics-small"),
    ],
)
def test_labels_name_the_size_and_options_reach_the_configuration(
    tiny, tmp_path, monkeypatch, options, label
):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    report = phasegan.train(tiny, tmp_path / "r", dry_run=True, device="cpu", **options)
    config = report.config
    assert config.label == label
    assert config.networks.unrolled == options.get("unrolled", 1)
    assert (config.batch_size, config.learning_rate) == (8, 1e-3)
    assert not (tmp_path / "r").exists()


def test_every_part_of_the_augmentation_can_be_chosen(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)

    def changes(**options):
        report = phasegan.train(tiny, tmp_path / "r", dry_run=True, device="cpu", **options)
        return report.config.augmentation

    assert changes().active
    assert not changes(augmentation=False).active
    chosen = changes(crop=1.0, contrast=0.1, brightness=0.2, gamma=0.3)
    assert (chosen.crop, chosen.contrast, chosen.brightness, chosen.gamma) == (1, 0.1, 0.2, 0.3)


def test_auto_precision_asks_the_processor(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)

    def precision(**options):
        report = phasegan.train(tiny, tmp_path / "r", dry_run=True, device="cpu", **options)
        return report.config.precision

    for fast, expected in ((True, "bf16"), (False, "32")):
        monkeypatch.setattr("phasegan.config.resolve._sections.has_fast_bf16", lambda _, f=fast: f)
        assert precision() == expected
        assert precision(preset="paper") == "32"
        assert precision(preset="paper", base_channels=32) == expected
        assert precision(preset="paper", variant="full") == expected
        assert precision(precision="32") == "32"
        assert precision(precision="bf16") == "bf16"
