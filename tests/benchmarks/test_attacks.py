"""What `benchmarks/attacks.py` calls an attack that got through."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands are scripts of sh")
FOLDER = Path(__file__).parents[2] / "benchmarks"
LINE = "echo 'phasegan: error: in.h5: damaged' >&2"


@pytest.mark.parametrize(
    ("script", "expected", "outcome"),
    [
        (f"{LINE}; exit 2", "refused", "refused"),
        (f"{LINE}; echo x >> ../canary; exit 2", "refused", "touched something else"),
        (f"{LINE}; touch beside; exit 2", "refused", "touched something else"),
        (f"{LINE}; rm in.h5; exit 2", "refused", "touched something else"),
        ("echo done > out.h5", "refused", "wrong accept"),
        ("echo done > out.h5", "done, nothing else touched", "done, nothing else touched"),
        (f"{LINE}; exit 2", "done, nothing else touched", "refused what is fine"),
        (f"{LINE}; {LINE}; exit 2", "refused", "exit status 2"),
        ("echo Traceback >&2; exit 1", "refused", "traceback"),
        ("kill -SEGV $$", "refused", "crash"),
        ("trap '' TERM; while :; do sleep 0.1; done", "refused", "hang"),
    ],
)
def test_outcomes(tmp_path, monkeypatch, script, expected, outcome):
    monkeypatch.syspath_prepend(str(FOLDER))
    from attacking import attack as module

    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setattr(module, "COMMAND", command)
    monkeypatch.setattr(module, "GRACE", 1.0)
    monkeypatch.setattr(module, "SECONDS", 2.0 if outcome == "hang" else 60.0)

    def make(folder):
        (folder / "in.h5").write_bytes(b"hostile")
        return ["inspect", "in.h5"]

    tried = module.Attack("kind", "name", make, expected)
    assert module.attempt(tried, tmp_path / "000")[0] == outcome
