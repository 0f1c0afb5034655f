"""Differentiable augmentation: gradients flow, images are augmented independently of each other."""

import pytest
import torch

from phasegan.losses.diff_augment import OPERATIONS, DiffAugment

ALL = slice(None)


def images(count):
    source = torch.Generator().manual_seed(1)
    return 2 * torch.rand(count, 3, 32, 32, generator=source) - 1


def numbers():
    return DiffAugment(OPERATIONS, torch.Generator().manual_seed(1)).draw(3)


def test_without_operations_images_stay_as_they_are():
    batch, none = images(2), DiffAugment((), torch.Generator())
    assert none(batch, none.draw(2), ALL) is batch


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_flow_and_rows_are_augmented_independently(operation):
    augment, batch = DiffAugment((operation,), torch.Generator()), images(3).requires_grad_()
    augmented = augment(batch, numbers(), ALL)
    assert augmented.shape == batch.shape
    assert not torch.equal(augmented, batch)
    augmented.square().sum().backward()
    assert batch.grad.abs().amax((1, 2, 3)).min() > 0
    alone = augment(batch[1:2].detach(), numbers(), slice(1, 2))
    torch.testing.assert_close(augmented[1:2].detach(), alone)


def test_colour_keeps_flat_images_flat_and_cutouts_are_grey():
    flat = torch.full((3, 3, 32, 32), 0.25)
    coloured = DiffAugment(("colour",), torch.Generator())(flat, numbers(), ALL)
    assert coloured.flatten(1).std(1).max() < 1e-6
    cut = DiffAugment(("cutout",), torch.Generator())(flat, numbers(), ALL)
    share = (cut == 0).float().mean((1, 2, 3))
    assert (share > 0).all()
    assert (share <= 0.25 + 1e-6).all()
    shifted = DiffAugment(("shift",), torch.Generator())(flat, numbers(), ALL)
    assert set(shifted.unique().tolist()) <= {-1.0, 0.25}
