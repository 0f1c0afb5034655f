"""Animated GIF, WebP and PNG, read like films by Pillow."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import numpy as np
from PIL import Image

from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.notices import is_srgb
from phasegan.data.images.pixels import check_size
from phasegan.errors import InputError, PhaseganError
from phasegan.translation.colour_profiles import to_srgb
from phasegan.translation.video.missing_frames import FrameLosses
from phasegan.translation.video.reader import ColourMarks, DecodedFrame

ANIMATION_FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
"""Pillow's name of the format, by suffix."""
PROFILE_SUFFIXES = {".webp", ".png", ".apng"}
_TICKS = 90_000
"""Units of time in a second: hundredths, thousandths and usual rates are whole numbers of them."""
_SHORTEST_MS = 10
"""Frames of GIFs that are this short or shorter, viewers show for `_SHOWN_MS`."""
_SHOWN_MS = 100
_BROKEN = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)


def is_animation(path: Path) -> bool:
    """Return whether a file holds several frames, by its contents.

    Parameters
    ----------
    path : pathlib.Path
        A file with any suffix.

    Returns
    -------
    bool
        True for GIF, WebP and PNG of more than one frame.
    """
    if path.suffix.lower() not in ANIMATION_FORMATS or not path.is_file():
        return False
    with contextlib.suppress(*_BROKEN), quiet_decoders():
        if not _may_move(path):
            return False
        with _opened(path) as image:
            return bool(getattr(image, "is_animated", False)) and _first(image) + 1 < _count(image)
    return False


def _may_move(path: Path) -> bool:
    """Tell from its first bytes whether a file may hold several frames, whatever its size."""
    with open(path, "rb") as stream:
        head = stream.read(30)
        if head[:4] == b"RIFF":
            return head[12:16] == b"VP8X" and bool(head[20] & 0x02)
        if head[:4] != b"\x89PNG":
            return head[:3] == b"GIF"
        stream.seek(8)
        while len(chunk := stream.read(8)) == 8 and chunk[4:] not in (b"IDAT", b"IEND"):
            if chunk[4:] == b"acTL":
                return True
            stream.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    return False


def _opened(path: Path) -> Any:
    return Image.open(path, formats=tuple(set(ANIMATION_FORMATS.values())))


def _count(image: Any) -> int:
    return int(getattr(image, "n_frames", 1))


def _first(image: Any) -> int:
    """Return 1 if a picture for viewers without animations stands before the frames."""
    return int(bool(image.info.get("default_image")))


class AnimationReader:
    """An animation's frames, composed of those before them; see `VideoReader`.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Attributes
    ----------
    frames : int
        How many there are.
    time_base : Fraction
        Unit of times, seconds.
    rate : Fraction
        Of the first frame, frames per second.
    plays : int
        How often it is shown; 0 is for ever.
    profile : bytes or None
        Its ICC profile, unless that is sRGB.

    Raises
    ------
    InputError
        If it cannot be opened.
    """

    audio: tuple[Any, ...] = ()
    aspect: Fraction | None = None
    is_wide_gamut = False
    colours = ColourMarks()
    time_base = Fraction(1, _TICKS)

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._image = _opened(path)
            self.frames = _count(self._image) - _first(self._image)
            self._image.load()
        except _BROKEN as error:
            raise InputError(f"{path}: not an animation that can be read ({error})") from None
        profile = self._image.info.get("icc_profile")
        self.profile = profile if profile and not is_srgb(profile) else None
        self.rate = 1 / (self._shown(self._ticks()) * self.time_base)
        self.plays = self._plays()
        self.has_alpha = (
            self._image.format == "GIF"
            or self._image.mode in ("RGBA", "LA", "PA")
            or "transparency" in self._image.info
        )
        self._lost_profile: bytes | None = None
        self._transparent = 0
        header: Any = SimpleNamespace(frames=self.frames, metadata={})
        self._losses = FrameLosses(header, self.time_base, 0.0)

    def __enter__(self) -> AnimationReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._image.close()

    def _plays(self) -> int:
        loop = self._image.info.get("loop")
        if self._image.format != "GIF":
            return int(loop or 0)
        return 1 if loop is None else int(loop) + (int(loop) > 0)  # GIFs count repeats

    def _ticks(self) -> int:
        """Return the duration of the current frame, as it is stored."""
        return round(Fraction(self._image.info.get("duration") or 0) * _TICKS / 1000)

    def _shown(self, ticks: int) -> int:
        """Return how long viewers show a frame."""
        return ticks if ticks > _SHORTEST_MS * _TICKS // 1000 else _SHOWN_MS * _TICKS // 1000

    def notes(self, suffix: str) -> list[str]:
        """Return lines about contents of the file that are not in its frames.

        Colours are those of sRGB from now on, if the result cannot hold the profile.

        Parameters
        ----------
        suffix : str
            Of the result.
        """
        lines = []
        if self.profile is not None and suffix not in PROFILE_SUFFIXES:
            converted = to_srgb(np.zeros((1, 1, 3), np.uint8), self.profile) is not None
            self._lost_profile, self.profile = self.profile if converted else None, None
            what = "colours are converted to sRGB" if converted else "it is left out"
            lines.append(f"a colour profile that {suffix} cannot hold; {what}")
        if _first(self._image):
            lines.append(
                "the picture for viewers without animations is left out; they see the first frame"
            )
        return lines

    def end_notes(self, alpha: bool) -> list[str]:
        """Return lines that are known after the last frame.

        Parameters
        ----------
        alpha : bool
            Whether the result holds alpha.
        """
        lines, losses = [], self._losses.describe()
        if self._transparent and not alpha:
            lines.append(
                f"alpha of {self._transparent} of {self._losses.frames_read} frames is left out; "
                "--alpha keep keeps it in GIF, WebP and PNG"
            )
        return lines if losses is None else [*lines, losses]

    @property
    def losses(self) -> FrameLosses:
        """Frames that could not be read, complete after the last frame."""
        return self._losses

    def frames_and_audio(self) -> Iterator[DecodedFrame]:
        """Yield the frames with their alpha; durations are those of the file, 0 too.

        Raises
        ------
        InputError
            If nothing can be read.
        """
        time, first = 0, _first(self._image)
        for index in range(first, first + self.frames):
            try:
                check_size(self._image.width, self._image.height, 4)
                self._image.seek(index)
                composed = np.asarray(self._image.convert("RGBA"))
            except PhaseganError as error:
                raise InputError(f"{self.path}: frame {index - first + 1}: {error}") from None
            except _BROKEN as error:
                if index == first:
                    raise InputError(f"{self.path}: damaged ({error})") from None
                self._losses.error = error  # what follows builds on this frame
                return
            colours, alpha = composed[..., :3], composed[..., 3]
            if self._lost_profile is not None:
                converted = to_srgb(colours, self._lost_profile)
                colours = colours if converted is None else converted
            self._transparent += bool(alpha.min() < 255)
            ticks = self._ticks()
            self._losses.add(time, False)
            yield DecodedFrame(np.ascontiguousarray(colours), time, ticks, alpha)
            time += self._shown(ticks)
