"""Headings and owners of the options of a training."""

from __future__ import annotations

SIZES = "Networks"
PICTURES = "Pictures of translations"
LOSSES = "Losses"
OPTIMISATION = "Optimisation"
CHANGES = "Augmentation"
VALIDATION = "Validation"
SPEED = "Speed and memory"

TRANSLATIONS = ("translation", "one-way")
RESNETS = ("paper", *TRANSLATIONS)
PHYSICS = ("physics",)
AVERAGED = ("physics", *TRANSLATIONS)
