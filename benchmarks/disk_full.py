"""Commands that run out of room on the disk: what they say, and what is left.

    python benchmarks/disk_full.py --json benchmarks/results/reliability/disk-full.json

`prepare` (phases, domains), `train` (presets physics, paper, translation) and `bench`, all
tiny, write to a small tmpfs (which takes root; `--folder` names another small file system
instead) on which a file leaves them so much room and no more, from none to nearly enough. Each
must end with status 1 and one line on standard error that names the file or the output,
says why and what to do; no file with a final name may be half a file. Then the file is
removed, and the command continued: the result must be that of an uninterrupted run. The
same with RLIMIT_FSIZE, a limit on the size of each file, which takes no root.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from survival.attempts import Attempt, run
from survival.commands import Command, choose, make_commands
from survival.outputs import Broken, all_whole, contents, files, hidden, same
from survival.rows import make_row, print_rows, write_rows

PAGE = 4096
LEVELS = 10
"""Amounts of room that each command is given in turn."""
SPARE = 4
"""A tmpfs is so many times as large as what it must hold in the end."""
GOOD = "one clear line, resumed, the same result"
ENOUGH = "enough room, the same result"
REASONS = ("disk is full", "quota", "larger than files may be", "free some", "make room")


def amounts(most: int, count: int = LEVELS) -> list[int]:
    """Return rising amounts of room in bytes, from a page to `most`, closer where it is little."""
    ratio = max(2.0, most / PAGE)
    steps = [PAGE * ratio ** (i / (count - 1)) for i in range(count)]
    return sorted({*(PAGE * math.floor(step / PAGE) for step in steps)})


def fill(folder: Path, left: int) -> Path:
    """Write a file that leaves so many bytes of a file system free."""
    path = folder / "filler"
    with open(path, "wb") as stream:
        free = shutil.disk_usage(folder).free
        with contextlib.suppress(OSError):
            os.posix_fallocate(stream.fileno(), 0, max(0, free - left) // PAGE * PAGE)
    return path


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a tmpfs for a while."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(
            f"no tmpfs can be mounted ({done.stderr.strip()}); give --folder, or only --limits"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def check_failure(status: int, said: str, output: Path, temporary: Path | None = None) -> None:
    """Check how a command without room ended, and what it left.

    Parameters
    ----------
    status, said : int, str
        Its exit status, and what it wrote to standard error.
    output : pathlib.Path
        What it was to write.
    temporary : pathlib.Path, optional
        The folder of temporary files, which may have been without room too.

    Raises
    ------
    Broken
        Saying what is wrong.
    """
    lines = [line for line in said.splitlines() if line and not line.startswith("warning: other ")]
    if "Traceback" in said or len(lines) != 1:
        raise Broken(f"not one line: {said[-1500:]}")
    if status != 1:
        raise Broken(f"exit status {status}: {said}")
    told = lines[0]
    named = str(output) in told or (temporary is not None and str(temporary) in told)
    if not named or not any(reason in told for reason in REASONS):
        raise Broken(f"not clear: {told}")
    try:
        all_whole(output)
    except Broken as error:
        raise Broken(f"half a file: {error}") from None
    left = [name for name in hidden(output.parent) if name.endswith((".tmp", ".lock"))]
    if left:
        raise Broken(f"left over: {', '.join(left)}")


class _Want:
    """Room is short within; entering gives what a new process has to call."""

    waits = False

    def __enter__(self) -> Callable[[], None] | None:
        return None

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self) -> None:
        """Begin after the first file was written, if it `waits` for that."""


class _Limited(_Want):
    def __init__(self, most: int) -> None:
        self._most = most

    def __enter__(self) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (self._most, self._most))


class _Full(_Want):
    def __init__(self, disk: Path, room: int, waits: bool) -> None:
        self._disk, self._room, self.waits = disk, room, waits

    def __enter__(self) -> None:
        if not self.waits:
            fill(self._disk, self._room)

    def begin(self) -> None:
        if self.waits:
            fill(self._disk, self._room)

    def __exit__(self, *_: object) -> None:
        (self._disk / "filler").unlink(missing_ok=True)


class Trial:
    """One command, without room.

    Parameters
    ----------
    command : Command
        What is run.
    folder : pathlib.Path
        Of the working folder and the uninterrupted output.
    """

    def __init__(self, command: Command, folder: Path) -> None:
        self.command, self.work = command, folder / "work"
        self.failures: list[str] = []
        output = folder / "reference" / command.output
        run(command.line(output), self.work)
        self.reference = contents(output)
        self.sizes = [path.stat().st_size for path in files(output)]

    @property
    def size(self) -> int:
        """Bytes of the output, in whole pages."""
        return sum(-(-size // PAGE) * PAGE for size in self.sizes) + 4 * PAGE

    def on(self, disk: Path, levels: int, *, meanwhile: bool = False) -> Counter[str]:
        """Try with little room on a disk, which is there when a command begins if `meanwhile`."""
        outcomes: Counter[str] = Counter()
        for room in [0, *amounts(self.size, levels - 1)]:
            outcomes[self._once(disk, f"{room:,} bytes left", _Full(disk, room, meanwhile))] += 1
        return outcomes

    def limited(self, folder: Path, levels: int) -> Counter[str]:
        """Try with a limit on the size of each file."""
        outcomes: Counter[str] = Counter()
        for most in amounts(max(self.sizes), levels):
            outcomes[self._once(folder, f"files of {most:,} bytes", _Limited(most))] += 1
        return outcomes

    def _once(self, folder: Path, how: str, want: _Want) -> str:
        """Run without room, then with; return what happened."""
        try:
            return self._tried(folder / "out" / self.command.output, want)
        except Broken as error:
            self.failures.append(f"{self.command.name}, {how}: {error}")
            return str(error).split(":")[0]
        finally:
            shutil.rmtree(folder / "out", ignore_errors=True)

    def _tried(self, output: Path, want: _Want) -> str:
        with want as limit:
            attempt = Attempt(self.command.line(output), self.work, prepare=limit)
            attempt.until(lambda _: not want.waits or any(output.parent.glob("*")))
            want.begin()
            ended = attempt.ended()
        if ended.status:
            check_failure(ended.status, ended.said, output, self.work.with_name("tmp"))
        run(self.command.line(output), self.work)
        same(self.reference, output)
        if hidden(output.parent):
            raise Broken(f"left over: {', '.join(hidden(output.parent))}")
        return GOOD if ended.status else ENOUGH


def main(arguments: list[str] | None = None) -> int:
    """Fill disks, print and write the rows; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--levels", type=int, default=LEVELS)
    parser.add_argument("--only", metavar="NAME,…", help="commands whose names begin so")
    parser.add_argument("--folder", type=Path, help="an empty folder on a small file system")
    parser.add_argument("--limits", action="store_true", help="only limits on the size of files")
    parser.add_argument("--epochs", type=int, default=6, help="of the trainings")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    words = sys.argv[1:] if arguments is None else arguments
    line = shlex.join(["python", "benchmarks/disk_full.py", *words])

    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="disk-full-") as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        commands = choose(make_commands(folder / "data", options.epochs), options.only)
        trials = [Trial(c, folder / c.name.replace(" ", "-")) for c in commands]
        disk = options.folder
        if not options.limits and disk is None:
            size = SPARE * max(trial.size for trial in trials) + 2**20
            disk = stack.enter_context(small_disk(folder / "disk", size))
        for trial in trials:
            name, size = trial.command.name, f"{trial.size:,} bytes"
            if not options.limits:
                found = trial.on(disk, options.levels)
                note = f"from no room to that of the output, {size}"
                rows.append(make_row(f"{name}, disk full", found, line, note))
            if not options.limits and trial.command.foresees:
                found = trial.on(disk, options.levels, meanwhile=True)
                note = f"filled once there is a first file, up to so much less than {size}"
                rows.append(make_row(f"{name}, disk full while it runs", found, line, note))
            found = trial.limited(folder / "limited", options.levels // 2)
            note = f"RLIMIT_FSIZE from a page to the largest file, {max(trial.sizes):,} bytes"
            rows.append(make_row(f"{name}, file too large", found, line, note))
            failures += trial.failures
    print_rows(rows)
    for text in failures:
        print(f"FAILED {text}", file=sys.stderr)
    if options.json is not None:
        write_rows(options.json, rows)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
