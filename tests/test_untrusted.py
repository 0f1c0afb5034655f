"""Only regular files are read, only as far as is sane, and however deep they are."""

from __future__ import annotations

import os
import subprocess

import pytest

from phasegan.io import untrusted
from phasegan.io.untrusted import (
    UnreadableFileError,
    check_growth,
    open_regular,
    read_regular,
    walk,
)

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")


def test_what_a_file_holds_comes_back(tmp_path):
    for size in (0, 1, untrusted._BLOCK, untrusted._BLOCK + 1):
        data = os.urandom(size)
        (tmp_path / "x").write_bytes(data)
        assert read_regular(tmp_path / "x") == data
        with open_regular(tmp_path / "x") as stream:
            assert stream.read() == data


@needs_pipes
@pytest.mark.timeout(20)
def test_pipes_devices_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path / "link", tmp_path, "/dev/zero"):
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            read_regular(place)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_what_cannot_be_opened_is_said(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, reason in (("missing", "No such file"), ("loop", "Too many levels")):
        with pytest.raises(UnreadableFileError, match=reason) as caught:
            read_regular(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"1")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(untrusted.os, "open", refuse)
    with pytest.raises(UnreadableFileError, match="Permission denied"):
        read_regular(tmp_path / "x")


def test_files_beyond_the_limit_are_not_read(tmp_path):
    with open(tmp_path / "sparse", "wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(UnreadableFileError, match=r"1,099,511,627,776 bytes.*limit of 4,294"):
        read_regular(tmp_path / "sparse")


def test_a_file_that_grows_while_it_is_read_stops_at_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "growing"
    path.write_bytes(bytes(1000))
    honest = os.fstat

    def smaller(descriptor):
        fields = list(honest(descriptor))
        fields[6] = 10
        return os.stat_result(fields)

    monkeypatch.setattr(untrusted.os, "fstat", smaller)
    assert read_regular(path) == bytes(1000)
    with pytest.raises(UnreadableFileError, match="limit of 500"):
        read_regular(path, 500)


def test_headers_may_claim_a_multiple_of_the_file():
    check_growth(untrusted.SLACK, 1)
    check_growth(100 * untrusted.SLACK, untrusted.SLACK)
    with pytest.raises(UnreadableFileError, match="claims 1,073,741,825 bytes"):
        check_growth(untrusted.SLACK + 1, 1)


@pytest.mark.skipif(os.name == "nt", reason="short paths there")
def test_folders_may_be_deep_and_links_may_loop(tmp_path):
    here = os.getcwd()
    root = tmp_path / "root"
    root.mkdir()
    try:
        os.chdir(root)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        (root / "a.png").touch()
        open("b.png", "wb").close()
        os.symlink(root, "up")
        assert sorted(p.name for p in walk(root)) == ["a.png", "b.png"]
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", root], check=True)  # shutil and pytest do not get through it


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path):
    with pytest.raises(UnreadableFileError, match="missing: No such file"):
        list(walk(tmp_path / "missing"))


@needs_pipes
@pytest.mark.timeout(20)
def test_a_waiting_writer_does_not_make_a_pipe_readable(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(writer, b"pixels")
        with pytest.raises(UnreadableFileError):
            read_regular(tmp_path / "pipe")
    finally:
        os.close(writer)
