"""Batches of a step, and steps, for tests."""

from __future__ import annotations

from phasegan.training.data.loader import full_batch


def loaded(batches, number):
    """Return domain A and domain B of a step that is one part."""
    (micro,) = batches.load(number).micro_batches
    return micro.real_a, micro.real_b


def take_step(gan, real_a, real_b, lr_factor=1.0):
    """Train on one batch; return the losses."""
    return gan.training_step(full_batch(real_a, real_b), lr_factor)
