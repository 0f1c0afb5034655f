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
        """Add one array.

        Parameters
        ----------
        value : numpy.ndarray
            Array of the shape of those before, float; rounded to the steps.
        sign : int
            1, or −1 to take it away again.
        """
        steps = np.rint(value * 2.0**self._steps).astype(np.int64)
        self.merge(steps if sign == 1 else -steps)

    def merge(self, total: NDArray[np.int64] | None) -> None:
        """Add the `total` of another sum of the same steps.

        Parameters
        ----------
        total : numpy.ndarray or None
            int64, in steps; None adds nothing.
        """
        if total is None:
            return
        if self.total is None:
            self.total = np.zeros(total.shape, np.int64)
        self.total += total

    def mean(self, count: int) -> NDArray[np.float64]:
        """Return the mean in float64.

        Parameters
        ----------
        count : int
            Divisor, at least 1.

        Returns
        -------
        numpy.ndarray
            float64, in the unit of the values.

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
    """Return the finest s for which sums in steps of 2^−s are exact as floats too.

    So the sum follows from the mean again: see `sum_from_mean`.

    Parameters
    ----------
    largest : float
        Bound of the values, ≥ 0.
    count : int
        How many are summed, at most.

    Returns
    -------
    int
        s; negative for large sums.
    """
    return 51 - math.ceil(math.log2(max(largest, 1.0))) - math.ceil(math.log2(max(count, 1)))


def sum_from_mean(mean: NDArray[np.float64], count: int, steps: int) -> NDArray[np.int64]:
    """Return the exact sum that a mean was computed from.

    Parameters
    ----------
    mean : numpy.ndarray
        float64.
    count : int
        How many values it is the mean of.
    steps : int
        s, as of `ExactSum`.

    Returns
    -------
    numpy.ndarray
        int64, in steps of 2^−s.
    """
    return np.rint(np.ldexp(mean * count, steps)).astype(np.int64)
