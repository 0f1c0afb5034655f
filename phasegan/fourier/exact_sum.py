"""A sum that does not depend on the order: magnitudes in fixed point."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class ExactSum:
    """Sum of arrays of one shape, each rounded to steps of 2^−s; then nothing is rounded.

    Parameters
    ----------
    steps : int
        s: 2^s steps to the unit. See `fraction_bits`.

    Attributes
    ----------
    total : numpy.ndarray or None
        int64, the sum in steps; None while nothing was added.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.total: NDArray[np.int64] | None = None

    def add(self, value: NDArray[np.floating], sign: int = 1) -> None:
        """Add one array; with `sign` −1 take it away again."""
        steps = np.rint(value * 2.0**self._steps).astype(np.int64)
        self.merge(steps if sign == 1 else -steps)

    def merge(self, total: NDArray[np.int64] | None) -> None:
        """Add the `total` of another sum of the same steps."""
        if total is None:
            return
        if self.total is None:
            self.total = np.zeros(total.shape, np.int64)
        self.total += total

    def mean(self, count: int) -> NDArray[np.float64]:
        """Return the sum divided by `count`, at least 1, in float64.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        if self.total is None or count < 1:
            raise ValueError("the mean of nothing is not defined")
        mean: NDArray[np.float64] = np.ldexp(self.total.astype(np.float64), -self._steps) / count
        return mean


def fraction_bits(largest: float, count: int) -> int:
    """Return the finest s for which sums of `count` values up to `largest` are exact floats too.

    So the sum can be had again from the mean: see `sum_from_mean`.
    """
    return 51 - math.ceil(math.log2(max(largest, 1.0))) - math.ceil(math.log2(max(count, 1)))


def sum_from_mean(mean: NDArray[np.float64], count: int, steps: int) -> NDArray[np.int64]:
    """Return the exact sum, in steps, whose mean over `count` this is."""
    return np.rint(np.ldexp(mean * count, steps)).astype(np.int64)
