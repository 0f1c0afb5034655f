"""Options of `phasegan translate`, `export`, `reconstruct` and `evaluate`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from phasegan.config.options.common import (
    OUTPUT,
    Count,
    DeviceOption,
    DirectionOptions,
    DomainOptions,
    GeneralOptions,
    OverwriteOption,
    SeedOption,
    ThreadsOption,
)
from phasegan.config.options.reading import FILES, ReadingOptions
from phasegan.config.options.schema import Cli, From
from phasegan.config.options.size import SIZE_METAVAR, Size, SizeRange
from phasegan.config.preprocessing import PreprocessingConfig

PIXELS = "Pixels"
SPEED = "Speed and memory"
METHODS = "Methods"
OF_PICTURES = "Phases of pictures"
OF_ARRAYS = "Phases of arrays"
SCORES = "Scores"

NumberOrText = Annotated[str, Field(coerce_numbers_to_str=True)]


class TranslateCommand(
    DirectionOptions, ReadingOptions, OverwriteOption, DeviceOption, ThreadsOption, GeneralOptions
):
    """Options of `phasegan translate`."""

    groups = (OUTPUT, "Generator", PIXELS, FILES, SPEED)

    output: Annotated[
        str | None,
        Cli(
            "A file for a file, else a folder.",
            OUTPUT,
            flags=("-o", "--output"),
            style="path",
            required=True,
            common=True,
        ),
    ] = None
    batch_size: Annotated[
        Count | None, Cli("Small pictures at a time.", SPEED, default="1; on a GPU 8")
    ] = None
    memory: Annotated[
        str | None,
        Cli(
            "Memory that the process may take, such as 800MB.",
            SPEED,
            default="1.5GiB; of a GPU 60 % of what is free",
            metavar="SIZE",
            common=True,
        ),
    ] = None
    precision: Annotated[Literal["auto", "32", "bf16"], Cli("Precision of the network.", SPEED)] = (
        "auto"
    )
    depth: Annotated[
        Literal["keep", "8", "16"], Cli("Bits of the results.", PIXELS, common=True)
    ] = "keep"
    alpha: Annotated[
        Literal["drop", "keep"], Cli("Whether transparency is kept as it is.", PIXELS)
    ] = "drop"
    limits: Annotated[
        tuple[float, float] | None,
        Cli(
            "Values of INPUT that are black and white.",
            PIXELS,
            flags=("--range",),
            default="those of the training, or 0 and white",
            metavar="LOW HIGH",
        ),
    ] = None
    steady: Annotated[
        float,
        Field(ge=0, le=1),
        Cli("Hold flicker of a film down: 0 not at all, 1 strongly.", PIXELS, common=True),
    ] = 0.0
    skip_existing: Annotated[
        bool, Cli("In a folder, leave out what is done.", OUTPUT, common=True)
    ] = False


class ExportCommand(DirectionOptions, OverwriteOption, ThreadsOption, GeneralOptions):
    """Options of `phasegan export`."""

    groups = (OUTPUT, "Generator")

    output: Annotated[
        str | None,
        Cli(
            "MODEL.onnx, MODEL.pt2 (torch.export), or a folder for the .pth files of others.",
            OUTPUT,
            flags=("-o", "--output"),
            style="path",
            required=True,
            common=True,
        ),
    ] = None


class ReconstructCommand(OverwriteOption, DeviceOption, ThreadsOption, GeneralOptions):
    """Options of `phasegan reconstruct`."""

    groups = (OUTPUT, METHODS, OF_PICTURES, OF_ARRAYS)

    output: Annotated[
        str | None,
        Cli(
            "A folder for PNG pictures, or a .h5 file.",
            OUTPUT,
            flags=("-o", "--output"),
            style="path",
            required=True,
            common=True,
        ),
    ] = None
    method: Annotated[
        str | None,
        Cli(
            "zero, mean-image, unit-magnitude, power-law, mean-magnitude, shrinkage, learned, "
            "learned-coarse, hlo, pocs, pocs-accelerated, cg, fista, map, pnp or auto.",
            METHODS,
            default="auto",
            common=True,
        ),
    ] = None
    run: Annotated[
        str | None, Cli("A run folder instead of a method.", METHODS, style="path", common=True)
    ] = None
    statistics: Annotated[
        str | None,
        Cli(
            "A prepared file whose training images the means are taken from.",
            METHODS,
            default="INPUT, if it is prepared",
            style="path",
            common=True,
        ),
    ] = None
    mean: Annotated[
        NumberOrText | None,
        Cli(
            "Known mean of the pixels, 0 to white: a number, a .npy or text file with one a "
            "sample (and channel), or `stored`: that of the stored images.",
            METHODS,
            default="not known",
            metavar="MEAN",
            common=True,
        ),
    ] = None
    split: Annotated[
        Literal["test", "train"], Cli("Part of a prepared INPUT.", OUTPUT, common=True)
    ] = "test"
    limit: Annotated[
        Count | None, Cli("Only the first so many.", OUTPUT, default="all", common=True)
    ] = None
    size: Annotated[
        Size | None,
        From(PreprocessingConfig, "size"),
        Cli(
            "N, pixels along both sides, or rows and columns.",
            OF_PICTURES,
            style="size",
            default="the picture's own, at most 1024 along the longer side",
            common=True,
        ),
    ] = None
    channels: Annotated[
        str | None,
        From(PreprocessingConfig, "channels"),
        Cli("Channels.", OF_PICTURES, default="the picture's own"),
    ] = None
    fit: Annotated[
        str | None, From(PreprocessingConfig, "fit"), Cli("Way to a --size.", OF_PICTURES)
    ] = None
    oversample: Annotated[
        float | None,
        From(PreprocessingConfig, "oversample"),
        Cli("M/N, zero-padding before the transform.", OF_PICTURES, common=True),
    ] = None
    phase_noise: Annotated[
        float | None,
        From(PreprocessingConfig, "phase_noise"),
        Cli("σ of noise on the phases, rad.", OF_PICTURES),
    ] = None
    phase_bits: Annotated[
        int | None,
        From(PreprocessingConfig, "phase_bits"),
        Cli("Bits that phases are rounded to.", OF_PICTURES, default="not rounded"),
    ] = None
    shape: Annotated[
        Size | None,
        SizeRange(1, 65536),
        Cli(
            "N, pixels along both sides of the object, or rows and columns.",
            OF_ARRAYS,
            default="M",
            metavar=SIZE_METAVAR,
            style="size",
            common=True,
        ),
    ] = None
    layout: Annotated[
        Literal["half", "full", "centred", "half-rows"] | None,
        Cli(
            "Plane of frequencies, as rfft2, fft2 or fftshift(fft2) give it, or rfft2 along rows.",
            OF_ARRAYS,
            default="half",
            common=True,
        ),
    ] = None
    units: Annotated[
        Literal[
            "rad", "deg", "turns", "phasor", "codes8", "codes10", "codes12", "codes16", "grey8",
            "grey16",
        ]
        | None,
        Cli(
            "Units of the phases. codes: integers, 0 to 2^b − 1 for 0 to 2π; grey: black is −π, "
            "white π.",
            OF_ARRAYS,
            default="rad",
            common=True,
        ),
    ] = None  # fmt: skip
    sign: Annotated[
        Literal["-", "+"] | None,
        Cli(
            "Sign of the transform's exponent: - as fft2, + as ifft2 and optics.",
            OF_ARRAYS,
            default="-",
            common=True,
        ),
    ] = None
    origin: Annotated[
        str | None,
        Cli(
            "Where the object stands in its frame: corner; centre, padded on all sides; ifftshift, "
            "around the first pixel; or ROW,COLUMN of its top left pixel.",
            OF_ARRAYS,
            default="corner",
            metavar="PLACE",
            common=True,
        ),
    ] = None
    mean_removed: Annotated[
        bool | None,
        Cli("The image's mean was subtracted: frequency 0 says nothing.", OF_ARRAYS),
    ] = None
    offset: Annotated[
        float | None,
        Cli(
            "A constant that was added to all phases, in their units.",
            OF_ARRAYS,
            default="0",
            metavar="X",
        ),
    ] = None
    unwrapped: Annotated[
        bool | None, Cli("Phases are many turns: take them modulo one.", OF_ARRAYS)
    ] = None
    frame: Annotated[
        Size | None,
        SizeRange(1, 65536),
        Cli(
            "M, pixels along both sides of the frame, or rows and columns, for half-planes that "
            "are not square.",
            OF_ARRAYS,
            default="from the plane",
            metavar=SIZE_METAVAR,
            style="size",
        ),
    ] = None
    zero: Annotated[
        str | None,
        Cli(
            "Place of frequency 0, where it is neither in the corner nor in the middle.",
            OF_ARRAYS,
            default="by the layout",
            metavar="ROW,COLUMN",
        ),
    ] = None
    channel_axis: Annotated[
        int | None,
        Cli(
            "Axis of the channels, such as -1; that of the estimates is the same.",
            OF_ARRAYS,
            default="before the rows",
            metavar="N",
        ),
    ] = None
    as_phases: Annotated[
        bool | None,
        Cli("The pixels of a picture INPUT are phases; say their --units.", OF_ARRAYS, common=True),
    ] = None
    mask: Annotated[
        str | None,
        Cli(
            "An array like INPUT: true or not 0 where its samples are to be trusted.",
            OF_ARRAYS,
            metavar="FILE",
        ),
    ] = None
    symmetrise: Annotated[bool | None, Cli("Average both halves of a full plane.", OF_ARRAYS)] = (
        None
    )
    noise: Annotated[
        float | None, Field(ge=0, le=math.pi), Cli("σ of the phases, rad.", OF_ARRAYS, default="0")
    ] = None
    iterations: Annotated[
        Count | None, Cli("Of iterative methods, at most.", METHODS, default="the method's")
    ] = None
    dtype: Annotated[
        Literal["float64", "float32"] | None,
        Cli("Precision of iterative methods.", METHODS, default="the array's, float64 for files"),
    ] = None


class EvaluateCommand(DomainOptions, DeviceOption, ThreadsOption, SeedOption, GeneralOptions):
    """Options of `phasegan evaluate`."""

    groups = (METHODS, OUTPUT, SCORES)

    methods: Annotated[
        tuple[str, ...],
        Cli("A method; repeat for more.", METHODS, flags=("--method",), multiple=True, common=True),
    ] = ()
    runs: Annotated[
        tuple[str, ...],
        Cli(
            "A run; repeat for more.",
            METHODS,
            flags=("--run",),
            style="path",
            multiple=True,
            common=True,
        ),
    ] = ()
    json_path: Annotated[
        str | None,
        Cli("Write the rows here too.", OUTPUT, flags=("--json",), style="path", common=True),
    ] = None
    sheet: Annotated[
        str | None,
        Cli(
            "Draw six test images, reconstructed by each method and run.",
            OUTPUT,
            metavar="FILE.png",
            style="path",
            common=True,
        ),
    ] = None
    size: Annotated[
        int | None,
        Field(ge=16),
        Cli(
            "translation: side of the squares that are compared.",
            SCORES,
            default="the runs'",
            common=True,
        ),
    ] = None
    features: Annotated[
        str | None,
        Cli(
            "translation: a feature network, for FID and KID.",
            SCORES,
            metavar="FILE.onnx",
            style="path",
            common=True,
        ),
    ] = None
    dtype: Annotated[
        Literal["float64", "float32"], Cli("Precision of iterative methods.", METHODS)
    ] = "float64"
