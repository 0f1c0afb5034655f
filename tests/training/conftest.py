"""Fixtures of the tests of several processes."""

from tests.training.several import alone, files, in_double, together, torchrun  # noqa: F401
