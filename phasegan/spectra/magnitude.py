"""Statistics of magnitude spectra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class RunningMean:
    """Mean of arrays of one shape that come one at a time, summed in float64.

    The sum is taken in the order of arrival, so that equal input gives equal bits.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sum: NDArray[np.float64] | None = None

    def add(self, value: NDArray[np.integer] | NDArray[np.floating]) -> None:
        """Add one array."""
        if self._sum is None:
            self._sum = np.zeros(value.shape, dtype=np.float64)
        self._sum += value
        self.count += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of what was added.

        Raises
        ------
        ValueError
            If nothing was added.
        """
        if self._sum is None:
            raise ValueError("the mean of nothing is not defined")
        return self._sum / self.count
