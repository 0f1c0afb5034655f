"""Training with several processes: the result of one, and one end for all."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import phasegan
from phasegan.config.execution import Execution
from phasegan.config.resolve.phases import resolve_phases
from phasegan.config.run_folder import RunFolder
from phasegan.distributed import Processes
from phasegan.errors import Interrupted
from phasegan.fourier.phase_encoder import UNDEFINED_BELOW
from phasegan.training.physics.gan import PhysicsGAN
from phasegan.training.presets import TrainingSetup
from tests.training import several
from tests.training.several import (
    CPU,
    OPTIONS,
    PHASES,
    STEPS,
    assert_alike,
    assert_alike_losses,
    assert_only_main_speaks,
    flags,
    tricked,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")

# --- what they take -------------------------------------------------------------------


def batches_of(config, file, rank=0, count=1, most=None):
    """Return the batches of one of several processes."""
    execution, processes = Execution(micro_batch=most), Processes(rank, count).local_only()
    return TrainingSetup(config, file, CPU, None, execution, processes).make_batches()


@pytest.mark.parametrize("case", PHASES)
@pytest.mark.numerical
def test_every_sample_is_taken_once_whoever_takes_it(files, case, in_double):
    with phasegan.open(files[case]) as file:
        options = {**OPTIONS[case], "adversarial_every": 1} if case != "paper" else OPTIONS[case]
        config = resolve_phases(file.facts, CPU, **options)
        batches = batches_of(config, file)
        for count, most in ((1, None), (1, 2), (2, None), (2, 1), (3, 2), (7, None)):
            shares = [batches_of(config, file, rank, count, most) for rank in range(count)]
            for number in range(config.steps_per_epoch + 1):
                together = batches.load(number)
                micro_batches = []
                for share in shares:
                    batch = share.load(number)
                    assert batch.total == together.total
                    micro_batches += batch.micro_batches
                for whole, found in zip(
                    together.micro_batches[0][:2],
                    zip(*(micro[:2] for micro in micro_batches), strict=True),
                    strict=True,
                ):
                    assert_rows(found, whole)


def assert_rows(found, whole):
    """Assert that parts of a batch are the rows of the whole one, in order.

    A transform is off by at most some 40 roundings of the largest magnitude, and a phase
    by that over its own magnitude, which is at least `UNDEFINED_BELOW` of the largest.
    """
    if torch.is_tensor(whole):
        rounding = 40 * torch.finfo(torch.float64).eps / UNDEFINED_BELOW
        torch.testing.assert_close(torch.cat(list(found)), whole, rtol=0, atol=rounding)
        return
    for field, value in whole._asdict().items():
        parts = [getattr(part, field) for part in found]
        if field == "phase":  # π is −π
            parts, value = [torch.exp(1j * part) for part in parts], torch.exp(1j * value)
        if value is not None:
            assert_rows(parts, value)


@pytest.mark.parametrize("case", PHASES)
def test_the_batches_of_an_epoch_are_all_samples(files, case):
    with phasegan.open(files[case]) as file:
        options = OPTIONS[case] | ({"augmentation": False} if case != "paper" else {})
        config = resolve_phases(file.facts, CPU, **options)
        shares = [batches_of(config, file, rank, 3, 1) for rank in range(3)]
        for epoch in range(2):
            taken = []
            for number in range(config.steps_per_epoch):
                for share in shares:
                    batch = share.load(epoch * config.steps_per_epoch + number)
                    for micro in batch.micro_batches:
                        real = micro.real_b if case == "paper" else 2 * micro.real_b.pixels - 1
                        taken += [image.numpy().tobytes() for image in real.mul(127.5).round()]
            assert len(taken) == len(set(taken)) == config.data.samples


# --- whole runs -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.numerical
@pytest.mark.parametrize(("case", "most"), [("paper", 1), ("noisy", 2), ("exact", 1)])
def test_one_process_learns_in_parts_what_it_learns_at_once(
    files, alone, tmp_path, case, most, in_double
):
    options = OPTIONS[case] | {"micro_batch": most, "device": "cpu"}
    phasegan.train(files[case], tmp_path / "run", **options)
    assert_alike(alone[case], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.numerical
@pytest.mark.parametrize(
    ("case", "count", "others"),
    [
        ("paper", 2, []),
        ("paper", 3, ["--micro-batch", 1]),
        ("pair", 2, ["--micro-batch", 2]),
        ("noisy", 3, ["--micro-batch", 1]),
        ("exact", 2, []),
    ],
    ids=["paper", "paper in parts", "pictures in parts", "noisy in parts", "exact"],
)
def test_several_processes_learn_what_one_learns(
    files, alone, together, tmp_path, case, count, others
):
    run = tmp_path / "run"
    outcomes = together(count, "train", files[case], "-o", run, *flags(OPTIONS[case]), *others)
    assert [outcome.status for outcome in outcomes] == [0] * count, outcomes
    assert_alike(alone[case], run)
    assert_only_main_speaks(outcomes)
    assert f"on cpu × {count}: 11 samples × 3 epochs" in outcomes[0].err
    assert outcomes[0].out.startswith("trained ")
    status = RunFolder(run).read_status()
    assert (status.state, status.processes) == ("finished", count)
    assert not list(run.glob(".*"))
    assert len(list(RunFolder(run).checkpoints_path.iterdir())) == 2


@pytest.mark.slow
def test_two_processes_interrupted_go_on_as_one(files, alone, together, tmp_path, in_double):
    run, data, options = tmp_path / "run", files["paper"], OPTIONS["paper"]
    outcomes = together(2, "train", data, "-o", run, *flags(options), trick="stop-5-1")
    assert [outcome.status for outcome in outcomes] == [143, 143], outcomes
    assert_only_main_speaks(outcomes)
    status = RunFolder(run).read_status()
    assert (status.state, status.step) == ("interrupted", 6)  # a step after the signal
    message = outcomes[0].err.splitlines()[-1]
    assert message == (
        f"phasegan: interrupted at step 6 of {STEPS}; saved in {run}, continue with --resume"
    )
    phasegan.train(data, run, resume=True, device="cpu", **options)
    assert_alike(alone["paper"], run)


@pytest.mark.slow
def test_one_process_interrupted_goes_on_as_two(
    files, alone, together, tmp_path, in_double, monkeypatch
):
    run, data, options = tmp_path / "run", files["exact"], OPTIONS["exact"]
    with monkeypatch.context() as patch:
        patch.setattr(PhysicsGAN, "training_step", tricked(PhysicsGAN.training_step, 0, "stop-5-0"))
        with pytest.raises(Interrupted):
            phasegan.train(data, run, device="cpu", **options)
    assert RunFolder(run).read_status().step == 5
    outcomes = together(2, "train", data, "-o", run, "--resume", *flags(options))
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert_only_main_speaks(outcomes)
    assert_alike(alone["exact"], run)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["paper", "exact"])
def test_a_loss_that_is_not_finite_in_one_share_sends_all_back(files, together, tmp_path, case):
    run = tmp_path / "run"
    arguments = ["train", files[case], "-o", run, *flags(OPTIONS[case])]
    outcomes = together(2, *arguments, trick="poison-5-1")
    assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
    assert_only_main_speaks(outcomes)
    text = "a loss was not finite at step 6: back to step 3, "
    text += "continuing with 0.5 times the learning rate"
    assert f"warning: {text}" in outcomes[0].err.splitlines()
    status = RunFolder(run).read_status()
    assert (status.state, status.step, status.fell_back) == ("finished", STEPS, (text,))
    for network in RunFolder(run).read_config().network_names:
        tensors = load_file(RunFolder(run).weights_path(network))
        assert all(bool(torch.isfinite(value).all()) for value in tensors.values())


# --- one end for all ------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_stays_not_finite_is_given_up_by_all(files, together, tmp_path):
    run = tmp_path / "run"
    arguments = ["train", files["exact"], "-o", run, *flags(OPTIONS["exact"])]
    outcomes = together(2, *arguments, trick="spoil-5-1")
    assert [outcome.status for outcome in outcomes] == [1, 1], outcomes
    assert_only_main_speaks(outcomes)
    assert "error: " in outcomes[0].err.splitlines()[-1]
    assert "step 3 is kept" in outcomes[0].err.splitlines()[-1]
    assert RunFolder(run).read_status().step == 3


@pytest.mark.slow
def test_bad_input_is_said_once_and_ends_all(files, together, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.tex").write_text("precious")
    for message, *arguments in (
        ("none.h5", tmp_path / "none.h5"),
        ("samples", files["paper"], "--samples", 99),
        ("--blocks", files["paper"], "--blocks", "many"),
        ("other things in it", files["paper"], "-o", full),
        ("other things in it", files["paper"], "-o", full, "--dry-run"),
    ):
        outcomes = together(2, "train", *arguments, "--device", "cpu")
        assert [outcome.status for outcome in outcomes] == [2, 2]
        assert_only_main_speaks(outcomes)
        (line,) = outcomes[0].err.splitlines()
        assert line.startswith("phasegan: error: ")
        assert message in line


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_run_goes_on(files, alone, together, tmp_path, in_double):
    run, data, options = tmp_path / "run", files["paper"], OPTIONS["paper"]
    outcomes = together(3, "train", data, "-o", run, *flags(options), trick="die-5-1")
    assert [outcome.status for outcome in outcomes] == [1, -signal.SIGKILL, 1]
    assert_only_main_speaks(outcomes)
    last = outcomes[0].err.splitlines()[-1]
    assert last.startswith("phasegan: error: another process of this training ended")
    status = RunFolder(run).read_status()
    assert (status.state, status.step) == ("running", 3)
    phasegan.train(data, run, resume=True, device="cpu", **options)
    assert_alike(alone["paper"], run)


@pytest.mark.slow
@pytest.mark.numerical
def test_torchrun_starts_two_that_learn_what_one_learns(files, torchrun, tmp_path):
    executable = Path(sys.executable).with_name("phasegan")
    how = ["--no-python", executable] if executable.exists() else ["-m", "phasegan"]
    run, data, options = tmp_path / "run", files["exact"], OPTIONS["exact"]
    phasegan.train(data, tmp_path / "alone", device="cpu", **options)
    outcome = torchrun(*how, "train", data, "-o", run, *flags(options))
    assert outcome.status == 0, outcome
    # No conjugate gradients here, whose rounding float32 would show.
    assert_alike_losses(tmp_path / "alone", run, torch.float32)
    for line in ("trained ", "look at ", "score it: "):
        assert outcome.out.count(line) == 1
    assert outcome.err.count(" steps left, estimated ") == 1


@pytest.mark.slow
def test_torchrun_passes_a_signal_on_and_everything_is_saved(
    files, alone, torchrun, tmp_path, in_double
):
    run, data, options = tmp_path / "run", files["paper"], OPTIONS["paper"]
    outcome = torchrun(several.__file__, "agent-5-1", "train", data, "-o", run, *flags(options))
    assert outcome.status != 0
    assert "ended before" not in outcome.err
    assert outcome.err.count("phasegan: interrupted at step") == 1
    status = RunFolder(run).read_status()
    assert status.state == "interrupted", outcome
    assert 5 <= status.step < STEPS
    phasegan.train(data, run, resume=True, device="cpu", **options)
    assert_alike(alone["paper"], run)
