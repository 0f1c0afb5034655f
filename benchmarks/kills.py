"""What is lost when commands are killed at random moments, again and again, until they finish.

    python benchmarks/kills.py --kills 200 --seed 0 --json benchmarks/results/reliability/kills.json

`prepare` (phases, domains), `train` (presets physics, paper, translation) and `bench`, all
tiny, are killed again and again (seven of ten times by SIGKILL, else by SIGTERM or SIGINT),
each time continued by the same command, until they finish. Most kills come at a moment that is
uniform over the time of an uninterrupted run, some in the first milliseconds, some right
after a file in the output changes, some when the output is complete but the process still
runs. After every kill each file with a final name must be whole, and nothing but the
output touched; at the end the result must be that of the uninterrupted run, bit for bit
but for times, with no file left over.
"""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from survival.attempts import Attempt, Ended, run
from survival.commands import Command, choose, make_commands
from survival.outputs import Broken, all_whole, contents, hidden, same
from survival.rows import make_row, print_rows, write_rows

SHARES = {
    "prepare": 6, "prepare domains": 4, "train physics": 2, "train paper": 2,
    "train translation": 2, "bench": 4,
}  # fmt: skip
"""How the kills are shared out."""
SIGNALS = (signal.SIGKILL,) * 7 + (signal.SIGTERM,) * 2 + (signal.SIGINT,)
CAUGHT = {signal.SIGKILL: {-9, 0}, signal.SIGTERM: {143, -15, 0}, signal.SIGINT: {130, -2, 0}}
"""Exit statuses after a signal: said by the command, or before it had begun, or too late."""
MOMENTS = ("anywhere",) * 13 + ("the first milliseconds",) * 2 + ("a write",) * 3 + ("the end",) * 2
FIRST, LAST, AFTER_WRITE = 0.1, 0.05, 0.004
"""Seconds: of the first milliseconds, after the output is complete, after a write."""
SURVIVED = "resumed, the same result"
Print = tuple[tuple[str, int, int], ...]


def fingerprint(folder: Path) -> Print:
    """Return names, sizes and times of the files in and below a folder."""
    found = []
    for path in folder.rglob("*"):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path), stat.st_size if path.is_file() else 0, stat.st_mtime_ns))
    return tuple(sorted(found))


@dataclass
class Trial:
    """One command, killed a number of times.

    Parameters
    ----------
    command : Command
        What is run.
    count : int
        How often it is killed.
    folder : pathlib.Path
        Where its outputs go; `data` beside it holds what it reads.
    seed : str
        Of the moments and signals.
    """

    command: Command
    count: int
    folder: Path
    seed: str
    kills: int = 0
    finished: int = 0
    """Outputs that were finished and compared."""
    temporary: int = 0
    """Folders of killed estimates in the system's temporary folder."""
    moments: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def run(self) -> Trial:
        """Kill until there were enough; never raise."""
        self._chance = random.Random(self.seed)
        try:
            self._refer()
            while self.kills < self.count:
                self._chain(self.folder / f"{self.finished:03d}")
        except Exception as error:
            if not isinstance(error, Broken):
                traceback.print_exc()
            self.failures.append(f"{self.command.name}: the uninterrupted run: {error}")
            print(f"FAILED {self.failures[-1]}", file=sys.stderr, flush=True)
            self.outcomes["not tried"] += self.count - self.kills
        return self

    def _refer(self) -> None:
        output = self.folder / "reference" / "out" / self.command.output
        self._seconds = run(self.command.line(output), self.folder / "reference" / "work").seconds
        self._reference = contents(output)
        all_whole(output)

    def _chain(self, folder: Path) -> None:
        """Kill and continue until an output is finished, then compare it."""
        before, ways = self.kills, []
        output = folder / "out" / self.command.output
        try:
            while self.kills < self.count:
                number, moment = self._chance.choice(SIGNALS), self._chance.choice(MOMENTS)
                there = self._temporary(folder)
                ended = self._attempt(folder, output, number, moment)
                if not ended.killed:
                    break
                self.kills += 1
                self.moments[moment] += 1
                self.signals[number.name] += 1
                ways.append(f"{number.name} at {moment} after {ended.seconds:.2f} s")
                self._check(folder, output, number, ended, there)
            run(self.command.line(output), folder / "work")
            self._check_end(folder, output)
            self.outcomes[SURVIVED] += self.kills - before
            left = {*(folder / "tmp").glob("*")} - {*(folder / "tmp").glob("torchinductor_*")}
            self.temporary += len(left)
            shutil.rmtree(folder)
        except Broken as error:
            self.failures.append(f"{self.command.name}: {error}; {'; '.join(ways)}")
            print(f"FAILED {self.failures[-1]}", file=sys.stderr, flush=True)
            self.outcomes[str(error).split(":")[0]] += max(1, self.kills - before)
            self.kills = max(self.kills, before + 1)
        self.finished += 1

    def _attempt(self, folder: Path, output: Path, number: int, moment: str) -> Ended:
        data = fingerprint(self.folder.parent / "data")
        attempt = Attempt(self.command.line(output), folder / "work")
        if moment == "the end":
            until, more = attempt.until(lambda _: self.command.finished(output)), LAST
        elif moment == "a write":
            until, more = self._until_written(attempt, output), AFTER_WRITE
        else:
            until, more = True, FIRST if moment == "the first milliseconds" else self._seconds
        if until:
            attempt.wait(self._chance.uniform(0, more))
        ended = attempt.ended(number)
        if fingerprint(self.folder.parent / "data") != data:
            raise Broken("touched something else: what it reads")
        return ended

    def _until_written(self, attempt: Attempt, output: Path) -> bool:
        """Wait until files beside or in the output have changed a random number of times."""
        last, left = fingerprint(output.parent), self._chance.randint(1, 12)

        def moment(_: float) -> bool:
            nonlocal last, left
            now = fingerprint(output.parent)
            left -= now != last
            last = now
            return left == 0

        return attempt.until(moment)

    def _check(
        self,
        folder: Path,
        output: Path,
        number: signal.Signals,
        ended: Ended,
        before: set[str],
    ) -> None:
        """Check what a kill left, where `before` was left over already."""
        begun = "Fatal Python error: init" not in ended.said  # else Python itself was starting
        if begun and ended.status not in CAUGHT[number]:
            raise Broken(f"wrong exit status: {ended.status} after {number.name}: {ended.said}")
        if ended.status in (130, 143) and "Traceback" in ended.said:
            raise Broken(f"traceback: {ended.said[-1000:]}")
        try:
            all_whole(output)
        except Broken as error:
            raise Broken(f"half a file: {error}") from None
        beside = {p.name for p in (folder / "out").glob("*")} if output.parent.exists() else set()
        others = {n for n in beside - {output.name} if not n.startswith(f".{output.name}.")}
        if others or any((folder / "work").iterdir()):
            raise Broken(f"touched something else: {sorted(others)}, or the working folder")
        left = self._temporary(folder) - before
        if left and number != signal.SIGKILL:
            raise Broken(f"left over: {', '.join(sorted(left))} after a signal that it heeds")

    def _temporary(self, folder: Path) -> set[str]:
        """Return the files that a command should take away with it, if it can."""
        return {name for name in hidden(folder / "out") if name.endswith((".tmp", ".lock"))}

    def _check_end(self, folder: Path, output: Path) -> None:
        left = hidden(folder / "out")
        if left:
            raise Broken(f"left over: {', '.join(left)}")
        if {p.name for p in output.parent.iterdir()} != {output.name}:
            raise Broken("left over: other files beside the output")
        all_whole(output)
        try:
            same(self._reference, output)
        except Broken as error:
            raise Broken(f"another result: {error}") from None

    def row(self, command: str) -> dict[str, Any]:
        """Return the row of this command."""
        moments = ", ".join(f"{name} {count}" for name, count in self.moments.most_common())
        signals = ", ".join(f"{name} {count}" for name, count in self.signals.most_common())
        note = f"{signals}; at {moments}; {self.finished} outputs finished and compared"
        if self.temporary:
            note += f"; {self.temporary} folders of killed estimates left in TMPDIR"
        return make_row(f"{self.command.name}, killed", self.outcomes, command, note)


def share(kills: int, commands: list[Command]) -> list[int]:
    """Return how often each command is killed, by SHARES, in all `kills`."""
    weights = [SHARES[command.name] for command in commands]
    ends = [round(kills * sum(weights[: i + 1]) / sum(weights)) for i in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def main(arguments: list[str] | None = None) -> int:
    """Kill, print and write the rows; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="NAME,…", help="commands whose names begin so")
    parser.add_argument("--at-once", type=int, default=2, choices=(1, 2))
    parser.add_argument("--epochs", type=int, default=20, help="of the trainings")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    line = shlex.join(["python", "benchmarks/kills.py", *words])

    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        commands = choose(make_commands(folder / "data", options.epochs), options.only)
        trials = [
            Trial(command, count, folder / command.name.replace(" ", "-"), f"{options.seed}{i}")
            for i, (command, count) in enumerate(
                zip(commands, share(options.kills, commands), strict=True)
            )
        ]
        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(Trial.run, reversed(trials)))  # bench takes longest
    rows = [trial.row(line) for trial in trials]
    print_rows(rows)
    if options.json is not None:
        write_rows(options.json, rows)
    return 1 if any(trial.failures for trial in trials) else 0


if __name__ == "__main__":
    sys.exit(main())
