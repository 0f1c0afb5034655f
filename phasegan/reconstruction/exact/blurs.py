"""Integer blurs of a picture with black borders, which have the same phases.

Where the content y of a window leaves black borders on opposite sides of its frame,
every image y ∗ κ has its phases, κ being a symmetric kernel that fits into the
borders and whose spectrum K is nowhere negative. If y has no common factor,
y ∗ κ is an integer image only for an integer κ (Gauss's lemma: the content of a
product of polynomials is the product of their contents), and as κ₀ is the mean of
K ≥ 0, an integer κ other than a multiple of a point has κ₀ > |κ_m|, κ₀ ≥ 2. No blur
is in range, then, if the largest κ₀ with K ≥ 0 and 0 ≤ y ∗ κ ≤ white is below 2, a
linear program; or if no integer κ has a last coefficient κ_m ≥ 1, m ≠ 0, in row-major
order (it multiplies the last pixel of y, so it is positive): an integer program for
each m. Both are solved over more and more of their constraints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

MAX_UNKNOWNS = 300
MAX_INTEGERS = 40
"""Coefficients of a kernel that integer programs are solved for."""
MAX_ROUNDS = 12
ADDED = 200
"""Constraints of each kind that a round adds."""
MARGIN = 1e-6
SECONDS = 5.0
"""Time limit of one program."""
INFEASIBLE = 2
"""The status that scipy.optimize.milp gives a program without a solution."""

Matrix = NDArray[np.float64]


def excludes_blurs(content: NDArray[np.int64], border: tuple[int, int], white: int) -> bool:
    """Return whether no integer blur of a picture is in range.

    Parameters
    ----------
    content : numpy.ndarray
        (N₁, N₂), integers from 0, without a common factor: y.
    border : (int, int)
        The largest |m₁| and |m₂| of the kernel: the smaller of two opposite borders.
    white : int
        The largest pixel.

    Returns
    -------
    bool
        False also where the borders are too wide for the linear program.
    """
    a, b = border
    offsets = [(i, j) for i in range(a + 1) for j in range(-b, b + 1) if (i, j) >= (0, 0)]
    if len(offsets) == 1:
        return True
    if len(offsets) > MAX_UNKNOWNS:
        return False
    constraints = _BlurConstraints(content, offsets, border, white)
    if constraints.is_infeasible(0):
        return True
    return len(offsets) <= MAX_INTEGERS and all(
        map(constraints.is_infeasible, range(1, len(offsets)))
    )


class _BlurConstraints:
    """The constraints 0 ≤ y ∗ κ ≤ white and K ≥ 0, of which some are in use."""

    def __init__(
        self,
        content: NDArray[np.int64],
        offsets: list[tuple[int, int]],
        border: tuple[int, int],
        white: int,
    ) -> None:
        a, b = self.border = border
        self.white = white
        self.shifts = np.array(offsets)
        self.multiplicity = np.where((self.shifts == 0).all(axis=1), 1.0, 2.0)
        self.padded = np.pad(content, ((2 * a, 2 * a), (2 * b, 2 * b))).astype(np.float64)
        self.shape = (content.shape[0] + 2 * a, content.shape[1] + 2 * b)
        self.grid = (4 * (2 * a + 1), 4 * (2 * b + 1))
        rng = np.random.default_rng(0)
        self.pixels = rng.permutation(int(np.prod(self.shape)))[: 2 * ADDED]
        self.frequencies = rng.permutation(int(np.prod(self.grid)))[: 2 * ADDED]
        others = np.eye(len(offsets))[1:]
        point = np.zeros_like(others)
        point[:, 0] = 1.0
        self.dominance = np.concatenate([others - point, -others - point])  # |κ_m| ≤ κ₀

    def pixel_rows(self, places: NDArray[np.intp]) -> Matrix:
        """Return the rows that give pixels of y ∗ κ."""
        row, column = np.unravel_index(places, self.shape)
        row, column = row[:, None] + self.border[0], column[:, None] + self.border[1]
        rows: Matrix = self.padded[row - self.shifts[:, 0], column - self.shifts[:, 1]]
        rows = rows + self.padded[row + self.shifts[:, 0], column + self.shifts[:, 1]]
        return rows * (self.multiplicity / 2)

    def spectrum_rows(self, places: NDArray[np.intp]) -> Matrix:
        """Return the rows that give samples of K."""
        k, m = (index[:, None] for index in np.unravel_index(places, self.grid))
        angle = k * self.shifts[:, 0] / self.grid[0] + m * self.shifts[:, 1] / self.grid[1]
        rows: Matrix = self.multiplicity * np.cos(2 * np.pi * angle)
        return rows

    def is_infeasible(self, last: int) -> bool:
        """Return whether there is no κ with κ₀ ≥ 2, or no integer one that ends at `last`."""
        low = np.full(len(self.shifts), -float(self.white))
        high = -low
        low[0] = 2.0
        if last:
            low[last], high[last + 1 :], low[last + 1 :] = 1.0, 0.0, 0.0
        for _ in range(MAX_ROUNDS):
            pixel_rows, spectrum_rows = (
                self.pixel_rows(self.pixels),
                self.spectrum_rows(self.frequencies),
            )
            left = np.concatenate([pixel_rows, -pixel_rows, -spectrum_rows, self.dominance])
            right = np.full(len(left), MARGIN)
            right[: len(pixel_rows)] += self.white
            solution = milp(
                np.eye(len(low))[0],
                integrality=np.full(len(low), int(last > 0)),
                bounds=Bounds(low, high),
                constraints=LinearConstraint(left, ub=right),
                options={"time_limit": SECONDS},
            )
            if solution.status == INFEASIBLE:
                return True
            if solution.x is None:
                return False
            blur = self.pixel_rows(np.arange(np.prod(self.shape))) @ solution.x
            spectrum = self.spectrum_rows(np.arange(np.prod(self.grid))) @ solution.x
            outside = np.maximum(blur - self.white, -blur)
            worst = np.argsort(-outside)[:ADDED]
            lowest = np.argsort(spectrum)[:ADDED]
            worst, lowest = worst[outside[worst] > MARGIN], lowest[spectrum[lowest] < -MARGIN]
            if not len(worst) and not len(lowest):
                return False
            self.pixels = np.union1d(self.pixels, worst)
            self.frequencies = np.union1d(self.frequencies, lowest)
        return False
