"""Cases with options and variants, and rows of several seeds."""

from __future__ import annotations

import json
from typing import get_type_hints

import numpy as np
import pytest
import torch

import phasegan
from phasegan.benchmark.cases import TrainingOptions, case_folder, load_case
from phasegan.benchmark.plan import plan_rows
from phasegan.benchmark.report.tables import SEEDS_COLUMNS, seeds_table
from phasegan.benchmark.summary import summarise_seeds
from phasegan.config.options.train import PhaseOptions
from phasegan.errors import InputError
from phasegan.evaluation.notes import worse_than_baselines
from phasegan.evaluation.records import ResultRow
from phasegan.evaluation.tables import BENCH_COLUMNS
from phasegan.tables import Table

CPU = torch.device("cpu")

PAIRS = "\n[[pairs]]\nsamples=4\nepochs=1\n"
VARIANTS = """
name = "c"
preset = "physics"
methods = ["zero", "mean-magnitude"]
seeds = [0, 1, 2]
[train]
widths = [4, 4]
disjoint = true
[[pairs]]
samples = 4
epochs = 1
[[variants]]
name = "base"
[[variants]]
name = "encodings mean,white"
options = { encodings = ["mean", "white"] }
[[variants]]
name = "paired oracle"
[variants.options]
disjoint = false
adversarial = 0
cycle_a = 0
"""


@pytest.fixture(autouse=True)
def quick_estimate(durations):
    return durations


@pytest.fixture
def case(tmp_path):
    def write(text):
        (tmp_path / "c.toml").write_text(text)
        return tmp_path / "c.toml"

    return write


def planned(path, data, **sizes):
    with phasegan.open(data) as file:
        rows = plan_rows(load_case(path), file, torch.device("cpu"), sizes)
    return [row for row in rows if row.config is not None]


def test_each_variant_is_a_row_with_its_options(case, tiny):
    rows = planned(case(VARIANTS), tiny)
    assert [row.method for row in rows[:3]] == [
        "physics-4-4, base",
        "physics-4-4, encodings mean,white",
        "physics-4-4, paired oracle",
    ]
    assert [row.seed for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    base, white, oracle = (row.config for row in rows[:3])
    assert base.networks.encodings == ("cascade", "mean")
    assert (white.networks.encodings, white.disjoint) == (("mean", "white"), True)
    assert (oracle.disjoint, oracle.period, oracle.samples_b) == (False, 0, 4)
    assert {c.networks.widths for c in (base, white, oracle)} == {(4, 4)}


def test_flags_replace_what_is_common_and_not_what_varies(case, tiny):
    text = VARIANTS + "[[variants]]\nname='wide'\noptions={widths=[8, 8], precision='bf16'}\n"
    for sizes, wanted in (
        ({}, "32"),
        ({"precision": "auto"}, "32"),
        ({"precision": "bf16"}, "bf16"),
    ):
        rows = planned(case(text.replace("[train]", "[train]\nprecision='32'")), tiny, **sizes)
        assert [row.config.precision for row in rows[:4]] == [wanted] * 3 + ["bf16"]
    rows = planned(case(text), tiny, widths=(2, 2))
    assert [row.config.networks.widths for row in rows[:4]] == [(2, 2)] * 3 + [(8, 8)]


def test_a_case_without_variants_is_keyed_as_before(case, tiny):
    text = f"name='c'\npreset='physics'\nvariant='small'{PAIRS}"
    plain = planned(case(text), tiny)
    spelt = planned(case(text.replace("variant", "train={learning_rate=0.001}\nvariant")), tiny)
    with phasegan.open(tiny) as file:
        assert [row.key(file, CPU) for row in plain] == [row.key(file, CPU) for row in spelt]
        assert plain[0].run_name(file, CPU).startswith("physics-small-4x1-seed0-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nprojecton='off'", r"train: unknown key projecton; did you mean projection\?"),
        ("[[variants]]\nname='a'\noptions={unroled=2}", r"variant 'a': .*did you mean unrolled"),
        ("[[variants]]\nname='a'\noption={}", r"variants.0.option; did you mean options"),
        ("[[variants]]\nname='a'\noptions={unrolled=2.5}", r"variant 'a': unrolled = 2.5"),
        ("[[variants]]\nname='a'\noptions={epochs=3}", "unknown key epochs"),
        ("[[variants]]\nname='a|b'", "name = 'a|b'"),
        ("[[variants]]\nname='a'\n[[variants]]\nname='a'", "two variants have the name 'a'"),
    ],
)
def test_bad_options_in_a_case_name_the_nearest(case, text, message):
    with pytest.raises(InputError, match=message):
        load_case(case(f"name='c'\npreset='physics'{PAIRS}{text}"))


@pytest.mark.parametrize(
    ("presets", "options", "message"),
    [
        ("['paper']", "{projection='off'}", "projection belongs to the preset physics, not to pap"),
        ("['physics', 'paper']", "{unrolled=2}", "unrolled belongs to the preset physics, not to"),
        ("['physics']", "{identity=0}", "identity belongs to the preset paper, not to physics"),
        ("['physics']", "{projection='of'}", "case c, variant 'a': .*projection = 'of'"),
        ("['physics']", "{augmentation=false, crop=0.5}", "variant 'a': .*give one of them"),
    ],
)
def test_options_that_do_not_fit_are_refused(case, tiny, presets, options, message):
    text = f"name='c'\npresets={presets}{PAIRS}[[variants]]\nname='a'\noptions={options}"
    with pytest.raises(InputError, match=message):
        planned(case(text), tiny)


def test_a_case_takes_every_option_of_a_training():
    left_out = {"preset", "variant", "samples", "epochs", "seed"}
    names = {"average" if n == "ema_decay" else n for n in get_type_hints(PhaseOptions)}
    assert set(TrainingOptions.model_fields) == names - left_out


def test_a_case_takes_the_name_of_an_option_and_its_earlier_key(case):
    head = f"name='c'\npreset='physics'{PAIRS}[train]\n"
    for key in ("average", "ema_decay"):
        (_, options), *_ = load_case(case(f"{head}{key} = 0.9\n")).trainings({})
        assert options["ema_decay"] == 0.9
    with pytest.raises(InputError, match="the same option"):
        load_case(case(f"{head}average = 0.9\nema_decay = 0.9\n"))


def test_shipped_cases_are_valid():
    names = {path.stem for path in case_folder().glob("*.toml")}
    assert {"published", "ablation", "stability"} <= names
    for name in names:
        assert load_case(name).name == name
    assert load_case("stability").seeds == tuple(range(10))


def test_the_ablation_changes_one_thing_at_a_time(tmp_path):
    phasegan.prepare("builtin", tmp_path / "a.h5", size=32, samples=200, test=1)
    rows = [row for row in planned("ablation", tmp_path / "a.h5") if row.seed == 0]
    base = rows[0].config.model_dump(mode="json")
    assert base["disjoint"]
    for row in rows[1:]:
        other = row.config.model_dump(mode="json")
        changed = [key for key in base if base[key] != other[key]]
        one = {"physics-small, paired oracle": ["losses", "disjoint"]}
        assert len(changed) == len(one.get(row.method, [0])), row.method
    assert len({row.config for row in rows}) == len(rows) == 13


@pytest.mark.slow
def test_several_seeds_get_a_table_of_their_own(case, tiny, tmp_path, run_cli):
    arguments = ("bench", "--case", case(VARIANTS), "--data", tiny, "-o", tmp_path / "b")
    outcome = run_cli(*arguments, "--device", "cpu")
    assert outcome.status == 0
    assert "physics-4-4, base, seed 2:" in outcome.err
    document = json.loads((tmp_path / "b" / "results.json").read_text())
    rows = [row for row in document["rows"] if row["method"] == "physics-4-4, base"]
    found = [row["mse"] for row in rows]
    seeds = next(s for s in document["seeds"] if s["method"] == "physics-4-4, base")
    assert (seeds["seeds"], seeds["samples"], seeds["epochs"]) == (3, 4, 1)
    assert seeds["mse"]["mean"] == pytest.approx(np.mean(found))
    assert seeds["mse"]["standard_deviation"] == pytest.approx(np.std(found, ddof=1))
    assert (seeds["mse"]["min"], seeds["mse"]["max"]) == (min(found), max(found))
    table = (tmp_path / "b" / "table.md").read_text()
    for text in (table, outcome.out):
        assert "Over seeds" in text
        assert f"{min(found):,.0f}..{max(found):,.0f}, s.d. " in text
    assert sorted(path.name[:17] for path in (tmp_path / "b" / "runs").iterdir())[0] == (
        "physics-4-4-base-"
    )


def row(method, mse, **known):
    return ResultRow(method, {"mse": mse, "mse_scale": mse / 2, "ssim": None}, **known)


def test_one_seed_has_no_second_table():
    assert summarise_seeds([row("a", 1.0, samples=2, seed=0), row("b", 1.0, samples=2)]) == []


def test_two_seeds_have_a_range_and_three_a_deviation():
    two = [row("a", 100.0 * s, samples=2, seed=s) for s in (1, 2)]
    three = [row("b", 100.0 * s, samples=2, epochs=1, seed=s) for s in (1, 2, 3)]
    quoted = ResultRow("a", {"mse_published": 1.0}, samples=2, epochs=1, status="quoted")
    table = seeds_table([row("zero", 9.6), *two, *three, quoted])
    names = [column.header for column in SEEDS_COLUMNS]
    texts = [dict(zip(names, line, strict=True)) for line in table.cells()]
    spreads = [text["spread of average MSE"] for text in texts]
    assert spreads == ["–", "100..200", "100..300, s.d. 100"]
    assert [text["average MSE"] for text in texts] == ["9.6", "150", "200"]
    assert [text["seeds"] for text in texts] == ["1", "2", "3"]
    assert {text["SSIM"] for text in texts} | {text["affine fit"] for text in texts} == {"–"}


def test_remarks_compare_rows_of_one_seed():
    flat = [row("flat", 100.0 * (s + 1), samples=5, seed=s) for s in (0, 1)]
    above = [row("net", 150.0, samples=5, epochs=1, seed=s) for s in (0, 1)]
    assert worse_than_baselines([*flat, *above]) == [
        "net at 5 × 1 scores worse with 1 of 2 seeds than flat, which trains nothing: what it "
        "draws is not worth more than that."
    ]


def test_rows_from_before_a_figure_was_known_are_shown():
    old = ResultRow.from_json(row("a", 100.0, samples=2).as_json())
    table = Table.from_records("t", BENCH_COLUMNS, [old]).only("mse_mean")
    assert table.cells() == [["–"]]
