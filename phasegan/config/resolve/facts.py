"""Facts of training data that a configuration depends on; who opens the data tells them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from phasegan.config.options.size import Size


class PreparedFacts(NamedTuple):
    """A prepared file; fields named as in `DataConfig` mean the same."""

    path: Path
    has_images: bool
    samples: int
    """All of the training split."""
    digest: str
    size: Size
    padded: Size
    channels: str
    bits: int
    phase_noise: float = 0.0
    phase_bits: int | None = None


class DomainFacts(NamedTuple):
    """The training images of a domain; fields named as in `DomainConfig` mean the same."""

    label: str
    """The folder or file, for messages."""
    pictures: int
    """All that can be read."""
    digest: str
    channels: int
    dtype: str
    low: float
    high: float
    alpha: bool = False
    fit: str | None = None
    """The default of `PicturesConfig.fit`, where a prepared file holds the images."""
