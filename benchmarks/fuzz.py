"""Damaged files for every reader: each is refused in one line, or read as it should be.

    python benchmarks/fuzz.py --cases 10000 --seed 0 --json results/reliability/fuzz.json

A small valid file of every kind is damaged (flipped bits, bytes overwritten, cut off, put
in or taken out, pieces of other files, extreme numbers in headers) and given to its reader
in child processes with a bound on memory and time, which may die and are replaced.
Outcomes of a case:

refused        a message of one line, as it should be
same           read, and equal to the undamaged file
changed        read, and different; the format has no checksum that could tell
wrong accept   read, and different, although the format has checksums: a failure
traceback      any other exception, or a message of several lines: a failure
crash, hang    the process died, or took too long: a failure
memory         out of memory, where the reader should have refused: a failure

Exit status 1 if there is any failure; each is named with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzzing.children import BAD, MEMORY, SECONDS, Case, Found, Reading, as_json, run_cases
from fuzzing.targets import Target, make_targets
from survival.rows import make_row, print_rows, write_rows


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cases", type=int, default=10_000)
    add("--seed", type=int, default=0)
    add("--children", type=int, default=2, help="processes at a time")
    add("--only", default="", help="readers whose name has this in it")
    add("--json", type=Path, help="where the rows go")
    add("--failures", type=Path, help="a folder for the files that failed, and failures.json")
    add("--case", help="read one case again, by the seed that a failure named")
    return parser.parse_args(arguments)


def share_out(targets: list[Target], count: int, seed: int, only: str = "") -> list[Case]:
    """Return cases of every reader by its weight, in random order."""
    rng = random.Random(seed)
    weights = [target.weight if only in target.name else 0.0 for target in targets]
    numbers = [i for i, w in enumerate(weights) for _ in range(round(count * w / sum(weights)))]
    numbers += rng.choices(range(len(targets)), weights, k=max(count - len(numbers), 0))
    rng.shuffle(numbers)
    return [
        Case(i, number, f"{seed}/{targets[number].name}/{i}")
        for i, number in enumerate(numbers[:count])
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run; return the exit status."""
    options = parse(arguments)
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        targets = make_targets(folder / "specimens")
        if options.case:
            return read_again(targets, options.case, folder)
        return run(targets, options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_again(targets: list[Target], seed: str, folder: Path) -> int:
    """Read one case in this process, and say what happens."""
    number = next(i for i, target in enumerate(targets) if target.name == seed.split("/")[1])
    found = Reading(targets, folder / "work").read(Case(0, number, seed))
    print(found.outcome, found.said, sep="\n")
    return int(found.outcome in BAD)


def run(targets: list[Target], options: argparse.Namespace, folder: Path) -> int:
    """Read all cases, and write what became of them."""
    cases = share_out(targets, options.cases, options.seed, options.only)
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    failures: list[Found] = []
    begun = time.monotonic()
    for found in run_cases(targets, cases, folder / "work", options.children):
        outcomes[targets[found.case.target].name][found.outcome] += 1
        if found.outcome in BAD:
            failures.append(found)
    for problem in sorted((folder / "work").glob("child-*.txt")):
        print(problem.read_text(encoding="utf-8"), file=sys.stderr)
    command = f"python benchmarks/fuzz.py --cases {options.cases} --seed {options.seed}"
    note = f"Child processes with {MEMORY >> 30} GiB of memory and {SECONDS:.0f} s a case"
    rows = [
        make_row(name, outcomes[name], command, note)
        for name in (target.name for target in targets)
        if outcomes[name]
    ]
    print_rows(rows)
    total: Counter[str] = sum(outcomes.values(), Counter())
    print(f"{total.total()} cases in {time.monotonic() - begun:.0f} s: {dict(total)}")
    for found in failures[:20]:
        print(f"\n{found.outcome}: --case '{found.case.seed}'\n{found.said}")
    if options.failures:
        keep(targets, failures, options.failures, folder)
    if options.json:
        write_rows(options.json, rows)
    return int(bool(failures))


def keep(targets: list[Target], failures: list[Found], folder: Path, work: Path) -> None:
    """Write the files that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    reading = Reading(targets, work / "kept")
    for found in failures:
        chosen, data = reading.bytes_of(found.case)
        suffix = targets[found.case.target].specimens[chosen].suffix
        (folder / f"{found.case.number}{suffix}").write_bytes(data)
    text = json.dumps([as_json(found, targets) for found in failures], indent=1)
    (folder / "failures.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
