"""A preparation of two domains that is killed leaves no file, and goes on to the same bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from phasegan.data.hdf5.pair_reader import PairFile
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare import partial
from phasegan.data.prepare.domains import prepare_domains
from phasegan.errors import DiskFullError, InputError, Interrupted, RunError
from phasegan.io.append_log import AppendLog
from phasegan.progress import Progress

_CHILD = """
import os, signal, sys
from phasegan.data.prepare import domains, partial, picture_file, picture_loop
place, count, when, folder, output = sys.argv[1:]
picture_loop._TASK = 1
*owner, name = place.split(".")
owner = eval(".".join(owner))
function, calls = getattr(owner, name), [0]
def killing(*arguments, **options):
    calls[0] += 1
    last = calls[0] == int(count)
    if last and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = function(*arguments, **options)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, name, killing)
domains.prepare_domains(folder, output, load=20, fit="short-side", workers=1)
"""
_UNFINISHED = "picture_file.PartialPictures"
_NAMES = {".p.h5.part", ".p.h5.journal"}


def fill(root, count=3):
    """Write pictures whose files have equal sizes."""
    rng = np.random.default_rng(3)
    for name in ("trainA", "trainB", "testA"):
        (root / name).mkdir(parents=True)
        for i in range(count):
            shape = (24 + 2 * i, 30, 3)
            np.save(root / name / f"{i}.npy", rng.integers(0, 256, shape, np.uint8))
    (root / "trainA" / "damaged.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted preparation: its folder and its bytes."""
    folder = tmp_path_factory.mktemp("whole")
    pair = fill(folder / "pair")
    prepare(pair, folder / "p.h5")
    return pair, (folder / "p.h5").read_bytes()


def prepare(pair, output, **options):
    return prepare_domains(pair, output, load=20, fit="short-side", workers=1, **options)


def kill(place, count, when, pair, output):
    child = [sys.executable, "-c", _CHILD, place, str(count), when, str(pair), str(output)]
    done = subprocess.run(child, capture_output=True, env={"OMP_NUM_THREADS": "1", **os.environ})
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "count", "when", "resumed"),
    [
        (f"{_UNFINISHED}.record_scans", 1, "before", 0),
        (f"{_UNFINISHED}.record_scans", 6, "after", 5),  # of the six one was damaged
        ("partial._create", 1, "after", 9),
        (f"{_UNFINISHED}.allocate", 1, "after", 9),
        (f"{_UNFINISHED}.write", 4, "after", 4),
        ("partial.PositionalFile.write", 3, "after", 2),
        ("picture_file.to_attributes", 1, "before", 9),
        (f"{_UNFINISHED}.complete", 1, "after", 9),
        ("partial.atomic.replace", 1, "before", 9),
    ],
)
def test_a_killed_preparation_goes_on_where_it_was(whole, tmp_path, place, count, when, resumed):
    pair, expected = whole
    output = tmp_path / "p.h5"
    kill(place, count, when, pair, output)
    assert not output.exists()
    report = prepare(pair, output)
    assert report.resumed == resumed
    assert report.counts == {"trainA": 3, "trainB": 3, "testA": 3}
    assert output.read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["p.h5"]


def test_killed_again_and_again_it_ends_with_the_same_bytes(whole, tmp_path):
    pair, expected = whole
    output = tmp_path / "p.h5"
    for count in (2, 5):
        kill("partial.AppendLog.append", count, "after", pair, output)
    kill(f"{_UNFINISHED}.write", 2, "before", pair, output)
    kill("picture_file.to_attributes", 1, "after", pair, output)
    assert prepare(pair, output, resume=True).resumed == 9
    assert output.read_bytes() == expected


def test_killed_with_the_file_in_its_place_nothing_is_left_to_do(whole, tmp_path):
    pair, expected = whole
    output = tmp_path / "p.h5"
    kill("partial.atomic.replace", 1, "after", pair, output)
    assert output.read_bytes() == expected
    assert not prepare(pair, output).written
    assert [path.name for path in tmp_path.iterdir()] == ["p.h5"]


@pytest.fixture(scope="module")
def killed(whole, tmp_path_factory):
    """The folder of an output of which seven pictures are written."""
    folder = tmp_path_factory.mktemp("killed")
    kill(f"{_UNFINISHED}.write", 7, "after", whole[0], folder / "p.h5")
    return folder


@pytest.fixture
def left(killed, tmp_path):
    """A copy of that output."""
    for name in _NAMES:
        shutil.copy(killed / name, tmp_path / name)
    return tmp_path / "p.h5"


def _flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def _cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def _append(path, data):
    with open(path, "ab") as stream:
        stream.write(data)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("part", lambda path: _flip(path, path.stat().st_size // 3)),
        ("part", lambda path: _flip(path, 20)),
        ("part", lambda path: _cut(path, path.stat().st_size // 2)),
        ("part", lambda path: _cut(path, 0)),
        ("part", lambda path: path.unlink()),
        ("journal", lambda path: _cut(path, path.stat().st_size - 5)),
        ("journal", lambda path: _cut(path, path.stat().st_size // 2)),
        ("journal", lambda path: _cut(path, 10)),
        ("journal", lambda path: _flip(path, 30)),
        ("journal", lambda path: _flip(path, path.stat().st_size - 200)),
        ("journal", lambda path: _append(path, b"\0" * 300)),
        ("journal", lambda path: path.unlink()),
    ],
)
def test_what_a_crash_made_of_the_parts_is_not_trusted(whole, left, name, change):
    change(left.with_name(f".p.h5.{name}"))
    prepare(whole[0], left)
    assert left.read_bytes() == whole[1]


@pytest.mark.parametrize("value", [["made", "trainA", 0], ["look", "trainC", 0, "", []], [], 3])
def test_whole_lines_that_make_no_sense_are_passed_over(whole, left, value):
    log = AppendLog(left.with_name(".p.h5.journal"))
    log.append([value])
    log.close()
    assert prepare(whole[0], left).resumed == 7
    assert left.read_bytes() == whole[1]


@pytest.mark.parametrize("group", ["trainA", "trainB"])
def test_a_picture_that_changed_meanwhile_is_made_again(whole, left, tmp_path, group):
    pair = tmp_path / "copy" / "pair"
    shutil.copytree(whole[0], pair)
    np.save(pair / group / "1.npy", np.full((26, 30, 3), 7, np.uint8))
    report = prepare(pair, left)
    assert report.resumed == 6
    prepare(pair, tmp_path / "new" / "p.h5")
    assert left.read_bytes() == (tmp_path / "new" / "p.h5").read_bytes()
    assert left.read_bytes() != whole[1]


class At(Progress):
    """Does something when a task has advanced some times."""

    def __init__(self, label, action, count=1):
        self.label, self.action, self.count = label, action, count

    def task(self, label, total, done=0):
        return contextlib.nullcontext(Advancing(self if label.startswith(self.label) else None))


class Advancing:
    def __init__(self, at):
        self.at = at

    def advance(self, count=1, note=""):
        if self.at is not None:
            self.at.count -= 1
            if self.at.count == 0:
                self.at.action()


@pytest.mark.parametrize("shape", [(26, 30, 3), (20, 39, 3)])
def test_a_picture_that_changes_during_the_work_is_named(whole, tmp_path, shape):
    pair = tmp_path / "pair"
    shutil.copytree(whole[0], pair)

    def change():
        np.save(pair / "trainB" / "1.npy", np.full(shape, 7, np.uint8))

    looked = At("looking", change, count=10)  # when all have been looked at
    with pytest.raises(RunError, match=r"trainB/1\.npy: it has changed since it was looked at"):
        prepare(pair, tmp_path / "p.h5", progress=looked)
    assert {path.name for path in tmp_path.iterdir()} == {"pair", *_NAMES}
    assert prepare(pair, tmp_path / "p.h5").counts == {"trainA": 3, "trainB": 3, "testA": 3}
    prepare(pair, tmp_path / "new" / "p.h5")
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "new" / "p.h5").read_bytes()


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("label", "resumed"), [("looking", 0), ("preparing", 3)])
def test_an_interrupt_keeps_what_is_done(whole, tmp_path, label, resumed):
    with pytest.raises(Interrupted, match="continue with --resume"):
        prepare(whole[0], tmp_path / "p.h5", progress=At(label, _interrupt))
    assert {path.name for path in tmp_path.iterdir()} == _NAMES
    assert prepare(whole[0], tmp_path / "p.h5", resume=True).resumed == resumed
    assert (tmp_path / "p.h5").read_bytes() == whole[1]


def test_an_interrupt_keeps_the_file_that_was_there(whole, tmp_path):
    output = tmp_path / "p.h5"
    prepare_domains(whole[0], output, load=16)
    before = output.read_bytes()
    with pytest.raises(Interrupted):
        prepare(whole[0], output, overwrite=True, progress=At("preparing", _interrupt))
    assert output.read_bytes() == before
    assert verify(PairFile(output)) == []
    assert prepare(whole[0], output, overwrite=True).resumed == 3
    assert output.read_bytes() == whole[1]


def test_something_else_that_was_interrupted_is_refused_or_thrown_away(whole, left):
    before = left.with_name(".p.h5.journal").read_bytes()
    for options in ({}, {"resume": True}, {"resume": True, "overwrite": True}):
        with pytest.raises(InputError, match=r"in the way, of something else \(load: 20 → 18\)"):
            prepare_domains(whole[0], left, load=18, fit="short-side", **options)
    assert left.with_name(".p.h5.journal").read_bytes() == before
    assert prepare_domains(whole[0], left, load=18, overwrite=True).resumed == 0


def test_a_full_disk_is_told_and_what_is_written_is_kept(whole, tmp_path, monkeypatch):
    write, calls = partial.PositionalFile.write, []

    def full(self, *arguments):
        calls.append(1)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    monkeypatch.setattr(partial.PositionalFile, "write", full)
    with pytest.raises(DiskFullError, match=r"p\.h5: the disk is full; make room.*--resume"):
        prepare(whole[0], tmp_path / "p.h5")
    assert {path.name for path in tmp_path.iterdir()} == _NAMES
    monkeypatch.undo()
    assert prepare(whole[0], tmp_path / "p.h5").resumed == 3  # of one group, all recorded
    assert (tmp_path / "p.h5").read_bytes() == whole[1]


def test_pictures_that_cannot_be_prepared_leave_nothing(tmp_path):
    pair = fill(tmp_path / "pair")
    np.save(pair / "trainB" / "other.npy", np.zeros((20, 20, 5), np.uint8))
    with pytest.raises(InputError, match="3, 5 channels"):
        prepare(pair, tmp_path / "p.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]
