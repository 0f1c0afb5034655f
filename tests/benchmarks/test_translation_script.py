"""The script of the translation tables asks for what the command takes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from phasegan.cli.evaluate import command as evaluate
from phasegan.cli.train import command as train

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "translation.sh"


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
PAIRS, TERMS, OPTIONS, SEEDS = 3, 2, 9, 3


def commands(out, **environment):
    """Return the words of each command that the script would run."""
    done = subprocess.run(
        ["sh", SCRIPT, "data", out],
        env={**os.environ, "PHASEGAN": "echo", "FLAGS": "--threads 1", "SIZE": "32"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


def test_every_command_of_the_script_is_understood(tmp_path):
    out = tmp_path / "out"
    names, rated = [], []
    for kind, *arguments in commands(out):
        command = {"train": train, "evaluate": evaluate}[kind]
        found = command.make_context(kind, arguments)
        if kind == "train":
            assert (found.params["size"], found.params["threads"]) == (32, 1)
            names.append(found.params["output"])
        else:
            rated += found.params["runs"]
    assert len(names) == len(set(names)) == SEEDS * (PAIRS * TERMS + OPTIONS)
    assert sorted(rated) == sorted(names)
    assert (out / "photo2hayao.txt").is_file()


def test_the_work_can_be_shared(tmp_path):
    share = {"TERMS": "identity", "SEEDS": "1", "RATED": ""}
    lines = commands(tmp_path / "out", PARTS="pairs", **share)
    assert [line[0] for line in lines] == ["train"] * PAIRS
    assert all("--identity" not in line for line in lines)
    lines = commands(tmp_path / "out", PARTS="options", **share)
    assert [line[0] for line in lines] == ["train"] * OPTIONS
