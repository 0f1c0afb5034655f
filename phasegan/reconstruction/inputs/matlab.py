"""MATLAB's files of versions 4 to 7.2, read by scipy in a child process.

A damaged file of this kind can crash the library, and with it the process. So a child
says what there is, is told what is wanted, and writes it as numpy does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from phasegan.io.arrays import read_npy
from phasegan.io.untrusted import UnreadableFileError, check_growth

SECONDS = 600.0
"""After which a file that keeps scipy busy counts as damaged."""

_CHILD = """
import json, sys, warnings
import numpy
from scipy.io import loadmat, whosmat
warnings.simplefilter("ignore")
path, target = sys.argv[1:]
try:
    found = [(n, [int(s) for s in shape], k) for n, shape, k in whosmat(path, appendmat=False)]
    print(json.dumps(found), flush=True)
    name = json.loads(sys.stdin.readline() or "null")
    if name is not None:
        values = loadmat(path, appendmat=False, variable_names=[name])[name]
        with open(target, "wb") as stream:
            numpy.save(stream, values, allow_pickle=False)
except Exception as error:
    sys.exit(" ".join(str(error).split())[:200] or type(error).__name__)
"""


def read_mat(path: Path, choose: Callable[[dict[str, str]], str]) -> tuple[NDArray[Any], str]:
    """Read one array.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    choose : callable
        Takes MATLAB's classes of variables by their names; returns a name.

    Returns
    -------
    numpy.ndarray
        The values as scipy reads them.
    str
        MATLAB's class.

    Raises
    ------
    UnreadableFileError
        If the file is damaged, or unpacks to far more than its size; the message is the
        reason alone. What `choose` raises is raised.
    """
    with tempfile.TemporaryDirectory(prefix="phasegan-") as folder:
        target = Path(folder, "values.npy")
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, os.fspath(path.resolve()), os.fspath(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            child.kill()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line.endswith("\n"):
                raise _child_error(child, "", timed_out)
            shapes = {name: (shape, kind) for name, shape, kind in json.loads(line)}
            name = choose({name: kind for name, (_, kind) in shapes.items()})
            shape, kind = shapes[name]
            size = 1
            for length in shape:
                size *= max(length, 0)
            check_growth(size, path)
            error = _child_error(child, json.dumps(name) + "\n", timed_out)
            if not target.is_file():
                raise error
            return read_npy(target), kind
        finally:
            timer.cancel()
            child.kill()
            child.communicate()


def _child_error(
    child: subprocess.Popen[str], answer: str, timed_out: threading.Event
) -> UnreadableFileError:
    """Answer, wait for the end, and return what is to be said if that was not good."""
    _, stderr = child.communicate(answer)
    if timed_out.is_set():
        return UnreadableFileError(f"scipy does not get through it in {SECONDS:g} s")
    if child.returncode < 0:
        return UnreadableFileError("it makes the library that reads it crash")
    lines = stderr.strip().splitlines() or ["no such variable"]
    return UnreadableFileError(lines[-1])
