"""The presets of training by name."""

from __future__ import annotations

from typing import Literal, get_args

from phasegan.config.physics import PhysicsConfig
from phasegan.config.run import PaperConfig, TrainConfig
from phasegan.config.translation import ONE_WAY, TranslationConfig

Preset = Literal["physics", "paper", "translation", "one-way"]
CONFIGS: dict[str, type[TrainConfig]] = {
    "physics": PhysicsConfig,
    "paper": PaperConfig,
    "translation": TranslationConfig,
    ONE_WAY: TranslationConfig,
}
PRESETS: tuple[str, ...] = get_args(Preset)
PHASE_PRESETS = ("physics", "paper")
"""Those that train on phases; the others on two domains of pictures."""
DEFAULT_PRESET = "physics"
