"""The history of generated pictures that discriminators are shown."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Keep up to `size` generated pictures and mix them into later batches.

    Shrivastava et al. 2017 (doi:10.1109/CVPR.2017.241), as used by Zhu et al.
    2017: until the pool is full pictures are stored and passed on; then each
    is either passed on or, with probability ½, swapped for a stored one.

    Parameters
    ----------
    size : int
        Pictures kept; 0 passes everything on.
    generator : torch.Generator
        Source of randomness, on the CPU.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.generator = generator
        self.pictures: list[Tensor] = []

    def query(self, batch: Tensor) -> Tensor:
        """Return a batch of the same shape, some of it from earlier; carries no gradient."""
        if self.size == 0:
            return batch.detach()
        chosen = []
        for picture in batch.detach():
            if len(self.pictures) < self.size:
                self.pictures.append(picture.clone())
                chosen.append(picture)
                continue
            coin, slot = self._draw()
            if coin < 0.5:
                chosen.append(self.pictures[slot])
                self.pictures[slot] = picture.clone()
            else:
                chosen.append(picture)
        return torch.stack(chosen)

    def _draw(self) -> tuple[float, int]:
        coin = float(torch.rand((), generator=self.generator))
        return coin, int(torch.randint(self.size, (), generator=self.generator))

    def state(self) -> dict[str, Any]:
        """Return pictures and random state for a checkpoint."""
        return {
            "pictures": torch.stack(self.pictures).cpu() if self.pictures else None,
            "random": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Take the state of a checkpoint."""
        stored = state["pictures"]
        self.pictures = [] if stored is None else list(stored.to(device))
        self.generator.set_state(state["random"])
