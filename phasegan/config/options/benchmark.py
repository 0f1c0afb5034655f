"""Options of `phasegan bench` and `phasegan atlas`."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from phasegan.config.options.common import (
    OUTPUT,
    Count,
    DeviceOption,
    GeneralOptions,
    SeedOption,
    ThreadsOption,
    TrainingThreadsOption,
)
from phasegan.config.options.duration import parse_duration
from phasegan.config.options.schema import Cli, From
from phasegan.config.physics import SpectralConfig
from phasegan.config.run import NetworkConfig

ROWS = "Rows"
TRAININGS = "Trainings"
SWEEP = "Sweep"

RATIOS = (1.0, 1.125, 1.25, 1.375, 1.5, 1.75, 2.0, 2.5)
NOISES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0)
BITS = (16, 12, 10, 8, 6, 4)
IMAGES = 12


class BenchCommand(DeviceOption, TrainingThreadsOption, SeedOption, GeneralOptions):
    """Options of `phasegan bench`."""

    groups = (ROWS, OUTPUT, TRAININGS)

    samples: Annotated[
        tuple[Count, ...],
        Cli("Training samples of a row; repeat.", ROWS, multiple=True, common=True),
    ] = ()
    epochs: Annotated[
        tuple[Count, ...],
        Cli("Epochs of a row; pairs with --samples.", ROWS, multiple=True, common=True),
    ] = ()
    case: Annotated[
        str | None,
        Cli("A case file, or the name of a shipped one.", ROWS, style="path", common=True),
    ] = None
    data: Annotated[
        str | None,
        Cli(
            "A prepared file.",
            OUTPUT,
            default="the case's, or builtin.h5, prepared when it is not there",
            style="path",
            common=True,
        ),
    ] = None
    output: Annotated[
        str | None,
        Cli(
            "Results folder.",
            OUTPUT,
            flags=("-o", "--output"),
            default="bench/<name of --data>",
            style="path",
            common=True,
        ),
    ] = None
    preset: Annotated[
        Literal["physics", "paper"] | None,
        Cli("This one alone.", TRAININGS, default="the case's, both for the published table"),
    ] = None
    variant: Annotated[
        Literal["full", "small"] | None,
        Cli("Sizes of the networks.", TRAININGS, default="small on a CPU, else full"),
    ] = None
    methods: Annotated[
        tuple[str, ...],
        Cli(
            "A method that is not trained, instead of the case's; repeat.",
            ROWS,
            flags=("--method",),
            multiple=True,
        ),
    ] = ()
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
        Cli("Several seeds, instead of the case's.", ROWS, style="seeds"),
    ] = ()
    base_channels: Annotated[
        int | None,
        From(NetworkConfig, "base_channels"),
        Cli("Width of the networks.", TRAININGS, presets=("paper",), default="the variant's"),
    ] = None
    blocks: Annotated[
        int | None,
        From(NetworkConfig, "blocks"),
        Cli("Residual blocks.", TRAININGS, presets=("paper",), default="the variant's"),
    ] = None
    widths: Annotated[
        tuple[int, ...] | None,
        From(SpectralConfig, "widths"),
        Cli(
            "Channels at each resolution.",
            TRAININGS,
            presets=("physics",),
            default="the variant's",
            style="numbers",
        ),
    ] = None
    precision: Annotated[
        Literal["auto", "32", "bf16", "fp16"], Cli("Of the convolutions, in training.", TRAININGS)
    ] = "auto"
    estimate_only: Annotated[
        bool, Cli("Estimate every row's time, measure nothing.", OUTPUT, common=True)
    ] = False
    budget: Annotated[
        float | None,
        Field(gt=0),
        BeforeValidator(lambda value: None if value is None else parse_duration(value)),
        Cli(
            "Time for all; trainings that do not fit are left out, and stand as estimates.",
            OUTPUT,
            style="duration",
            common=True,
        ),
    ] = None
    force: Annotated[bool, Cli("Measure finished rows again, from the start.", OUTPUT)] = False
    allow_leak: Annotated[
        bool,
        Cli("Score although test pictures stand in the training split; the tables say so.", OUTPUT),
    ] = False
    baseline: Annotated[
        str | None,
        Cli(
            "A folder of earlier results: what changed, by a paired test.",
            OUTPUT,
            style="path",
            renamed=("--against",),
            common=True,
        ),
    ] = None


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


class AtlasCommand(DeviceOption, ThreadsOption, SeedOption, GeneralOptions):
    """Options of `phasegan atlas`."""

    groups = (OUTPUT, SWEEP)

    output: Annotated[
        str | None,
        Cli(
            "A folder.",
            OUTPUT,
            flags=("-o", "--output"),
            default="atlas/<name>",
            style="path",
            common=True,
        ),
    ] = None
    methods: Annotated[
        tuple[str, ...],
        Cli(
            "Repeat for more.",
            SWEEP,
            flags=("--method",),
            default="mean-magnitude, pocs-accelerated, cg, map, unless --run is given",
            multiple=True,
            common=True,
        ),
    ] = ()
    runs: Annotated[
        tuple[str, ...],
        Cli(
            "A run; repeat for more.",
            SWEEP,
            flags=("--run",),
            style="path",
            multiple=True,
            common=True,
        ),
    ] = ()
    oversampling: Annotated[
        tuple[Annotated[float, Field(ge=1, le=4)], ...],
        Cli(
            "M/N; repeat.",
            SWEEP,
            flags=("--oversample",),
            default=_listed(RATIOS),
            multiple=True,
            common=True,
        ),
    ] = ()
    noise: Annotated[
        tuple[Annotated[float, Field(ge=0, le=math.pi)], ...],
        Cli(
            "σ in radians; repeat.",
            SWEEP,
            flags=("--phase-noise",),
            default=_listed(NOISES),
            multiple=True,
            common=True,
        ),
    ] = ()
    bits: Annotated[
        tuple[Annotated[int, Field(ge=1, le=16)], ...],
        Cli(
            "Repeat.",
            SWEEP,
            flags=("--phase-bits",),
            default=f"{_listed(BITS)}, unless --phase-noise is given",
            multiple=True,
            common=True,
        ),
    ] = ()
    images: Annotated[Count, Cli("Test images.", SWEEP, common=True)] = IMAGES
