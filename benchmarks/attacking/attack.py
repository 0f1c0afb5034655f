"""One attack: what it makes, what a user then does, and what became of it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).with_name("phasegan")
SECONDS = 120.0
"""After which a command hangs; SIGTERM then has to end it within `GRACE`."""
GRACE = 10.0
LINE = re.compile(r"(?:(?:warning|note): [^\n]*\n)*phasegan: error: [^\n]+\n")
REFUSED, HARMLESS = "refused", "done, nothing else touched"
GOOD = (REFUSED, HARMLESS)


@dataclass(frozen=True)
class Attack:
    """What is tried.

    Parameters
    ----------
    kind : str
        What it attacks: a row of the table.
    name : str
        What it is.
    make : callable
        Given a folder, makes the hostile input there, and beside it what it aims at; returns
        the arguments of phasegan, to be run in that folder.
    expected : str
        `REFUSED`: one line and exit status 2; `HARMLESS`: the command does its work.
    output : tuple of str
        What the command may write in the folder, names or patterns.
    """

    kind: str
    name: str
    make: Callable[[Path], list[str]]
    expected: str = REFUSED
    output: tuple[str, ...] = ("out*",)


def contents(folder: Path) -> dict[str, str]:
    """Return what every file below a folder holds, by its name; pipes and links as such."""
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = str(path.relative_to(folder))
        if path.is_symlink():
            found[relative] = f"link to {os.readlink(path)}"
        elif path.is_file():
            found[relative] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[relative] = "folder" if path.is_dir() else "special"
    return found


def attempt(attack: Attack, folder: Path) -> tuple[str, str]:
    """Try an attack in a folder of its own.

    Returns
    -------
    (str, str)
        What became of it, a column of the table, and what phasegan said.
    """
    work = folder / "work"
    work.mkdir(parents=True)
    canary = folder / "canary"
    canary.write_bytes(os.urandom(4096))
    arguments = attack.make(work)
    before = contents(folder)
    child = subprocess.Popen(
        [COMMAND, *arguments],
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(_made(folder.with_name(f"{folder.name}-tmp")))},
        text=True, errors="replace",
    )  # fmt: skip
    try:
        _, said = child.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)
        try:
            _, said = child.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            _, said = child.communicate()
        return "hang", said
    after = contents(folder)
    changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
    if not all(_may_change(Path(name), attack) for name in changed):
        return "touched something else", said
    shutil.rmtree(folder.with_name(f"{folder.name}-tmp"), ignore_errors=True)
    return _outcome(child.returncode, said, attack), said


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _may_change(path: Path, attack: Attack) -> bool:
    work, *inside = path.parts
    return work == "work" and any(Path(inside[0]).match(pattern) for pattern in attack.output)


def _outcome(status: int, said: str, attack: Attack) -> str:
    if "Traceback" in said:
        return "traceback"
    if status < 0:
        return "crash"
    if status == 2 and LINE.fullmatch(said):
        return REFUSED if attack.expected == REFUSED else "refused what is fine"
    if status == 0:
        return HARMLESS if attack.expected == HARMLESS else "wrong accept"
    return f"exit status {status}"
