"""ICC profiles of images."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image

_NEAR = 3
"""Levels of 255 that colours of a profile and of sRGB may differ by."""
_MODES = {"RGB": "RGB", "GRAY": "L"}


@functools.lru_cache(64)
def is_srgb(profile: bytes) -> bool:
    """Tell whether colours mean the same with an ICC profile and without one.

    Parameters
    ----------
    profile : bytes
        The profile. One that cannot be read is ignored, as viewers do.

    Returns
    -------
    bool
        True if no colour changes by more than 3 of 255 levels.
    """
    try:
        from PIL import ImageCms
    except ImportError:  # a Pillow without LittleCMS
        return b"sRGB" in profile
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(str(source.profile.xcolor_space).strip())
        if mode is None:
            return False
        grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
        colours = Image.fromarray(grid if mode == "RGB" else levels[None])
        converted = ImageCms.profileToProfile(
            colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True
    change = np.asarray(converted, np.int16) - np.asarray(colours.convert("RGB"), np.int16)
    return bool(np.abs(change).max() <= _NEAR)


def matches_channels(profile: bytes, channels: int) -> bool:
    """Tell whether a profile is for colours with so many channels.

    Parameters
    ----------
    profile : bytes
        An ICC profile.
    channels : int
        Without alpha.

    Returns
    -------
    bool
        True for RGB and 3, grey and 1.
    """
    space = profile[16:20]  # of an ICC header
    return (space, channels) in ((b"RGB ", 3), (b"GRAY", 1))
