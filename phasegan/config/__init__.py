"""Configurations: typed, strict, and the run folder that keeps them."""
