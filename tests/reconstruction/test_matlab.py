"""MATLAB's files are read in a child process, whose end is never this one's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from phasegan.errors import InputError
from phasegan.io.untrusted import SLACK, UnreadableFileError
from phasegan.reconstruction.inputs import matlab
from phasegan.reconstruction.inputs.arrays import read_phase
from phasegan.reconstruction.inputs.matlab import read_mat


@pytest.fixture
def path(tmp_path):
    savemat(tmp_path / "a.mat", {"phase": np.zeros((8, 5)), "text": "x"})
    return tmp_path / "a.mat"


def phase(kinds):
    return "phase"


def test_an_array_and_its_class_come_back(path):
    seen = []
    values, kind = read_mat(path, lambda kinds: seen.append(kinds) or "phase")
    assert seen == [{"phase": "double", "text": "char"}]
    assert kind == "double"
    np.testing.assert_array_equal(values, np.zeros((8, 5)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "makes the library that reads it crash"),
        ("import time; time.sleep(600)", "does not get through it"),
        ("print('[[\"phase\", [8, 5], \"double\"]]'); import sys; sys.exit('torn')", "torn"),
        (f'print(\'[["phase", [{SLACK + 1}], "double"]]\'); input()', "its header claims"),
        ('print(\'[["phase", [8, 5], "double"]]\')', "no such variable"),
    ],
)
def test_a_child_that_fails_is_a_damaged_file(path, monkeypatch, code, reason):
    monkeypatch.setattr(matlab, "_CHILD", code)
    if "sleep" in code:
        monkeypatch.setattr(matlab, "SECONDS", 1.0)
    with pytest.raises(UnreadableFileError, match=reason):
        read_mat(path, phase)
    with pytest.raises(InputError, match=r"a\.mat: cannot be read; is it damaged") as caught:
        read_phase(path, warn=lambda line: None)
    assert "\n" not in str(caught.value)


def test_what_the_choice_says_is_said(path):
    def refuse(kinds):
        raise InputError("name one")

    with pytest.raises(InputError, match=r"^name one$"):
        read_mat(path, refuse)
