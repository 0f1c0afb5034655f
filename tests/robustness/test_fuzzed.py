"""Damaged files of every kind: refused in one line, or read as they should be."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fuzzing.mutations import mutate

ROOT = Path(__file__).parents[2]
FOLDERS = [str(ROOT), str(ROOT / "benchmarks")]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork and /proc")

BAD = ("wrong accept", "traceback", "crash", "hang", "memory")


def test_damaged_files_of_all_kinds(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/fuzz.py", "--cases", "1500", "--seed", "11",
         "--children", "1", "--json", tmp_path / "rows.json", "--failures", tmp_path / "failed"],
        capture_output=True, text=True, cwd=tmp_path,
        env={"OMP_NUM_THREADS": "1", **os.environ}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row["outcomes"])
        assert row["cases"] == sum(row["outcomes"].values())
    assert total.total() == 1500
    assert not set(total) & set(BAD)
    assert len(rows) >= 35
    refused = {row["what"] for row in rows if row["outcomes"].get("refused")}
    assert len(refused) >= len(rows) - 2  # records of losses are read as far as they are whole


def test_damage_is_that_of_the_seed():
    data, others = bytes(range(256)) * 8, [b"x" * 500]
    made = [mutate(data, others, random.Random(f"{i}")) for i in range(200)]
    assert made == [mutate(data, others, random.Random(f"{i}")) for i in range(200)]
    assert len({*made}) > 150
    assert sum(len(m) != len(data) for m in made) > 20


@pytest.mark.slow
def test_a_reader_that_misbehaves_is_told(tmp_path):
    """The harness itself: wrong accepts, tracebacks, crashes and lack of memory are counted."""
    script = """
import sys, os, ctypes
from pathlib import Path
from collections import Counter
from fuzzing import children
from fuzzing.children import Case, run_cases
from fuzzing.targets import Target
from phasegan.errors import InputError
whole = Path("whole.bin"); whole.write_bytes(bytes(100))
children.SECONDS = 10.0
def read(what):
    def function(path):
        data = path.read_bytes()
        if data == bytes(100): return data
        if what == "refuse": raise InputError("no")
        if what == "lines": raise InputError("a\\nb")
        if what == "raise": raise KeyError(1)
        if what == "die": os.kill(os.getpid(), 11)
        if what == "hang":
            while True: pass
        if what == "eat": bytearray(1 << 40)
        return data
    return function
kinds = ["refuse", "lines", "raise", "die", "hang", "eat", "accept"]
targets = [Target(k, [whole], read(k), k == "accept") for k in kinds] + [
    Target("plain", [whole], read("accept"))]
cases = [Case(i, i % 8, f"{i}") for i in range(16)]
found = Counter((f.case.target, f.outcome) for f in run_cases(targets, cases, Path("w"), 2))
print(sorted(found.items()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True,
        timeout=300,
        env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(FOLDERS)},
    )  # fmt: skip
    expected = ["refused", "traceback", "traceback", "crash", "hang", "memory", "wrong accept",
                "changed"]  # fmt: skip
    assert eval(done.stdout) == [((i, name), 2) for i, name in enumerate(expected)]


def test_the_document_says_what_the_rows_say(tmp_path):
    import reliability

    rows = [{"what": "x", "cases": 3, "outcomes": {"refused": 2, "same": 1}, "command": "c",
             "machine": "m", "when": "2026-01-01", "note": "n"}]  # fmt: skip
    (tmp_path / "fuzz.json").write_text(json.dumps(rows), encoding="utf-8")
    arguments = ["--rows", str(tmp_path), "-o", str(tmp_path / "r.md")]
    assert reliability.main([*arguments, "--check"]) == 1
    assert reliability.main(arguments) == 0
    assert reliability.main([*arguments, "--check"]) == 0
    text = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "| x | 3 | 2 | 1 | · | · | · | · | · |" in text
    rows[0]["cases"] = 4
    (tmp_path / "fuzz.json").write_text(json.dumps(rows), encoding="utf-8")
    assert reliability.main(arguments) == 2


def test_the_committed_document_is_that_of_the_committed_rows():
    import reliability

    assert reliability.main(["--check"]) == 0
