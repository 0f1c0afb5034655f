"""How pictures become samples, as recipes and prepared files keep it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from phasegan.config.options.size import Size, SizeRange
from phasegan.config.settings import Settings


class PreprocessingConfig(Settings):
    """From a picture to phases; the defaults of `phasegan prepare`."""

    size: Annotated[Size, SizeRange(2, 8192)] = 128
    """N, or (rows, columns)."""
    channels: Literal["gray", "rgb"] = "gray"
    fit: Literal["crop", "pad", "stretch"] = "crop"
    oversample: Annotated[float, Field(strict=True, ge=1, le=4)] = 1.0
    phase_dtype: Literal["uint16", "float16", "float32"] = "uint16"
    phase_noise: Annotated[float, Field(strict=True, ge=0, le=math.pi)] = 0.0
    """σ of Gaussian noise on the phases, radians."""
    phase_bits: Annotated[int, Field(strict=True, ge=1, le=16)] | None = None
    """Phases are rounded to 2πk / 2^bits, after the noise; None: not rounded."""
    images: Annotated[bool, Field(strict=True)] = True
    """Keep the images beside their phases; False: phases alone."""


class SplitConfig(Settings):
    """How many samples go where; without counts, all there are."""

    samples: Annotated[int, Field(strict=True, ge=1)] | None = None
    test: Annotated[int, Field(strict=True, ge=0)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
