"""The script for a GPU machine starts what exists, with options that are understood."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import bench_pictures
import bench_training
import pytest

from phasegan.io.atomic import read_json

ROOT = Path(__file__).parents[2]
PARTS = "precision paths pictures loading paper whole physics steady compile"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a shell script for Linux")


def commands(folder, parts=PARTS, **environment):
    """Return the words of each command that the script would run, and its exit status."""
    python, calls = folder / "python", folder / "calls"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] || echo "$@" >> {shlex.quote(str(calls))}\n')
    python.chmod(0o755)
    data = folder / "data.h5"
    data.touch()
    done = subprocess.run(
        ["sh", ROOT / "benchmarks" / "gpu.sh", data, data, folder / "out"],
        env={**os.environ, "PYTHON": str(python), "PARTS": parts} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = calls.read_text().splitlines() if calls.exists() else []
    return [shlex.split(line) for line in lines], done.returncode


def test_every_part_is_understood(tmp_path):
    found, status = commands(tmp_path, FLAGS="--threads 2", PAIR=str(tmp_path))
    assert status == 0
    parsers = {"bench_training.py": bench_training.parse, "bench_pictures.py": bench_pictures.parse}
    outputs = []
    for words in found:
        if words[:2] == ["-m", "pytest"]:
            assert all((ROOT / word).is_file() for word in words if word.startswith("tests/"))
            continue
        script, *rest = words
        assert (ROOT / script).is_file()
        if Path(script).name in parsers:
            options = parsers[Path(script).name](rest)
            assert 0 < options.limit <= 9
            outputs.append(Path(options.output).name)
    assert outputs == PARTS.split()[2:3] + PARTS.split()[4:]
    assert sum(words[0] == "-m" for words in found) == 2


def test_parts_are_chosen_and_end_when_there_is_no_time(tmp_path):
    found, status = commands(tmp_path, "paths pictures")
    assert (len(found), status) == (2, 0)
    late = tmp_path / "late"
    late.mkdir()
    assert commands(late, "paths pictures", LIMIT="10") == ([], 1)


def test_rates_are_measured_for_every_number_of_workers(tmp_path, capsys):
    sizes = ("--size", "32", "--variant", "small", "--images", "4", "--device", "cpu")
    windows = ("--workers", "0,1", "--rounds", "1", "--seconds", "0.01")
    assert bench_pictures.main([*sizes, *windows, "-o", str(tmp_path / "out")]) == 0
    document = read_json(tmp_path / "out" / "results.json")
    assert [row["workers"] for row in document["rows"]] == [bench_pictures.ONE_BATCH, 0, 1]
    assert all(rate > 0 for row in document["rows"] for rate in row["images_per_s"])
    assert document["complete"]
    assert (tmp_path / "out" / "table.md").read_text() in capsys.readouterr().out
