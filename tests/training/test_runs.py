"""Whole runs: what they leave, how they are interrupted and continued."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import phasegan
from phasegan.config.run_folder import NETWORKS, RunFolder
from phasegan.errors import InputError, Interrupted, RunError
from phasegan.eta import Estimate
from phasegan.models.weights import weights_intact
from phasegan.progress import Progress
from phasegan.training.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from phasegan.training.cyclegan import LOSSES, CycleGAN
from phasegan.training.non_finite import NonFiniteDetector

CPU = torch.device("cpu")
SECOND = Estimate(1.0, 1.0, 1.0)

SMALL = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}


def weights(run):
    return {name: load_file(RunFolder(run).weights_path(name)) for name in NETWORKS}


def assert_same_weights(one, other):
    for name, tensors in weights(one).items():
        for key, value in weights(other)[name].items():
            assert torch.equal(tensors[key], value), (name, key)


def lines(run):
    """Return the record of a run but for how fast it was."""
    found = [json.loads(line) for line in RunFolder(run).losses_path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in found]


def newest(run):
    return Checkpoints(RunFolder(run).checkpoints_path).newest()


def stop_at(monkeypatch, step, number=signal.SIGINT):
    """Send a signal during a given optimiser step."""
    count, original = [0], CycleGAN.training_step

    def stepped(self, batch, *rest):
        count[0] += 1
        if count[0] == step:
            os.kill(os.getpid(), number)
        return original(self, batch, *rest)

    monkeypatch.setattr(CycleGAN, "training_step", stepped)
    return count


def test_a_run_leaves_what_its_docs_say(tiny, tiny_run):
    folder = RunFolder(tiny_run)
    assert folder.read_status().state == "finished"
    assert all(weights_intact(folder.weights_path(name), name) for name in NETWORKS)
    assert not weights_intact(folder.weights_path("generator_ab"), "generator_ba")
    assert folder.read_config().data.samples == 3
    assert [line["step"] for line in lines(tiny_run)] == [3]
    assert set(LOSSES) <= set(lines(tiny_run)[0])
    sheet = Image.open(folder.samples_path / "epoch-0001.png")
    assert sheet.width > 480
    assert any((folder.path / "tensorboard").iterdir())
    assert not list(folder.path.glob(".*"))


@pytest.mark.numerical
def test_the_same_seed_gives_the_same_weights_and_another_does_not(tiny, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        phasegan.train(tiny, tmp_path / name, epochs=2, seed=seed, **SMALL)
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "a", tmp_path / "c")


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4, 6, 7, 15])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_an_interrupted_run_resumed_ends_with_the_same_weights(
    tiny, tmp_path, monkeypatch, step, precision
):
    options = {"epochs": 3, "pool_size": 2, "precision": precision, **SMALL}
    phasegan.train(tiny, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
        stop_at(patch, step)
        with pytest.raises(Interrupted) as caught:
            phasegan.train(tiny, tmp_path / "broken", **options)
    assert caught.value.exit_status == 130
    assert RunFolder(tmp_path / "broken").read_status().state == "interrupted"
    report = phasegan.train(tiny, tmp_path / "broken", resume=True, **options)
    assert report.trained
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")
    assert lines(tmp_path / "whole") == lines(tmp_path / "broken")


def test_sigterm_saves_and_says_143(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    stop_at(monkeypatch, 2, signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        phasegan.train(tiny, tmp_path / "r", epochs=3, **SMALL)
    assert caught.value.exit_status == 143


@pytest.mark.slow
def test_a_killed_run_resumed_ends_with_the_same_weights(tiny, tmp_path, start_cli):
    options = [
        "--preset",
        "paper",
        "--epochs",
        6,
        "--base-channels",
        2,
        "--blocks",
        1,
        "--threads",
        1,
    ]
    whole = start_cli("train", tiny, "-o", tmp_path / "whole", *options)
    assert whole.wait(300) == 0
    run = RunFolder(tmp_path / "broken")
    killed = start_cli("train", tiny, "-o", run.path, *options)
    deadline = time.monotonic() + 300
    while not newest(run.path) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait(60)
    resumed = start_cli("train", tiny, "-o", run.path, "--resume", *options)
    assert resumed.wait(300) == 0
    assert_same_weights(tmp_path / "whole", run.path)
    assert lines(tmp_path / "whole") == lines(run.path)
    for name in NETWORKS:
        whole_file = RunFolder(tmp_path / "whole").weights_path(name)
        assert whole_file.read_bytes() == run.weights_path(name).read_bytes()
    assert not list(run.path.glob(".*"))


def test_leftovers_of_a_killed_write_are_removed(tiny, tmp_path):
    phasegan.train(tiny, tmp_path / "r", epochs=1, **SMALL)
    (tmp_path / "r" / ".status.json.4711.tmp").write_bytes(b"half")
    (tmp_path / "r" / "status.json").unlink()
    assert phasegan.train(tiny, tmp_path / "r", epochs=1, resume=True, **SMALL).trained
    assert not list((tmp_path / "r").glob(".*"))
    assert RunFolder(tmp_path / "r").read_status().state == "finished"


def test_an_unfinished_run_is_scored_as_what_it_is(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    with monkeypatch.context() as patch:
        stop_at(patch, 8)
        with pytest.raises(Interrupted):
            phasegan.train(tiny, tmp_path / "r", epochs=4, **SMALL)
    row = phasegan.evaluate(tiny, runs=[tmp_path / "r"], device="cpu").rows[0]
    assert row.method == "paper-2ch-1b, unfinished (8 of 24 steps)"
    assert (row.status, row.epochs) == ("unfinished", 1)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "the GPU has not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
    ],
)
def test_running_out_of_memory_says_what_to_lower(tiny, tmp_path, monkeypatch, error, message):
    def full(*_):
        raise error

    monkeypatch.setattr(CycleGAN, "training_step", full)
    with pytest.raises(RunError, match=f"{message}.*--micro-batch 2 or --recompute.*lower --batch"):
        phasegan.train(tiny, tmp_path / "r", epochs=1, batch_size=4, **SMALL)


def test_resume_with_nothing_to_resume_starts(tiny, tmp_path):
    assert phasegan.train(tiny, tmp_path / "r", epochs=1, resume=True, **SMALL).trained


def test_a_finished_run_is_left_alone(tiny, tmp_path):
    phasegan.train(tiny, tmp_path / "r", epochs=1, **SMALL)
    before = newest(tmp_path / "r").stat().st_mtime_ns
    for resume in (False, True):
        report = phasegan.train(tiny, tmp_path / "r", epochs=1, resume=resume, **SMALL)
        assert not report.trained
    assert newest(tmp_path / "r").stat().st_mtime_ns == before


def test_an_unfinished_run_wants_resume(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(Interrupted):
            phasegan.train(tiny, tmp_path / "r", epochs=2, **SMALL)
    with pytest.raises(InputError, match=r"unfinished run \(step 2 of 12\).*--resume"):
        phasegan.train(tiny, tmp_path / "r", epochs=2, **SMALL)


def test_another_configuration_is_refused_with_the_difference(tiny, tmp_path):
    phasegan.train(tiny, tmp_path / "r", epochs=1, **SMALL)
    with pytest.raises(InputError, match=r"epochs: 1 → 2; seed: 0 → 5"):
        phasegan.train(tiny, tmp_path / "r", epochs=2, seed=5, resume=True, **SMALL)


def test_a_folder_with_other_things_is_refused(tiny, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="other things in it"):
        phasegan.train(tiny, tmp_path / "r", epochs=1, **SMALL)
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["thesis.tex"]


def poison(monkeypatch, steps):
    """Make what some of the calls of a step see not a number."""
    original, count = CycleGAN.training_step, [0]
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)

    def poisoned(self, batch, *rest):
        count[0] += 1
        if count[0] in steps:
            for micro in batch.micro_batches:
                micro.real_a.mul_(torch.nan)
        return original(self, batch, *rest)

    monkeypatch.setattr(CycleGAN, "training_step", poisoned)


@pytest.mark.parametrize(
    ("precision", "change"),
    [("bf16", "continuing in 32 bit"), ("32", "continuing with 0.5 times the learning rate")],
)
def test_a_loss_that_is_not_finite_sends_the_run_back_to_its_last_good_state(
    tiny, tmp_path, monkeypatch, precision, change
):
    poison(monkeypatch, {8})
    said = []

    class Heard(Progress):
        def warn(self, text):
            said.append(text)

    options = {**SMALL, "epochs": 3, "precision": precision, "progress": Heard()}
    report = phasegan.train(tiny, tmp_path / "r", **options)
    text = f"a loss was not finite at step 8: back to step 6, {change}"
    assert said == [text]
    assert report.status.fell_back == (text,)
    assert report.status.state == "finished"
    assert [line["step"] for line in lines(tmp_path / "r")] == [6, 6, 12, 18]
    assert lines(tmp_path / "r")[1]["event"] == text
    state = load_checkpoint(newest(tmp_path / "r"), CPU)
    assert state["gan"]["mechanics"]["easing"] == (0.5 if precision == "32" else 1.0)
    assert state["gan"]["mechanics"]["eased"]
    for tensors in weights(tmp_path / "r").values():
        assert all(torch.isfinite(t).all() for t in tensors.values())


@pytest.mark.slow
@pytest.mark.parametrize("step", [7, 8, 12])
def test_a_loss_that_is_known_later_is_found_all_the_same(tiny, tmp_path, monkeypatch, step):
    poison(monkeypatch, {step})
    late = torch.device("mps")  # whose answers are read some steps later, as a GPU's
    monkeypatch.setattr(
        "phasegan.training.trainer.NonFiniteDetector", lambda _: NonFiniteDetector(late)
    )
    monkeypatch.setattr("phasegan.training.trainer.LOG_STEPS", 1)
    report = phasegan.train(tiny, tmp_path / "r", epochs=3, **SMALL)
    (text,) = report.status.fell_back
    assert "a loss was not finite at step 12: back to step 6" in text
    assert [line["step"] for line in lines(tmp_path / "r")] == [*range(1, 7), *range(6, 19)]


def test_a_run_that_stays_not_finite_is_given_up_and_keeps_its_last_good_state(
    tiny, tmp_path, monkeypatch
):
    poison(monkeypatch, set(range(8, 100)))
    with pytest.raises(RunError, match=r"not finite at step 7, after 3 attempts.*step 6 is kept"):
        phasegan.train(tiny, tmp_path / "r", epochs=3, **SMALL)
    assert RunFolder(tmp_path / "r").read_status().step == 6
    assert load_checkpoint(newest(tmp_path / "r"), CPU)["step"] == 6
    for tensors in weights(tmp_path / "r").values():
        assert all(torch.isfinite(t).all() for t in tensors.values())


def interrupted(tiny, path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
        stop_at(patch, 8)
        with pytest.raises(Interrupted):
            phasegan.train(tiny, path, epochs=4, **SMALL)


def test_a_finished_run_without_its_checkpoint_is_left_alone(tiny, tmp_path):
    phasegan.train(tiny, tmp_path / "r", epochs=1, **SMALL)
    shutil.rmtree(tmp_path / "r" / "checkpoints")
    assert not phasegan.train(tiny, tmp_path / "r", epochs=1, **SMALL).trained


@pytest.mark.slow
@pytest.mark.parametrize(
    "status",
    [
        '{"state": "finished"}',
        '{"state": "interrupted", "step": "abc"}',
        '{"state": "running", "step": -5, "seconds": NaN}',
        "[]",
    ],
)
def test_a_damaged_status_is_one_line(tiny, tmp_path, monkeypatch, status):
    interrupted(tiny, tmp_path / "r", monkeypatch)
    (tmp_path / "r" / "status.json").write_text(status)
    with pytest.raises(InputError, match=r"status\.json"):
        phasegan.train(tiny, tmp_path / "r", epochs=4, resume=True, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("gan"),
        lambda state: state["gan"].pop("networks"),
        lambda state: state.update(step=10**6),
        lambda state: state.update(ended="x"),
        lambda state: state["gan"]["pool_a"].update(random=torch.zeros(3)),
    ],
)
def test_a_damaged_checkpoint_is_one_line(tiny, tmp_path, monkeypatch, damage):
    interrupted(tiny, tmp_path / "r", monkeypatch)
    for path in Checkpoints(tmp_path / "r" / "checkpoints").paths():
        state = load_checkpoint(path, CPU)
        damage(state)
        save_checkpoint(path, state)
    with pytest.raises(InputError, match="damaged checkpoint") as caught:
        phasegan.train(tiny, tmp_path / "r", epochs=4, resume=True, **SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_flipped_bit_in_a_checkpoint_is_found_and_the_one_before_serves(
    tiny, tmp_path, monkeypatch
):
    whole = phasegan.train(tiny, tmp_path / "whole", epochs=4, **SMALL)
    interrupted(tiny, tmp_path / "r", monkeypatch)
    first, second = Checkpoints(tmp_path / "r" / "checkpoints").paths()

    def flip(path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))

    flip(second)
    shutil.copytree(tmp_path / "r", tmp_path / "worse")
    phasegan.train(tiny, tmp_path / "r", epochs=4, resume=True, **SMALL)
    assert_same_weights(whole.path, tmp_path / "r")
    flip(tmp_path / "worse" / "checkpoints" / first.name)
    with pytest.raises(InputError, match="damaged checkpoint"):
        phasegan.train(tiny, tmp_path / "worse", epochs=4, resume=True, **SMALL)


def test_a_damaged_run_is_named(tiny, tiny_run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run, copy)
    path = RunFolder(copy).weights_path("generator_ab")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert not weights_intact(path)
    (copy / "config.json").write_text('{"format": 1, "config": {"epochz": 3}}')
    with pytest.raises(InputError, match="did you mean epochs"):
        RunFolder(copy).read_config()
    (copy / "config.json").write_text("{")
    with pytest.raises(InputError, match="not readable as JSON"):
        RunFolder(copy).read_config()
    (copy / "config.json").write_text('{"format": 9, "config": {}}')
    with pytest.raises(InputError, match="run format 9"):
        RunFolder(copy).read_config()


def test_the_seconds_of_a_run_never_shrink(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("phasegan.training.api.estimate_run", lambda *_: SECOND)
    run = RunFolder(tmp_path / "r")
    phasegan.train(tiny, run.path, epochs=1, **SMALL)
    finished = run.read_status()
    later = {"seconds": finished.seconds + 500.0, "device_seconds": 900.0}
    run.write_status(finished.model_copy(update=later))  # figures took long after the checkpoint
    report = phasegan.train(tiny, run.path, epochs=2, resume=True, **SMALL)
    assert report.seconds > later["seconds"]
    assert run.read_status().device_seconds > 900.0
    newest(run.path).write_bytes(b"damaged")  # so the one before serves
    run.write_status(run.read_status().model_copy(update={"state": "interrupted"}))
    before = run.read_status().seconds
    phasegan.train(tiny, run.path, epochs=2, resume=True, **SMALL)
    assert run.read_status().seconds > before


def test_what_was_computed_before_a_loss_that_is_not_finite_was_spent(tiny, tmp_path, monkeypatch):
    poison(monkeypatch, {8})
    original, slow = CycleGAN.training_step, []

    def slowly(self, batch, *rest):
        if len(slow) == 6:  # after the checkpoint that is gone back to
            time.sleep(2.0)
        slow.append(1)
        return original(self, batch, *rest)

    monkeypatch.setattr(CycleGAN, "training_step", slowly)
    report = phasegan.train(tiny, tmp_path / "r", epochs=2, precision="32", **SMALL)
    assert report.status.fell_back
    assert report.seconds > 2.0
