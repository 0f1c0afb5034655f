"""How files become pictures, as recipes and runs keep it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from phasegan.config.settings import Settings


class FileReading(Settings):
    """Pages, axes and missing values of files that hold more than a plain picture."""

    pages: Literal["auto", "samples", "channels", "first"] = "auto"
    """Pages, frames and slices are pictures, or channels of one, or only the first is taken."""
    channel_axis: Literal["first", "last"] | None = None
    """Of arrays; None: the shorter one of the first and the last axis."""
    variable: str | None = None
    """Name of the array in files of several."""
    nodata: Annotated[str, Field(pattern=r"^(mean|nearest|[-+0-9.eE]+)$")] | None = None
    """What takes the place of missing values; None: they are refused."""


class ReadingConfig(FileReading):
    """The same for phase spectra, and the values that are stored as 0 and 65535."""

    limits: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _check(self) -> ReadingConfig:
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ValueError("range: LOW must be below HIGH")
        return self
