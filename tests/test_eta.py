"""Estimated durations: intervals and sums."""

import json

import numpy as np
import pytest

from phasegan.eta import Estimate, LinearCost, sum_estimates


def test_an_estimate_around_a_duration_holds_it_and_scales():
    estimate = Estimate.around(100.0, 0.1, {"steps": 80.0, "saving": 20.0})
    assert estimate.low < 100 < estimate.high
    assert estimate.low * estimate.high == pytest.approx(100.0**2)
    assert estimate.holds(100)
    assert not estimate.holds(estimate.high * 1.001)
    double = estimate.scaled(2.0)
    assert (double.seconds, double.parts["steps"]) == (200.0, 160.0)
    assert double.high == pytest.approx(2 * estimate.high)


def test_seconds_that_are_over_move_an_estimate_and_do_not_widen_it():
    estimate = Estimate.around(100.0, 0.1, {"steps": 100.0})
    later = estimate.after(20.0)
    assert later.seconds == pytest.approx(120.0)
    assert later.high - later.low == pytest.approx(estimate.high - estimate.low)
    assert later.parts == {"start": 20.0, "steps": 100.0}


def test_the_interval_holds_nine_of_ten_durations_of_its_deviation():
    rng = np.random.default_rng(3)
    estimate = Estimate.around(100.0, 0.2, {})
    durations = 100 * np.exp(0.2 * rng.standard_normal(20000))
    held = np.mean([estimate.holds(seconds) for seconds in durations])
    assert held == pytest.approx(0.9, abs=0.01)


def test_totals_add_up_and_of_nothing_are_nothing():
    parts = [Estimate(1.0, 0.5, 2.0, {"a": 1.0}), Estimate(10.0, 9.0, 12.0, {"a": 4.0, "b": 6.0})]
    assert sum_estimates(parts) == Estimate(11.0, 9.5, 14.0, {"a": 5.0, "b": 6.0})
    assert sum_estimates([]) == Estimate(0.0, 0.0, 0.0, {})


def test_an_estimate_survives_json_and_reads_well():
    estimate = Estimate(188.0, 170.0, 207.0, {"steps": 188.0})
    assert Estimate.from_json(json.loads(json.dumps(estimate.as_json()))) == estimate
    assert estimate.describe() == "3 min 08 s (2 min 50 s to 3 min 27 s)"
    assert estimate.brief() == "3 min 08 s ± 10 %"
    assert Estimate(2.0, 2.0, 2.0).describe() == Estimate(2.0, 2.0, 2.0).brief() == "2.0 s"


@pytest.mark.parametrize("more", [4, 20])
def test_a_cost_is_the_line_through_two_counts(more):
    cost = LinearCost.measure(lambda count: 3.0 * count + (more > 4), 4, more)
    assert cost.at(100) == pytest.approx(300.0 + (more > 4))
