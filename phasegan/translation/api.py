"""`phasegan.translate`: pictures and films of one domain in, of the other one out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from phasegan.config.options.keywords import takes_options
from phasegan.config.options.networks import TranslateCommand
from phasegan.config.reading import FileReading
from phasegan.config.settings import build
from phasegan.data.images.decoding import file_suffix, pixel_suffixes
from phasegan.data.images.reading import Reading, pixel_limit
from phasegan.devices import choose_device
from phasegan.errors import InputError
from phasegan.io.locking import file_lock
from phasegan.io.output_paths import check_folder_name
from phasegan.progress import Progress
from phasegan.translation.generator_runner import GeneratorRunner
from phasegan.translation.generators import Translator, open_translator
from phasegan.translation.image_writer import TIFF_SUFFIXES
from phasegan.translation.images import ImageResults, ImageTranslation, PixelOptions
from phasegan.translation.video.animation_reader import ANIMATION_FORMATS, is_animation
from phasegan.translation.video.reader import FORMATS, is_video
from phasegan.translation.video.temporal import Steadiness, TemporalStabiliser

GPU_BATCH = 8


@dataclass(frozen=True)
class TranslateReport:
    """Outcome of `translate`.

    Attributes
    ----------
    translator : str
        The generator that was used.
    output : pathlib.Path
        The picture, folder or film.
    written : list of pathlib.Path
        Files.
    there : int
        Pictures of a folder whose results were there already.
    skipped : list of (str, str)
        Name and reason of each picture that was left out.
    size : (int, int) or None
        Rows and columns of a film.
    frames : int
        Of a film.
    steadiness : Steadiness or None
        Of a film.
    seconds : float
        It took.
    """

    translator: str
    output: Path
    written: list[Path] = field(default_factory=list)
    there: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    size: tuple[int, int] | None = None
    frames: int = 0
    steadiness: Steadiness | None = None
    seconds: float = 0.0


@takes_options(TranslateCommand)
def translate(
    run: str | os.PathLike[str],
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    direction: str | None = None,
    padding: str | None = None,
    network: str | None = None,
    batch_norm: str = "running",
    device: str = "auto",
    batch_size: int | None = None,
    memory: str | None = None,
    precision: str = "auto",
    depth: str = "keep",
    alpha: str = "drop",
    limits: tuple[float, float] | None = None,
    steady: float = 0.0,
    pages: str | None = None,
    channel_axis: str | None = None,
    variable: str | None = None,
    nodata: str | None = None,
    max_pixels: int | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    progress: Progress | None = None,
) -> TranslateReport:
    """Translate a picture, a folder of pictures, a film or an animation.

    Pictures may have any size up to `PIL.Image.MAX_IMAGE_PIXELS`, or `max_pixels`, or the
    environment variable PHASEGAN_MAX_PIXELS. Those that do not fit into memory are computed
    layer by layer in bands of rows, with the statistics of the whole picture, and come out as if
    they had gone through at once.

    Parameters
    ----------
    run : path
        A run folder of the preset translation or one-way, a folder with others' weights,
        or one generator's file.
    source : path
        A picture or array, a folder of them, searched with its subfolders, a film or an
        animation.
    output : path
        A file for a file, a folder for a folder; into a folder that is there, a file
        goes under its own name.
    direction : {"a2b", "b2a"}, optional
        Needed where there are generators both ways.
    padding : {"reflect", "replicate", "zero"}, optional
        Padding of others' weights, which do not say.
    network : str, optional
        Name of the generator in a file of others' weights that holds several networks.
    batch_norm : {"running", "picture"}
        Statistics of batch normalisation: those of the training, as `test.py --eval` of
        pytorch-CycleGAN-and-pix2pix takes them, or each picture's own, as it does without.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    batch_size : int, optional
        Small pictures of one size that go through together; 1 on a CPU, else 8.
    memory : str, optional
        Memory that the process may take, such as `1.5GiB` (default); on a GPU of its memory,
        60 % of what is free by default.
    precision : {"auto", "32", "bf16"}
        Precision of the network; `auto` is 32 on a CPU and bf16 on a GPU that has it.
    depth : {"keep", "8", "16"}
        Bits of the results.
    alpha : {"drop", "keep"}
        Whether alpha is written, as it is, beside the translated colours.
    limits : (float, float), optional
        Values that are black and white in the input. Default: those of the training, or
        0 and white.
    steady : float
        Strength, 0 to 1, with which flicker of a film is held down.
    pages : {"auto", "samples", "channels", "first"}, optional
        Pages and slices of a file are pictures, of which a TIFF of as many pages is made,
        or channels of one, or all but the first are left out. Default: that of the training.
    channel_axis : {"first", "last"}, optional
        Of arrays; that of the training, or the shorter one by default.
    variable : str, optional
        Name of the array in `.npz` and `.mat` files; that of the training by default.
    nodata : str, optional
        `mean`, `nearest` or a number, which missing values become for the network; in the
        result they are missing again. That of the training by default, else refused.
    max_pixels : int, optional
        Pixels that a picture may have; Pillow's limit by default.
    overwrite : bool
        Replace what is there.
    skip_existing : bool
        In a folder, leave out pictures whose results are there.
    progress : Progress, optional
        Where to report; silent by default.

    Returns
    -------
    TranslateReport
        Files, skipped pictures and times.

    Raises
    ------
    InputError
        If something does not fit, is there already, or another process writes there.
    RunError
        If there is not enough memory or room on the disk.

    Examples
    --------
    >>> import pathlib, phasegan
    >>> from phasegan.models.resnet import ResNetGenerator
    >>> from phasegan.models.weights import save_weights
    >>> save_weights(ResNetGenerator(3, 3, 8, 1), pathlib.Path("generator.safetensors"))
    >>> from PIL import Image
    >>> from skimage import data
    >>> Image.fromarray(data.astronaut()[:100, :150]).save("astronaut.png")
    >>> report = phasegan.translate("generator.safetensors", "astronaut.png", "translated.png")
    >>> Image.open(report.output).size
    (150, 100)
    """
    start_time = time.monotonic()
    progress = progress or Progress()
    source_path, output_path = Path(source), Path(output)
    if not source_path.exists():
        raise InputError(f"{source_path}: no such picture, folder or film")
    if source_path.is_file() and output_path.is_dir():
        output_path = output_path / source_path.name
    suffix = output_path.suffix.lower()
    frames = is_animation(source_path) and pages != "first"
    animation = frames and pages != "channels" and suffix in {*FORMATS, *ANIMATION_FORMATS}
    video = animation or (source_path.is_file() and is_video(source_path))
    holds_alpha = not video or (animation and suffix in ANIMATION_FORMATS)
    _check(source_path, video, holds_alpha, depth, alpha, limits, steady)
    _check_target(source_path, output_path, overwrite)
    torch_device = choose_device(device)
    translator = open_translator(run, direction, padding, network, batch_norm)
    given = {"pages": pages, "channel_axis": channel_axis, "variable": variable, "nodata": nodata}
    own = {name: value for name, value in given.items() if value is not None}
    reading = Reading.of(
        build(FileReading, translator.reading.model_dump() | own, "translate")
    )._replace(animations=frames and (suffix in TIFF_SUFFIXES or pages is not None))
    batch = batch_size or (1 if torch_device.type == "cpu" else GPU_BATCH)
    stabiliser = TemporalStabiliser(steady) if video and steady > 0 else None
    runner = GeneratorRunner(
        translator,
        torch_device,
        memory=memory,
        precision=precision,
        folder=_nearest_folder(output_path if source_path.is_dir() else output_path.parent),
        moment_filter=None if stabiliser is None else stabiliser.moments,
    )
    _say_modes(translator, batch_norm, progress)
    progress.detail(f"{translator.label} on {torch_device.type}, precision {runner.precision}")
    with file_lock(output_path.with_name(f".{output_path.name}.lock"), str(output_path)):
        _check_target(source_path, output_path, overwrite)
        if not video:
            pixel_options = PixelOptions(depth, alpha, limits, reading)
            translation = ImageTranslation(translator, runner, pixel_options, progress)
            with pixel_limit(max_pixels):
                results = _translate_images(
                    translation, source_path, output_path, batch, overwrite, skip_existing
                )
            return TranslateReport(
                translator.label,
                output_path,
                results.written,
                results.there,
                results.skipped,
                seconds=time.monotonic() - start_time,
            )
        from phasegan.translation.video.translate import translate_video

        outcome = translate_video(
            translator,
            runner,
            source_path,
            output_path,
            stabiliser=stabiliser,
            limits=limits,
            alpha=alpha == "keep",
            batch_size=batch,
            progress=progress,
        )
    return TranslateReport(
        translator.label,
        output_path,
        [output_path],
        size=(outcome.rows, outcome.columns),
        frames=outcome.frames,
        steadiness=outcome.steadiness,
        seconds=time.monotonic() - start_time,
    )


def _say_modes(translator: Translator, batch_norm: str, progress: Progress) -> None:
    """Say what layers do that compute otherwise while training."""
    layers = list(translator.network.modules())
    if any(isinstance(layer, nn.BatchNorm2d) for layer in layers):
        progress.say(
            f"{translator.label}: batch normalisation uses the statistics of the training (as "
            "test.py --eval of pytorch-CycleGAN-and-pix2pix does); --batch-norm picture takes "
            "those of each picture, as it does without --eval"
        )
    elif batch_norm == "picture" and translator.norm == "batch":
        progress.say(
            f"{translator.label}: batch normalisation uses the statistics of each picture (as "
            "test.py of pytorch-CycleGAN-and-pix2pix does without --eval), not of the training"
        )
    elif batch_norm == "picture":
        progress.say(f"{translator.label}: no batch normalisation; --batch-norm changes nothing")
    if any(isinstance(layer, nn.Dropout) for layer in layers):
        progress.say(
            f"{translator.label}: its dropout is off; test.py of pytorch-CycleGAN-and-pix2pix "
            "drops values at random without --eval"
        )


def _translate_images(
    translation: ImageTranslation,
    source_path: Path,
    output_path: Path,
    batch_size: int,
    overwrite: bool,
    skip_existing: bool,
) -> ImageResults:
    if source_path.is_file():
        return translation.translate_file(source_path, output_path)
    return translation.translate_folder(
        source_path,
        output_path,
        batch_size=batch_size,
        overwrite=overwrite,
        skip_existing=skip_existing,
    )


def _nearest_folder(folder: Path) -> Path:
    """Return a folder, or the first one above it that is there."""
    return next(f for f in (folder, *folder.absolute().parents) if f.is_dir())


def _check(
    source_path: Path,
    video: bool,
    holds_alpha: bool,
    depth: str,
    alpha: str,
    limits: tuple[float, float] | None,
    steady: float,
) -> None:
    if limits is not None and not limits[0] < limits[1]:
        raise InputError(f"range {limits[0]:g} to {limits[1]:g}: the second must be greater")
    if steady and not video:
        raise InputError("--steady is for films and animations; leave it out")
    if video and depth == "16":
        raise InputError("--depth 16: films are written with 8 bits; leave it out")
    if alpha == "keep" and not holds_alpha:
        raise InputError("--alpha keep: films are written without alpha; leave it out")
    if (
        source_path.is_file()
        and not video
        and file_suffix(source_path.name) not in pixel_suffixes()
    ):
        raise InputError(f"{source_path}: neither a picture nor a film by its name")


def _check_target(source_path: Path, output_path: Path, overwrite: bool) -> None:
    if source_path.is_dir():
        if output_path.is_file():
            raise InputError(f"{output_path}: a file; results of a folder need a folder")
        check_folder_name(output_path, "translated pictures")
        return
    if output_path.exists() and output_path.samefile(source_path):
        raise InputError(f"{output_path}: the input itself; choose another -o")
    if output_path.exists() and not overwrite:
        raise InputError(f"{output_path} is there already; choose another -o or add --overwrite")
