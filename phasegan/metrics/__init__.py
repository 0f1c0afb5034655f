"""Metrics of estimates against references, of sets of images, and tests of differences."""
