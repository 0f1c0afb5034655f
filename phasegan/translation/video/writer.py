"""Films by PyAV, as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phasegan.progress import Progress
from phasegan.translation.video.audio import Sound
from phasegan.translation.video.reader import (
    BT601,
    BT709,
    BT2020,
    FORMATS,
    FilmReader,
    Shot,
    exact_conversion,
    matrix,
    require_av,
)

_OPTIONS = {
    "libx264": {"crf": "16", "preset": "medium"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
}
_LIMITED = 1


class FilmWriter:
    """A film that is being written.

    Parameters
    ----------
    path : pathlib.Path
        Where; any name.
    suffix : str
        That of the final name, which says the format.
    like : FilmReader
        The film whose rate, time stamps and sound it takes.
    shape : (int, int)
        Rows and columns.
    progress : Progress
        Where to report.

    Raises
    ------
    InputError
        If there is no such format.
    """

    def __init__(
        self,
        path: Path,
        suffix: str,
        like: FilmReader,
        shape: tuple[int, int],
        progress: Progress,
    ) -> None:
        av = require_av()
        form, codec = FORMATS[suffix]
        options = {"movflags": "+faststart"} if form in ("mp4", "mov") else {}
        self._container = av.open(str(path), "w", format=form, options=options)
        self._shape, self._like = shape, like
        choices = dict(_OPTIONS[codec])
        odd = bool(shape[0] % 2 or shape[1] % 2)
        whole = codec == "libx264" and odd
        if whole:
            progress.say("an odd number of rows or columns: written as H.264 4:4:4")
        self._fixed = form == "avi"
        if self._fixed:
            choices["bf"] = "0"
        stream = self._container.add_stream(codec, rate=like.rate, options=choices)
        stream.height, stream.width = shape
        stream.pix_fmt = "yuv444p" if whole else "yuv420p"
        context = stream.codec_context
        self._base = 1 / like.rate if self._fixed else like.time_base
        context.time_base = stream.time_base = self._base
        source = like.video.codec_context
        found = matrix(source.colorspace, shape[0])
        self._colours = found if found in (BT709, BT2020) else BT601
        context.colorspace = self._colours
        context.color_range = _LIMITED
        if like.wide:
            context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        if like.aspect not in (None, 1):
            context.sample_aspect_ratio = like.aspect
            if codec == "libvpx-vp9":  # which has no place for it, and PyAV reaches no other
                progress.warn(
                    f"{form} is written without the pixels' aspect ratio, {like.aspect}; write "
                    ".mp4 or .mkv to keep it"
                )
        self._stream = stream
        self._sound = {s.index: Sound(self._container, form, s, progress) for s in like.sound}
        self._count = 0
        self._start: int | None = None
        self._uneven = False
        self._progress = progress

    def add(self, shot: Shot, pixels: NDArray[np.uint8]) -> None:
        """Write a frame, (rows, columns, 3), at the time of a shot."""
        av = require_av()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace=self._colours,
            interpolation=exact_conversion(),
        )
        self._start = shot.time if self._start is None else self._start
        if self._fixed:
            expected = (shot.time - self._start) * self._like.time_base * self._like.rate
            self._uneven |= abs(expected - self._count) > 1
            frame.pts = self._count
        else:
            frame.pts = shot.time
            frame.duration = shot.duration
        frame.time_base = self._base
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def copy(self, packet: Any) -> None:
        """Write a packet of sound."""
        sound = self._sound.get(packet.stream.index)
        if sound is not None:
            sound.add(packet)

    def close(self, complete: bool) -> None:
        """Finish the file, or only let go of it."""
        try:
            if complete:
                self._container.mux(self._stream.encode())
                for sound in self._sound.values():
                    sound.finish()
        finally:
            self._container.close()
        if complete and self._uneven:
            self._progress.warn(
                "avi holds no varying rate: frames are evenly spaced; write .mp4 or .mkv to keep "
                "their times"
            )
