"""What a bench measures, reuses, leaves out and repeats."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

import phasegan
from phasegan.benchmark import session as session_module
from phasegan.benchmark.plan import plan_rows, resolve_case
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.errors import InputError, Interrupted, RunError
from phasegan.eta import Estimate
from phasegan.evaluation.records import ResultRow
from phasegan.io.locking import file_lock
from phasegan.progress import Progress

SMALL = {"preset": "paper", "base_channels": 2, "blocks": 1, "device": "cpu"}
TINY = {**SMALL, "methods": ["mean-magnitude"]}


class Told(Progress):
    """Keeps what was said."""

    def __init__(self):
        self.lines: list[str] = []

    def say(self, text):
        self.lines.append(text)

    warn = say


def by_state(report):
    return {(row.method, row.samples, row.epochs): row.status for row in report.rows}


def scores(report):
    return [row.values for row in report.rows if row.status == "ok"]


def test_estimate_only_measures_and_writes_nothing(tiny, tmp_path, durations):
    durations[4] = 100.0
    report = phasegan.bench(
        [2, 4], [1, 1], data=tiny, output=tmp_path / "b", estimate_only=True, **TINY
    )
    assert not (tmp_path / "b").exists()
    assert {row.status for row in report.rows} == {"estimated"}
    trained = [row.estimate.seconds for row in report.rows if row.epochs]
    assert trained == [2.5, 100.0]
    assert report.estimate.seconds > 102.5
    assert all(not row.measured for row in report.rows)


def test_estimate_only_leaves_out_what_was_measured(tiny, tmp_path, durations):
    phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **TINY)
    report = phasegan.bench(
        [2, 4], [1, 1], data=tiny, output=tmp_path / "b", estimate_only=True, **TINY
    )
    states = [row.status for row in report.rows]
    assert states == ["ok", "ok", "estimated", "estimated"]
    done = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", estimate_only=True, **TINY)
    assert done.estimate is None


@pytest.mark.slow
def test_a_budget_trains_what_fits_and_says_what_does_not(tiny, tmp_path, durations):
    durations[4] = 7200.0
    told = Told()
    report = phasegan.bench(
        [2, 4], [1, 1], data=tiny, output=tmp_path / "b", budget=3000, progress=told, **TINY
    )
    assert by_state(report)["paper-2ch-1b", 2, 1] == "ok"
    assert by_state(report)["paper-2ch-1b", 4, 1] == "estimated"
    assert by_state(report)["mean-magnitude", 4, None] == "ok"
    (left,) = [row for row in report.rows if row.status == "estimated"]
    assert re.match(
        r"estimated 1 h 5\d min, (49|50) min \d\d s of the budget are left", left.reason
    )
    assert any(line.startswith("left out: paper-2ch-1b, 4 samples × 1") for line in told.lines)
    table = (tmp_path / "b" / "table.md").read_text()
    assert "paper-2ch-1b (not run, estimate) | 4 | 1 | – | –" in table
    again = phasegan.bench([2, 4], [1, 1], data=tiny, output=tmp_path / "b", **TINY)
    assert set(by_state(again).values()) == {"ok", "quoted"}


def test_a_budget_for_nothing_measures_nothing(tiny, tmp_path, durations):
    report = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", budget=1e-6, **TINY)
    assert set(by_state(report).values()) == {"estimated", "quoted"}
    assert (tmp_path / "b" / "report.html").is_file()


def optional_case(tmp_path, samples):
    path = tmp_path / "c.toml"
    path.write_text(
        "name = 'c'\npreset = 'paper'\nmethods = ['zero']\n[[pairs]]\nsamples = 2\nepochs = 1\n"
        f"[[pairs]]\nsamples = {samples}\nepochs = 1\noptional = true\n"
    )
    return {**SMALL, "preset": None, "case": path}


@pytest.mark.slow
def test_an_optional_pair_that_takes_long_is_estimated_unless_there_is_time(
    tiny, tmp_path, durations
):
    options = optional_case(tmp_path, 4)
    durations[4] = 3000.0
    report = phasegan.bench(data=tiny, output=tmp_path / "b", **options)
    assert by_state(report)["paper-2ch-1b", 4, 1] == "estimated"
    assert "--budget" in report.rows[-1].reason
    longer = phasegan.bench(data=tiny, output=tmp_path / "b", budget=4000, **options)
    assert by_state(longer)["paper-2ch-1b", 4, 1] == "ok"
    durations[4] = 60.0
    short = phasegan.bench(data=tiny, output=tmp_path / "c", **options)
    assert by_state(short)["paper-2ch-1b", 4, 1] == "ok"


def test_an_optional_pair_that_the_data_are_too_small_for_is_skipped(tiny, tmp_path, durations):
    report = phasegan.bench(data=tiny, output=tmp_path / "b", **optional_case(tmp_path, 4500))
    (row,) = [row for row in report.rows if row.samples == 4500]
    assert (row.status, row.reason) == ("skipped", "4,500 samples asked for, tiny.h5 has 6")


@pytest.mark.slow
def test_force_measures_again_from_the_start(tiny, tmp_path, durations, monkeypatch):
    first = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **TINY)
    trained = []
    original = session_module.measure_row

    def measured(row, file, folder, *rest):
        run = folder / "runs" / row.run_name(file, rest[0]) if row.config else None
        trained.append(run is None or run.exists())
        return original(row, file, folder, *rest)

    monkeypatch.setattr(session_module, "measure_row", measured)
    again = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", force=True, **TINY)
    assert (again.reused, trained) == (0, [True, False])
    assert scores(again) == scores(first)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table_to_the_last_digit(tiny, tmp_path, durations):
    rows = [
        phasegan.bench([2, 4], [1, 2], data=tiny, output=tmp_path / name, **TINY).rows
        for name in "ab"
    ]
    assert [(r.values, r.per_image) for r in rows[0]] == [(r.values, r.per_image) for r in rows[1]]


def test_a_training_that_fails_is_a_row_and_is_tried_again(
    tiny, tmp_path, durations, monkeypatch, run_cli
):
    original, broken = session_module.measure_row, [True]

    def measured(row, *rest):
        if row.config is not None and row.samples == 2 and broken[0]:
            raise RunError("the loss cycle_b is not finite at step 1")
        return original(row, *rest)

    monkeypatch.setattr(session_module, "measure_row", measured)
    report = phasegan.bench([2, 4], [1, 1], data=tiny, output=tmp_path / "b", **TINY)
    (failed,) = report.failed
    assert (failed.method, failed.samples) == ("paper-2ch-1b", 2)
    assert by_state(report)["paper-2ch-1b", 4, 1] == "ok"
    for name in ("table.md", "table.tex", "results.csv", "report.html"):
        assert "not finite at step 1" in (tmp_path / "b" / name).read_text().replace("\\_", "_")
    words = ("bench", "--data", tiny, "--samples", 2, "--epochs", 1, "--preset", "paper")
    sizes = ("--base-channels", 2, "--blocks", 1, "--method", "mean-magnitude", "--device", "cpu")
    outcome = run_cli(*words, *sizes, "-o", tmp_path / "b")
    assert outcome.status == 1
    assert "1 of 5 rows failed" in outcome.err
    assert "Traceback" not in outcome.err
    broken[0] = False
    mended = phasegan.bench([2, 4], [1, 1], data=tiny, output=tmp_path / "b", **TINY)
    assert not mended.failed
    assert mended.reused == 3


def test_two_benches_do_not_write_into_one_folder(tiny, tmp_path, durations):
    with (
        file_lock(tmp_path / "b" / ".lock", "it"),
        pytest.raises(InputError, match="is being written by process"),
    ):
        phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **TINY)


def test_an_interrupted_row_keeps_its_first_estimate(tiny, tmp_path, durations, monkeypatch):
    durations[4] = 50.0
    with monkeypatch.context() as patch:
        patch.setattr("phasegan.training.trainer.CHECKPOINT_SECONDS", 0.0)
        patch.setattr("phasegan.benchmark.measure.open_run", _die)
        with pytest.raises(KeyboardInterrupt):
            phasegan.bench([4], [2], data=tiny, output=tmp_path / "b", **TINY)
    durations[4] = 1.0
    report = phasegan.bench([4], [2], data=tiny, output=tmp_path / "b", **TINY)
    (row,) = [row for row in report.rows if row.run]
    assert row.estimate.seconds == 50.0


def _die(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_row_says_what_it_took_and_where(tiny, tmp_path, durations):
    report = phasegan.bench([4], [2], data=tiny, output=tmp_path / "b", **TINY)
    baseline, trained = report.rows[:2]
    assert trained.cost.wall_seconds > trained.seconds
    assert trained.cost.device_seconds > 0
    assert trained.cost.trained_per_second == pytest.approx(8 / trained.seconds, rel=0.2)
    assert baseline.cost.trained_per_second is None
    for row in (baseline, trained):
        assert row.cost.scored_per_second > 0
        assert row.cost.peak_bytes is None or 2**20 < row.cost.peak_bytes < 2**36
        assert {"torch", "processor", "phasegan", "commit", "cores"} <= set(row.machine)
        assert len(row.key) == 12


@pytest.mark.slow
def test_rows_are_known_by_all_that_decides_them(tiny, tmp_path, durations):
    phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **TINY)
    changes = (
        {"seed": 1},
        {"base_channels": 3},
        {"precision": "bf16"},
        {"methods": ["mean-magnitude", "mean-image"]},
    )
    for expected, change in zip((0, 1, 1, 2), changes, strict=True):
        again = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **{**TINY, **change})
        assert again.reused == expected, change
    other = tmp_path / "other.h5"
    phasegan.prepare("builtin", other, size=32, samples=6, test=2)
    assert phasegan.bench([2], [1], data=other, output=tmp_path / "b", **TINY).reused == 0


def test_a_run_that_is_gone_is_trained_again(tiny, tmp_path, durations):
    first = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **TINY)
    shutil.rmtree(tmp_path / "b" / "runs")
    told = Told()
    again = phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", progress=told, **TINY)
    assert scores(again) == scores(first)
    assert any("is gone, its row is measured again" in line for line in told.lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1, "seeds": [1, 2]}, "--seed and --seeds"),
        ({"budget": 0}, "budget = 0: must be above 0"),
        ({"methods": ["magic"]}, "magic"),
        ({"baseline": "nowhere"}, "nowhere"),
    ],
)
def test_bad_options_are_refused_before_any_work(tiny, tmp_path, durations, options, message):
    with pytest.raises(InputError, match=message):
        phasegan.bench([2], [1], data=tiny, output=tmp_path / "b", **{**TINY, **options})
    assert not (tmp_path / "b").exists()


def test_a_case_scored_on_training_images_says_which_were_seen(tiny, tmp_path, durations):
    path = tmp_path / "c.toml"
    path.write_text(
        "name = 'c'\npreset = 'paper'\nmethods = ['mean-image']\nsplits = ['test', 'train']\n"
        "[[pairs]]\nsamples = 2\nepochs = 1\n"
    )
    report = phasegan.bench(
        case=path, data=tiny, output=tmp_path / "b", **{**SMALL, "preset": None}
    )
    assert [row.split for row in report.rows] == ["test", "train"] * 2
    held_out, seen = report.rows[:2]
    assert seen.values["seen_images"] == 2
    mse = seen.per_image["mse"]
    assert seen.values["mse_seen"] == pytest.approx(sum(mse[:2]) / 2)
    assert seen.values["mse_unseen"] == pytest.approx(mse[2])
    assert seen.values["mse_seen"] < held_out.values["mse"]
    assert len(list((tmp_path / "b" / "runs").iterdir())) == 1
    document = json.loads((tmp_path / "b" / "results.json").read_text())
    assert [row["split"] for row in document["rows"]] == ["test", "train"] * 2
    assert "| images seen | not seen |" in (tmp_path / "b" / "table.md").read_text()


def test_an_optional_pair_that_is_too_large_brings_no_rows_of_baselines(tiny, tmp_path, durations):
    path = tmp_path / "c.toml"
    path.write_text(
        "name = 'c'\npreset = 'paper'\nmethods = ['mean-image']\n"
        "[[pairs]]\nsamples = 2\nepochs = 1\n"
        "[[pairs]]\nsamples = 4500\nepochs = 1\noptional = true\n"
    )
    options = {**SMALL, "preset": None, "case": path}
    report = phasegan.bench(data=tiny, output=tmp_path / "b", **options)
    assert [(row.method, row.samples, row.status) for row in report.rows] == [
        ("mean-image", 2, "ok"),
        ("paper-2ch-1b", 2, "ok"),
        ("paper", 4500, "skipped"),
    ]


def test_a_budget_is_used_up_row_by_row(tiny, tmp_path, durations):
    durations.update({2: 1000.0, 3: 1000.0, 4: 100.0})
    report = phasegan.bench(
        [2, 3, 4],
        [1, 1, 1],
        data=tiny,
        output=tmp_path / "b",
        budget=1500,
        estimate_only=True,
        **TINY,
    )
    reasons = {row.samples: row.reason for row in report.rows if row.epochs}
    assert (reasons[2], reasons[4]) == (None, None)
    assert reasons[3].startswith("estimated 16 min")
    assert 1100 < report.estimate.seconds < 1200


def test_what_trainings_took_corrects_the_estimates_of_the_next(
    tiny, tmp_path, durations, monkeypatch
):
    monkeypatch.setattr(session_module, "PRIOR_SECONDS", 1e-6)
    durations.update({2: 1000.0, 4: 1000.0})
    told = Told()
    report = phasegan.bench([2, 4], [1, 1], data=tiny, output=tmp_path / "b", progress=told, **TINY)
    first, second = [row for row in report.rows if row.run]
    assert first.estimate.seconds == 1000.0
    assert second.estimate.seconds == pytest.approx(first.seconds, rel=0.01)
    assert any("4 samples × 1 epochs: estimated 16 min 40 s" in line for line in told.lines)


def test_a_training_that_was_begun_is_not_timed_again(tiny, tmp_path, durations, monkeypatch):
    phasegan.bench([4], [1], data=tiny, output=tmp_path / "b", **TINY)
    for path in (tmp_path / "b" / "rows").iterdir():
        path.unlink()
    tried = []
    monkeypatch.setattr("phasegan.benchmark.estimates.time_run", lambda setup: tried.append(1))
    report = phasegan.bench([4], [1], data=tiny, output=tmp_path / "b", **TINY)
    assert (tried, report.reused) == ([], 0)
    assert {row.status for row in report.rows} == {"ok", "quoted"}
    (row,) = [row for row in report.rows if row.run]
    assert row.estimate.seconds == 2.5


CHANGES = {
    "a mean": lambda row: row.update(mse=1.0),
    "a count": lambda row: row.update(exact=2),
    "an image less": lambda row: [scores.pop() for scores in row["per_image"].values()],
    "a list cut": lambda row: row["per_image"]["ssim"].pop(),
    "another method": lambda row: row.update(method="zero"),
    "another seed": lambda row: row.update(seed=7),
    "another key": lambda row: row.update(key="0" * 12),
    "no key": lambda row: row.pop("key"),
    "text": lambda row: row.update(mse_scale="x"),
    "another status": lambda row: row.update(status="quoted"),
    "a run elsewhere": lambda row: row.update(run="../elsewhere"),
    "an absolute run": lambda row: row.update(run="/tmp"),
}


@pytest.fixture(scope="module")
def measured(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured") / "b"
    phasegan.bench([2], [1], data=tiny, output=folder, **TINY)
    return folder


def recalled(tiny, folder, told):
    """Return how many of two rows are taken from a folder."""
    case = resolve_case(None, [2], [1], preset="paper", methods=["mean-magnitude"])
    sizes, device = {"base_channels": 2, "blocks": 1, "precision": "auto"}, torch.device("cpu")
    with PreparedFile(tiny) as file:
        planned = plan_rows(case, file, device, sizes)
        session = session_module.Session(planned, file, folder, device, None, None, told)
        session.load_rows()
    return session.reused


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_row_that_is_not_that_of_its_name_is_measured_again(tiny, tmp_path, measured, change):
    folder = shutil.copytree(measured, tmp_path / "b")
    assert recalled(tiny, folder, Told()) == 2
    for path in (folder / "rows").glob("*.json"):
        row = json.loads(path.read_text())
        change(row)
        path.write_text(json.dumps(row))
    told = Told()
    assert recalled(tiny, folder, told) == 0
    assert sum("measured again" in line for line in told.lines) == 2


def test_rows_under_each_other_s_names_are_measured_again(tiny, tmp_path, durations):
    options = {"data": tiny, "output": tmp_path / "b", **SMALL, "methods": ["zero", "mean-image"]}
    phasegan.bench([2], [1], **options)
    one, two = (
        path
        for path in sorted((tmp_path / "b" / "rows").glob("*.json"))
        if json.loads(path.read_text())["epochs"] is None
    )
    one.write_bytes(two.read_bytes())
    again = phasegan.bench([2], [1], **options)
    assert again.reused == 2
    assert [row.method for row in again.rows][:2] == ["zero", "mean-image"]


def test_committed_rows_add_up():
    seen = 0
    for path in (Path(__file__).parents[2] / "benchmarks" / "results").glob("*/results.json"):
        for document in json.loads(path.read_text()).get("rows", ()):
            if isinstance(document.get("per_image"), dict) and document["status"] == "ok":
                row = ResultRow.from_json(document)
                assert row.adds_up(len(row.per_image["mse"]))
                seen += 1
    assert seen > 20


def test_an_estimate_is_an_interval():
    for low, seconds, high in ((-1.0, 1.0, 2.0), (0.0, 1.0, math.inf), (0.0, math.nan, 1.0)):
        with pytest.raises(ValueError, match="around"):
            Estimate.from_json({"seconds": seconds, "low": low, "high": high})
    assert Estimate.from_json({"seconds": 2.0, "low": 1.0, "high": 3.0}).seconds == 2.0


def test_a_bench_interrupted_in_its_first_training_goes_on(tiny, tmp_path, durations, monkeypatch):
    def stopped(*_, **__):
        (tmp_path / "b" / "runs" / "x").mkdir(parents=True)
        raise Interrupted("stopped", 2)

    options = {"data": tiny, "output": tmp_path / "b", **SMALL}
    with monkeypatch.context() as patch:
        patch.setattr(session_module, "measure_row", stopped)
        with pytest.raises(Interrupted):
            phasegan.bench([2], [1], **options)
    assert {"ok", "quoted"} == set(by_state(phasegan.bench([2], [1], **options)).values())
