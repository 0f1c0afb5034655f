"""Random number generators that depend on the seed and on their purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
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


@contextlib.contextmanager
def seeded_layers(key: Sequence[int], device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, from which dropout draws, and restore them afterwards.

    Parameters
    ----------
    key : sequence of int
        At least 0; equal keys give equal random numbers.
    device : torch.device
        Of the layers.

    Yields
    ------
    None
        Inside, the generators of the CPU and of the device follow from the key.
    """
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    accelerated = device.type in ("cuda", "mps")
    module = getattr(torch, device.type) if accelerated else None
    before = module.get_rng_state() if module else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            if module:
                module.manual_seed(seed)
            yield
        finally:
            if module:
                module.set_rng_state(before)
