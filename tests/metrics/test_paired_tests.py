"""Laws of the paired comparison, and its false alarms by simulation."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from phasegan.errors import InputError
from phasegan.metrics.paired_tests import compare_paired, holm

STABILITY = Path(__file__).parents[2] / "benchmarks/results/physics-stability/results.json"


def normal_logs(rng, deviation, shape):
    """Log-normal factors of mean 1."""
    return np.exp(rng.normal(-(deviation**2) / 2, deviation, shape))


def method(rng, hardness, seeds, over_seeds=0.0, pairing=0.1):
    """Errors (seeds, images): image × (method × image) × seed × (seed × image)."""
    images = len(hardness)
    return (
        hardness
        * normal_logs(rng, pairing, images)
        * normal_logs(rng, over_seeds, (seeds, 1))
        * normal_logs(rng, pairing, (seeds, images))
    )


def simulate(rng, count, images, seeds, over_seeds=0.0, pairing=0.1, change=1.0):
    """Share of the comparisons with a verdict."""
    found = 0
    for _ in range(count):
        hardness = 1000 * normal_logs(rng, 0.8, images)
        a, b = (method(rng, hardness, k, over_seeds, pairing) for k in seeds)
        found += compare_paired(a, change * b).verdict in ("better", "worse")
    return found / count


@pytest.mark.slow
@pytest.mark.parametrize("images", [50, 500])
@pytest.mark.parametrize(
    ("seeds", "over_seeds"),
    [
        *(((k, k), over_seeds) for k in (2, 3, 5) for over_seeds in (0, 0.02, 0.05)),
        *((pair, 0.05) for pair in ((1, 2), (1, 3), (10, 1), (2, 3), (5, 2), (2, 10), (3, 5))),
        ((1, 1), 0),
    ],
)
def test_false_alarms_are_rare(images, seeds, over_seeds):
    rng = np.random.default_rng(21)
    assert simulate(rng, 1000, images, seeds, over_seeds) <= 0.07


@pytest.mark.parametrize("images", [50, 500])
def test_false_alarms_are_rare_without_any_pairing_and_with_unlike_tails(images):
    rng = np.random.default_rng(22)
    alarms = np.zeros(2)
    for _ in range(1000):
        heavy, other, light = (normal_logs(rng, s, images) for s in (0.8, 0.8, 0.2))
        alarms += [compare_paired(heavy, c).p_value <= 0.05 for c in (other, light)]
    assert (alarms / 1000 <= 0.07).all()


def test_the_exceptions_stay_within_what_is_said_of_them():
    rng = np.random.default_rng(25)
    alarms = np.zeros(2)
    for _ in range(2000):
        hardness = normal_logs(rng, 0.8, 50)
        paid = 0.05 * (hardness**2 - np.exp(0.64) * hardness)  # of mean 0 over all images
        a, b = (method(rng, hardness, 1) for _ in range(2))
        wide, narrow = method(rng, hardness, 2, 0.05, 0.03), method(rng, hardness, 10, 0.01, 0.03)
        alarms += [
            compare_paired(*pair).p_value <= 0.05 for pair in ((a, b + paid), (wide, narrow))
        ]
    assert ((alarms > 0.05 * 2000) & (alarms <= 0.12 * 2000)).all()


def test_one_seed_a_side_does_not_cover_the_spread_over_seeds():
    rng = np.random.default_rng(23)
    assert simulate(rng, 200, 500, (1, 1), over_seeds=0.05) > 0.5


def test_a_gain_of_three_percent_is_found_where_images_are_paired():
    rng = np.random.default_rng(24)
    assert simulate(rng, 100, 500, (1, 1), pairing=0.05, change=0.97) >= 0.95
    assert simulate(rng, 100, 500, (3, 3), over_seeds=0.005, pairing=0.05, change=0.97) >= 0.8


def test_seeds_of_one_method_differ_in_pairs_and_not_in_fives():
    rows = json.loads(STABILITY.read_text())["rows"]
    for name in ("physics-small", "mean-magnitude"):
        errors = np.array([r["per_image"]["mse"] for r in rows if r["method"] == name])
        pairs = [compare_paired(*errors[[i, j]]) for i, j in combinations(range(10), 2)]
        assert np.mean([pair.p_value <= 0.05 for pair in pairs]) == pytest.approx(0.5, abs=0.05)
        halves = [
            compare_paired(errors[list(half)], np.delete(errors, half, axis=0))
            for half in combinations(range(10), 5)
        ]
        assert np.mean([half.p_value <= 0.05 for half in halves]) <= 0.05


def test_one_seed_is_the_paired_t_test(rng):
    stats = pytest.importorskip("scipy.stats")
    a = 1000 * normal_logs(rng, 0.8, 40)
    b = a * normal_logs(rng, 0.2, 40)
    ours = compare_paired(a, b)
    theirs = stats.ttest_rel(b, a)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert ours.difference == pytest.approx(b.mean() - a.mean())
    assert (ours.images, ours.seeds, ours.spread_of) == (40, (1, 1), "neither")
    assert ours.better == np.sum(b < a)
    assert ours.worse == np.sum(b > a)
    many = compare_paired(a, np.stack([b, b]))
    assert (many.p_value, many.seeds) == (ours.p_value, (1, 2))
    assert many.spread_of == "one side"


def test_seeds_that_differ_as_a_whole_are_welch_s_test_or_stricter(rng):
    stats = pytest.importorskip("scipy.stats")
    hardness, shifts = normal_logs(rng, 0.8, 30), rng.normal(0, 1, (2, 4))
    for one, other, alike in ((shifts[0], 1 - shifts[0], True), (shifts[0], 1 + shifts[1], False)):
        ours = compare_paired(*(hardness + shift[:, None] for shift in (one, other)))
        theirs = stats.ttest_ind(other, one, equal_var=False)
        if alike:
            assert ours.p_value == pytest.approx(theirs.pvalue)
            assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))
        assert ours.p_value >= theirs.pvalue * (1 - 1e-9)
        assert ours.spread_of == "both sides"


def test_one_seed_borrows_the_spread_of_the_other_side(rng):
    stats = pytest.importorskip("scipy.stats")
    hardness, shifts = normal_logs(rng, 0.8, 30), rng.normal(0, 1, 6)
    a, b = hardness + shifts[:5, None], hardness + 1 + shifts[5]
    found = compare_paired(a, b)
    theirs = stats.ttest_ind(1 + shifts[5:], shifts[:5])  # pooled: one seed has no variance
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert compare_paired(b, a).p_value == pytest.approx(theirs.pvalue)


def test_seeds_widen_the_interval(rng):
    hardness = 1000 * normal_logs(rng, 0.8, 100)
    a, b = (method(rng, hardness, 3, over_seeds=0.05) for _ in range(2))
    wide, narrow = compare_paired(a, b), compare_paired(a.mean(axis=0), b.mean(axis=0))
    assert wide.difference == pytest.approx(narrow.difference)
    assert wide.interval[0] < narrow.interval[0] < narrow.interval[1] < wide.interval[1]
    assert wide.p_value > narrow.p_value


def test_sides_change_the_sign_and_units_the_scale(rng):
    hardness = 1000 * normal_logs(rng, 0.8, 60)
    a, b = method(rng, hardness, 3), 0.8 * method(rng, hardness, 2)
    there, back = compare_paired(a, b), compare_paired(b, a)
    assert (there.verdict, back.verdict) == ("better", "worse")
    assert back.difference == pytest.approx(-there.difference)
    assert back.p_value == pytest.approx(there.p_value)
    assert (back.better, back.worse) == (there.worse, there.better)
    assert compare_paired(7 * a, 7 * b).p_value == pytest.approx(there.p_value)
    shuffled = rng.permutation(60)
    assert compare_paired(a[::-1, shuffled], b[:, shuffled]).p_value == pytest.approx(there.p_value)


@pytest.mark.parametrize("images", [1, 2, 9])
def test_equal_errors_are_identical(rng, images):
    a = rng.uniform(1, 9, (2, images))
    same = rng.uniform(1, 9, images)
    for one, other in ((a, a), (same, same), (same, np.stack([same] * 3))):
        found = compare_paired(one, other)
        assert found.verdict == "identical"
        assert (found.p_value, found.adjusted_p, found.interval) == (1.0, 1.0, (0.0, 0.0))
        assert (found.difference, found.better, found.worse) == (0.0, 0, 0)
        assert not found.tested


def test_equal_means_over_seeds_are_not_identical_errors():
    found = compare_paired([[1.0, 2], [3, 5]], [[3.0, 5], [1, 2]])
    assert found.verdict == "no difference shown"
    assert found.p_value == 1


def test_one_image_tells_nothing_about_others():
    found = compare_paired([[4.0], [5]], [[1.0], [2]])
    assert (found.p_value, found.interval, found.adjusted_p) == (None, None, None)
    assert (found.difference, found.better) == (-3.0, 1)
    assert found.verdict == "no difference shown"
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["p_value"] is None
    with pytest.raises(InputError, match="tests nothing"):
        found.with_adjusted(1.0)


def test_a_constant_difference_is_certain():
    found = compare_paired([1.0, 2, 3], [1.5, 2.5, 3.5])
    assert (found.p_value, found.interval, found.verdict) == (0.0, (0.5, 0.5), "worse")


def test_a_correction_remakes_the_verdict(rng):
    a = 1000 * normal_logs(rng, 0.8, 100)
    found = compare_paired(a, 0.99 * a * normal_logs(rng, 0.03, 100))
    assert found.p_value <= 0.05
    assert found.verdict == "better"
    corrected = found.with_adjusted(0.2)
    assert (corrected.verdict, corrected.adjusted_p) == ("no difference shown", 0.2)
    assert (corrected.p_value, corrected.interval) == (found.p_value, found.interval)
    assert corrected.with_adjusted(found.p_value) == found
    assert json.loads(json.dumps(corrected.as_json()))["adjusted_p"] == 0.2
    for p in (found.p_value / 2, 1.1, float("nan")):
        with pytest.raises(InputError, match="an adjusted p value is in"):
            found.with_adjusted(p)


def test_another_level_makes_another_interval(rng):
    a = rng.uniform(1, 9, 30)
    b = a + rng.normal(0, 1, 30)
    strict, loose = compare_paired(a, b, level=0.001), compare_paired(a, b, level=0.5)
    assert strict.p_value == loose.p_value
    assert strict.interval[0] < loose.interval[0] < loose.interval[1] < strict.interval[1]
    a, b = np.arange(8.0), np.arange(8.0) + np.array([-1, 2] * 4)
    assert compare_paired(a, b).p_value == pytest.approx(0.39, abs=0.02)
    assert compare_paired(a, b).verdict == "no difference shown"
    assert compare_paired(a, b, level=0.5).verdict == "worse"


def test_holm_on_a_table_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9, 0.9]), [1, 1, 1])
    np.testing.assert_array_equal(holm([0.03]), [0.03])
    assert holm([]).shape == (0,)


def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(rng):
    p = rng.uniform(0, 0.05, 20)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(20 * p, 1)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert adjusted[np.argmin(p)] == pytest.approx(20 * p.min())
    shuffled = rng.permutation(20)
    np.testing.assert_array_equal(holm(p[shuffled]), adjusted[shuffled])


@pytest.mark.parametrize("p", [[0.1, 1.2], [-0.1], [np.nan], [[0.1]]])
def test_holm_wants_p_values(p):
    with pytest.raises(InputError, match="p values are a list of numbers"):
        holm(p)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([1, 2], [1, 2, 3], "a has 2 images and b 3"),
        ([], [], r"a has shape \(0,\)"),
        ([1.0], np.zeros((0, 1)), r"b has shape \(0, 1\)"),
        (np.zeros((1, 2, 3)), [1], r"a has shape \(1, 2, 3\)"),
        (3.0, 3.0, r"a has shape \(\)"),
        ([1, np.nan, np.inf], [1, 2, 3], "a holds 2 errors that are not finite"),
        ([1, 2], [1, None], "b holds 1 errors that are not finite"),
        ([1, 2], ["a", "b"], "b is not an array of numbers"),
    ],
)
def test_bad_errors_are_said_in_one_line(a, b, said):
    with pytest.raises(InputError, match=said) as caught:
        compare_paired(a, b)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("level", [0, 1, -1, float("nan")])
def test_a_level_is_a_probability(level):
    with pytest.raises(InputError, match="a level is between 0 and 1"):
        compare_paired([1, 2], [2, 1], level=level)
