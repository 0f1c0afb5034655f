"""Trainings that are killed, at any moment, and resumed end as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import phasegan
from phasegan.config.run_folder import RunFolder
from tests.training.pairs import make_pair

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and POSIX signals")

HELPER = Path(__file__).with_name("kill_helper.py")
RANDOM_KILLS = 22
PRESETS = {
    "paper": {"base_channels": 2, "blocks": 1},
    "translation": {
        "size": 24,
        "generator": "resnet",
        "base_channels": 2,
        "blocks": 0,
        "average": 0.9,
        "augment": ("colour", "shift", "cutout"),
    },
    "physics": {
        "widths": (4, 4),
        "encodings": ("mean", "white"),
        "precision": "32",
        "adversarial": 0.1,
        "adversarial_every": 2,
    },
}
DATA = {"translation": "pair"}
SMALL = {"discriminator_channels": 2, "batch_size": 2, "pool_size": 2}
WRITTEN = {"config.json", "status.json", "epoch-#.png", "epoch-#.npy", "filmstrip.png"}


def lines(run):
    """Return the losses, without what depends on the clock."""
    made = [json.loads(line) for line in RunFolder(run).losses_path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in made]


def names(run):
    """Return every file but TensorBoard's, which is another with every attempt."""
    found = [p.relative_to(run) for p in run.rglob("*") if p.is_file()]
    return sorted(str(p) for p in found if p.parts[0] != "tensorboard")


def kept(run):
    """Return the bytes of what must not depend on kills, by name."""
    patterns = ("*.safetensors", "samples/*", "filmstrip.png", "config.json")
    return {
        str(path.relative_to(run)): path.read_bytes()
        for pattern in patterns
        for path in run.glob(pattern)
    }


def assert_same_run(whole, broken):
    assert names(whole) == names(broken)
    one, other = kept(whole), kept(broken)
    assert [name for name in one if one[name] != other[name]] == []
    assert lines(whole) == lines(broken)
    assert RunFolder(broken).read_status().state == "finished"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Padded, noisy phases for physics; what paper can take for paper."""
    folder, crops = tmp_path_factory.mktemp("data"), {"size": 32, "samples": 4, "test": 1}
    phasegan.prepare("builtin", folder / "paper.h5", **crops)
    noisy = {"oversample": 1.5, "phase_noise": 0.2, "phase_bits": 8}
    phasegan.prepare("builtin", folder / "physics.h5", **crops, **noisy)
    make_pair(folder / "pair")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_a_training_that_is_killed_again_and_again_ends_the_same(preset, data, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    task = {
        "whole": str(whole),
        "broken": str(broken),
        "data": str(data / DATA.get(preset, f"{preset}.h5")),
        "options": {"preset": preset, "epochs": 24, **SMALL, **PRESETS[preset]},
        "random": RANDOM_KILLS,
        "seed": 20,
    }
    temporary = tmp_path / "temporary"  # of estimates that are killed
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, HELPER, json.dumps(task)],
        env={"OMP_NUM_THREADS": "1", **os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {*WRITTEN, *(p.name for p in whole.glob("*.safetensors"))} <= set(report["kinds"])
    kills = [kill["what"] for kill in report["kills"]]  # each of a living process, by SIGKILL
    assert kills.count("random") == RANDOM_KILLS
    assert len(kills) > RANDOM_KILLS + 2 * len(report["kinds"])
    assert_same_run(whole, broken)


CLI = {"preset": "physics", "epochs": 20, **SMALL, **PRESETS["physics"]}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    phasegan.train(tiny, path, device="cpu", **CLI)
    return path


def stop(start_cli, arguments, run, number):
    """Send a signal to a command once its run has saved; return its status and what it says."""
    process = start_cli(*arguments)
    deadline = time.monotonic() + 200
    while not RunFolder(run).status_path.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    return process.returncode, err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_and_resumed_ends_the_same(
    tiny, whole, tmp_path, start_cli, run_cli, number, status
):
    options = []
    for name, value in CLI.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else value
        options += [f"--{name.replace('_', '-')}", text]
    for attempt in range(5):  # a machine that stalls here may let the command finish first
        run = tmp_path / f"run{attempt}"
        arguments = ["train", tiny, "-o", run, "--device", "cpu", *options]
        found, err = stop(start_cli, arguments, run, number)
        if found != 0:
            break
    assert (found, "Traceback" in err) == (status, False), err
    assert RunFolder(run).read_status().state == "interrupted"
    assert list(run.rglob(".*")) == []
    outcome = run_cli(*arguments, "--resume")
    assert outcome.status == 0, outcome.err
    assert_same_run(whole, run)
