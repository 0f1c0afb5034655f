"""Trainings that are killed and continued, in forked processes; test_kills.py runs this.

Importing torch takes seconds: it is done once, in a process that computes nothing and
forks another for every attempt. What to do is JSON on the command line, what was done
is JSON on the standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import re
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from PIL import Image

import phasegan
from phasegan.eta import Estimate
from phasegan.training import api

LONGEST = 200.0
"""Seconds that one attempt may take on the slowest machine."""
CHECKPOINTS = ("checkpoint.pt", "step-#.safetensors")
GONE = "no "


class Aim(NamedTuple):
    """The moment at which an attempt kills itself."""

    kind: str
    """Which file gets its name, with # for numbers; `no …`: which file is removed."""
    moment: str
    """before: it is written, or half of it; after; torn: half a line of losses is written."""
    last: bool = False
    """After the last epoch."""
    estimated: bool = False
    """Let the attempt estimate its duration first."""


class Helper:
    """One training, uninterrupted and killed.

    Parameters
    ----------
    task : dict
        `data`, `options` of the training, `whole` and `broken`: two run folders;
        `random`: how many kills at random moments, which `seed` decides.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self.whole, self.broken = Path(task["whole"]), Path(task["broken"])
        self.notes = self.whole.with_suffix(".json")
        self.data, self.options, self.count = task["data"], task["options"], task["random"]
        self.chance = random.Random(task["seed"])
        self.kills: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Train without a break, then with many; return what was done."""
        self.wait("uninterrupted", self.fork(self.train_whole))
        notes = json.loads(self.notes.read_text())
        for name in notes["modules"]:  # what a training imports late
            with contextlib.suppress(Exception):
                importlib.import_module(name)

        took = [self.aimed(aim) for aim in self.aims(notes["kinds"])]
        estimated = self.aimed(Aim("losses.jsonl", "before", estimated=True))
        longest = usual = 2 * sorted(took)[3 * len(took) // 4]
        for number in range(self.count):
            estimate = number % 6 == 5
            delay = self.chance.uniform(0, estimated if estimate else longest)
            moved = self.killed(delay, estimate) or self.ending(self.broken)
            longest = usual if moved else min(1.3 * longest, 4 * usual)
        for aim in self.last_aims(notes["last"]):
            self.aimed(aim)
        self.wait("the last", self.fork(lambda: self.train(self.broken)))
        return {"kills": self.kills, "kinds": sorted({*notes["kinds"], *notes["last"]})}

    def aims(self, kinds: list[str]) -> Iterator[Aim]:
        """Yield every kind of write with every moment, in an order in which they come."""
        self.checkpoint = next(kind for kind in kinds if kind in CHECKPOINTS)
        first = ["config.json", self.checkpoint]
        for kind in [*first, *(kind for kind in kinds if kind not in first), "losses.jsonl"]:
            yield Aim(kind, "before")
            yield Aim(kind, "after")
        yield Aim("losses.jsonl", "torn")

    def last_aims(self, kinds: list[str]) -> Iterator[Aim]:
        """Yield the same of what is written after the last epoch, until the run is finished."""
        finished = kinds.index("status.json")
        for kind in kinds[:finished]:
            yield Aim(kind, "before", last=True)
            yield Aim(kind, "after", last=True)
        yield Aim("status.json", "before", last=True)
        after = kinds[finished + 1 :]
        yield Aim(after[-1], "before", last=True) if after else Aim("status.json", "after", True)

    def train(self, folder: Path, estimate: bool = False) -> None:
        if not estimate:
            api.estimate_run = lambda *_, **__: Estimate(1.0, 1.0, 1.0)
        phasegan.train(self.data, folder, resume=True, device="cpu", **self.options)

    def train_whole(self) -> None:
        kinds: dict[str, None] = {}
        last: dict[str, None] = {}

        def note(kind: str, *_: object) -> None:
            (last if self.ending(self.whole) else kinds).setdefault(kind)

        watch_files(self.whole, note)
        self.train(self.whole)
        notes = {"modules": list(sys.modules), "kinds": list(kinds), "last": list(last)}
        self.notes.write_text(json.dumps(notes))

    def train_aimed(self, aim: Aim, half: bool) -> None:
        losses = self.broken / "losses.jsonl"

        def hit(kind: str, source: str, done: bool) -> None:
            wanted = self.checkpoint if aim.moment == "torn" else aim.kind
            if kind != wanted or done != (aim.moment == "after"):
                return
            if aim.last and not self.ending(self.broken):
                return
            if aim.moment == "torn":
                os.truncate(losses, losses.stat().st_size - 10)
            elif half and not done and not kind.startswith(GONE):
                os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

        watch_files(self.broken, hit)
        self.train(self.broken, aim.estimated)

    def train_held(self, estimate: bool) -> None:
        """Train, but wait for the kill rather than finish."""

        def hold(*_: object) -> None:
            if self.ending(self.broken):
                time.sleep(LONGEST)
                os._exit(3)

        watch_files(self.broken, hold)
        self.train(self.broken, estimate)

    def ending(self, folder: Path) -> bool:
        """Tell whether the last epoch is done."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            last = (folder / "losses.jsonl").read_text().splitlines()[-1]
            return json.loads(last)["epoch"] == self.options["epochs"]
        return False

    def aimed(self, aim: Aim) -> float:
        """Let an attempt kill itself; return the seconds it lived."""
        start, half = time.monotonic(), self.chance.random() < 0.5
        status = self.wait(str(aim), self.fork(lambda: self.train_aimed(aim, half)), killed=True)
        seconds = time.monotonic() - start
        self.record(" ".join(map(str, aim[:2])), status)
        return seconds

    def killed(self, delay: float, estimate: bool) -> bool:
        """Kill an attempt from outside; tell whether it saved more than was saved before."""
        before = self.saved()
        pid = self.fork(lambda: self.train_held(estimate))
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        self.record("random", os.waitpid(pid, 0)[1])
        return self.saved() != before

    def record(self, what: str, status: int) -> None:
        assert os.WIFSIGNALED(status), f"{what}: not killed, ended with status {status}"
        assert os.WTERMSIG(status) == signal.SIGKILL, f"{what}: {os.WTERMSIG(status)}"
        self.check_files()
        self.kills.append({"what": what, "saved": self.saved()})

    def saved(self) -> int:
        path = self.broken / "status.json"
        return json.loads(path.read_text())["step"] if path.exists() else 0

    def check_files(self) -> None:
        """Read every file that has its final name: it must be whole."""
        for path in self.broken.rglob("[!.]*.*"):
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                safetensors.numpy.load_file(path)
            elif path.suffix == ".npy":
                np.load(path)
            elif path.suffix == ".png":
                Image.open(path).verify()
            elif path.suffix == ".pt":
                assert zipfile.ZipFile(path).testzip() is None, path

    def fork(self, work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)

    def wait(self, what: str, pid: int, killed: bool = False) -> int:
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                assert killed or status == 0, f"{what} attempt ended with status {status}"
                return status
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise TimeoutError(f"{what} attempt took {LONGEST} s")


def watch_files(folder: Path, act: Callable[[str, str, bool], object]) -> None:
    """Call a function before and after a file in a folder gets its name, or loses it."""
    replace, unlink = os.replace, os.unlink

    def domain_format(path: Any) -> str:
        inside = folder in Path(path).parents and not Path(path).name.startswith(".")
        return re.sub(r"\d+", "#", Path(path).name) if inside else ""

    def replaced(source: Any, target: Any, **options: Any) -> None:
        kind = domain_format(target)
        if kind:
            act(kind, source, False)
        replace(source, target, **options)
        if kind:
            act(kind, source, True)

    def unlinked(path: Any, **options: Any) -> None:
        kind = domain_format(path) if os.path.exists(path) else ""
        if kind:
            act(GONE + kind, path, False)
        unlink(path, **options)
        if kind:
            act(GONE + kind, path, True)

    os.replace, os.unlink = replaced, unlinked


if __name__ == "__main__":
    print(json.dumps(Helper(json.loads(sys.argv[1])).run()))
