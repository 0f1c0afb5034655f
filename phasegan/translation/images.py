"""One picture, or a folder of pictures, through a generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phasegan.data.domain_folders import FolderImages
from phasegan.data.images.decoding import page_count, quiet_decoders, read_full_depth
from phasegan.data.images.notices import (
    FILLED,
    HIDDEN,
    PROFILE,
    RESTORED,
    NoticeCounter,
    ValueRange,
    found_lines,
    ignored_lines,
    matches_channels,
    narrow_range,
    value_range,
)
from phasegan.data.images.pixels import DecodedImage, Pixels, UnreadableImageError, white
from phasegan.data.images.reading import DEFAULT, Reading, page_name
from phasegan.errors import InputError
from phasegan.progress import Progress
from phasegan.translation.colour_profiles import without_lost_profile
from phasegan.translation.generator_runner import GeneratorRunner
from phasegan.translation.generators import Translator
from phasegan.translation.image_writer import (
    TIFF_SUFFIXES,
    StackWriter,
    can_hold_profile,
    choose_suffix,
    restore_missing,
    write_pixels,
)
from phasegan.translation.output_names import result_names
from phasegan.translation.tiling.operations import Band
from phasegan.translation.value_ranges import (
    Scale,
    ValueScales,
    choose_scales,
    convert_alpha,
    fit_channels,
)
from phasegan.translation.video.in_folders import FolderAnimations
from phasegan.translation.video.reader import is_video

_LARGE = 1 << 30
"""Bytes of a stack whose result may take more than a TIFF of 4 GB holds."""
_NO_PROFILE = "a colour profile that the result cannot hold; it is left out"


@dataclass(frozen=True)
class PixelOptions:
    """Depth, alpha and range of pixels.

    Attributes
    ----------
    depth : {"keep", "8", "16"}
        Bits of the results.
    alpha : {"drop", "keep"}
        Whether alpha is written beside the translated colours.
    limits : (float, float) or None
        Values that are black and white; see `phasegan.translation.value_ranges.choose_scales`.
    reading : Reading
        Pages, axes and missing values of the files.
    """

    depth: str = "keep"
    alpha: str = "drop"
    limits: tuple[float, float] | None = None
    reading: Reading = DEFAULT


@dataclass
class ImageResults:
    """Written, existing and skipped pictures.

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
    scales: ValueScales

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


class ImageTranslation:
    """Pictures through a generator.

    Parameters
    ----------
    translator : Translator
        The generator and its domains.
    runner : GeneratorRunner
        The generator on its device.
    pixel_options : PixelOptions
        Depth, alpha and range of pixels.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        translator: Translator,
        runner: GeneratorRunner,
        pixel_options: PixelOptions,
        progress: Progress,
    ) -> None:
        self._translator, self._runner = translator, runner
        self._pixel_options, self._progress = pixel_options, progress
        self._takes_animations = pixel_options.depth != "16" and (
            pixel_options.reading.pages in ("auto", "samples")
        )
        self._animations = FolderAnimations(
            translator, runner, pixel_options.limits, pixel_options.alpha == "keep"
        )
        self._messages: set[str] = set()
        self._names: Mapping[str, Mapping[str, str]] = {}
        self._notes = NoticeCounter()
        self._middles: dict[Scale, list[ValueRange | None]] = {}

    def translate_file(self, source: Path, target: Path) -> ImageResults:
        """Translate one picture.

        Parameters
        ----------
        source, target : pathlib.Path
            Files; the target's suffix names its format.

        Returns
        -------
        ImageResults
            With one written file; of a stack, a stack of as many pages.

        Raises
        ------
        InputError
            If the picture cannot be read or the format cannot hold the result.
        """
        with quiet_decoders():
            count = page_count(source, self._reading)
            if count is not None:
                self._translate_stack(source.name, source, target, count)
                self._report_notes(source)
                return ImageResults([target])
            try:
                job = self._job(source.name, source, target)
            except InputError as error:
                raise InputError(f"{source}: {error}") from None
        self._record_notes(job, target)
        self._report_notes(source)
        with self._progress.task(f"translating {source.name}", 1000) as task:
            pixels = self._translate_image(job, task.advance)
        self._write(job, pixels, target)
        return ImageResults([target])

    @property
    def _reading(self) -> Reading:
        return self._pixel_options.reading

    def _translate_stack(self, name: str, source: Path, target: Path, count: int) -> None:
        """Translate the pages of a file one by one into a TIFF of as many."""
        if target.suffix.lower() not in TIFF_SUFFIXES:
            raise InputError(
                f"{target}: {source.name} has {count} pages, frames or slices; name a TIFF, which "
                "holds as many (or add --pages first or channels)"
            )
        self._say_once(f"{name}: {count} pages, each a picture (--pages channels or first)")
        with (
            self._progress.task(f"translating {name}", count) as task,
            StackWriter(target, source.stat().st_size > _LARGE) as writer,
        ):
            for page in range(count):
                try:
                    job = self._job(page_name(name, page), source, target, page)
                except InputError as error:
                    raise InputError(f"{source}, page {page}: {error}") from None
                self._record_notes(job, target)
                pixels, alpha = self._split_alpha(job, self._translate_image(job, None))
                writer.write(
                    restore_missing(pixels, job.picture, job.scales.dtype),
                    alpha,
                    planar=job.picture.axis == "pages",
                    mark=job.picture.mark,
                    profile=self._profile(job, target),
                )
                task.advance()

    def translate_folder(
        self,
        root: Path,
        output: Path,
        *,
        batch_size: int,
        overwrite: bool = False,
        skip_existing: bool = False,
    ) -> ImageResults:
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

        Returns
        -------
        ImageResults
            Results of all pictures.

        Raises
        ------
        InputError
            If no picture can be translated, or results are there already.
        """
        if output.resolve().is_relative_to(root.resolve()):
            raise InputError(f"{output}: lies in the folder of the pictures; choose another -o")
        first = self._reading._replace(pages="first")
        pictures = FolderImages(root, first)
        for line in found_lines(pictures, len(pictures.names)):
            self._progress.say(f"{pictures.label}: {line}")
        self._warn_left_out(pictures)
        self._names = result_names(pictures.names)
        results, pending = ImageResults(), []
        for name in pictures.names:
            if any((output / target).is_file() for target in self._names[name].values()):
                results.there += 1
                if skip_existing:
                    continue
            pending.append(name)
        if results.there and not (overwrite or skip_existing):
            raise InputError(
                f"{output}: {results.there} of {len(pictures.names)} results are there already; "
                "add --skip-existing or --overwrite, or choose another -o"
            )
        done = results.there if skip_existing else 0
        with (
            quiet_decoders(),
            self._progress.task("translating", len(pictures.names), done) as task,
        ):
            for jobs, count in self._batches(root, output, pending, batch_size, results):
                for job, pixels in zip(jobs, self._translate_batch(jobs), strict=True):
                    target = self._result_path(job, pixels, output)
                    self._record_notes(job, target)
                    self._write(job, pixels, target)
                    results.written.append(target)
                task.advance(count)
        self._report_notes(root)
        if results.skipped and not results.written:
            raise InputError(
                f"{root}: none of its pictures could be translated; the last one, "
                f"{results.skipped[-1][0]}: {results.skipped[-1][1]}"
            )
        return results

    def _batches(
        self, root: Path, output: Path, names: list[str], batch_size: int, results: ImageResults
    ) -> Iterator[tuple[list[_Job], int]]:
        """Give neighbouring pictures of one size, and how many pictures were passed."""
        jobs: list[_Job] = []
        count = 0
        for name in names:
            try:
                if self._takes_animations and self._animations.takes(root / name):
                    self._animations.translate(root / name, output / name, batch_size)
                    results.written.append(output / name)
                    count += 1
                    continue
                pages = page_count(root / name, self._reading)
                if pages is not None:
                    target = output / self._names[name][self._stack_suffix(name)]
                    self._translate_stack(name, root / name, target, pages)
                    results.written.append(target)
                    count += 1
                    continue
                job = self._job(name, root / name, output / name)
            except InputError as error:
                results.skipped.append((name, str(error)))
                self._progress.warn(f"left out {name}: {error}")
                count += 1
                continue
            fits_batch = jobs and job.size == jobs[0].size and len(jobs) < batch_size
            if jobs and not (fits_batch and self._runner.fits_whole(*job.size, len(jobs) + 1)):
                yield jobs, count
                jobs, count = [], 0
            jobs.append(job)
            count += 1
        if count:
            yield jobs, count

    def _stack_suffix(self, name: str) -> str:
        """Return the suffix of the result of a stack."""
        suffix = Path(name).suffix
        return suffix if suffix.lower() in TIFF_SUFFIXES else ".tif"

    def _job(self, name: str, source: Path, target: Path, page: int | None = None) -> _Job:
        try:
            picture = read_full_depth(source, page, self._reading)
        except UnreadableImageError as error:
            raise InputError(str(error)) from None
        domain = self._translator.output_domain
        picture = without_lost_profile(
            picture, target.suffix.lower(), domain.channels - domain.alpha
        )
        pixels, note = fit_channels(picture, self._translator.input_domain)
        self._runner.check_size(*pixels.shape[:2])
        pixel_options, domains = self._pixel_options, self._translator
        scales = choose_scales(
            pixels.dtype,
            domains.input_domain,
            domains.output_domain,
            pixel_options.depth,
            pixel_options.limits,
        )
        if note:
            self._say_once(note)
        return _Job(name, target, picture, pixels, scales)

    def _say_once(self, text: str) -> None:
        if text not in self._messages:
            self._messages.add(text)
            self._progress.say(text)

    def _translate_batch(self, jobs: list[_Job]) -> Iterator[Pixels]:
        if jobs and self._runner.fits_whole(*jobs[0].size, len(jobs)):
            x = torch.cat([job.scales.input.to_unit(job.pixels) for job in jobs])
            for job, y in zip(jobs, self._runner.run_batch(x).split(1), strict=True):
                yield job.scales.output.from_unit(y, job.scales.dtype)
            return
        for job in jobs:
            yield self._translate_image(job, None)

    def _translate_image(self, job: _Job, advance: Any) -> Pixels:
        if self._runner.fits_whole(*job.size):
            return next(self._translate_batch([job]))
        channels = self._translator.output_domain.channels
        result = np.empty((*job.size, channels), job.scales.dtype)

        def source(band: Band) -> torch.Tensor:
            return job.scales.input.to_unit(job.pixels[band[0] : band[1]])

        def sink(first: int, y: torch.Tensor) -> None:
            result[first : first + y.shape[2]] = job.scales.output.from_unit(y, job.scales.dtype)

        self._runner.run_bands(*job.size, source, sink, advance, result.nbytes)
        return result

    def _alpha(self, job: _Job) -> Pixels | None:
        if self._translator.output_domain.alpha or self._pixel_options.alpha == "drop":
            return None
        alpha = job.picture.alpha
        return None if alpha is None else convert_alpha(alpha, job.scales.dtype)

    def _split_alpha(self, job: _Job, pixels: Pixels) -> tuple[Pixels, Pixels | None]:
        if self._translator.output_domain.alpha:
            return pixels[..., :-1], pixels[..., -1]
        return pixels, self._alpha(job)

    def _result_path(self, job: _Job, pixels: Pixels, output: Path) -> Path:
        """Return the name of a result in a folder."""
        suffix = choose_suffix(
            job.target.suffix, *self._split_alpha(job, pixels), planar=job.picture.axis == "pages"
        )
        if suffix != job.target.suffix:
            self._say_once(f"{job.target.suffix} cannot hold these results: written as {suffix}")
        return output / self._names[job.name][suffix]

    def _write(self, job: _Job, pixels: Pixels, target: Path) -> None:
        colours, alpha = self._split_alpha(job, pixels)
        picture = job.picture
        write_pixels(
            target,
            restore_missing(colours, picture, job.scales.dtype),
            alpha,
            self._profile(job, target),
            axis=picture.axis,
            mark=picture.mark if picture.missing is not None else None,
        )

    def _profile(self, job: _Job, target: Path) -> bytes | None:
        """Return the profile that a result keeps: colours in are coded as colours out."""
        profile, output_domain = job.picture.profile, self._translator.output_domain
        if profile is None or not can_hold_profile(target.suffix.lower()):
            return None
        return (
            profile
            if matches_channels(profile, output_domain.channels - output_domain.alpha)
            else None
        )

    def _record_notes(self, job: _Job, target: Path) -> None:
        """Note what of a picture is not in its result."""
        notes, alpha = set(job.picture.notices) - {PROFILE}, job.picture.alpha
        if job.picture.missing is not None:
            kept = job.picture.mark is not None or job.scales.dtype.kind == "f"
            notes.add(RESTORED if kept else FILLED)
        if job.picture.profile is not None and self._profile(job, target) is None:
            notes.add(_NO_PROFILE)
        has_alpha = self._translator.input_domain.alpha or self._alpha(job) is not None
        if alpha is not None and not has_alpha and alpha.min() < (white(alpha.dtype) or 1.0):
            notes.add(HIDDEN)
        if self._pixel_options.limits is None:
            values, scale = value_range(job.pixels), job.scales.input
            self._middles.setdefault(scale, []).append(values)
            if values is not None and not scale.low <= values.low <= values.high <= scale.high:
                notes.add(f"values beyond {scale.low:g} to {scale.high:g}, which are cut (--range)")
        self._notes.add(notes, job.name)

    def _report_notes(self, source: Path) -> None:
        """Warn of what was noted."""
        self._notes.report(self._progress)
        self._animations.report(self._progress)
        for scale, middles in self._middles.items():
            hint = narrow_range(middles, scale.low, scale.high)
            if hint is not None:
                text, low, high = hint
                self._progress.warn(
                    f"{source}: {text}; --range {low:.10g} {high:.10g} makes them fill it"
                )

    def _warn_left_out(self, pictures: FolderImages) -> None:
        films = [name for name in pictures.ignored if is_video(Path(name))]
        others = [name for name in pictures.ignored if not is_video(Path(name))]
        for line in ignored_lines(pictures.linked, others):
            self._progress.warn(f"{pictures.label}: {line}")
        if films:
            what = "films are" if len(films) > 1 else "film is"
            self._progress.warn(
                f"{pictures.label}: {len(films)} {what} left out, such as {films[0]}; translate "
                "films one by one"
            )
