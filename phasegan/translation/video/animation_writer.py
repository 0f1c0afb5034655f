"""Animated GIF, WebP and PNG: whole frames, written one by one.

Pillow encodes each frame; its own writers of animations hold all frames in memory and
merge those that are alike.
"""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.translation.video.animation_reader import AnimationReader
from phasegan.translation.video.reader import DecodedFrame, VideoReader

Pixels8 = NDArray[np.uint8]

_QUALITY = 95
_FEW_COLOURS = 256
_MIN_DELAY = 2
"""Hundredths of a second under which viewers show frames of GIFs more slowly."""
_MAX_SIDE = {".gif": 65535, ".webp": 16383}


class _Muxer(Protocol):
    """A format that takes frames one by one."""

    units: int
    """Of a frame's duration in a second."""

    def add(self, pixels: Pixels8, duration: int) -> None: ...

    def finish(self) -> None: ...


class AnimationWriter:
    """An animation that is being written; see `VideoWriter`.

    Parameters
    ----------
    path : pathlib.Path
        Where; any name.
    suffix : str
        That of the final name, which says the format.
    source : VideoReader or AnimationReader
        Whose times and repeats it takes; films are repeated for ever.
    shape : (int, int)
        Rows and columns.
    progress : Progress
        Where to report.
    alpha : bool
        Whether alpha of the frames is written.

    Raises
    ------
    InputError
        If the format cannot hold frames of that size.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        source: VideoReader | AnimationReader,
        shape: tuple[int, int],
        progress: Progress,
        alpha: bool = False,
    ) -> None:
        if max(shape) > _MAX_SIDE.get(suffix, max(shape)):
            raise InputError(f"{suffix} holds at most {_MAX_SIDE[suffix]} rows and columns")
        self._source, self._progress, self._alpha = source, progress, alpha
        self._is_animation = isinstance(source, AnimationReader)
        self._plays = source.plays if isinstance(source, AnimationReader) else 0
        profile = source.profile if isinstance(source, AnimationReader) else None
        self._stream = open(path, "wb")  # noqa: SIM115
        self._gif = _Gif(self._stream, shape, self._plays, alpha) if suffix == ".gif" else None
        self._muxer: _Muxer = self._gif or (
            _WebP(self._stream, shape, self._plays, alpha, profile)
            if suffix == ".webp"
            else _Png(self._stream, self._plays, profile)
        )
        self._last: tuple[DecodedFrame, Pixels8] | None = None
        self._clock = Fraction(0)
        self._written = 0
        self._hurried = False
        self._say_left_out(suffix)

    def _say_left_out(self, suffix: str) -> None:
        if self._source.audio:
            self._progress.warn(f"{suffix} holds no sound: left out; write .mp4 or .mkv to keep it")
        if self._source.is_wide_gamut:
            self._progress.warn(f"{suffix} has no place for the film's marks of its colours")
        if self._source.aspect not in (None, 1):
            self._progress.warn(
                f"{suffix} is written without the pixels' aspect ratio, {self._source.aspect}"
            )

    def add(self, frame: DecodedFrame, pixels: Pixels8) -> None:
        """Write a frame at the time of a frame of the source.

        Parameters
        ----------
        frame : DecodedFrame
            Its time, duration and alpha are taken.
        pixels : numpy.ndarray
            (rows, columns, 3), uint8, RGB.
        """
        if self._alpha:
            alpha = np.full(pixels.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
            pixels = np.concatenate([pixels, alpha[..., None]], axis=2)
        if self._last is not None:
            self._encode(frame)
        self._last = frame, pixels

    def _encode(self, following: DecodedFrame | None) -> None:
        """Write the frame that waits, now that it is known when the next one comes."""
        assert self._last is not None
        frame, pixels = self._last
        until_next = 0 if following is None else following.time - frame.time
        ticks = frame.duration if self._is_animation or following is None else until_next
        self._clock += ticks * self._source.time_base
        duration = round(self._clock * self._muxer.units) - self._written
        self._written += duration
        self._hurried |= 0 < duration < _MIN_DELAY
        self._muxer.add(pixels, duration)

    def copy(self, packet: Any) -> None:
        """Leave a packet of sound out."""

    def close(self, is_complete: bool) -> None:
        """Close the file.

        Parameters
        ----------
        is_complete : bool
            Finish it; else only let go of it.
        """
        try:
            if is_complete:
                if self._last is not None:
                    self._encode(None)
                self._muxer.finish()
        finally:
            self._stream.close()
        if is_complete and self._gif is not None:
            self._say_gif(self._gif)

    def _say_gif(self, gif: _Gif) -> None:
        if gif.reduced:
            self._progress.say(f"{gif.reduced} frames have more colours than the 256 of a GIF")
        if gif.rounded:
            self._progress.warn(f"{gif.rounded} frames have alpha between, which GIFs do not hold")
        if self._hurried and self._source.path.suffix.lower() != ".gif":
            self._progress.warn(
                "frames of less than 0.02 s, which many viewers of GIFs show more slowly; write "
                ".webp to keep the speed"
            )


class _Gif:
    """A palette for each frame: its own colours where they are few."""

    units = 100

    def __init__(
        self, stream: IO[bytes], shape: tuple[int, int], plays: int, transparent: bool
    ) -> None:
        self._stream, self._transparent = stream, transparent
        self.reduced = self.rounded = 0
        rows, columns = shape
        stream.write(b"GIF89a" + struct.pack("<HHBBB", columns, rows, 0x70, 0, 0))
        if plays != 1:
            repeats = struct.pack("<H", min(max(plays - 1, 0), 65535))
            stream.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + repeats + b"\0")

    def add(self, pixels: Pixels8, duration: int) -> None:
        colours = _FEW_COLOURS - self._transparent
        image = _paletted(pixels[..., :3], colours)
        if image is None:
            self.reduced += 1
            plain = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
            palette = plain.quantize(colours, Image.Quantize.MEDIANCUT)
            image = plain.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        options: dict[str, Any] = {"disposal": 1}
        if self._transparent:
            alpha = pixels[..., 3]
            self.rounded += bool(((alpha > 0) & (alpha < 255)).any())
            indices = np.where(alpha < 128, colours, np.asarray(image)).astype(np.uint8)
            table = list(image.getpalette() or [])
            image = Image.fromarray(indices, "P")
            image.putpalette((table + [0] * 3 * _FEW_COLOURS)[: 3 * _FEW_COLOURS])
            options = {"disposal": 2, "transparency": colours}
        parts = GifImagePlugin.getdata(
            image, duration=10 * min(duration, 65535), include_color_table=True, **options
        )
        self._stream.write(b"".join(parts))

    def finish(self) -> None:
        self._stream.write(b";")


def _paletted(pixels: Pixels8, colours: int) -> Image.Image | None:
    """Return an image with the very colours of its pixels, None if they are too many."""
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    codes, indices = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    if codes.size > colours:
        return None
    image = Image.fromarray(indices.reshape(pixels.shape[:2]).astype(np.uint8), "P")
    table = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    image.putpalette(table.tobytes())
    return image


class _Png:
    """Chunks fcTL and fdAT around the data of still PNGs."""

    units = 90_000

    def __init__(self, stream: IO[bytes], plays: int, profile: bytes | None) -> None:
        self._stream, self._plays, self._profile = stream, plays, profile
        self._frames = self._sequence = self._control = 0

    def add(self, pixels: Pixels8, duration: int) -> None:
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG", icc_profile=self._profile)
        header, colours, data = b"", [], []
        for kind, content in _png_chunks(encoded.getvalue()):
            if kind == b"IHDR":
                header = content
            elif kind == b"IDAT":
                data.append(content)
            elif kind == b"iCCP":
                colours.append(content)
        if not self._frames:
            self._stream.write(b"\x89PNG\r\n\x1a\n")
            self._chunk(b"IHDR", header)
            self._control = self._stream.tell()
            self._chunk(b"acTL", struct.pack(">II", 1, self._plays))
            for content in colours:
                self._chunk(b"iCCP", content)
        seconds = Fraction(duration, self.units).limit_denominator(65535)
        place = struct.pack(">IIII", *struct.unpack(">II", header[:8]), 0, 0)
        delay = struct.pack(">HH", min(seconds.numerator, 65535), seconds.denominator)
        self._numbered(b"fcTL", place + delay + b"\0\0")
        for content in data:
            if self._frames:
                self._numbered(b"fdAT", content)
            else:
                self._chunk(b"IDAT", content)
        self._frames += 1

    def _numbered(self, kind: bytes, content: bytes) -> None:
        self._chunk(kind, struct.pack(">I", self._sequence) + content)
        self._sequence += 1

    def _chunk(self, kind: bytes, content: bytes) -> None:
        check = struct.pack(">I", zlib.crc32(kind + content))
        self._stream.write(struct.pack(">I", len(content)) + kind + content + check)

    def finish(self) -> None:
        self._chunk(b"IEND", b"")
        self._stream.seek(self._control)
        self._chunk(b"acTL", struct.pack(">II", self._frames, self._plays))


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    place, chunks = 8, []
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += length + 12
    return chunks


class _WebP:
    """Chunks ANMF around the data of still WebPs."""

    units = 1000

    def __init__(
        self,
        stream: IO[bytes],
        shape: tuple[int, int],
        plays: int,
        alpha: bool,
        profile: bytes | None,
    ) -> None:
        self._stream = stream
        stream.write(b"RIFF\0\0\0\0WEBP")
        flags = 0x02 | 0x10 * alpha | 0x20 * (profile is not None)
        self._size = _three(shape[1] - 1) + _three(shape[0] - 1)
        self._chunk(b"VP8X", bytes([flags, 0, 0, 0]) + self._size)
        if profile is not None:
            self._chunk(b"ICCP", profile)
        self._chunk(b"ANIM", struct.pack("<IH", 0, min(plays, 65535)))

    def add(self, pixels: Pixels8, duration: int) -> None:
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "WEBP", quality=_QUALITY)
        data, place, parts = encoded.getvalue(), 12, []
        while place < len(data):
            (length,) = struct.unpack_from("<I", data, place + 4)
            end = place + 8 + length + length % 2
            if data[place : place + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
                parts.append(data[place:end])
            place = end
        do_not_blend = b"\x02"
        head = bytes(6) + self._size + _three(min(duration, (1 << 24) - 1)) + do_not_blend
        self._chunk(b"ANMF", head + b"".join(parts))

    def _chunk(self, kind: bytes, content: bytes) -> None:
        padding = b"\0" * (len(content) % 2)
        self._stream.write(kind + struct.pack("<I", len(content)) + content + padding)

    def finish(self) -> None:
        size = self._stream.tell() - 8
        if size >= 1 << 32:
            raise OSError("WebP files hold at most 4 GB")
        self._stream.seek(4)
        self._stream.write(struct.pack("<I", size))


def _three(number: int) -> bytes:
    return struct.pack("<I", number)[:3]
