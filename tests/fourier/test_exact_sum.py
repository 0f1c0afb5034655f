"""A sum in fixed point: exact, in any order, and to be had again from its mean."""

import numpy as np
import pytest

from phasegan.fourier.exact_sum import ExactSum, fraction_bits, sum_from_mean


def test_neither_order_nor_grouping_matters(rng):
    values = rng.exponential(1e4, (50, 6, 4)) * 10.0 ** rng.integers(-4, 3, (50, 1, 1))
    steps = fraction_bits(values.max(), 50)
    one, parts = ExactSum(steps), [ExactSum(steps) for _ in range(4)]
    for value in values:
        one.add(value)
    for i, k in enumerate(rng.permutation(50)):
        parts[i % 4].add(values[k])
    joined = ExactSum(steps)
    for part in reversed(parts):
        joined.merge(part.total)
    np.testing.assert_array_equal(one.mean(50), joined.mean(50))
    np.testing.assert_allclose(one.mean(50), values.mean(0), rtol=0, atol=2.0**-steps)


def test_what_is_taken_away_was_never_there(rng):
    values = rng.uniform(0, 9, (3, 5))
    total = ExactSum(30)
    for value in values:
        total.add(value)
    total.add(values[1], -1)
    alone = ExactSum(30)
    alone.add(values[0])
    alone.add(values[2])
    np.testing.assert_array_equal(total.total, alone.total)


@pytest.mark.parametrize("count", [1, 7, 4500, 10**7])
@pytest.mark.parametrize("largest", [1.0, 255 * 128**2, 65535.0 * 8192**2])
def test_the_sum_is_had_again_from_the_mean(rng, count, largest):
    steps = fraction_bits(largest, count)
    total = ExactSum(steps)
    total.merge(rng.integers(0, int(largest * count * 2.0**steps) + 1, 200))
    assert int(total.total.max()) < 2**52
    np.testing.assert_array_equal(sum_from_mean(total.mean(count), count, steps), total.total)


def test_the_mean_of_nothing_is_not_defined():
    total = ExactSum(3)
    total.merge(None)
    with pytest.raises(ValueError, match="nothing"):
        total.mean(1)
