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
from phasegan.config.options.schema import Cli, From
from phasegan.config.preprocessing import PreprocessingConfig

PIXELS = "Pixels"
SPEED = "Speed and memory"
METHODS = "Methods"
OF_PICTURES = "Phases of pictures"
OF_ARRAYS = "Phases of arrays"
SCORES = "Scores"


class TranslateCommand(
    DirectionOptions, OverwriteOption, DeviceOption, ThreadsOption, GeneralOptions
):
    """Options of `phasegan translate`."""

    groups = (OUTPUT, "Generator", PIXELS, SPEED)

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
    split: Annotated[
        Literal["test", "train"], Cli("Part of a prepared INPUT.", OUTPUT, common=True)
    ] = "test"
    limit: Annotated[
        Count | None, Cli("Only the first so many.", OUTPUT, default="all", common=True)
    ] = None
    size: Annotated[
        int | None,
        From(PreprocessingConfig, "size"),
        Cli("N, pixels along a side.", OF_PICTURES, common=True),
    ] = None
    channels: Annotated[
        str | None,
        From(PreprocessingConfig, "channels"),
        Cli("Channels.", OF_PICTURES),
    ] = None
    fit: Annotated[
        str | None, From(PreprocessingConfig, "fit"), Cli("Way to a square.", OF_PICTURES)
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
        Count | None, Cli("N, pixels along a side.", OF_ARRAYS, default="M", metavar="N")
    ] = None
    layout: Annotated[
        Literal["half", "full", "centred"] | None,
        Cli(
            "Plane of frequencies, as rfft2, fft2 or fftshift(fft2) give it.",
            OF_ARRAYS,
            default="half",
        ),
    ] = None
    units: Annotated[
        Literal["rad", "deg", "turns", "phasor"] | None,
        Cli("Units of the phases.", OF_ARRAYS, default="rad"),
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
