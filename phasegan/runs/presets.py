"""The presets of training by name."""

from __future__ import annotations

from phasegan.runs.config import PaperConfig, TrainConfig
from phasegan.runs.physics import PhysicsConfig

CONFIGS: dict[str, type[TrainConfig]] = {"physics": PhysicsConfig, "paper": PaperConfig}
PRESETS = tuple(CONFIGS)
DEFAULT_PRESET = "physics"
