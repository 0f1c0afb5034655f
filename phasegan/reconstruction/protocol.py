"""Observations, problems and solutions: the interface of every method.

Phases have shape (n[, C], M₁, M₂ // 2 + 1), radians in (−π, π]; estimates have
shape (n[, C], N₁, N₂), float64, in pixel units 0..data_range, not clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from phasegan.errors import InputError
from phasegan.fourier.convention import is_determined
from phasegan.fourier.foreign import PhaseConvention
from phasegan.progress import Progress
from phasegan.reconstruction.exact.certificate import Certificate, Verdict
from phasegan.reconstruction.image_statistics import Statistics

Phase = NDArray[np.floating]
Estimate = NDArray[np.float64]
Callback = Callable[[int, NDArray[np.int64], NDArray[np.float64]], None]
"""Called now and then by iterative methods with the iteration, the numbers of
the planes at work (sample · C + channel) and their images, in any scale."""


@dataclass(frozen=True)
class Observation:
    """Phases and how far they can be trusted."""

    phase: Phase
    """(n[, C], M₁, M₂ // 2 + 1), radians in (−π, π]."""
    trusted: NDArray[np.bool_] | None = None
    """As `phase`: False where a phase is undefined or was masked. None: all are."""
    half_step: NDArray[np.float64] | float = 0.0
    """How far a true phase may lie from the given one, radians, by the way it was
    rounded: a number, or an array as `phase`."""

    def __len__(self) -> int:
        return len(self.phase)

    def select(self, index: slice | NDArray[Any]) -> Observation:
        """Return some of the samples.

        Parameters
        ----------
        index : slice or numpy.ndarray
            Along the first axis: a slice, int64 numbers, or bool of shape (n,).

        Returns
        -------
        Observation
            With arrays of the selected samples.
        """
        return Observation(
            self.phase[index],
            None if self.trusted is None else self.trusted[index],
            self.half_step if np.ndim(self.half_step) == 0 else np.asarray(self.half_step)[index],
        )

    @property
    def silent_planes(self) -> NDArray[np.bool_]:
        """Which planes have no phase that is trusted, as those of black ones: (planes,)."""
        planes = self.phase.reshape(-1, *self.phase.shape[-2:])
        if self.trusted is None:
            return np.zeros(len(planes), bool)
        return np.asarray(~self.trusted.reshape(planes.shape).any(axis=(-2, -1)))

    @property
    def accuracy(self) -> float:
        """The largest half step, radians."""
        return float(np.max(self.half_step, initial=0.0))


@dataclass(frozen=True)
class Solution:
    """Estimates of a method; iterative ones fill in more than the images."""

    estimate: Estimate
    """(n[, C], N₁, N₂), float64, pixel units, not clipped."""
    iterations: NDArray[np.int64] | None = None
    """(n[, C])."""
    converged: NDArray[np.bool_] | None = None
    """(n[, C])."""
    residual: NDArray[np.float64] | None = None
    """(n[, C]): ‖Im(e^{−iφ} F P x)‖ / ‖F P x‖, see `PhaseOperator.residual`."""
    certificates: list[Certificate] | None = None
    """One a plane, in the order of (n[, C])."""
    method: str | None = None
    """The method that `auto` took."""
    free_scale: bool = False
    """Whether the method leaves the brightness open, so that all of it is a guess."""


Method = Callable[[Observation], Solution]
"""A method ready for a problem: phases in, estimates out."""


@dataclass(frozen=True)
class Result:
    """Reconstructed images."""

    estimate: Any
    """(n[, C], N₁, N₂), float64, pixel units, not clipped: a numpy array, or a torch
    tensor if the phases came as one."""
    method: str
    data_range: int
    """255 or 65535: the white that the estimates refer to."""
    phase: Phase
    """The phases that were reconstructed, as half-planes in radians."""
    sources: list[str] | None = None
    """Where the samples came from, where that is known."""
    references: NDArray[np.generic] | None = None
    """The images the phases were taken from, where they are known."""
    iterations: NDArray[np.int64] | None = None
    """(n[, C]), of iterative methods."""
    converged: NDArray[np.bool_] | None = None
    """(n[, C]), of iterative methods."""
    residual: NDArray[np.float64] | None = None
    """(n[, C]): how badly the estimate's phase fits, 0 to 1; see `Solution`."""
    certificates: list[Certificate] | None = None
    """One a plane, in the order of (n[, C]), of methods that can be exact."""
    mean_known: bool = False
    """Whether the brightness is that of a known mean."""
    frame: tuple[int, int] | None = None
    """(M₁, M₂) of the phases, whose half-planes do not tell it; None: a square."""
    channel_axis: int | None = None
    """Axis of the channels in `estimate`, as in the input; None: that before the rows."""

    @property
    def certified(self) -> NDArray[np.bool_]:
        """Which samples are proved exact in all their planes: (n,), bool."""
        count = self._count()
        return certified_samples(self.certificates, count)

    def _count(self) -> int:
        single = 2 if self.channel_axis is None or np.ndim(self.estimate) > 3 else 3
        return 1 if np.ndim(self.phase) == single else len(self.phase)

    @property
    def unique_up_to_scale(self) -> NDArray[np.bool_]:
        """Which samples are proved up to a factor in all their planes: (n,), bool.

        Certified samples are among them.
        """
        count = self._count()
        return unique_samples(self.certificates, count)


def certified_samples(certificates: list[Certificate] | None, count: int) -> NDArray[np.bool_]:
    """Return which samples have all their planes certified.

    Parameters
    ----------
    certificates : list of Certificate or None
        One a plane; None: no claim.
    count : int
        n, samples.

    Returns
    -------
    numpy.ndarray
        (n,), bool.
    """
    return _samples([c.certified for c in certificates or []], count)


def unique_samples(certificates: list[Certificate] | None, count: int) -> NDArray[np.bool_]:
    """Return which samples have all their planes proved up to a factor.

    Parameters
    ----------
    certificates : list of Certificate or None
        One a plane; None: no claim.
    count : int
        n, samples.

    Returns
    -------
    numpy.ndarray
        (n,), bool.
    """
    proved = (Verdict.CERTIFIED, Verdict.UNIQUE_UP_TO_SCALE)
    return _samples([c.verdict in proved for c in certificates or []], count)


def _samples(planes: list[bool], count: int) -> NDArray[np.bool_]:
    if not planes:
        return np.zeros(count, dtype=bool)
    return np.asarray(np.array(planes).reshape(count, -1).all(axis=1))


@dataclass(frozen=True)
class Settings:
    """Settings of iterative methods; None stands for a method's own default."""

    iterations: int | None = None
    tolerance: float | None = None
    dtype: Literal["float64", "float32"] = "float64"
    device: str = "auto"
    callback: Callback | None = None
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class Problem:
    """Sizes, noise, statistics and settings of a reconstruction."""

    shape: tuple[int, int]
    """(N₁, N₂), the support."""
    frame: tuple[int, int]
    """(M₁, M₂), the zero-padded size."""
    data_range: int = 255
    statistics: Statistics | None = None
    """Means over training images."""
    noise: float = 0.0
    """Standard deviation of Gaussian phase noise, radians."""
    settings: Settings = field(default_factory=Settings)
    convention: PhaseConvention | None = None
    """How foreign phases were made, as users said; None: by phasegan."""

    @property
    def oversampling(self) -> float:
        """M/N, the geometric mean over both axes."""
        pixels = self.shape[0] * self.shape[1]
        return float(np.sqrt(self.frame[0] * self.frame[1] / pixels))

    @property
    def is_determined(self) -> bool:
        """Whether both axes are padded, and M/N ≥ √2."""
        return is_determined(self.shape, self.frame)

    def effective_noise(self, observation: Observation) -> float:
        """Return the standard deviation of phases by noise and rounding together.

        Parameters
        ----------
        observation : Observation
            The phases, with the half steps of their rounding.

        Returns
        -------
        float
            Radians: √(σ² + h²/3), the rounding error being uniform in ±h.
        """
        return float(np.hypot(self.noise, observation.accuracy / np.sqrt(3.0)))

    def require_statistics(self, method: str) -> Statistics:
        """Return the statistics of training images.

        Parameters
        ----------
        method : str
            Name of the method that needs them, for the message.

        Returns
        -------
        Statistics
            Those of the problem.

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
