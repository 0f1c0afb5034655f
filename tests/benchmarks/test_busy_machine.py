"""The table of `benchmarks/busy_machine.py`: ratios within rounds."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "busy_machine.py"


def test_ratios_are_to_the_quiet_time_of_the_same_round_with_a_thread_a_core():
    script = runpy.run_path(str(SCRIPT))
    first, second, third = script["SETTINGS"]
    seconds = {0: {first: 1.0, second: 1.02, third: 1.0}, 2: {first: 9.0, second: 3.0, third: 2.0}}
    rows = [
        {"round": i, "training": "paper", "loops": k, "setting": s, "seconds": slow * own}
        for i, slow in enumerate((1.0, 10.0, 3.0))
        for k, settings in seconds.items()
        for s, own in settings.items()
    ]
    rows[-1]["seconds"] *= 2
    one = "1.00 (1.00–1.00)"
    assert script["table"](rows).splitlines()[2:] == [
        f"| `paper` | 0 | {one} | 1.02 (1.02–1.02) | {one} | 1.05 |",
        "| `paper` | 2 | 9.00 (9.00–9.00) | 3.00 (3.00–3.00) | 2.00 (2.00–4.00) | 2.60 |",
    ]
