"""What libraries raise on a full disk is recognised, and becomes one line."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import phasegan
from phasegan.cli import main
from phasegan.errors import DiskFullError, InputError, RunError, disk_full_guard, disk_full_reason

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
NOISE = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)


def _save(form):
    with open(FULL, "wb") as stream:
        Image.fromarray(NOISE).save(stream, format=form)


WRITERS = {
    "text": lambda: FULL.write_text("x" * 9999),
    "unbuffered": lambda: os.write(os.open(FULL, os.O_WRONLY), b"x"),
    "numpy": lambda: NOISE.tofile(FULL),
    "numpy, turned": lambda: NOISE.T.tofile(FULL),
    **{form: lambda form=form: _save(form) for form in ("PNG", "JPEG", "BMP", "PPM", "WEBP")},
}


@needs_full
@pytest.mark.parametrize("writer", WRITERS)
def test_every_library_s_full_disk_is_recognised(writer):
    with (
        pytest.raises(DiskFullError, match=r"^here/a\.file: .*full.*; make room, then"),
        disk_full_guard("here/a.file"),
    ):
        WRITERS[writer]()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", 28)])
def test_numbers_are_recognised_wherever_an_error_comes_from(number):
    def told(raise_from):
        try:
            try:
                raise OSError(number, os.strerror(number))
            except OSError as error:
                raise_from(error)
        except Exception as error:
            return disk_full_reason(error)

    def explicitly(error):
        raise ValueError("closed") from error

    def while_handling(error):
        raise KeyError("closed")

    def by_hdf5(error):
        raise RuntimeError(
            f"Can't close (file write failed: errno = {number}, buf = 0x1)"
        ) from None

    reasons = {
        told(explicitly),
        told(while_handling),
        told(by_hdf5),
        disk_full_reason(OSError(number, "")),
    }
    assert len(reasons) == 1
    assert reasons != {None}


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "no"), OSError("no"), ValueError("28"), InputError("errno"), None],
)
def test_other_errors_are_not_taken_for_a_full_disk(error):
    assert disk_full_reason(error) is None
    if error is not None:
        with pytest.raises(type(error)) as caught, disk_full_guard("file"):
            raise error
        assert caught.value is error


def test_what_is_said_already_is_not_said_otherwise():
    with (
        pytest.raises(RunError, match=r"^inner: ") as caught,
        disk_full_guard("outer"),
        disk_full_guard("inner"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "outer" not in str(caught.value)
    assert caught.value.exit_status == 1


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "there/set.h5"),
        (OSError(errno.ENOSPC, "No space left on device", "there/named"), "there/named"),
    ],
)
def test_the_command_line_names_a_file_or_the_output(error, name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("phasegan.data.prepare.api.prepare", _raiser(error))
    status = main(["prepare", "-o", "there/set.h5", "-q"])
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith(f"phasegan: error: {name}: the disk is full; make room")


def _raiser(error):
    def work(*_, **__):
        raise error

    return work


def test_threads_leave_full_disks_to_who_waits_for_them(capsys, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    main(["--version"])
    for error, said in ((OSError(errno.ENOSPC, "full"), False), (OSError(errno.EIO, "io"), True)):
        thread = threading.Thread(target=_raiser(error))
        thread.start()
        thread.join()
        assert ("Traceback" in capsys.readouterr().err) is said


def test_a_bench_without_room_stops_rather_than_fail_row_by_row(tiny, tmp_path, monkeypatch):
    tried = []

    def measure(row, *_):
        tried.append(row)
        raise DiskFullError("rows/1.json", "the disk is full; make room")

    monkeypatch.setattr("phasegan.benchmark.session.measure_row", measure)
    sizes = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}
    with pytest.raises(DiskFullError):
        phasegan.bench(2, 1, data=tiny, output=tmp_path / "b", methods=("zero",), **sizes)
    assert len(tried) == 1
    assert list((tmp_path / "b").rglob("rows/*")) == []
