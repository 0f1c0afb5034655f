"""A process that is killed before each single change of the disk leaves what goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import partial

import pytest
import torch

import phasegan
from phasegan.io.atomic import atomic_files
from phasegan.progress import Progress
from phasegan.training.checkpoint import Checkpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
CHANGES = ("replace", "rename", "unlink", "remove", "rmdir")


def killed_before(number, work):
    """Do some work in a child that is killed before its n-th change; tell whether it was."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = [number]

    def counted(change):
        def do(*arguments, **options):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return change(*arguments, **options)

        return do

    try:
        for name in CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        work()
    finally:
        os._exit(0)


def test_checkpoints_while_they_rotate(tmp_path):
    def save(step):
        checkpoints.save(step, {"gan": {"weight": torch.full((3,), float(step))}, "step": step})

    number, was_killed = 0, True
    while was_killed:
        checkpoints = Checkpoints(tmp_path / str(number))
        save(1)
        save(2)
        was_killed = killed_before(number, lambda: save(3))
        state = checkpoints.load(torch.device("cpu"), Progress())
        assert state["step"] in ((2, 3) if was_killed else (3,))
        assert torch.equal(state["gan"]["weight"], torch.full((3,), float(state["step"])))
        save(4)
        assert [p.name[-13] for p in checkpoints.paths()][-1] == "4"
        assert sorted(os.listdir(checkpoints.folder)) == [p.name for p in checkpoints.paths()]
        assert len(checkpoints.paths()) == 2
        number += 1
    assert number > 2


def test_shards_while_they_are_joined(pictures, tmp_path):
    options = {"size": 16, "samples": 4, "test": 2, "workers": 1, "shards": 2}
    phasegan.prepare(pictures, tmp_path / "whole" / "set.h5", **options)
    whole = (tmp_path / "whole" / "set.h5").read_bytes()
    names = sorted(os.listdir(tmp_path / "whole"))
    (tmp_path / "whole" / "set.h5").unlink()
    number, was_killed = 0, True
    while was_killed:
        folder = shutil.copytree(tmp_path / "whole", tmp_path / str(number))
        join = partial(phasegan.prepare, pictures, folder / "set.h5", **options)
        was_killed = killed_before(number, join)
        assert not (folder / "set.h5").exists() or (folder / "set.h5").read_bytes() == whole
        join()
        assert (folder / "set.h5").read_bytes() == whole
        assert sorted(os.listdir(folder)) == names
        number += 1
    assert number > 2


def test_two_files_that_are_written_together(tmp_path):
    def write(folder):
        with atomic_files(folder / "sheet", folder / "file") as temporaries:
            for temporary in temporaries:
                temporary.write_text("whole")

    for number, there in enumerate((set(), {"sheet"}, {"sheet", "file"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert killed_before(number, partial(write, folder))
        assert {name for name in os.listdir(folder) if not name.startswith(".")} == there
