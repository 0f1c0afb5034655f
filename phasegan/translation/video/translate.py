"""A film through a generator: the same frames, times, size and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phasegan.data.images.full_depth import DecodedImage
from phasegan.errors import DiskFullError, InputError, RunError, disk_full_reason
from phasegan.io.atomic import atomic_file
from phasegan.progress import Progress
from phasegan.translation.generators import Translator
from phasegan.translation.tiling.operations import Band
from phasegan.translation.translator import Engine
from phasegan.translation.value_ranges import Kinds, choose_kinds, fit_channels
from phasegan.translation.video.reader import FORMATS, FilmReader, Shot, require_av
from phasegan.translation.video.temporal import Steadiness, SteadinessMeter, Steadying
from phasegan.translation.video.writer import FilmWriter

_ODD = 8
"""Damaged frames in a row that claim another size, at most."""
_EIGHT_BIT: np.dtype[Any] = np.dtype(np.uint8)


@dataclass(frozen=True)
class FilmOutcome:
    """What was done.

    Attributes
    ----------
    frames : int
        Written.
    rows, columns : int
        Of each.
    steadiness : Steadiness
        Changes between frames.
    """

    frames: int
    rows: int
    columns: int
    steadiness: Steadiness


def check_film(translator: Translator, output: Path) -> None:
    """Refuse before any work what cannot be written.

    Raises
    ------
    InputError
        If the output's suffix is not known, the generator's pictures are neither grey
        nor RGB, or PyAV is not installed.
    """
    require_av()
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"{output}: name the film with one of {', '.join(FORMATS)}")
    for domain in (translator.taken, translator.given):
        if domain.channels not in (1, 3):
            raise InputError(
                f"a film's frames are grey or RGB; the generator has {domain.channels} channels"
            )


def translate_film(
    translator: Translator,
    engine: Engine,
    source: Path,
    output: Path,
    *,
    steadying: Steadying | None = None,
    limits: tuple[float, float] | None = None,
    batch_size: int = 1,
    progress: Progress,
) -> FilmOutcome:
    """Translate a film.

    Parameters
    ----------
    translator : Translator
        The generator and its domains, grey or RGB.
    engine : Engine
        The generator at work; with the moments of `steadying`, if that is given.
    source, output : pathlib.Path
        Films; the output's suffix is one of `film.FORMATS`.
    steadying : Steadying, optional
        Makes the film steadier.
    limits : (float, float), optional
        Values of the frames that are −1 and 1.
    batch_size : int
        Frames that go through together, at most.
    progress : Progress
        Where to report.

    Raises
    ------
    InputError
        If the film cannot be read.
    RunError
        If it cannot be written.
    """
    check_film(translator, output)
    av = require_av()
    with FilmReader(source) as reader, atomic_file(output) as temporary:
        work = _FilmWork(translator, engine, reader, steadying, limits, progress)
        try:
            return work.run(temporary, output.suffix.lower(), batch_size)
        except (av.error.FFmpegError, OSError) as error:
            full = disk_full_reason(error)
            if full is not None:
                raise DiskFullError(output, full) from None
            reason = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{output}: cannot be written ({reason})") from None


class _FilmWork:
    def __init__(
        self,
        translator: Translator,
        engine: Engine,
        reader: FilmReader,
        steadying: Steadying | None,
        limits: tuple[float, float] | None,
        progress: Progress,
    ) -> None:
        self._translator, self._engine, self._reader = translator, engine, reader
        self._steadying, self._progress = steadying, progress
        taken, given = translator.taken, translator.given
        self._kinds: Kinds = choose_kinds(_EIGHT_BIT, taken, given, "8", limits)
        self._meter = SteadinessMeter(reader.frames)
        self._writer: FilmWriter | None = None
        self._shape = (0, 0)
        self._frames = self._odd = 0

    def run(self, temporary: Path, suffix: str, batch_size: int) -> FilmOutcome:
        for line in self._reader.remarks():
            self._progress.warn(f"{self._reader.path}: {line}")
        complete = False
        waiting: list[Shot] = []
        sound: list[Any] = []
        with self._progress.task("translating", self._reader.frames) as task:
            try:
                for part in self._reader.parts():
                    if not isinstance(part, Shot):
                        sound.append(part)
                        self._copy(sound)
                        continue
                    if not self._open(part, temporary, suffix):
                        continue
                    self._copy(sound)
                    together = len(waiting) < batch_size and self._engine.whole(
                        *self._shape, len(waiting) + 1
                    )
                    if waiting and not together:
                        task.advance(self._write(waiting))
                        waiting = []
                    waiting.append(part)
                if waiting:
                    task.advance(self._write(waiting))
                if self._writer is None:
                    raise InputError(f"{self._reader.path}: holds no frames")
                complete = True
            finally:
                if self._writer is not None:
                    self._writer.close(complete)
        lost = self._reader.losses.describe()
        if lost is not None:
            self._progress.warn(f"{self._reader.path}: {lost}")
        return FilmOutcome(self._frames, *self._shape, self._meter.result())

    def _open(self, shot: Shot, temporary: Path, suffix: str) -> bool:
        """Begin the result with the first shot; tell whether a shot is of the same size."""
        rows, columns = shot.pixels.shape[:2]
        if self._writer is None:
            self._engine.check_size(rows, columns)
            self._shape = rows, columns
            self._writer = FilmWriter(temporary, suffix, self._reader, self._shape, self._progress)
        elif self._shape != (rows, columns):
            self._odd += 1
            if self._odd > _ODD:
                raise InputError(
                    f"{self._reader.path}: frames change their size after {self._frames}; films "
                    "of one size are taken"
                )
            self._reader.losses.drop()
            return False
        self._odd = 0
        return True

    def _copy(self, sound: list[Any]) -> None:
        if self._writer is not None:
            for packet in sound:
                self._writer.copy(packet)
            sound.clear()

    def _write(self, shots: list[Shot]) -> int:
        assert self._writer is not None
        given = [
            fit_channels(DecodedImage(s.pixels, None), self._translator.taken)[0] for s in shots
        ]
        for shot, made in zip(shots, self._translated(given), strict=True):
            if self._steadying is not None:
                made = self._steadying.filter(shot.pixels, made)
            final = np.rint(made.clip(0, 255)).astype(np.uint8)
            if final.shape[2] == 1:
                final = np.repeat(final, 3, axis=2)
            self._meter.add(shot.pixels, final)
            self._writer.add(shot, final)
            self._frames += 1
        return len(shots)

    def _translated(self, given: list[Any]) -> list[NDArray[np.float32]]:
        """Return translations in levels, not rounded."""
        if self._engine.whole(*self._shape, len(given)):
            x = torch.cat([self._kinds.taken.to_unit(pixels) for pixels in given])
            return [self._levels(y) for y in self._engine.together(x).split(1)]
        return [self._alone(pixels) for pixels in given]

    def _alone(self, pixels: Any) -> NDArray[np.float32]:
        result = np.empty((*self._shape, self._translator.given.channels), np.float32)

        def source(band: Band) -> torch.Tensor:
            return self._kinds.taken.to_unit(pixels[band[0] : band[1]])

        def sink(first: int, y: torch.Tensor) -> None:
            result[first : first + y.shape[2]] = self._levels(y)

        if self._steadying is not None:
            self._steadying.look(pixels)
        self._engine.alone(*self._shape, source, sink)
        return result

    def _levels(self, y: torch.Tensor) -> NDArray[np.float32]:
        levels: Any = self._kinds.given.from_unit(y, np.dtype(np.float32))
        return levels
