"""Phases and where they came from, whatever they came in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.reader import PreparedFile
from phasegan.fourier.foreign import PhaseConvention
from phasegan.reconstruction.protocol import Observation

AS_ARRAY = (
    "If its pixels are the phases, add --as-phases and --units: grey8 where black is −π and white "
    "π, codes8 where 0 to 255 are 0 to 2π, rad for floats"
)


@dataclass(frozen=True)
class PhaseInput:
    """Phases and where they came from."""

    observation: Observation
    shape: tuple[int, int]
    frame: tuple[int, int]
    data_range: int
    noise: float
    sources: list[str] | None = None
    references: NDArray[np.generic] | None = None
    file: PreparedFile | None = None
    single: bool = False
    """Whether the input had no sample axis."""
    note: str = ""
    """A line for users about how the input was read."""
    convention: PhaseConvention | None = None
    """How the phases of an array were made; None: as phasegan makes them."""
    channel_axis: int | None = None
    """Axis of the channels in estimates that have the input's shape; None: that before rows."""
