"""The table of `benchmarks/busy_machine.py`: ratios within rounds."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "busy_machine.py"


def test_ratios_are_to_the_first_count_and_to_quiet_of_the_same_round():
    table = runpy.run_path(str(SCRIPT))["table"]
    rows = [
        {"round": i, "training": "paper", "loops": k, "count": count, "seconds": seconds * slow}
        for i, slow in enumerate((1.0, 10.0, 3.0))
        for k, count, seconds in ((0, 300, 1.0), (0, 7, 1.02), (2, 300, 9.0), (2, 7, 2.04))
    ]
    assert table(rows).splitlines()[2:] == [
        "| `paper` | 0 | 300 | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) | 1.05 |",
        "| `paper` | 0 | 7 | 1.02 (1.02–1.02) | 1.00 (1.00–1.00) | 1.05 |",
        "| `paper` | 2 | 300 | 1.00 (1.00–1.00) | 9.00 (9.00–9.00) | 2.60 |",
        "| `paper` | 2 | 7 | 0.23 (0.23–0.23) | 2.00 (2.00–2.00) | 2.60 |",
    ]
