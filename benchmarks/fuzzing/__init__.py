"""Mutated files for every reader: specimens, mutations, targets, and the children that read."""
