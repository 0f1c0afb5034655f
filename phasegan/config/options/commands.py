"""The options of each command by its name."""

from __future__ import annotations

from phasegan.config.options.benchmark import AtlasCommand, BenchCommand
from phasegan.config.options.data import (
    ConfigCommand,
    FetchCommand,
    InspectCommand,
    ListCommand,
    PrepareCommand,
)
from phasegan.config.options.networks import (
    EvaluateCommand,
    ExportCommand,
    ReconstructCommand,
    TranslateCommand,
)
from phasegan.config.options.schema import Options
from phasegan.config.options.train import TrainCommand

COMMANDS: dict[str, type[Options]] = {
    "prepare": PrepareCommand,
    "train": TrainCommand,
    "translate": TranslateCommand,
    "reconstruct": ReconstructCommand,
    "evaluate": EvaluateCommand,
    "export": ExportCommand,
    "datasets list": ListCommand,
    "datasets fetch": FetchCommand,
    "bench": BenchCommand,
    "atlas": AtlasCommand,
    "inspect": InspectCommand,
    "config": ConfigCommand,
}
