"""Foundations: files, settings, progress, devices, the lazy package."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from typing import Annotated

import pytest
import torch
from pydantic import Field

import phasegan
from phasegan.cli import main
from phasegan.config.settings import Settings, build, differences
from phasegan.devices import choose_device, describe_machine, set_threads
from phasegan.errors import InputError
from phasegan.io import atomic
from phasegan.io.locking import file_lock
from phasegan.progress import Progress, TerminalProgress, format_duration


class Inner(Settings):
    width: int = 3


class Outer(Settings):
    name: str
    inner: Inner = Inner()
    share: Annotated[float, Field(ge=0, le=1)] = 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": "x"}, "here: unknown key nam; did you mean name?"),
        ({"name": "x", "inner": {"widht": 1}}, "unknown key inner.widht; did you mean width?"),
        ({"name": "x", "zzzz": 1}, "known keys: inner, name, share"),
        ({}, "here: name is missing"),
        ({"name": "x", "share": 2}, "share = 2: must be at most 1"),
        ({"name": "x", "share": float("nan")}, "share = nan"),
    ],
)
def test_settings_name_the_problem(values, message):
    with pytest.raises(InputError) as caught:
        build(Outer, values, "here")
    assert message in str(caught.value)


def test_differences_reach_into_sections():
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}
    assert differences(old, new) == ["a.c: 2 → 5", "d: 3 → None", "e: None → 4"]


def test_an_atomic_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    atomic.write_text(path, "old")
    with pytest.raises(RuntimeError), atomic.atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_an_atomic_folder_is_whole_or_not_there(tmp_path):
    path = tmp_path / "out"
    with atomic.atomic_folder(path) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(InputError, match="there already"), atomic.atomic_folder(path):
        pass
    with pytest.raises(RuntimeError), atomic.atomic_folder(path, overwrite=True) as temporary:
        (temporary / "b").write_text("2")
        raise RuntimeError
    assert [p.name for p in path.iterdir()] == ["a"]
    with atomic.atomic_folder(path, overwrite=True) as temporary:
        (temporary / "b").write_text("2")
    assert [p.name for p in path.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("failing", [1, 2])
def test_an_old_folder_survives_a_failing_rename(tmp_path, monkeypatch, failing):
    path = tmp_path / "out"
    with atomic.atomic_folder(path) as temporary:
        (temporary / "a").write_text("1")
    original, count = os.replace, [0]

    def replace(*arguments):
        count[0] += 1
        if count[0] == failing:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt), atomic.atomic_folder(path, overwrite=True) as temporary:
        (temporary / "b").write_text("2")
    assert [p.name for p in path.iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not a folder"):
        atomic.write_text(tmp_path / "file" / "y", "z")


def test_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_json_is_readable_and_round_trips(tmp_path):
    names = ["a.png", "a {b}\n  c.png", 'q"{\n  }']
    value = {"rows": [{"source": name, "mse": 1.5, "exact": None} for name in names], "x": {}}
    atomic.write_json(tmp_path / "x.json", value)
    assert atomic.read_json(tmp_path / "x.json") == value
    assert '{ "source": "a.png", "mse": 1.5, "exact": null }' in (tmp_path / "x.json").read_text()


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path):
    lock = tmp_path / ".lock"
    code = (
        "import sys; from phasegan.io.locking import file_lock\n"
        f"with file_lock({str(lock)!r}, 'it'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(InputError, match=f"it is being written by process {holder.pid}"),
        file_lock(lock, "it"),
    ):
        pass
    holder.kill()
    holder.communicate()
    with file_lock(lock, "it"):
        pass
    assert not lock.exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (3.21, "3.2 s"),
        (42, "42 s"),
        (59.9, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (4 * 86400 + 3 * 3600, "4 d 3 h"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_plain_progress_says_what_is_left(capfd, monkeypatch):
    monkeypatch.setattr("phasegan.progress.PLAIN_INTERVAL_S", 0.0)
    progress = TerminalProgress()
    with progress.task("working", 4, done=1) as task:
        task.advance()
        task.advance(1, "note")
        task.advance()
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["working: 2/4 (50 %)", "working: 3/4 (75 %)"]
    assert lines[1].endswith("left  note")


def test_what_passed_before_counts_as_elapsed():
    class Own(Progress):
        def __init__(self):
            pass

    assert TerminalProgress(0, passed=100.0).elapsed() >= 100.0
    assert 0 <= Progress().elapsed() < 100.0
    assert Own().elapsed() >= 0


def test_quiet_progress_is_silent_but_warns(capfd):
    progress = TerminalProgress(-1)
    progress.say("no")
    progress.detail("no")
    progress.warn("careful")
    assert capfd.readouterr().err == "warning: careful\n"


def test_devices():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InputError, match="choose one of auto, cpu, cuda, mps"):
        choose_device("tpu")
    with pytest.raises(InputError, match="at least 1"):
        set_threads(0)
    assert describe_machine()["cores"] == os.cpu_count()


def test_the_package_is_lazy_and_complete():
    code = "import sys, phasegan; print('torch' in sys.modules, phasegan.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", phasegan.__version__]
    for name in phasegan.__all__:
        assert getattr(phasegan, name) is not None
        assert name in dir(phasegan)
    with pytest.raises(AttributeError, match="nothing"):
        _ = phasegan.nothing


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*phasegan.__all__} - {"__version__"}))
def test_documented_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_examples(getattr(phasegan, name))


def run_examples(subject):
    examples = [t for t in doctest.DocTestFinder(recurse=False).find(subject, "it") if t.examples]
    assert examples
    for example in examples:
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
        assert result.failed == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_json_from_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "status.json")
    with pytest.raises(InputError, match=r"status\.json: not readable as JSON \(not a regular"):
        atomic.read_json(tmp_path / "status.json")


@pytest.mark.parametrize(
    ("options", "environment", "threads"),
    [
        ((), {}, 1),
        (("--threads", "2"), {}, 2),
        ((), {"OMP_NUM_THREADS": "2"}, 2),
    ],
)
def test_training_leaves_busy_cores_unless_a_number_of_threads_is_named(
    monkeypatch, capsys, options, environment, threads
):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("phasegan.cli.common.idle_cores", lambda: 1)
    used = []
    monkeypatch.setattr("phasegan.training.api.train", lambda *_, **__: used.append(count()))
    monkeypatch.setattr("phasegan.cli.train._say", lambda *_: None)
    count = torch.get_num_threads
    before = count()
    try:
        torch.set_num_threads(2)
        assert main(["train", "a.h5", "--device", "cpu", *options]) == 0
    finally:
        torch.set_num_threads(before)
    assert used == [threads]
    said = "other work keeps 1 of 2 cores busy: training with 1 thread (--threads 2 takes all)"
    assert (said in capsys.readouterr().err) == (threads == 1)
