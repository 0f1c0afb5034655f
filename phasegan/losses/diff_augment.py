"""Differentiable augmentation of a discriminator's inputs, real and generated alike.

Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training",
arXiv:2006.10738, equations 4 and 5: a discriminator cannot memorise few images if it never
sees them twice alike, and with gradients through the augmentation the generator does not
learn to make augmented ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

OPERATIONS = ("colour", "shift", "cutout")
SHIFT = 0.125
"""Largest shift, as a share of the side; black comes in."""
CUT = 0.5
"""Side of the square that is cut out, as a share of the image's."""
_NUMBERS_PER_IMAGE = 7


class DiffAugment:
    """Random differentiable operations on batches.

    Parameters
    ----------
    operations : sequence of {"colour", "shift", "cutout"}
        Applied in this order.
    source : torch.Generator
        Source of randomness, on the CPU.
    """

    def __init__(self, operations: Sequence[str], source: torch.Generator) -> None:
        self.operations, self.source = tuple(operations), source

    def draw(self, total: int) -> Tensor:
        """Draw the random numbers of a batch.

        Parameters
        ----------
        total : int
            Images of the whole batch.

        Returns
        -------
        torch.Tensor
            (total, 7), uniform in [0, 1), on the CPU.
        """
        return torch.rand(total, _NUMBERS_PER_IMAGE, generator=self.source)

    def __call__(self, images: Tensor, numbers: Tensor, rows: slice) -> Tensor:
        """Apply the operations to images, with random numbers of its own for each.

        Parameters
        ----------
        images : torch.Tensor
            (batch, C, rows, columns), in [−1, 1].
        numbers : torch.Tensor
            From `draw`, of the whole batch.
        rows : slice
            Rows of the batch that the images are.

        Returns
        -------
        torch.Tensor
            Same shape.
        """
        for name in self.operations:
            images = _OPERATIONS[name](images, numbers[rows])
        return images


def _colour(images: Tensor, numbers: Tensor) -> Tensor:
    """Shift brightness by ±0.5, scale saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    own = numbers.to(images.device, torch.float32, non_blocking=True)
    shift, saturation, contrast = (own[:, i].view(-1, 1, 1, 1) for i in range(3))
    images = images + (shift - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2.0 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (0.5 + contrast)


def _shift(images: Tensor, numbers: Tensor) -> Tensor:
    rows, columns = images.shape[-2:]
    most = [int(SHIFT * side + 0.5) for side in (rows, columns)]
    padded = functional.pad(images, (most[1], most[1], most[0], most[0]), value=-1.0)
    moved = []
    for image, own in zip(padded, numbers[:, 3:5].tolist(), strict=True):
        top, left = (min(int(x * (2 * m + 1)), 2 * m) for x, m in zip(own, most, strict=True))
        moved.append(image[:, top : top + rows, left : left + columns])
    return torch.stack(moved)


def _cutout(images: Tensor, numbers: Tensor) -> Tensor:
    rows, columns = images.shape[-2:]
    masks = torch.ones(len(images), 1, rows, columns, device=images.device)
    for mask, own in zip(masks, numbers[:, 5:7].tolist(), strict=True):
        spans = []
        for side, x in zip((rows, columns), own, strict=True):
            width = int(CUT * side + 0.5)
            first = int(x * (side + 1)) - width // 2
            spans.append(slice(max(0, first), max(0, first + width)))
        mask[:, spans[0], spans[1]] = 0.0
    return images * masks


_OPERATIONS = {"colour": _colour, "shift": _shift, "cutout": _cutout}
