"""Laws of the fitted power laws."""

from __future__ import annotations

import json

import numpy as np
import pytest

from phasegan.errors import InputError
from phasegan.metrics.scaling_laws import fit_scaling

SAMPLES = np.array([5.0, 15, 50, 200, 600, 1500, 4500])


def power(x, amplitude=5800.0, exponent=0.71, floor=0.0):
    return floor + amplitude * np.asarray(x) ** -exponent


def noisy(rng, x, scatter, **curve):
    return power(x, **curve) * np.exp(rng.normal(0, scatter, len(x)))


def seeds(count, x=SAMPLES):
    return np.repeat(x, count)


@pytest.mark.parametrize("exponent", [0.07, 0.71, 2.5])
def test_an_exact_power_law_is_recovered_without_a_floor(exponent):
    fit = fit_scaling(SAMPLES, power(SAMPLES, exponent=exponent))
    assert fit.form == "power"
    assert fit.floor == 0
    assert fit.floor_interval is None
    assert fit.exponent == pytest.approx(exponent, abs=1e-8)
    assert fit.amplitude == pytest.approx(5800, rel=1e-8)
    assert fit.residual < 1e-9
    assert fit.points == 7
    assert fit.exponent_interval == pytest.approx((exponent, exponent), abs=1e-8)


@pytest.mark.parametrize("exponent", [0.3, 0.71, 1.6])
@pytest.mark.parametrize("floor", [3.0, 310.0])
def test_an_exact_floor_is_recovered(exponent, floor):
    fit = fit_scaling(SAMPLES, power(SAMPLES, exponent=exponent, floor=floor))
    assert fit.form == "power+floor"
    assert fit.exponent == pytest.approx(exponent, rel=1e-6)
    assert fit.amplitude == pytest.approx(5800, rel=1e-6)
    assert fit.floor == pytest.approx(floor, rel=1e-6)
    low, high = fit.floor_interval
    assert low <= fit.floor <= high
    np.testing.assert_allclose(fit(SAMPLES), power(SAMPLES, exponent=exponent, floor=floor))


def test_an_error_that_grows_has_a_negative_exponent():
    fit = fit_scaling(SAMPLES, power(SAMPLES, exponent=-0.2))
    assert fit.form == "power"
    assert fit.exponent == pytest.approx(-0.2)
    assert "x^0.20 (exponent −0.20 to −0.20" in fit.describe()


@pytest.mark.slow
@pytest.mark.parametrize(("floor", "count"), [(0.0, 1), (310.0, 1), (310.0, 3)])
def test_the_intervals_cover_the_truth(floor, count):
    rng = np.random.default_rng(11)
    x = seeds(count)
    form = "power+floor" if floor else "power"
    fits = [fit_scaling(x, noisy(rng, x, 0.05, floor=floor)) for _ in range(200)]
    fits = [fit for fit in fits if fit is not None and fit.form == form]
    assert len(fits) >= 190
    held = [fit.exponent_interval[0] <= 0.71 <= fit.exponent_interval[1] for fit in fits]
    assert 0.9 <= np.mean(held) <= 0.99
    if floor:
        held = [fit.floor_interval[0] <= floor <= fit.floor_interval[1] for fit in fits]
        assert 0.9 <= np.mean(held) <= 0.99


def test_the_band_covers_the_curve_and_the_prediction_a_new_point():
    rng = np.random.default_rng(12)
    at = np.array([20.0, 20000.0])
    in_band, in_prediction = [], []
    for _ in range(200):
        fit = fit_scaling(SAMPLES, noisy(rng, SAMPLES, 0.05, floor=310.0))
        if fit is None or fit.form == "power":
            continue
        low, high = fit.band(at)
        in_band.append((low <= power(at, floor=310.0)) & (power(at, floor=310.0) <= high))
        low, high = fit.prediction(at)
        new = noisy(rng, at, 0.05, floor=310.0)
        in_prediction.append((low <= new) & (new <= high))
    for held in (in_band, in_prediction):
        assert len(held) >= 190
        assert (np.mean(held, axis=0) >= 0.9).all()


def test_a_floor_is_seldom_seen_where_there_is_none_and_not_in_a_cloud():
    rng = np.random.default_rng(13)
    fits = [fit_scaling(SAMPLES, noisy(rng, SAMPLES, 0.05)) for _ in range(200)]
    assert np.mean([fit is not None and fit.form == "power" for fit in fits]) >= 0.95
    bent = [fit_scaling(SAMPLES, noisy(rng, SAMPLES, 0.3, floor=310.0)) for _ in range(50)]
    assert np.mean([fit is None or fit.form == "power" for fit in bent]) >= 0.6


def test_five_points_carry_no_floor_and_five_x_with_seeds_do():
    x = np.array([5.0, 50, 200, 1000, 4500])
    assert fit_scaling(x, power(x, floor=310.0)).form == "power"
    rng = np.random.default_rng(14)
    many = seeds(3, x)
    assert fit_scaling(many, noisy(rng, many, 0.02, floor=310.0)).form == "power+floor"
    four = seeds(5, x[:4])
    assert fit_scaling(four, noisy(rng, four, 0.02, floor=310.0)).form == "power"


@pytest.mark.parametrize("x", [[], [5, 50, 500], [5, 5, 50, 50, 500], [100, 200, 300, 399]])
def test_few_or_close_points_carry_no_curve(x):
    assert fit_scaling(x, power(np.array(x, float))) is None


def test_flat_points_carry_no_curve():
    assert fit_scaling(SAMPLES, np.full(7, 1234.5)) is None
    rng = np.random.default_rng(15)
    flat = [fit_scaling(seeds(3), noisy(rng, seeds(3), 0.1, exponent=0.0)) for _ in range(100)]
    assert np.mean([fit is None for fit in flat]) >= 0.9


def test_a_step_carries_no_curve():
    x = 2.0 ** np.arange(10)
    rng = np.random.default_rng(16)
    assert fit_scaling(x, np.where(x == 1, 5000.0, 100.0) * rng.normal(1, 1e-3, 10)) is None


def test_scattered_points_carry_no_curve():
    assert fit_scaling([1, 10, 100, 1000], [100, 900, 30, 500]) is None


@pytest.mark.parametrize("floor", [0.0, 310.0])
def test_units_of_x_and_y_do_not_matter(rng, floor):
    x = seeds(2)
    y, spread = noisy(rng, x, 0.03, floor=floor), rng.uniform(1, 20, len(x))
    one = fit_scaling(x, y, spread)
    wide, tall = fit_scaling(x * 1000, y, spread), fit_scaling(x, y * 1000, spread * 7)
    for other in (wide, tall):
        assert other.form == one.form == ("power+floor" if floor else "power")
        assert other.exponent == pytest.approx(one.exponent, rel=1e-6)
        assert other.exponent_interval == pytest.approx(one.exponent_interval, rel=1e-6)
        assert other.residual == pytest.approx(one.residual, rel=1e-6)
    assert wide.floor == pytest.approx(one.floor, rel=1e-6)
    assert tall.amplitude == pytest.approx(1000 * one.amplitude, rel=1e-6)
    assert tall.floor == pytest.approx(1000 * one.floor, rel=1e-6)
    at = np.array([1.0, 30, 1e5])
    np.testing.assert_allclose(wide(at * 1000), one(at), rtol=1e-6)
    for name in ("band", "prediction"):
        expected = np.array(getattr(one, name)(at))
        np.testing.assert_allclose(getattr(wide, name)(at * 1000), expected, rtol=1e-5)
        np.testing.assert_allclose(getattr(tall, name)(at), 1000 * expected, rtol=1e-5)


@pytest.mark.parametrize("floor", [0.0, 310.0])
def test_the_band_holds_the_curve_and_widens_outside_the_data(rng, floor):
    fit = fit_scaling(seeds(3), noisy(rng, seeds(3), 0.05, floor=floor))
    inside, outside = np.geomspace(50, 500, 5), np.array([0.05, 0.5, 2])
    for x in (inside, outside):
        low, high = fit.band(x)
        assert ((low > 0) & (low < fit(x)) & (fit(x) < high)).all()
        wider_low, wider_high = fit.prediction(x)
        assert ((wider_low < low) & (high < wider_high)).all()
    width = [np.log(high / low) for low, high in (fit.band(inside), fit.band(outside))]
    assert width[1].min() > width[0].max()
    assert (np.diff(width[1]) < 0).all()
    assert np.shape(fit.band(np.full((2, 3), 9.0))) == (2, 2, 3)
    low, high = fit.band([4500, 45000, 4.5e6])
    assert (np.diff(high / low) > 0).all()


def test_the_plain_power_is_the_straight_line_of_regression(rng):
    stats = pytest.importorskip("scipy.stats")
    y = noisy(rng, SAMPLES, 0.1)
    fit = fit_scaling(SAMPLES, y)
    line = stats.linregress(np.log(SAMPLES), np.log(y))
    assert fit.exponent == pytest.approx(-line.slope)
    half = stats.t.ppf(0.975, 5) * line.stderr
    expected = (-line.slope - half, -line.slope + half)
    assert fit.exponent_interval == pytest.approx(expected)
    assert np.log(fit.amplitude) == pytest.approx(line.intercept)


def test_a_point_of_wide_spread_hardly_counts():
    y, spread = power(SAMPLES), np.full(7, 10.0)
    y[3] *= 2
    spread[3] = 1e6
    assert fit_scaling(SAMPLES, y, spread).exponent == pytest.approx(0.71, abs=1e-6)
    assert fit_scaling(SAMPLES, y).residual > 0.1


def test_in_words_and_in_json():
    bent = fit_scaling(SAMPLES, power(SAMPLES, floor=310.0))
    words = "MSE ≈ 310 + 5,800·x^−0.71 (exponent 0.71 to 0.71, 95 %; 7 points)"
    assert bent.describe() == words
    straight = fit_scaling(SAMPLES, power(SAMPLES, 0.0312, 0.05))
    words = "MSE ≈ 0.031·samples^−0.05 (exponent 0.05 to 0.05, 95 %; 7 points)"
    assert straight.describe("samples") == words
    assert json.loads(json.dumps(straight.as_json())) == {
        "form": "power",
        "amplitude": pytest.approx(0.0312),
        "exponent": pytest.approx(0.05),
        "exponent_interval": [pytest.approx(0.05)] * 2,
        "floor": 0.0,
        "floor_interval": None,
        "points": 7,
        "residual": pytest.approx(0, abs=1e-9),
    }
    assert len(json.loads(json.dumps(bent.as_json()))["floor_interval"]) == 2


@pytest.mark.parametrize(
    ("x", "y", "spread", "said"),
    [
        ([1, 0, 3], [1, 2, 3], None, "x: number 2 is 0; give positive, finite"),
        ([1, 2, 3], [1, 2, -3], None, "y: number 3 is -3"),
        ([1, 2, 3], [1, np.nan, 3], None, "y: number 2 is nan"),
        ([1, 2, np.inf], [1, 2, 3], None, "x: number 3 is inf"),
        ([1, 2, 3], [1, 2, 3], [1, 0, 1], "spread: number 2 is 0"),
        ([1, 2, 3], [1, 2], None, r"of shapes x \(3,\), y \(2,\)"),
        ([1, 2, 3], [1, 2, 3], [1, 2], "spread"),
        ([[1, 2, 3]], [[1, 2, 3]], None, "lists of one length"),
        (1.0, 2.0, None, "lists of one length"),
        (["a"], [1], None, "x is not a list of numbers"),
        ([1, 2], [[1], [1, 2]], None, "y is not a list of numbers"),
    ],
)
def test_bad_points_are_errors_of_one_line(x, y, spread, said):
    with pytest.raises(InputError, match=said) as caught:
        fit_scaling(x, y, spread)
    assert "\n" not in str(caught.value)


def test_a_curve_is_not_asked_at_0():
    with pytest.raises(InputError, match="x: number 1 is 0"):
        fit_scaling(SAMPLES, power(SAMPLES)).band([0.0])
