"""One picture, or a folder of pictures, through a generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasegan.data.domain_folders import FolderImages
from phasegan.data.images.colour_profiles import matches_channels
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.images.full_depth import DecodedImage, Pixels, read_full_depth, white
from phasegan.data.images.high_bit_depth import UnreadableImageError
from phasegan.data.images.notices import (
    HIDDEN,
    PROFILE,
    NoticeCounter,
    ValueRange,
    ignored_lines,
    narrow_range,
    value_range,
)
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.translation.generators import Translator
from phasegan.translation.image_writer import holds_profile, suffix_for, write_pixels
from phasegan.translation.output_names import result_names
from phasegan.translation.tiling.operations import Band
from phasegan.translation.translator import Engine
from phasegan.translation.value_ranges import (
    Kinds,
    Scale,
    choose_kinds,
    convert_alpha,
    fit_channels,
)
from phasegan.translation.video.reader import is_film

_NO_PROFILE = "a colour profile that the result cannot hold; it is left out"


@dataclass(frozen=True)
class Manner:
    """How pixels are treated.

    Attributes
    ----------
    depth : {"keep", "8", "16"}
        Bits of the results.
    alpha : {"drop", "keep"}
        Whether alpha is written beside the translated colours.
    limits : (float, float) or None
        Values that are black and white; see `values.choose_kinds`.
    """

    depth: str = "keep"
    alpha: str = "drop"
    limits: tuple[float, float] | None = None


@dataclass
class Outcome:
    """What was done.

    Attributes
    ----------
    written : list of pathlib.Path
        Results.
    there : int
        Pictures whose results were there already.
    skipped : list of (str, str)
        Name and reason of each picture that was left out.
    """

    written: list[Path] = field(default_factory=list)
    there: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Job:
    """A picture on its way."""

    name: str
    target: Path
    picture: DecodedImage
    pixels: Pixels
    kinds: Kinds

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


class PictureTranslation:
    """Pictures through a generator.

    Parameters
    ----------
    translator : Translator
        The generator and its domains.
    engine : Engine
        The generator at work.
    manner : Manner
        How pixels are treated.
    progress : Progress
        Where to report.
    """

    def __init__(
        self, translator: Translator, engine: Engine, manner: Manner, progress: Progress
    ) -> None:
        self._translator, self._engine = translator, engine
        self._manner, self._progress = manner, progress
        self._said: set[str] = set()
        self._names: Mapping[str, Mapping[str, str]] = {}
        self._remarks = NoticeCounter()
        self._middles: dict[Scale, list[ValueRange | None]] = {}

    def one(self, source: Path, target: Path) -> Outcome:
        """Translate one picture.

        Parameters
        ----------
        source, target : pathlib.Path
            Files; the target's suffix names its format.

        Raises
        ------
        InputError
            If the picture cannot be read or the format cannot hold the result.
        """
        with quiet_decoders():
            try:
                job = self._job(source.name, source, target)
            except InputError as error:
                raise InputError(f"{source}: {error}") from None
        self._note(job, target)
        self._tell(source)
        with self._progress.task(f"translating {source.name}", 1000) as task:
            pixels = self._translated(job, task.advance)
        self._write(job, pixels, target)
        return Outcome([target])

    def folder(
        self,
        root: Path,
        output: Path,
        *,
        batch_size: int,
        overwrite: bool = False,
        skip_existing: bool = False,
    ) -> Outcome:
        """Translate the pictures in a folder and below it.

        Each result has its picture's name below `output`, and its suffix where that
        format can hold it, else .png, .tif or .npy. A picture that cannot be read is
        left out with a warning.

        Parameters
        ----------
        root, output : pathlib.Path
            Folders.
        batch_size : int
            Pictures of one size that go through together, at most.
        overwrite : bool
            Replace results that are there.
        skip_existing : bool
            Leave out pictures whose results are there.

        Raises
        ------
        InputError
            If no picture can be translated, or results are there already.
        """
        if output.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{output}: lies in the folder of the pictures; choose another -o")
        listed = FolderImages(root)
        self._say_left_out(listed)
        self._names = result_names(listed.names)
        outcome, waiting = Outcome(), []
        for name in listed.names:
            if any((output / found).is_file() for found in self._names[name].values()):
                outcome.there += 1
                if skip_existing:
                    continue
            waiting.append(name)
        if outcome.there and not (overwrite or skip_existing):
            raise InputError(
                f"{output}: {outcome.there} of {len(listed.names)} results are there already; "
                "add --skip-existing or --overwrite, or choose another -o"
            )
        done = outcome.there if skip_existing else 0
        with (
            quiet_decoders(),
            self._progress.task("translating", len(listed.names), done) as task,
        ):
            for jobs, passed in self._batches(root, output, waiting, batch_size, outcome):
                for job, pixels in zip(jobs, self._together(jobs), strict=True):
                    target = self._free(job, pixels, output)
                    self._note(job, target)
                    self._write(job, pixels, target)
                    outcome.written.append(target)
                task.advance(passed)
        self._tell(root)
        if outcome.skipped and not outcome.written:
            raise InputError(
                f"{root}: none of its pictures could be translated; the last one, "
                f"{outcome.skipped[-1][0]}: {outcome.skipped[-1][1]}"
            )
        return outcome

    def _batches(
        self, root: Path, output: Path, names: list[str], batch_size: int, outcome: Outcome
    ) -> Iterator[tuple[list[_Job], int]]:
        """Give neighbouring pictures of one size, and how many pictures were passed."""
        jobs: list[_Job] = []
        passed = 0
        for name in names:
            try:
                job = self._job(name, root / name, output / name)
            except InputError as error:
                outcome.skipped.append((name, str(error)))
                self._progress.warn(f"left out {name}: {error}")
                passed += 1
                continue
            together = jobs and job.size == jobs[0].size and len(jobs) < batch_size
            if jobs and not (together and self._engine.whole(*job.size, len(jobs) + 1)):
                yield jobs, passed
                jobs, passed = [], 0
            jobs.append(job)
            passed += 1
        if passed:
            yield jobs, passed

    def _job(self, name: str, source: Path, target: Path) -> _Job:
        try:
            picture = read_full_depth(source)
        except UnreadableImageError as error:
            raise InputError(str(error)) from None
        pixels, said = fit_channels(picture, self._translator.taken)
        self._engine.check_size(*pixels.shape[:2])
        manner, domains = self._manner, self._translator
        kinds = choose_kinds(
            pixels.dtype, domains.taken, domains.given, manner.depth, manner.limits
        )
        if said:
            self._say(said)
        return _Job(name, target, picture, pixels, kinds)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._progress.say(text)

    def _together(self, jobs: list[_Job]) -> Iterator[Pixels]:
        if jobs and self._engine.whole(*jobs[0].size, len(jobs)):
            x = torch.cat([job.kinds.taken.to_unit(job.pixels) for job in jobs])
            for job, y in zip(jobs, self._engine.together(x).split(1), strict=True):
                yield job.kinds.given.from_unit(y, job.kinds.dtype)
            return
        for job in jobs:
            yield self._translated(job, None)

    def _translated(self, job: _Job, advance: Any) -> Pixels:
        if self._engine.whole(*job.size):
            return next(self._together([job]))
        channels = self._translator.given.channels
        result = np.empty((*job.size, channels), job.kinds.dtype)

        def source(band: Band) -> torch.Tensor:
            return job.kinds.taken.to_unit(job.pixels[band[0] : band[1]])

        def sink(first: int, y: torch.Tensor) -> None:
            result[first : first + y.shape[2]] = job.kinds.given.from_unit(y, job.kinds.dtype)

        self._engine.alone(*job.size, source, sink, advance, result.nbytes)
        return result

    def _alpha(self, job: _Job) -> Pixels | None:
        if self._translator.given.alpha or self._manner.alpha == "drop":
            return None
        alpha = job.picture.alpha
        return None if alpha is None else convert_alpha(alpha, job.kinds.dtype)

    def _parts(self, job: _Job, pixels: Pixels) -> tuple[Pixels, Pixels | None]:
        if self._translator.given.alpha:
            return pixels[..., :-1], pixels[..., -1]
        return pixels, self._alpha(job)

    def _free(self, job: _Job, pixels: Pixels, output: Path) -> Path:
        """Return the name of a result in a folder."""
        suffix = suffix_for(job.target.suffix, *self._parts(job, pixels))
        if suffix != job.target.suffix:
            self._say(f"{job.target.suffix} cannot hold these results: written as {suffix}")
        return output / self._names[job.name][suffix]

    def _write(self, job: _Job, pixels: Pixels, target: Path) -> None:
        colours, alpha = self._parts(job, pixels)
        write_pixels(target, colours, alpha, self._profile(job, target))

    def _profile(self, job: _Job, target: Path) -> bytes | None:
        """Return the profile that a result keeps: colours in are coded as colours out."""
        profile, given = job.picture.profile, self._translator.given
        if profile is None or not holds_profile(target.suffix.lower()):
            return None
        return profile if matches_channels(profile, given.channels - given.alpha) else None

    def _note(self, job: _Job, target: Path) -> None:
        """Note what of a picture is not in its result."""
        remarks, alpha = set(job.picture.notices) - {PROFILE}, job.picture.alpha
        if job.picture.profile is not None and self._profile(job, target) is None:
            remarks.add(_NO_PROFILE)
        kept = self._translator.taken.alpha or self._alpha(job) is not None
        if alpha is not None and not kept and alpha.min() < (white(alpha.dtype) or 1.0):
            remarks.add(HIDDEN)
        if self._manner.limits is None:
            found, taken = value_range(job.pixels), job.kinds.taken
            self._middles.setdefault(taken, []).append(found)
            if found is not None and not taken.low <= found.low <= found.high <= taken.high:
                remarks.add(
                    f"values beyond {taken.low:g} to {taken.high:g}, which are cut (--range)"
                )
        self._remarks.add(remarks, job.name)

    def _tell(self, source: Path) -> None:
        """Warn of what was noted."""
        self._remarks.report(self._progress)
        for taken, middles in self._middles.items():
            found = narrow_range(middles, taken.low, taken.high)
            if found is not None:
                said, low, high = found
                self._progress.warn(
                    f"{source}: {said}; --range {low:.10g} {high:.10g} makes them fill it"
                )

    def _say_left_out(self, listed: FolderImages) -> None:
        films = [name for name in listed.ignored if is_film(Path(name))]
        others = [name for name in listed.ignored if not is_film(Path(name))]
        for line in ignored_lines(listed.linked, others):
            self._progress.warn(f"{listed.label}: {line}")
        if films:
            what = "films are" if len(films) > 1 else "film is"
            self._progress.warn(
                f"{listed.label}: {len(films)} {what} left out, such as {films[0]}; translate "
                "films one by one"
            )
