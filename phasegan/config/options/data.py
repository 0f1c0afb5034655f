"""Options of `phasegan prepare`, `datasets` and `inspect`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from phasegan.config.options.common import (
    OUTPUT,
    Count,
    DomainOptions,
    GeneralOptions,
    OverwriteOption,
    SeedOption,
    ThreadsOption,
)
from phasegan.config.options.reading import FILES, ReadingOptions
from phasegan.config.options.schema import Cli, From, OneOf
from phasegan.config.options.size import Size
from phasegan.config.preprocessing import PreprocessingConfig, SplitConfig
from phasegan.config.translation import PicturesConfig

PHASES = "Phase spectra"
PAIRS = "Domains of pictures"
SHARDS = "Growing and sharding"


class PrepareCommand(
    DomainOptions, ReadingOptions, OverwriteOption, ThreadsOption, SeedOption, GeneralOptions
):
    """Options of `phasegan prepare`."""

    groups = (OUTPUT, PHASES, PAIRS, FILES, SHARDS)

    output: Annotated[
        str | None,
        Cli(
            "The HDF5 file.",
            OUTPUT,
            flags=("-o", "--output"),
            default="<name of SOURCE>.h5",
            style="path",
            common=True,
        ),
    ] = None
    size: Annotated[
        Size | None,
        From(PreprocessingConfig, "size"),
        Cli("N, pixels along both sides, or rows and columns.", PHASES, style="size", common=True),
    ] = None
    channels: Annotated[
        str | None,
        From(PreprocessingConfig, "channels"),
        Cli("gray is rec. 601 luma, as Pillow's L.", PHASES, common=True),
    ] = None
    fit: Annotated[
        str | None,
        OneOf(Literal["crop", "pad", "stretch", "short-side", "none"]),
        Cli(
            "Phases: crop, the largest centred part; pad, whole on black; stretch, distorted. "
            "Domains: stretch, both sides to --load; short-side; none.",
            OUTPUT,
            default="crop; domains: stretch",
            common=True,
        ),
    ] = None
    oversample: Annotated[
        float | None,
        From(PreprocessingConfig, "oversample"),
        Cli(
            "M/N, zero-padding before the transform; the nearest M is taken.",
            PHASES,
            common=True,
        ),
    ] = None
    samples: Annotated[
        int | None,
        From(SplitConfig, "samples"),
        Cli("Training samples.", PHASES, default="all", common=True),
    ] = None
    test: Annotated[
        int | None,
        From(SplitConfig, "test"),
        Cli(
            "Test samples.",
            PHASES,
            default="all of test/, or a tenth of an unsplit folder",
            common=True,
        ),
    ] = None
    phase_dtype: Annotated[
        str | None,
        From(PreprocessingConfig, "phase_dtype"),
        Cli("How phases are kept; uint16 is 2πk/65536.", PHASES),
    ] = None
    phase_noise: Annotated[
        float | None,
        From(PreprocessingConfig, "phase_noise"),
        Cli("σ of Gaussian noise on the phases, rad, seeded by --seed.", PHASES, metavar="SIGMA"),
    ] = None
    phase_bits: Annotated[
        int | None,
        From(PreprocessingConfig, "phase_bits"),
        Cli(
            "Round phases to 2πk/2^B, after the noise.",
            PHASES,
            default="not rounded",
            metavar="B",
        ),
    ] = None
    images: Annotated[
        bool | None,
        From(PreprocessingConfig, "images"),
        Cli(
            "Keep the images beside the phases, or phases alone.",
            PHASES,
            flags=("--with-images/--without-images",),
            default="with images",
        ),
    ] = None
    limits: Annotated[
        tuple[float, float] | None,
        Cli(
            "Values that are stored as 0 and 65535.",
            PHASES,
            flags=("--range",),
            default="8 and 16 bit as they are; of other numbers the least and the largest",
            metavar="LOW HIGH",
        ),
    ] = None
    load: Annotated[
        int | None,
        From(PicturesConfig, "load"),
        Cli("Pixels that training pictures are resized to.", PAIRS),
    ] = None
    alpha: Annotated[
        str | None,
        OneOf(Literal["drop", "keep"]),
        Cli("Drop alpha, or keep it as a channel.", PAIRS, default="drop"),
    ] = None
    add: Annotated[
        bool | None, Cli("Add to OUTPUT the pictures that it does not hold yet.", SHARDS)
    ] = None
    shards: Annotated[
        int | None,
        Field(ge=1, le=9999),
        Cli(
            "Write K files, and OUTPUT as one small file through which they are read as one.",
            SHARDS,
            metavar="K",
        ),
    ] = None
    shard: Annotated[
        int | None,
        Field(ge=0),
        Cli("Make only this one of them, 0 to K−1: for the jobs of an array.", SHARDS, metavar="I"),
    ] = None
    scheduler: Annotated[
        str | None,
        Cli(
            "tcp://…: have the workers of a dask cluster make the shards.",
            SHARDS,
            metavar="ADDRESS",
        ),
    ] = None
    workers: Annotated[Count | None, Cli("Decoding processes.", OUTPUT, default="--threads")] = None
    resume: Annotated[
        bool,
        Cli("Continue an interrupted preparation, and never throw one away.", OUTPUT, common=True),
    ] = False
    dry_run: Annotated[bool, Cli("Say what would be done, write nothing.", OUTPUT, common=True)] = (
        False
    )


class FetchCommand(GeneralOptions):
    """Options of `phasegan datasets fetch`."""

    output: Annotated[
        str | None,
        Cli(
            "The folder to make.",
            OUTPUT,
            flags=("-o", "--output"),
            default="./<NAME>",
            style="path",
            common=True,
        ),
    ] = None
    url: Annotated[
        str | None, Cli("Another address of the same archive.", OUTPUT, metavar="URL", common=True)
    ] = None
    keep_archive: Annotated[
        bool, Cli("Leave the archive beside the folder.", OUTPUT, common=True)
    ] = False


class ListCommand(GeneralOptions):
    """Options of `phasegan datasets list`."""


class InspectCommand(GeneralOptions):
    """Options of `phasegan inspect`."""

    as_json: Annotated[
        bool, Cli("Print the facts as JSON.", OUTPUT, flags=("--json",), common=True)
    ] = False
    verify: Annotated[
        bool, Cli("Check every checksum; exit status 2 on a mismatch.", OUTPUT, common=True)
    ] = False


class ConfigCommand(GeneralOptions):
    """Options of `phasegan config`."""

    output: Annotated[
        str | None,
        Cli(
            "The file.",
            OUTPUT,
            flags=("-o", "--output"),
            default="the terminal",
            style="path",
            common=True,
        ),
    ] = None
