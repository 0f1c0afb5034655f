"""Sources of randomness that depend on the seed and on what they are for."""

from __future__ import annotations

import torch


def seeded_generator(seed: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of random numbers of a stream: equal for equal seed and number."""
    return torch.Generator(device).manual_seed((seed << 8) + number)
