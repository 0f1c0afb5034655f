"""What hostile inputs reach: each is given to the command, and everything around is compared.

    python benchmarks/attacks.py --json benchmarks/results/reliability/attacks.json

Every attack of the lists makes its input in a folder of its own, beside what it aims at:
files whose bytes are compared afterwards, pipes that nobody writes to. Then the command
runs. It has to refuse in one line, or to do its work where the input is fine, without
changing anything but its output.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections import Counter
from pathlib import Path

from attacking import containers, programs
from attacking.attack import GOOD, Attack, attempt
from survival.rows import make_row, print_rows, write_rows

LISTS: tuple[tuple[Attack, ...], ...] = (programs.ATTACKS, containers.ATTACKS)


def main(arguments: list[str] | None = None) -> int:
    """Try all attacks; return 1 if one got through."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="attacks whose kind or name holds this text")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args(arguments)
    command = shlex.join(["python", "benchmarks/attacks.py", *(arguments or sys.argv[1:])])
    outcomes: dict[str, Counter[str]] = {}
    names: dict[str, list[str]] = {}
    through = 0
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        chosen = [a for part in LISTS for a in part if options.only in f"{a.kind} {a.name}"]
        for number, attack in enumerate(chosen):
            outcome, said = attempt(attack, Path(folder, f"{number:03d}"))
            outcomes.setdefault(attack.kind, Counter())[outcome] += 1
            names.setdefault(attack.kind, []).append(attack.name)
            last = (said.strip().splitlines() or [""])[-1]
            print(f"{outcome}: {attack.kind}: {attack.name}: {last}", flush=True)
            through += outcome not in GOOD
    rows = [
        make_row(kind, found, command, "; ".join(names[kind])) for kind, found in outcomes.items()
    ]
    print_rows(rows)
    if options.json is not None:
        write_rows(options.json, rows)
    return int(through > 0)


if __name__ == "__main__":
    sys.exit(main())
