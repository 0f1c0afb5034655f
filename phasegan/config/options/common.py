"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from phasegan.config.options.schema import Cli, From, Options
from phasegan.config.run import TrainConfig
from phasegan.devices import Device

OUTPUT = "Data and output"
Count = Annotated[int, Field(ge=1)]

SEED = (
    From(TrainConfig, "seed"),
    Cli("Seed of everything that is random.", common=True),
)


class GeneralOptions(Options):
    """What every command has."""

    quiet: Annotated[
        bool, Cli("Print warnings and results only.", flags=("-q", "--quiet"), common=True)
    ] = False
    verbose: Annotated[
        bool,
        Cli("Print details, and tracebacks of errors.", flags=("-v", "--verbose"), common=True),
    ] = False


class DeviceOption(Options):
    """Of commands that run networks."""

    device: Annotated[
        Device, Cli("Where networks run; auto takes a GPU when there is one.", common=True)
    ] = "auto"


class ThreadsOption(Options):
    """Of commands that compute in threads."""

    threads: Annotated[
        int | None,
        Field(ge=1, le=4096),
        Cli("CPU threads.", default="all cores", common=True),
    ] = None


class TrainingThreadsOption(Options):
    """Of commands that train."""

    threads: Annotated[
        int | None,
        Field(ge=1, le=4096),
        Cli("CPU threads.", default="idle cores", common=True),
    ] = None


class SeedOption(Options):
    """Of commands that draw random numbers."""

    seed: Annotated[int | None, *SEED] = None


class DomainOptions(Options):
    """Two domains of pictures, each in a folder of its own."""

    domain_a: Annotated[
        str | None, Cli("Pictures of domain A.", OUTPUT, metavar="DIR", style="path")
    ] = None
    domain_b: Annotated[
        str | None, Cli("Pictures of domain B.", OUTPUT, metavar="DIR", style="path")
    ] = None


class OverwriteOption(Options):
    """Of commands that write files."""

    overwrite: Annotated[bool, Cli("Replace an output that is there.", OUTPUT, common=True)] = False


class DirectionOptions(Options):
    """Which generator, and the facts that its file does not tell."""

    direction: Annotated[
        Literal["a2b", "b2a"] | None,
        Cli("Which generator; needed where RUN holds two.", "Generator", common=True),
    ] = None
    network: Annotated[
        str | None,
        Cli(
            "Which network of a file of others' weights that holds several.",
            "Generator",
            metavar="NAME",
        ),
    ] = None
    padding: Annotated[
        Literal["reflect", "replicate", "zero"] | None,
        Cli(
            "Padding of others' weights, where the file does not tell.",
            "Generator",
            default="reflect",
        ),
    ] = None
    batch_norm: Annotated[
        Literal["running", "picture"],
        Cli(
            "Statistics of batch normalisation: those of the training, as test.py --eval of "
            "pytorch-CycleGAN-and-pix2pix takes them, or each picture's, as it does without.",
            "Generator",
        ),
    ] = "running"
