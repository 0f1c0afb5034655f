"""What an earlier version left is gone on with: runs, preparations, a bench, exports.

`make.py` made the files. Bits of trainings differ between processors, so the tests say
that things go on from where they were, and what must hold on any processor.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from compat_inputs import (
    BENCH,
    CASE,
    FILES,
    FOLDER,
    PAIR,
    SHARDS,
    TRAININGS,
    write_pair,
    write_pictures,
)
from PIL import Image

import phasegan

CPU = ("--device", "cpu", "--threads", "1")
TURN = 65536


@pytest.fixture
def left(tmp_path):
    """A copy of what was left, in the working folder of commands, with their inputs."""
    work = tmp_path / "work"
    shutil.copytree(FILES, work)
    write_pictures(work / "pictures")
    write_pair(work / "pair")
    (work / "tiny.toml").write_text(CASE)
    return work


@pytest.fixture
def do(left, run_cli):
    """Run a command there, which must succeed."""

    def run(*arguments):
        done = run_cli(*arguments)
        assert done.status == 0, done.err
        return done.out + done.err

    return run


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name[0] != "."}


def lines(run):
    return (run / "losses.jsonl").read_text().splitlines()


def pictures_in(folder):
    return [np.asarray(Image.open(p)) for p in sorted(folder.glob("[0-9]*.*"))]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_half_finished_run_goes_on_where_it_was(name, left, do):
    run = left / f"half-{name}"
    before, first = json.loads((run / "status.json").read_text()), lines(run)
    sample = run / "samples" / "epoch-0001.npy"
    stamp = sample.stat().st_mtime_ns
    assert before["state"] == "interrupted"
    assert 0 < before["step"] < before["steps"]
    do(*TRAININGS[name], "-o", run.name)
    after = json.loads((run / "status.json").read_text())
    assert (after["state"], after["step"], after["epoch"]) == ("finished", before["steps"], 2)
    assert lines(run)[: len(first)] == first
    assert len(lines(run)) == 2
    assert sample.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("name", TRAININGS)
def test_a_finished_run_is_left_as_it_is(name, left, do):
    run = left / f"finished-{name}"
    before = contents(run)
    do(*TRAININGS[name], "-o", run.name)
    assert contents(run) == before
    do("inspect", run.name, "--verify")


@pytest.mark.parametrize("name", ["physics", "paper"])
def test_a_finished_run_reconstructs(name, left, do):
    do("reconstruct", "plain.h5", "--run", f"finished-{name}", "--limit", 2, "-o", "out", *CPU)
    found = pictures_in(left / "out")
    assert [picture.shape for picture in found] == [(32, 32)] * 2
    assert not np.array_equal(*found)
    do("evaluate", "plain.h5", "--run", f"finished-{name}", "--json", "scores.json", *CPU)
    (row,) = json.loads((left / "scores.json").read_text())["rows"]
    assert row["status"] == "ok"
    assert 0 < row["mse"] < 255**2


def test_a_finished_translation_translates_as_its_exports_do(left, do):
    options = ("--direction", "a2b", *CPU)
    padding = ("--padding", "reflect")  # files of others do not tell
    do("translate", "finished-translation", "pair/testA", "-o", "out0", *options)
    do("translate", "exported", "pair/testA", "-o", "out1", *options, *padding)
    first, second = pictures_in(left / "out0"), pictures_in(left / "out1")
    assert [picture.shape for picture in first] == [(28, 28, 3)] * 2
    for one, other in zip(first, second, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1  # rounded twice at most
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(left / "exported.onnx"))
    for path, picture in zip(sorted((left / "pair" / "testA").glob("*")), first, strict=True):
        pixels = np.asarray(Image.open(path)).transpose(2, 0, 1)[None]
        (made,) = session.run(None, {session.get_inputs()[0].name: np.float32(pixels / 127.5 - 1)})
        back = (made[0].transpose(1, 2, 0) + 1) * 127.5
        assert np.abs(np.clip(back, 0, 255) - picture).max() <= 1


def test_what_is_exported_today_has_the_same_tensors(left, do):
    do("export", "finished-translation", "-o", "again", *CPU)
    names = sorted(p.name for p in (left / "exported").iterdir())
    assert names == sorted(p.name for p in (left / "again").iterdir())
    for name in names:
        old, new = (torch.load(left / f / name, weights_only=True) for f in ("exported", "again"))
        assert list(old) == list(new)
        assert all(torch.equal(old[key], new[key]) for key in old)


def assert_same_phases(path, other):
    """Assert that two files hold the same, but for the rounding of phases."""
    with phasegan.open(path) as one, phasegan.open(other) as two:
        equal = True
        for split in ("train", "test"):
            a, b = getattr(one, split), getattr(two, split)
            assert a.sources() == b.sources()
            np.testing.assert_array_equal(a.images(), b.images())
            apart = np.abs(a.codes().astype(int) - b.codes()) % TURN
            assert np.minimum(apart, TURN - apart).max() <= 1
            equal &= not apart.any()
        if equal:
            assert one.digest == two.digest


def test_an_interrupted_preparation_goes_on(left, tmp_path, monkeypatch):
    monkeypatch.chdir(left)
    done = len((left / ".stopped.h5.journal").read_bytes().splitlines()) - 1
    assert 0 < done < 36
    options = {"size": 32, "workers": 1}
    report = phasegan.prepare("pictures", "stopped.h5", resume=True, **options)
    assert report.resumed == done
    assert not [*left.glob(".stopped.h5.[jp]*")]
    phasegan.prepare("pictures", "whole.h5", **options)
    assert_same_phases("stopped.h5", "whole.h5")
    assert_same_phases("stopped.h5", "plain.h5")


def test_an_interrupted_preparation_of_a_pair_goes_on(left, do):
    part = (left / ".stopped-pair.h5.part").stat().st_ino
    do(*PAIR, "-o", "stopped-pair.h5")
    assert (left / "stopped-pair.h5").stat().st_ino == part
    with h5py.File(left / "stopped-pair.h5") as one, h5py.File(left / "pair.h5") as two:
        assert dict(one.attrs) == dict(two.attrs)
    do("inspect", "stopped-pair.h5", "--verify")


def test_shards_that_are_there_are_joined_with_the_others(left, do):
    shard = left / "joined-0000-of-0002.h5"
    before, stamp = shard.read_bytes(), shard.stat().st_mtime_ns
    do(*SHARDS, "-o", "joined.h5")
    assert (shard.read_bytes(), shard.stat().st_mtime_ns) == (before, stamp)
    assert_same_phases(left / "joined.h5", left / "plain.h5")


def test_a_bench_goes_on(left, do):
    rows = left / "bench" / "rows"
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in rows.iterdir()}
    runs = sorted((left / "bench" / "runs").iterdir())
    states = [json.loads((run / "status.json").read_text())["state"] for run in runs]
    assert sorted(states) == ["finished", "interrupted"]
    assert before
    finished = runs[states.index("finished")]
    kept, half = contents(finished), runs[states.index("interrupted")]
    first = lines(half)
    do(*BENCH, "-o", "bench")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before
    assert contents(finished) == kept
    assert lines(half)[: len(first)] == first
    assert sorted((left / "bench" / "runs").iterdir()) == runs
    table = json.loads((left / "bench" / "results.json").read_text())["rows"]
    assert {row["status"] for row in table} == {"ok"}
    assert len(table) == len([*rows.iterdir()]) > len(before)


def test_inputs_are_those_of_the_files(left, do):
    do(*FOLDER, "-o", "plain.h5")  # refused if it were of other pictures
    with phasegan.open(left / "plain.h5") as file:
        names = sorted([*file.train.sources(), *file.test.sources()])
    assert names == [Path(p).name for p in sorted((left / "pictures").iterdir())]
