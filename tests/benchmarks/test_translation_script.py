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


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_every_command_of_the_script_is_understood(tmp_path):
    out = tmp_path / "out"
    done = subprocess.run(
        ["sh", SCRIPT, "data", out],
        env={**os.environ, "PHASEGAN": "echo", "FLAGS": "--threads 1", "SIZE": "32"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    names = []
    for kind, *arguments in lines:
        command = {"train": train, "evaluate": evaluate}[kind]
        found = command.make_context(kind, arguments)
        if kind == "train":
            assert (found.params["size"], found.params["threads"]) == (32, 1)
            names.append(found.params["output"])
        else:
            assert set(found.params["runs"]) <= set(names)
    assert len(names) == len(set(names)) == 6 + 2 * 7
    assert (out / "photo2hayao.txt").is_file()
