"""Random number generators that depend on the seed and on their purpose."""

from __future__ import annotations

import torch


def seeded_generator(seed: int, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one of a run's random streams.

    Parameters
    ----------
    seed : int
        Of the run.
    number : int
        Of the stream, 0 to 255: one for each purpose.
    device : torch.device or str
        Of the random numbers.

    Returns
    -------
    torch.Generator
        Of equal state for equal seed and number.
    """
    return torch.Generator(device).manual_seed((seed << 8) + number)
