"""Two folders of results against each other: pairing, verdicts, what is said beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phasegan.benchmark.compare import CHANGE_COLUMNS, compare_results, read_results
from phasegan.benchmark.report.tables import changes_table
from phasegan.errors import InputError
from phasegan.metrics.paired_tests import compare_paired, holm

MEASURED = Path(__file__).parents[2] / "benchmarks/results"
SOURCES = [f"test/{number}.jpg" for number in range(40)]


def row(method, errors, samples=50, epochs=10, seed=0, **known):
    common = {"method": method, "status": "ok", "samples": samples, "epochs": epochs, "seed": seed}
    return {**common, "mse": float(np.mean(errors)), "errors": list(map(float, errors)), **known}


def document(version, rows, sources=SOURCES, digest="a" * 64, train=None):
    data = {"digest": digest, "description": "32×32 gray"}
    made = {"format": version, "data": data, "rows": [dict(one) for one in rows]}
    for one in made["rows"]:
        errors = one.pop("errors")
        if version == 1:
            pairs = zip(sources, errors, strict=True)
            one["per_image"] = [{"source": s, "mse": e, "exact": False} for s, e in pairs]
        else:
            one["per_image"] = {"mse": errors, "exact": [False] * len(errors)}
    if version == 2:
        lists = {"test": list(sources)}
        made["sources"] = lists if train is None else {**lists, "train": train}
    return json.loads(json.dumps(made))


@pytest.fixture
def errors(rng):
    return rng.lognormal(7, 0.8, 40)


@pytest.mark.parametrize("versions", [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_both_formats_say_the_same(rng, errors, versions):
    noise = rng.lognormal(0, 0.02, (2, 40))
    before = [row("p", errors), row("p", errors * noise[0], 200), row("zero", errors, None, None)]
    after = [row("p", 0.9 * errors * noise[1]), row("p", errors, 200), before[2]]
    found = compare_results(document(versions[0], before), document(versions[1], after))
    assert [(c.method, c.samples, c.epochs, c.split) for c in found.changes] == [
        ("p", 50, 10, "test"),
        ("p", 200, 10, "test"),
        ("zero", None, None, "test"),
    ]
    assert [c.comparison.verdict for c in found.changes] == [
        "better",
        "no difference shown",
        "identical",
    ]
    first = found.changes[0]
    assert first.before == pytest.approx(errors.mean())
    assert first.after - first.before == pytest.approx(first.comparison.difference)
    assert first.comparison.p_value == compare_paired(errors, 0.9 * errors * noise[1]).p_value
    assert (found.only_before, found.only_after) == ([], [])


def test_the_verdict_is_made_after_holm_over_what_was_tested(rng, errors):
    factors = [rng.lognormal(-0.012, 0.04, 40) for _ in range(8)]
    before = [row("p", errors, samples=k) for k in range(9)]
    after = [row("p", errors * f, samples=k) for k, f in enumerate(factors)]
    after.append(row("p", errors, samples=8))
    found = compare_results(document(1, before), document(2, after))
    tests = [compare_paired(errors, errors * factor) for factor in factors]
    adjusted = [change.comparison.adjusted_p for change in found.changes]
    np.testing.assert_allclose(adjusted[:8], holm([test.p_value for test in tests]))
    assert adjusted[8] == 1
    verdicts = [change.comparison.verdict for change in found.changes[:8]]
    assert sum(v == "better" for v in verdicts) < sum(t.verdict == "better" for t in tests)
    assert any("8 tests (Holm 1979)" in remark for remark in found.remarks)


def test_images_are_paired_by_source(rng, errors):
    shuffled = rng.permutation(40)
    before = document(1, [row("p", errors)])
    after = document(2, [row("p", errors[shuffled])], [SOURCES[i] for i in shuffled])
    assert compare_results(before, after).changes[0].comparison.verdict == "identical"
    part = shuffled[:25]
    named = [f"other/{i}" for i in range(15)] + [SOURCES[i] for i in part]
    known = np.concatenate([np.full(15, 1e9), errors[part] + 1])
    found = compare_results(before, document(2, [row("p", known)], named, "b" * 64))
    change = found.changes[0]
    assert (change.comparison.images, change.comparison.worse) == (25, 25)
    assert change.before == pytest.approx(errors[part].mean())
    assert change.after == pytest.approx(errors[part].mean() + 1)
    assert "the data differ, aaaaaaaa before and bbbbbbbb after" in found.remarks[0]
    assert "25 test images are in common by name, of 40 before and 40 after" in found.remarks[0]


def test_too_few_images_in_common_are_no_change(errors):
    before = document(1, [row("p", errors), row("q", errors)])
    named = SOURCES[:1] + [f"other/{i}" for i in range(39)]
    found = compare_results(before, document(1, [row("p", errors), row("q", errors)], named))
    assert found.changes == []
    reason = "as fewer than two images are in common"
    assert f"not compared, {reason}: p (50 × 10); q (50 × 10)." in found.remarks
    single = document(1, [row("p", errors[:1])], SOURCES[:1])
    assert compare_results(single, single).changes == []


def test_images_of_one_source_are_paired_by_position_if_the_lists_are_equal(rng, errors):
    crops = ["a.png"] * 20 + ["b.png"] * 20
    before = document(1, [row("p", errors)], crops)
    found = compare_results(before, document(2, [row("p", errors * 0.9)], crops))
    assert found.changes[0].comparison.better == 40
    assert any("40 test images are crops of 2 photographs" in text for text in found.remarks)
    found = compare_results(before, document(2, [row("p", errors)], crops[::-1]))
    assert found.changes == []
    assert "several images have one source and the lists of sources differ" in found.remarks[0]
    cut = [f"a.png#{i},{i},32" for i in range(40)]
    apart = [f"roll#{i}.png" for i in range(40)]
    for names, crops in ((cut, True), (apart, False)):
        sides = [document(1, [row("p", errors * factor)], names) for factor in (1, 2)]
        assert any("crops" in text for text in compare_results(*sides).remarks) == crops
        assert compare_results(sides[0], sides[0]).remarks == []


def test_seeds_are_stacked_and_only_measured_rows_take_part(rng, errors):
    noise = rng.lognormal(0, 0.05, (6, 40)) * rng.lognormal(0, 0.05, (6, 1))
    before = [row("p", errors * noise[i], seed=i) for i in range(3)]
    before.append(row("p", errors * 99, seed=3, status="unfinished"))
    after = [row("p", errors * noise[3 + i], seed=i) for i in range(3)]
    found = compare_results(document(1, before), document(2, after)).changes[0]
    expected = compare_paired(errors * noise[:3], errors * noise[3:])
    assert found.comparison == expected
    assert found.comparison.seeds == (3, 3)
    assert found.before == pytest.approx((errors * noise[:3]).mean())
    skipped = row("q", errors, status="skipped") | {"per_image": None}
    assert compare_results(document(1, before), document(2, [*after, skipped])).only_after == []


def test_a_second_row_of_a_seed_does_not_count(errors):
    twice = document(1, [row("p", errors), row("p", errors * 2), row("p", errors * 3, seed=1)])
    found = compare_results(twice, document(1, [row("p", errors)]))
    assert found.changes[0].comparison.seeds == (2, 1)
    assert found.changes[0].before == pytest.approx(errors.mean() * 2)
    assert "several rows of one seed, the first of them stands: p (50 × 10)." in found.remarks


def test_what_the_tests_cover_is_said_and_marked(rng, errors):
    def side(method, first, count):
        noise = rng.lognormal(0, 0.05, (count, 40))
        return [row(method, errors * n, seed=first + i) for i, n in enumerate(noise)]

    before = side("single", 0, 1) + side("mixed", 0, 3) + side("many", 0, 3)
    after = side("single", 1, 1) + side("mixed", 0, 1) + side("many", 0, 3)
    found = compare_results(document(1, before), document(1, after))
    verdicts = [cells[-1] for cells in found.cells()]
    assert [verdict[-1] for verdict in verdicts[:2]] == ["†", "‡"]
    assert verdicts[2] == "no difference shown"
    assert found.remarks[0].startswith("† one seed on a side: noise of the test images only")
    assert found.remarks[1].startswith("‡ several seeds on one side only")
    assert found.remarks[2].startswith("verdicts without a mark")
    assert found.remarks[3].startswith("seeds before and after differ")
    same = document(1, [row("p", errors)])
    assert compare_results(same, same).remarks == []


def test_training_images_are_compared_only_where_they_are_named(errors):
    seen = row("p", errors[:30], split="train")
    names = [f"train/{i}" for i in range(30)]
    rows = [row("p", errors), seen]
    for lists in (names, {"0": names}):
        one = document(2, rows, train=lists)
        found = compare_results(one, one)
        assert [c.split for c in found.changes] == ["test", "train"]
        assert [cells[0] for cells in found.cells()] == [
            "p",
            "p (training images)",
        ]
    for lists in (None, {"1": names}):
        one = document(2, rows, train=lists)
        found = compare_results(one, one)
        assert [c.split for c in found.changes] == ["test"]
        assert "do not say which images they are: p (training images) (50 × 10)" in found.remarks[0]


def test_rows_of_one_side_are_named(errors):
    before = [row("p", errors), row("mean", errors, 5, None), row("mean", errors, 50, None)]
    after = [row("p", errors), row("zero", errors, None, None, None), row("p", errors, 5000, 10)]
    found = compare_results(document(1, before), document(2, after))
    assert [key.samples for key in found.only_before] == [5, 50]
    assert [key.method for key in found.only_after] == ["zero", "p"]
    assert found.remarks == [
        "only before: mean (5 samples, 50 samples).",
        "only after: zero; p (5,000 × 10).",
    ]


def test_cells_and_json(rng, errors):
    before = [row("p", errors), row("z", errors, None, None), row("o", errors * 0, 5, None)]
    after = [row("p", errors * 0.5), before[1], row("o", errors * 0 + 1, 5, None)]
    found = compare_results(document(1, before), document(2, after))
    table = changes_table(found, "earlier")
    names = [column.header for column in CHANGE_COLUMNS]
    assert found.table() == (names, list(zip(table.cells(), table.sort_keys(), strict=True)))
    cells = dict(zip(names, table.cells()[0], strict=True))
    assert cells["change %"] == "−50.0"
    assert cells["MSE before"] == f"{errors.mean():,.0f}"
    assert cells["images better/worse"] == "40/0"
    assert cells["p (Holm)"] == "<0.001"
    assert cells["95 % interval of the difference"].count("−") == 2
    assert cells["verdict"] == "better†"
    assert table.sort_keys()[0][6] == pytest.approx(-50)
    assert table.cells()[1][:4] == ["z", "–", "–", "1/1"]
    assert table.cells()[1][6:] == ["0.0", "–", "–", "0/0", "identical"]
    assert table.cells()[2][5:8] == ["1", "–", "+1 to +1"]
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values["changes"][0]["verdict"] == "better"
    assert values["changes"][0]["seeds"] == [1, 1]
    assert set(values) == {"changes", "only_before", "only_after", "remarks"}


def test_measured_seeds_against_each_other():
    """Two seeds of everything: baselines of other samples differ, what takes none does not."""
    found = compare_results(
        read_results(MEASURED / "scenes150-small"), read_results(MEASURED / "scenes150-small-seed1")
    )
    assert len(found.changes) == 13
    verdicts = {(c.method, c.samples): c.comparison.verdict for c in found.changes}
    assert verdicts["zero", None] == "identical"
    assert verdicts["mean-magnitude", 5] == "better"
    assert verdicts["mean-magnitude", 50] == "no difference shown"
    assert [c.comparison.images for c in found.changes] == [500] * 13
    assert found.only_before == found.only_after == []
    assert any(remark.startswith("seeds before and after differ") for remark in found.remarks)


def test_measured_baselines_of_one_seed_are_identical():
    found = compare_results(
        read_results(MEASURED / "physics-published"), read_results(MEASURED / "scenes150-small")
    )
    assert {c.comparison.verdict for c in found.changes} == {"identical"}
    before = {key.method for key in found.only_before if key.samples != 4500}
    assert before == {"physics-small", "shrinkage"}
    assert {key.method for key in found.only_after} == {"paper-small"}
    assert [remark.split()[0] for remark in found.remarks] == ["the", "only", "only"]


def test_one_of_ten_measured_seeds_is_no_change():
    found = compare_results(
        read_results(MEASURED / "physics-stability"), read_results(MEASURED / "physics-published")
    )
    assert [c.comparison.seeds for c in found.changes] == [(10, 1)] * 3
    assert {c.comparison.verdict for c in found.changes} == {"no difference shown"}


def test_other_data_are_told():
    found = compare_results(
        read_results(MEASURED / "physics-ablation"), read_results(MEASURED / "physics-published")
    )
    assert "64×64" in found.remarks[0]
    assert "500 test images are in common by name" in found.remarks[0]


def damage(version, change):
    made = document(version, [row("p", np.arange(1.0, 41))])
    change(made)
    return made


def pop(*path):
    def change(made):
        for step in path[:-1]:
            made = made[step]
        made.pop(path[-1])

    return change


def put(value, *path):
    def change(made):
        for step in path[:-1]:
            made = made[step]
        made[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("version", "change", "said"),
    [
        (1, put(3, "format"), "results of format 3; this phasegan reads 1 and 2"),
        (1, put(None, "format"), "results of format None"),
        (1, pop("format"), "not the results of a bench"),
        (1, pop("rows"), r"damaged \(no 'rows'\)"),
        (1, put(None, "rows"), "damaged"),
        (1, put(["text"], "rows"), "damaged"),
        (1, pop("data"), r"damaged \(no 'data'\)"),
        (1, put(7, "data", "digest"), "damaged"),
        (1, pop("rows", 0, "samples"), "damaged"),
        (1, pop("rows", 0, "per_image"), r"row 1, p \(50 × 10\): no 'per_image'"),
        (1, put([], "rows", 0, "per_image"), "errors of images are missing or not finite"),
        (1, pop("rows", 0, "per_image", 3, "mse"), "no 'mse'"),
        (1, put(None, "rows", 0, "per_image", 3, "mse"), "missing or not finite"),
        (2, pop("rows", 0, "per_image", "mse", 3), "39 errors of 40 images"),
        (2, put("text", "rows", 0, "per_image", "mse", 3), "damaged"),
        (2, pop("rows", 0, "per_image", "mse"), "no 'mse'"),
        (2, put(None, "rows", 0, "per_image"), "damaged"),
        (2, pop("sources"), "no 'sources'"),
        (2, pop("sources", "test"), "no 'test'"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, version, change, said):
    good, bad = document(1, [row("p", np.arange(1.0, 41))]), damage(version, change)
    (tmp_path / "results.json").write_text(json.dumps(bad))
    for call in (
        lambda: read_results(tmp_path),
        lambda: compare_results(bad, good),
        lambda: compare_results(good, bad),
    ):
        with pytest.raises(InputError, match=said) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_folder_without_results(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        read_results(tmp_path / "none")
    with pytest.raises(InputError, match=r"no results.json in it"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match="not readable as JSON"):
        read_results(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        read_results(tmp_path / "results.json")
    (tmp_path / "results.json").write_text("[1]")
    with pytest.raises(InputError, match="not the results of a bench"):
        read_results(tmp_path)


def test_what_was_read_is_the_document(tmp_path, errors):
    made = document(2, [row("p", errors)])
    (tmp_path / "results.json").write_text(json.dumps(made))
    assert read_results(str(tmp_path)) == made
