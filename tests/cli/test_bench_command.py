"""`phasegan bench` as it is typed."""

from __future__ import annotations

import json

import click
import pytest

import phasegan
from phasegan.benchmark.estimates import RowEstimate
from phasegan.cli.parameter_types import Duration, SeedList
from phasegan.eta import Estimate
from phasegan.evaluation.notes import better_than_baselines, worse_than_baselines
from phasegan.evaluation.records import ResultRow

SMALL = (
    *("--preset", "paper", "--base-channels", 2, "--blocks", 1),
    *("--method", "mean-magnitude", "--device", "cpu"),
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2h", 7200.0),
        ("90min", 5400.0),
        ("90m", 5400.0),
        ("1h30m", 5400.0),
        ("1 h 30 min", 5400.0),
        ("45s", 45.0),
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        ("2H", 7200.0),
    ],
)
def test_budgets_are_times(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "0h", "-1h", "2 weeks", "2h left", "1e3s", "inf"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter, match="a time such as 2h"):
        Duration().convert(text, None, None)


def test_seeds_are_a_list_of_different_numbers():
    assert SeedList().convert("0,3,2", None, None) == (0, 3, 2)
    for text in ("", "1,1", "a", "-1", "1,,2", "4294967296"):
        with pytest.raises(click.BadParameter, match="different integers from 0"):
            SeedList().convert(text, None, None)


def test_estimates_are_printed_and_nothing_is_written(run_cli, tiny, tmp_path):
    words = ("bench", "--data", tiny, "--samples", 2, "--epochs", 1, *SMALL, "--estimate-only")
    outcome = run_cli(*words)
    assert outcome.status == 0
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("paper-2ch-1b")]
    assert "to do" in line
    assert "±" in line
    assert "all that is to do: estimated" in outcome.out
    assert not (tmp_path / "work" / "bench").exists()


def test_a_bench_says_how_long_and_leaves_a_report(run_cli, tiny, tmp_path):
    words = ("bench", "--data", tiny, "--samples", 2, "--epochs", 1, *SMALL, "-o", "b")
    outcome = run_cli(*words, "--seeds", "0,1")
    assert outcome.status == 0
    assert "paper-2ch-1b, 2 samples × 1 epochs: estimated" in outcome.err
    assert "4 rows, 2 trainings: estimated" in outcome.err
    assert "Over seeds:" in outcome.out
    assert "report.html (open it in a browser)" in outcome.out
    folder = tmp_path / "work" / "b"
    document = json.loads((folder / "results.json").read_text())
    assert document["command"].startswith("phasegan bench --data ")
    report = (folder / "report.html").read_text()
    assert "paper-2ch-1b" in report
    again = run_cli(*words, "--seeds", "0,1", "--baseline", "b")
    assert again.status == 0
    assert "What changed:" in again.out
    assert "identical" in again.out
    assert "4 rows were there already" in again.out
    for name in ("table.md", "report.html"):
        assert "Changes against b" in (folder / name).read_text()
    quiet = run_cli(*words, "--seeds", "0,1", "--baseline", "b", "-q").out
    assert [line for line in quiet.splitlines() if line.endswith(":")] == [
        "Over seeds:",
        "What changed:",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--budget", "soon"), "a time such as 2h, 90min, 1h30m or 45s"),
        (("--seeds", "1,1"), "different integers"),
        (("--seeds", "0,1", "--seed", 2), "--seed and --seeds: give one of them"),
        (("--method", "magic"), "magic"),
        (("--baseline", "nowhere"), "nowhere: no such folder"),
        (("--case", "nowhere"), "no such case"),
    ],
)
def test_bad_words_are_one_line_and_status_2(run_cli, tiny, words, said):
    outcome = run_cli("bench", "--data", tiny, *words)
    assert outcome.status == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


@pytest.fixture
def leaking(tmp_path, rng):
    from PIL import Image

    for split in ("train", "test"):
        (tmp_path / "p" / split).mkdir(parents=True)
    for i in range(6):
        pixels = rng.integers(0, 256, (32, 32), dtype="uint8")
        for split in ("train", "test")[: 2 if i == 0 else 1]:
            Image.fromarray(pixels).save(tmp_path / "p" / split / f"{i}.png")
    Image.fromarray(rng.integers(0, 256, (32, 32), dtype="uint8")).save(
        tmp_path / "p" / "test" / "own.png"
    )
    phasegan.prepare(tmp_path / "p", tmp_path / "leak.h5", size=32)
    return tmp_path / "leak.h5"


def test_data_that_leak_are_refused_unless_that_is_wanted(run_cli, leaking, tmp_path):
    words = ("bench", "--data", leaking, "--samples", 2, "--epochs", 1, *SMALL, "-o", "b")
    refused = run_cli(*words)
    assert refused.status == 2
    assert "1 of 2 test pictures stands in the training split too" in refused.err
    assert "--allow-leak" in refused.err
    assert not (tmp_path / "work" / "b").exists()
    allowed = run_cli(*words, "--allow-leak")
    assert allowed.status == 0
    assert "Leak allowed: 1 of 2 test pictures" in allowed.out
    for name in ("table.md", "table.tex", "report.html"):
        assert "Leak allowed: 1 of 2" in (tmp_path / "work" / "b" / name).read_text()
    document = json.loads((tmp_path / "work" / "b" / "results.json").read_text())
    assert [leak["kind"] for leak in document["leaks"]["leaks"]] == ["file"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "1s"), "nothing would be measured; of 2 rows: 2 left out"),
        ((), "all that is to do: estimated"),
    ],
)
def test_estimates_say_what_is_true(run_cli, tiny, monkeypatch, words, message):
    def estimate(self, rows, known):
        return {row: RowEstimate(None, Estimate(100.0, 90.0, 110.0)) for row in rows}, {}

    monkeypatch.setattr("phasegan.benchmark.estimates.Estimator.estimate", estimate)
    line = ("bench", "--data", tiny, "--samples", 2, "--epochs", 1, *SMALL, "--estimate-only")
    outcome = run_cli(*line, *words)
    assert outcome.status == 0
    assert message in outcome.out
    assert "measured already" not in outcome.out


def test_what_is_said_of_trainings_is_what_was_measured():
    def row(method, mse, samples=5, epochs=None, seed=0):
        return ResultRow(method, {"mse": mse}, samples=samples, epochs=epochs, seed=seed)

    rows = [row("mean-magnitude", 50.0), row("zero", 90.0, samples=None, seed=None)]
    better, worse, equal = (row("physics", mse, epochs=2) for mse in (40.0, 60.0, 50.3))
    (said,) = better_than_baselines([*rows, better])
    assert "physics at 5 × 2 scores better (40) than mean-magnitude (50)" in said
    assert worse_than_baselines([*rows, better]) == []
    assert better_than_baselines([*rows, worse]) == better_than_baselines([better]) == []
    assert worse_than_baselines([*rows, equal]) == []
    (said,) = better_than_baselines([*rows, equal])
    assert "physics at 5 × 2 scores as mean-magnitude does (50)" in said
    assert "scores worse (60) than mean-magnitude (50)" in worse_than_baselines([*rows, worse])[0]
    other = row("mean-magnitude", 30.0, seed=1), row("physics", 35.0, epochs=2, seed=1)
    assert better_than_baselines([*rows, better, *other]) == []
