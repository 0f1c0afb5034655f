"""What every method takes and gives.

Phases have shape (n[, C], M, M // 2 + 1), radians in (−π, π]; estimates have
shape (n[, C], N, N), float64, in pixel units 0..data_range, not clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.reconstruction.statistics import Statistics

Phase = NDArray[np.floating]
Estimate = NDArray[np.float64]
Method = Callable[[Phase], Estimate]
"""A method made ready: phases in, estimates out."""


@dataclass(frozen=True)
class Result:
    """Reconstructed images."""

    estimate: Estimate
    """(n[, C], N, N), float64, pixel units, not clipped."""
    method: str
    data_range: int
    """255 or 65535: the white that the estimates refer to."""
    phase: Phase
    """What was reconstructed, as half-planes in radians."""
    sources: list[str] | None = None
    """Where the samples came from, where that is known."""
    references: NDArray[np.generic] | None = None
    """The images the phases were taken from, where they are known."""


@dataclass(frozen=True)
class Problem:
    """What a method may know besides the phases."""

    shape: tuple[int, int]
    """(N, N), the support."""
    frame: tuple[int, int]
    """(M, M), the zero-padded size."""
    data_range: int = 255
    statistics: Statistics | None = None
    """Of training images."""

    def require_statistics(self, method: str) -> Statistics:
        """Return the statistics.

        Raises
        ------
        InputError
            If there are none.
        """
        if self.statistics is None:
            raise InputError(
                f"method {method} needs statistics of training images; name a prepared file with "
                "--statistics FILE.h5 (statistics=… in Python)"
            )
        return self.statistics
