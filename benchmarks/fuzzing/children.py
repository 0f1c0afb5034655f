"""Child processes that read mutated files and may die of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import shutil
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzzing.mutations import mutate
from fuzzing.targets import Target, digest
from phasegan.errors import InputError

MEMORY = 3 << 30
"""Bytes that a child may take beyond what it has at birth."""
SECONDS = 20.0
"""After which a case counts as hanging."""
BAD = ("wrong accept", "traceback", "crash", "hang", "memory")
"""Outcomes that are failures."""


@dataclass(frozen=True)
class Case:
    """One mutated file."""

    number: int
    target: int
    seed: str


@dataclass
class Found:
    """What became of a case."""

    case: Case
    outcome: str
    said: str = ""


@dataclass
class _Child:
    process: int
    stream: int
    cases: list[Case]
    done: int = 0
    since: float = field(default_factory=time.monotonic)
    left: bytes = b""


class Reading:
    """Reads cases in this process, in a folder of its own.

    Parameters
    ----------
    targets : sequence of Target
        The readers.
    folder : pathlib.Path
        An empty folder.
    """

    def __init__(self, targets: Sequence[Target], folder: Path) -> None:
        self._targets, self._folder = targets, folder
        self._wanted: dict[tuple[int, int], str] = {}
        self._first = [target.specimens[0] for target in targets]

    def bytes_of(self, case: Case) -> tuple[int, bytes]:
        """Return which specimen a case damages, and the damaged bytes."""
        rng = random.Random(case.seed)
        target = self._targets[case.target]
        chosen = rng.randrange(len(target.specimens))
        whole = target.specimens[chosen].read_bytes()
        suffixes = {path.suffix for path in target.specimens}
        others = [path.read_bytes() for path in self._first if path.suffix not in suffixes]
        damaged = whole
        while damaged == whole:
            damaged = mutate(whole, others, rng)
        return chosen, damaged

    def place(self, number: int, chosen: int) -> Path:
        """Return where a reader's file is to be written, beside what belongs to it."""
        target = self._targets[number]
        room = self._folder / str(number)
        if not room.is_dir():
            if target.companions is None:
                room.mkdir(parents=True)
            else:
                shutil.copytree(target.companions, room)
        return room / target.specimens[chosen].name

    def read(self, case: Case) -> Found:
        """Read a case."""
        target = self._targets[case.target]
        chosen, data = self.bytes_of(case)
        path = self.place(case.target, chosen)
        if (case.target, chosen) not in self._wanted:
            path.write_bytes(target.specimens[chosen].read_bytes())
            self._wanted[case.target, chosen] = digest(target.read(path))
        path.write_bytes(data)
        found = self._outcome(case, target, path, self._wanted[case.target, chosen])
        if target.companions is not None:  # others are read with it whole
            path.write_bytes(target.specimens[chosen].read_bytes())
        return found

    def _outcome(self, case: Case, target: Target, path: Path, wanted: str) -> Found:
        try:
            result = digest(target.read(path))
        except InputError as error:
            if not str(error).strip() or "\n" in str(error):
                return Found(case, "traceback", f"a message of several lines: {error}")
            return Found(case, "refused", str(error))
        except MemoryError:
            return Found(case, "memory", traceback.format_exc(limit=-4))
        except Exception:
            return Found(case, "traceback", traceback.format_exc(limit=-6))
        if result == wanted:
            return Found(case, "same")
        return Found(case, "wrong accept" if target.checksummed else "changed")


def run_cases(
    targets: Sequence[Target], cases: Sequence[Case], folder: Path, count: int
) -> Iterator[Found]:
    """Give what became of each case, in any order.

    Parameters
    ----------
    targets : sequence of Target
        The readers.
    cases : sequence of Case
        What to read.
    folder : pathlib.Path
        An empty folder.
    count : int
        Children at a time.
    """
    children = [_start(targets, list(cases[i::count]), folder, i) for i in range(count)]
    born = count
    while children:
        ready, _, _ = select.select([child.stream for child in children], [], [], 1.0)
        for child in list(children):
            ended = False
            if child.stream in ready:
                block = os.read(child.stream, 1 << 16)
                ended = not block
                *lines, child.left = (child.left + block).split(b"\n")
                for line in lines:
                    outcome, said = json.loads(line)
                    yield Found(child.cases[child.done], outcome, said)
                    child.done, child.since = child.done + 1, time.monotonic()
            hangs = not ended and time.monotonic() - child.since > SECONDS
            if not (ended or hangs):
                continue
            if hangs:
                os.kill(child.process, signal.SIGKILL)
            os.close(child.stream)
            _, status = os.waitpid(child.process, 0)
            children.remove(child)
            if child.done < len(child.cases):
                said = (
                    f"killed by signal {os.WTERMSIG(status)}"
                    if os.WIFSIGNALED(status)
                    else (f"ended with status {os.waitstatus_to_exitcode(status)}")
                )
                yield Found(child.cases[child.done], "hang" if hangs else "crash", said)
                rest = child.cases[child.done + 1 :]
                if rest:
                    children.append(_start(targets, rest, folder, born))
                    born += 1


def _start(targets: Sequence[Target], cases: list[Case], folder: Path, number: int) -> _Child:
    reads, writes = os.pipe()
    process = os.fork()
    if process:
        os.close(writes)
        return _Child(process, reads, cases)
    status = 1
    try:
        os.close(reads)
        _quiet()
        _bounded()
        reading = Reading(targets, folder / f"child-{number}")
        for case in cases:
            found = reading.read(case)
            os.write(writes, json.dumps([found.outcome, found.said[:2000]]).encode() + b"\n")
        status = 0
    except BaseException:
        with contextlib.suppress(OSError):
            (folder / f"child-{number}.txt").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(status)


def _quiet() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _bounded() -> None:
    with open("/proc/self/statm", encoding="ascii") as stream:
        present = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + MEMORY, present + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def as_json(found: Found, targets: Sequence[Target]) -> dict[str, Any]:
    """Return a failure for people."""
    return {
        "target": targets[found.case.target].name,
        "seed": found.case.seed,
        "outcome": found.outcome,
        "said": found.said,
    }
