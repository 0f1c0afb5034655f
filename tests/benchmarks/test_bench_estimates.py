"""The table of `benchmarks/bench_estimates.py`: what a command announces, and whether it held."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return runpy.run_path(str(BENCHMARKS / "bench_estimates.py"))
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("850 ms", 0.85), ("2.4 s", 2.4), ("3 min 08 s", 188), ("2 h 05 min", 7500)],
)
def test_durations_are_read_as_they_are_printed(script, text, seconds):
    assert script["seconds"](text) == pytest.approx(seconds)


def test_the_estimate_of_the_whole_command_is_the_one_that_counts(script):
    printed = (
        "paper-small: estimated 1.6 s (1.3 s to 2.0 s) on cpu\n"
        "3 rows, 1 trainings: estimated 21 s (18 s to 1 min 05 s) in all\n"
    )
    assert script["announced"](printed) == pytest.approx((21, 18, 65))
    with pytest.raises(ValueError, match="no estimate"):
        script["announced"]("trained")


def test_wide_intervals_and_those_that_did_not_hold_are_told(script):
    def row(command, low, high, took):
        known = {"command": command, "estimate": low, "low": low, "high": high, "seconds": took}
        return known | {"held": low <= took <= high, "width": high / low}

    rows = [
        row("a", 4, 11, 6),
        row("b", 4, 13, 6),
        row("c", 130, 150, 200),
        row("d", 150, 200, 180),
    ]
    printed = script["summary"](rows, 0)
    assert "3 of 4 intervals held on a quiet machine." in printed
    assert printed.endswith("Wider than they should be: b, d.")
    assert "Wider" not in script["summary"](rows, 1)
