"""A film through a generator: the same frames, times, size and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.data.images.pixels import DecodedImage
from phasegan.errors import DiskFullError, InputError, RunError, disk_full_reason
from phasegan.io.atomic import atomic_file
from phasegan.progress import Progress
from phasegan.translation.generator_runner import GeneratorRunner
from phasegan.translation.generators import Translator
from phasegan.translation.tiling.operations import Band
from phasegan.translation.value_ranges import ValueScales, choose_scales, fit_channels
from phasegan.translation.video.animation_reader import (
    ANIMATION_FORMATS,
    AnimationReader,
    is_animation,
)
from phasegan.translation.video.animation_writer import AnimationWriter
from phasegan.translation.video.reader import (
    FORMATS,
    DecodedFrame,
    VideoReader,
    film_errors,
    require_av,
)
from phasegan.translation.video.temporal import Steadiness, SteadinessMeter, TemporalStabiliser
from phasegan.translation.video.writer import VideoWriter

_MAX_ODD_FRAMES = 8
"""Damaged frames in a row that claim another size, at most."""
_EIGHT_BIT: np.dtype[Any] = np.dtype(np.uint8)


@dataclass(frozen=True)
class VideoResult:
    """Frames, size and steadiness of a translated film.

    Attributes
    ----------
    frames : int
        Written.
    rows, columns : int
        Size of each frame.
    steadiness : Steadiness
        Changes between frames.
    """

    frames: int
    rows: int
    columns: int
    steadiness: Steadiness


def check_video(translator: Translator, source: Path, output: Path) -> None:
    """Refuse, before any work, films and animations that cannot be written.

    Parameters
    ----------
    translator : Translator
        The generator and its domains.
    source, output : pathlib.Path
        The film to read, and the one to write.

    Raises
    ------
    InputError
        If the output's suffix is not known, the generator's pictures are neither grey
        nor RGB, or PyAV is not installed.
    """
    animation, suffix = is_animation(source), output.suffix.lower()
    if not animation or suffix in FORMATS:
        require_av()
    animations = set(ANIMATION_FORMATS) - (set() if animation else {".png"})
    if suffix not in {*FORMATS, *animations}:
        raise InputError(
            f"{output}: name the film with one of {', '.join([*FORMATS, *sorted(animations)])}"
        )
    for domain in (translator.input_domain, translator.output_domain):
        if domain.channels not in (1, 3):
            raise InputError(
                f"a film's frames are grey or RGB; the generator has {domain.channels} channels"
            )


def translate_video(
    translator: Translator,
    runner: GeneratorRunner,
    source: Path,
    output: Path,
    *,
    stabiliser: TemporalStabiliser | None = None,
    limits: tuple[float, float] | None = None,
    alpha: bool = False,
    batch_size: int = 1,
    progress: Progress,
) -> VideoResult:
    """Translate a film or an animation.

    Parameters
    ----------
    translator : Translator
        The generator and its domains, grey or RGB.
    runner : GeneratorRunner
        The generator on its device; with the moments of `stabiliser`, if that is given.
    source, output : pathlib.Path
        Films or animations; the output's suffix is one of `FORMATS` in `reader` or of
        `ANIMATION_FORMATS` in `animation_reader`.
    stabiliser : TemporalStabiliser, optional
        Makes the film steadier.
    limits : (float, float), optional
        Values of the frames that are −1 and 1.
    alpha : bool
        Whether animations keep their alpha.
    batch_size : int
        Frames that go through together, at most.
    progress : Progress
        Where to report.

    Returns
    -------
    VideoResult
        Frames, size and steadiness.

    Raises
    ------
    InputError
        If the film cannot be read.
    RunError
        If it cannot be written.
    """
    check_video(translator, source, output)
    kind = AnimationReader if is_animation(source) else VideoReader
    with kind(source) as reader, atomic_file(output) as temporary:
        work = _VideoTranslation(translator, runner, reader, stabiliser, limits, alpha, progress)
        try:
            return work.run(temporary, output.suffix.lower(), batch_size)
        except film_errors() as error:
            full = disk_full_reason(error)
            if full is not None:
                raise DiskFullError(output, full) from None
            reason = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{output}: cannot be written ({reason})") from None


class _VideoTranslation:
    def __init__(
        self,
        translator: Translator,
        runner: GeneratorRunner,
        reader: VideoReader | AnimationReader,
        stabiliser: TemporalStabiliser | None,
        limits: tuple[float, float] | None,
        alpha: bool,
        progress: Progress,
    ) -> None:
        self._translator, self._runner, self._reader = translator, runner, reader
        self._stabiliser, self._progress = stabiliser, progress
        self._alpha = alpha and isinstance(reader, AnimationReader) and reader.has_alpha
        input_domain, output_domain = translator.input_domain, translator.output_domain
        self._scales: ValueScales = choose_scales(
            _EIGHT_BIT, input_domain, output_domain, "8", limits
        )
        self._meter = SteadinessMeter(reader.frames)
        self._writer: VideoWriter | AnimationWriter | None = None
        self._shape = (0, 0)
        self._frames = self._odd = 0

    def run(self, temporary: Path, suffix: str, batch_size: int) -> VideoResult:
        for line in self._reader.notes(suffix):
            self._progress.warn(f"{self._reader.path}: {line}")
        is_complete = False
        pending: list[DecodedFrame] = []
        audio: list[Any] = []
        with self._progress.task("translating", self._reader.frames) as task:
            try:
                for part in self._reader.frames_and_audio():
                    if not isinstance(part, DecodedFrame):
                        audio.append(part)
                        self._copy(audio)
                        continue
                    if not self._open(part, temporary, suffix):
                        continue
                    self._copy(audio)
                    fits_batch = len(pending) < batch_size and self._runner.fits_whole(
                        *self._shape, len(pending) + 1
                    )
                    if pending and not fits_batch:
                        task.advance(self._write(pending))
                        pending = []
                    pending.append(part)
                if pending:
                    task.advance(self._write(pending))
                if self._writer is None:
                    raise InputError(f"{self._reader.path}: holds no frames")
                is_complete = True
            finally:
                if self._writer is not None:
                    self._writer.close(is_complete)
        for line in self._reader.end_notes(self._alpha):
            self._progress.warn(f"{self._reader.path}: {line}")
        return VideoResult(self._frames, *self._shape, self._meter.result())

    def _open(self, frame: DecodedFrame, temporary: Path, suffix: str) -> bool:
        """Begin the result with the first shot; tell whether a shot is of the same size."""
        rows, columns = frame.pixels.shape[:2]
        if self._writer is None:
            self._runner.check_size(rows, columns)
            self._shape = rows, columns
            self._writer = self._new_writer(temporary, suffix)
        elif self._shape != (rows, columns):
            self._odd += 1
            if self._odd > _MAX_ODD_FRAMES:
                raise InputError(
                    f"{self._reader.path}: frames change their size after {self._frames}; films "
                    "of one size are taken"
                )
            self._reader.losses.drop()
            return False
        self._odd = 0
        return True

    def _new_writer(self, temporary: Path, suffix: str) -> VideoWriter | AnimationWriter:
        source, shape = self._reader, self._shape
        if suffix in ANIMATION_FORMATS:
            return AnimationWriter(temporary, suffix, source, shape, self._progress, self._alpha)
        if isinstance(source, AnimationReader) and source.plays != 1:
            self._progress.say(f"{suffix} has no place for repeats: it plays once")
        return VideoWriter(temporary, suffix, source, shape, self._progress)

    def _copy(self, audio: list[Any]) -> None:
        if self._writer is not None:
            for packet in audio:
                self._writer.copy(packet)
            audio.clear()

    def _write(self, frames: list[DecodedFrame]) -> int:
        assert self._writer is not None
        sources = [
            fit_channels(DecodedImage(frame.pixels, None), self._translator.input_domain)[0]
            for frame in frames
        ]
        for frame, translated in zip(frames, self._translate(sources), strict=True):
            if self._stabiliser is not None:
                translated = self._stabiliser.filter(frame.pixels, translated)
            final = np.rint(translated.clip(0, 255)).astype(np.uint8)
            if final.shape[2] == 1:
                final = np.repeat(final, 3, axis=2)
            self._meter.add(frame.pixels, final)
            self._writer.add(frame, final)
            self._frames += 1
        return len(frames)

    def _translate(self, sources: list[Any]) -> list[NDArray[np.float32]]:
        """Return translations in levels, not rounded."""
        if self._runner.fits_whole(*self._shape, len(sources)):
            x = torch.cat([self._scales.input.to_unit(pixels) for pixels in sources])
            return [self._levels(y) for y in self._runner.run_batch(x).split(1)]
        return [self._translate_bands(pixels) for pixels in sources]

    def _translate_bands(self, pixels: Any) -> NDArray[np.float32]:
        result = np.empty((*self._shape, self._translator.output_domain.channels), np.float32)

        def source(band: Band) -> torch.Tensor:
            return self._scales.input.to_unit(pixels[band[0] : band[1]])

        def sink(first: int, y: torch.Tensor) -> None:
            result[first : first + y.shape[2]] = self._levels(y)

        if self._stabiliser is not None:
            self._stabiliser.on_frame(pixels)
        self._runner.run_bands(*self._shape, source, sink)
        return result

    def _levels(self, y: torch.Tensor) -> NDArray[np.float32]:
        levels: Any = self._scales.output.from_unit(y, np.dtype(np.float32))
        return levels
