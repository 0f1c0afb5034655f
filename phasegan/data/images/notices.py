"""Notices on parts of images that are left out or may be misread, reported once each.

Every decoding process imports this module: keep its imports small.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phasegan.progress import Progress

FRAMES = "several pages or frames; only the first is taken"
SIZES = "several sizes in one file; only the largest is taken"
BAND = "a further band that the file does not call alpha; it is left out"
PROFILE = "a colour profile other than sRGB; the values are taken as they are coded"
NO_DATA = "values that GDAL_NODATA marks as missing; they are taken as they are"
MASK = "a mask inside the file; it is not applied"
BLACK = "transparent parts; they become black"
FILLED = "missing values, which were filled; the result has no mark for them"
RESTORED = "missing values, which were filled for the network and are missing in the result"
CUT = "values beyond --range; they become its ends"
HIDDEN = "transparent parts; what they hide is taken as it is (--alpha keep keeps alpha)"

NARROW = 1 / 8
"""Share of a range that 99 % of the values take, below which a notice is given."""
_SAMPLES = 256
"""Rows and columns of an image that its middle is taken from, at most."""
_NEAR = 3
"""Levels of 255 that colours of a profile and of sRGB may differ by."""
_MODES = {"RGB": "RGB", "GRAY": "L"}
"""Pillow's modes by the colour space of a profile."""


def followed_line(followed: Sequence[str]) -> str:
    """Describe the links to folders that are followed.

    Parameters
    ----------
    followed : sequence of str
        At least one.

    Returns
    -------
    str
        A line.
    """
    what = "linked folders are" if len(followed) > 1 else "linked folder is"
    return f"{len(followed)} {what} followed, such as {followed[0]}"


def found_lines(source: Any, count: int) -> list[str]:
    """Describe linked folders that are followed, and files of several images.

    Parameters
    ----------
    source : Any
        A source or a set with `followed` and `stacks`; others have nothing to say.
    count : int
        Its images.

    Returns
    -------
    list of str
        Empty for plain files in one folder.
    """
    followed, stacks = getattr(source, "followed", ()), getattr(source, "stacks", 0)
    lines = [followed_line(followed)] if followed else []
    if stacks:
        files = "1 file has" if stacks == 1 else f"{stacks} files have"
        lines.append(
            f"{files} several pages, frames or slices, each a picture of its own: {count} in all "
            "(--pages channels or first takes them otherwise)"
        )
    return lines


def ignored_lines(linked: Sequence[str], ignored: Sequence[str]) -> list[str]:
    """Describe the files and links in a folder that are not read.

    Parameters
    ----------
    linked : sequence of str
        Links to folders that are read anyway.
    ignored : sequence of str
        Files that are not images by their name.

    Returns
    -------
    list of str
        Empty where nothing is ignored.
    """
    lines = []
    if linked:
        what = "linked folders are" if len(linked) > 1 else "linked folder is"
        lines.append(
            f"{len(linked)} {what} not followed, such as {linked[0]}: what they lead to is "
            "read anyway, or holds the folder itself"
        )
    if ignored:
        many = len(ignored) > 1
        what = "files are no pictures by their names" if many else "file is no picture by its name"
        lines.append(f"{len(ignored)} {what}, such as {ignored[0]}")
    return lines


@dataclass
class ImageNotices:
    """Notices of a decoder on one image.

    Attributes
    ----------
    notices : set of str
        Parts that are left out of it, or taken as they are.
    profile : bytes or None
        Its ICC profile, unless that is sRGB.
    """

    notices: set[str] = field(default_factory=set)
    profile: bytes | None = None


class NoticeCounter:
    """Notices on many images: the count of each, and the first image."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, notices: Iterable[str], name: str) -> None:
        """Count an image's notices.

        Parameters
        ----------
        notices : iterable of str
            Constants of this module.
        name : str
            Name of the image.
        """
        for notice in notices:
            count, example = self._found.get(notice, (0, name))
            self._found[notice] = count + 1, example

    def lines(self) -> list[str]:
        """Return a line for each notice, such as `3 pictures have …; a.tif is one`."""
        return [
            f"{count} pictures have {notice}; {example} is one"
            if count > 1
            else f"{example} has {notice}"
            for notice, (count, example) in sorted(self._found.items())
        ]

    def report(self, progress: Progress) -> None:
        """Warn of each notice.

        Parameters
        ----------
        progress : Progress
            Receives the lines.
        """
        for line in self.lines():
            progress.warn(line)


class ValueRange(NamedTuple):
    """Range of an image's values."""

    low: float
    high: float
    """Between them lie 99 % of the values."""
    least: float
    largest: float


def value_range(pixels: NDArray[Any]) -> ValueRange | None:
    """Return the range of an image's values.

    Parameters
    ----------
    pixels : numpy.ndarray
        Two axes are rows and columns; percentiles are taken of about 256 × 256 of them.

    Returns
    -------
    ValueRange or None
        None for 8-bit images.
    """
    if pixels.dtype.itemsize == 1 or not pixels.size:
        return None
    steps = tuple(slice(None, None, -(-size // _SAMPLES)) for size in pixels.shape)
    low, high = np.percentile(pixels[steps], [0.5, 99.5])
    return ValueRange(float(low), float(high), float(pixels.min()), float(pixels.max()))


def narrow_range(
    value_ranges: Iterable[Sequence[float] | None], low: float, high: float
) -> tuple[str, float, float] | None:
    """Tell whether images take only a small part of a range.

    Parameters
    ----------
    value_ranges : iterable of ValueRange
        Ranges of the images; those of 8 bit have none and are passed over.
    low, high : float
        The range.

    Returns
    -------
    (str, float, float) or None
        `99 % of the values lie in 6 % of the range 0 to 65535`, and limits that they
        would fill; None where they take an eighth or more, or are all equal.
    """
    ranges = np.array([item for item in value_ranges if item is not None], np.float64)
    if not len(ranges):
        return None
    bottom = float(np.percentile(ranges[:, 0], 1, method="lower"))
    top = float(np.percentile(ranges[:, 1], 99, method="higher"))
    share = (top - bottom) / (high - low)
    if not 0 < share < NARROW:
        return None
    message = f"99 % of the values lie in {100 * share:.2g} % of the range {low:g} to {high:g}"
    return message, *_limits(bottom, top, ranges[:, 3].max(), low, high)


def _limits(
    bottom: float, top: float, largest: float, low: float, high: float
) -> tuple[float, float]:
    """Return limits for values between a bottom and a top: of whole bits where they begin at 0."""
    if low == 0 and high == 65535:
        if top >= NARROW * high:
            return math.floor(bottom), math.ceil(top)
        maximum = largest if largest < NARROW * high else top
        return 0, 2 ** math.ceil(math.log2(maximum + 1)) - 1
    return float(f"{bottom:.4g}"), float(f"{top:.4g}")


def note_profile(profile: Any, notes: ImageNotices) -> None:
    """Note an ICC profile other than sRGB.

    Parameters
    ----------
    profile : Any
        bytes; in damaged files other types.
    notes : ImageNotices
        Receives the profile.
    """
    if isinstance(profile, bytes) and profile and not is_srgb(profile):
        notes.profile = profile
        notes.notices.add(PROFILE)


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
