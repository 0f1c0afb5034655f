"""Changes of what discriminators see, real and generated alike, with gradients through them.

Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training",
arXiv:2006.10738: a discriminator cannot learn few pictures by heart if it never sees
them twice alike, and the generator is not taught to make changed ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from phasegan.training.data.micro_batches import Part

CHANGES = ("colour", "shift", "cutout")
SHIFT = 0.125
"""Largest share of a side by which pictures are shifted; what comes in is black."""
CUT = 0.5
"""Side of the square that is cut out, as a share of the picture's."""
_NUMBERS = 7


class Differentiable:
    """Random changes of batches.

    Parameters
    ----------
    changes : sequence of {"colour", "shift", "cutout"}
        What is done, in this order.
    source : torch.Generator
        Of the random numbers, on the CPU; a row of them a picture.
    """

    def __init__(self, changes: Sequence[str], source: torch.Generator) -> None:
        self.changes, self.source = tuple(changes), source

    def draw(self, total: int) -> Tensor:
        """Return the random numbers of a batch, (total, 7), uniform in [0, 1)."""
        return torch.rand(total, _NUMBERS, generator=self.source)

    def __call__(self, pictures: Tensor, numbers: Tensor, part: Part) -> Tensor:
        """Change pictures, each in its own way.

        Parameters
        ----------
        pictures : torch.Tensor
            (batch, C, rows, columns), in [−1, 1].
        numbers : torch.Tensor
            Of `draw`, for the whole batch.
        part : Part
            Which rows of it these are.

        Returns
        -------
        torch.Tensor
            Same shape.
        """
        own = numbers[part.rows].to(pictures.device, torch.float32)
        for change in self.changes:
            pictures = _CHANGES[change](pictures, own)
        return pictures


def _colour(pictures: Tensor, numbers: Tensor) -> Tensor:
    """Shift brightness by ±0.5, scale saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    shift, saturation, contrast = (numbers[:, i].view(-1, 1, 1, 1) for i in range(3))
    pictures = pictures + (shift - 0.5)
    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (pictures - grey) * (2.0 * saturation)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return mean + (pictures - mean) * (0.5 + contrast)


def _shift(pictures: Tensor, numbers: Tensor) -> Tensor:
    rows, columns = pictures.shape[-2:]
    most = [int(SHIFT * side + 0.5) for side in (rows, columns)]
    padded = functional.pad(pictures, (most[1], most[1], most[0], most[0]), value=-1.0)
    moved = []
    for picture, own in zip(padded, numbers[:, 3:5].tolist(), strict=True):
        top, left = (min(int(x * (2 * m + 1)), 2 * m) for x, m in zip(own, most, strict=True))
        moved.append(picture[:, top : top + rows, left : left + columns])
    return torch.stack(moved)


def _cutout(pictures: Tensor, numbers: Tensor) -> Tensor:
    rows, columns = pictures.shape[-2:]
    kept = torch.ones(len(pictures), 1, rows, columns, device=pictures.device)
    for mask, own in zip(kept, numbers[:, 5:7].tolist(), strict=True):
        spans = []
        for side, x in zip((rows, columns), own, strict=True):
            width = int(CUT * side + 0.5)
            first = int(x * (side + 1)) - width // 2
            spans.append(slice(max(0, first), max(0, first + width)))
        mask[:, spans[0], spans[1]] = 0.0
    return pictures * kept


_CHANGES = {"colour": _colour, "shift": _shift, "cutout": _cutout}
