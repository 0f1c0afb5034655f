"""Signals end a command with their own status, and what kills left is cleared away."""

from __future__ import annotations

import errno
import os
import signal
import sys

import pytest

import phasegan
from phasegan.cli import main
from phasegan.io.atomic import atomic_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.fixture
def handlers():
    """Put the handlers of signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_has_its_status_even_where_it_breaks_an_import(
    number, status, word, swallowed, monkeypatch, capsys, handlers
):
    def work(*_, **__):
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            if not swallowed:
                raise
        raise AttributeError("module 'half' has no attribute 'imported'")

    monkeypatch.setattr("phasegan.data.prepare.api.prepare", work)
    assert main(["prepare", "-o", "x.h5", "-q"]) == status
    said = capsys.readouterr().err
    assert f"phasegan: {word}; nothing half-written is left" in said
    assert "attribute" not in said


def test_a_signal_of_an_earlier_command_is_forgotten(monkeypatch, capsys, handlers):
    def interrupted(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    def broken(*_, **__):
        raise AttributeError("of its own")

    for work, status in ((interrupted, 130), (broken, 1)):
        monkeypatch.setattr("phasegan.data.prepare.api.prepare", work)
        assert main(["prepare", "-o", "x.h5", "-q"]) == status
    assert "of its own" in capsys.readouterr().err


def test_a_bench_clears_away_what_a_kill_left(tiny, tmp_path):
    folder = tmp_path / "b"
    for name in (".report.html.1.tmp", "rows/.a.json.1.tmp", "estimates/.b.json.1.tmp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("half")
    sizes = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}
    phasegan.bench(2, 1, data=tiny, output=folder, methods=("zero",), **sizes)
    assert list(folder.rglob(".*")) == []


def test_a_second_signal_does_not_end_the_clearing_away(monkeypatch, capsys, handlers, tmp_path):
    def work(*_, **__):
        try:
            with atomic_file(tmp_path / "x") as temporary:
                temporary.touch()
                os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            (tmp_path / "cleared").touch()

    monkeypatch.setattr("phasegan.data.prepare.api.prepare", work)
    assert main(["prepare", "-o", "x.h5", "-q"]) == 143
    assert [p.name for p in tmp_path.iterdir()] == ["cleared"]
    (tmp_path / "cleared").unlink()
    monkeypatch.setattr("phasegan.cli.CLEANUP_SECONDS", 0.0)
    assert main(["prepare", "-o", "x.h5", "-q"]) == 130
    assert list(tmp_path.iterdir()) == []
    assert "nothing half-written" in capsys.readouterr().err


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (10**9, -1))
    assert main(["reconstruct", "x.h5", "-o", "out"]) == 1
    assert "limited to 1,000 MB here (ulimit -v)" in capsys.readouterr().err
    assert main(["datasets", "list"]) == 0


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        MemoryError(),
    ],
)
def test_every_library_s_want_of_memory_is_recognised(monkeypatch, capsys, error):
    def work(*_, **__):
        raise error

    monkeypatch.setattr("phasegan.data.prepare.api.prepare", work)
    assert main(["prepare", "-o", "x.h5", "-q"]) == 1
    assert "error: not enough memory; lower" in capsys.readouterr().err
