"""Batches of a step for tests."""

from __future__ import annotations


def loaded(batches, number):
    """Return domain A and domain B of a step that is one part."""
    (micro,) = batches.load(number).micro_batches
    return micro.real_a, micro.real_b
