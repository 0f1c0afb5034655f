"""The history of generated images that discriminators are shown."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Keep up to `size` generated images and mix them into later batches.

    Shrivastava et al. 2017 (doi:10.1109/CVPR.2017.241), as used by Zhu et al.
    2017: until the pool is full images are stored and passed on; then each
    is either passed on or, with probability ½, swapped for a stored one.

    Parameters
    ----------
    size : int
        Images kept; 0 passes everything on.
    generator : torch.Generator
        Source of randomness, on the CPU.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.generator = generator
        self.images: list[Tensor] = []

    def query(self, batch: Tensor) -> Tensor:
        """Return a batch partly from earlier ones.

        Parameters
        ----------
        batch : torch.Tensor
            Generated images, (batch, C, rows, columns).

        Returns
        -------
        torch.Tensor
            Same shape, without gradient.
        """
        if self.size == 0:
            return batch.detach()
        output = []
        for image in batch.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                output.append(image)
                continue
            coin, slot = self._draw()
            if coin < 0.5:
                output.append(self.images[slot])
                self.images[slot] = image.clone()
            else:
                output.append(image)
        return torch.stack(output)

    def _draw(self) -> tuple[float, int]:
        coin = float(torch.rand((), generator=self.generator))
        return coin, int(torch.randint(self.size, (), generator=self.generator))

    def state_dict(self) -> dict[str, Any]:
        """Return images and random state for a checkpoint."""
        return {
            "pictures": torch.stack(self.images).cpu() if self.images else None,
            "random": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the state of a checkpoint.

        Parameters
        ----------
        state : dict
            From `state_dict`.
        device : torch.device
            Of the images.
        """
        stored = state["pictures"]
        self.images = [] if stored is None else list(stored.to(device))
        self.generator.set_state(state["random"])
