"""Names at which files and folders may be made, and what is written beside outputs."""

from __future__ import annotations

import errno
import os
import sys
import warnings

import pytest

import phasegan
from phasegan.config.run_folder import RunFolder
from phasegan.errors import InputError
from phasegan.io import atomic, locking
from phasegan.io.locking import NoLocksWarning, file_lock
from phasegan.io.output_paths import (
    check_different,
    check_file_name,
    check_folder_name,
    check_plain,
    check_text,
    is_plain,
    open_append,
)

links = pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    path.write_text("do not touch")
    yield path
    assert path.read_text() == "do not touch"


@pytest.mark.parametrize("name", ["rec.png", "est.NPY", "r.H5", "a/b.json"])
def test_no_folder_gets_the_name_of_a_file(tmp_path, name):
    with pytest.raises(InputError, match="rows are written there, into a folder"):
        check_folder_name(tmp_path / name, "rows")
    (tmp_path / name).mkdir(parents=True)
    check_folder_name(tmp_path / name, "rows")


@pytest.mark.parametrize("name", ["run", "v1.5", "lr-0.001", "a.b", ".hidden"])
def test_other_names_are_those_of_folders(tmp_path, name):
    check_folder_name(tmp_path / name, "rows")


def test_a_file_has_the_name_of_its_kind_or_none():
    for name in ("x.h5", "x.HDF5", "x", "x.prepared"):
        check_file_name(name, "an HDF5 file", ".h5", ".hdf5")
    with pytest.raises(InputError, match=r"x\.png: an HDF5 file is written there.*\.h5"):
        check_file_name("x.png", "an HDF5 file", ".h5", ".hdf5")


def test_two_outputs_have_two_names(tmp_path):
    check_different(tmp_path / "a", None, None, tmp_path / "b")
    with pytest.raises(InputError, match="two outputs"):
        check_different(tmp_path / "a", tmp_path / "x" / ".." / "a")


def test_names_that_are_no_text_are_refused():
    check_text("ü/x")
    for use in (check_text, phasegan.prepare, lambda name: RunFolder(name).check_free()):
        with pytest.raises(InputError, match=r"^x\\udce9: a name that is not UTF-8"):
            use("x\udce9")


@links
def test_links_and_pipes_are_no_plain_files(tmp_path, canary):
    for name, make in (
        ("link", lambda path: path.symlink_to(canary)),
        ("dangling", lambda path: path.symlink_to(tmp_path / "nothing")),
        ("second name", lambda path: os.link(tmp_path / "other", path)),
        ("pipe", os.mkfifo),
        ("folder", os.mkdir),
    ):
        (tmp_path / "other").touch()
        path = tmp_path / name
        make(path)
        assert not is_plain(path)
        with pytest.raises(InputError, match="remove it"):
            check_plain(path)
        with pytest.raises(InputError, match="remove it"):
            open_append(path)
    assert not (tmp_path / "nothing").exists()


def test_what_is_appended_comes_behind_what_is_there(tmp_path):
    for text in (b"one ", b"two"):
        with os.fdopen(open_append(tmp_path / "x"), "ab") as stream:
            stream.write(text)
    assert (tmp_path / "x").read_bytes() == b"one two"


@links
def test_nobody_can_lay_a_link_where_a_file_will_be_written(tmp_path, canary):
    (tmp_path / f".x.{os.getpid()}.tmp").symlink_to(canary)
    names = set()
    for _ in range(2):
        with atomic.atomic_file(tmp_path / "x") as temporary:
            assert not temporary.exists()
            temporary.write_text("mine")
            names.add(temporary.name)
    assert len(names) == 2


@links
def test_links_at_a_lock_are_refused_and_at_its_number_replaced(tmp_path, canary):
    lock = tmp_path / ".lock"
    (tmp_path / ".lock.pid").symlink_to(canary)
    with file_lock(lock, "it"):
        assert (tmp_path / ".lock.pid").read_text() == f"{os.getpid()}\n"
        assert not (tmp_path / ".lock.pid").is_symlink()
    assert not os.path.lexists(tmp_path / ".lock.pid")
    lock.symlink_to(canary)
    with pytest.raises(InputError, match="a link"), file_lock(lock, "it"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_the_work_goes_on_with_one_warning(tmp_path, monkeypatch, number):
    import fcntl

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    locking._warn_of.cache_clear()
    done = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for name in (".a.lock", ".b.lock"):
            with file_lock(tmp_path / name, "it"):
                done.append(name)
    assert len(done) == 2
    assert [w.category for w in said] == [NoLocksWarning]
    assert list(tmp_path.iterdir()) == []


def test_several_files_are_all_there_or_none(tmp_path, monkeypatch):
    first, second = tmp_path / "a", tmp_path / "b"
    with pytest.raises(RuntimeError), atomic.atomic_files(first, second) as (one, _):
        one.write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    replace = os.replace

    def fail_at_second(source, target):
        if target == second:
            raise OSError(errno.EIO, "no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_at_second)
    with pytest.raises(OSError, match="no"), atomic.atomic_files(first, second) as (one, two):
        one.write_text("1")
        two.write_text("2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.h5", "a[1]*.h5", "ü" * 125])
def test_what_a_kill_left_is_found_again_and_nothing_else(tmp_path, name):
    other = tmp_path / ".x.h5.mine.tmp"
    other.touch()
    with (
        atomic.atomic_file(tmp_path / "y") as temporary,
        atomic.atomic_file(tmp_path / name) as own,
    ):
        temporary.touch()
        own.touch()
        assert atomic.leftovers(tmp_path, name) == [own]
        atomic.remove_leftovers(tmp_path, name)
        assert not own.exists()
        assert temporary.exists()
        own.touch()
    assert other.exists()


def test_a_folder_that_was_moved_aside_comes_back(tmp_path):
    aside = tmp_path / ".out.0123456789abcdef.old"
    aside.mkdir()
    (aside / "a").touch()
    half = tmp_path / ".out.0123456789abcdef.tmp"
    half.mkdir()
    atomic.remove_leftovers(tmp_path, "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("document", ['{"format": 1, "rows": []}', '{"config": {}}', "[1]"])
def test_scores_do_not_replace_other_json(tmp_path, document):
    path = tmp_path / "x.json"
    path.write_text(document)
    with pytest.raises(InputError, match="holds no scores"):
        atomic.check_json_target(path)
    path.write_text('{"rows": []}')
    atomic.check_json_target(path)
