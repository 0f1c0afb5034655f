"""Prepared files in HDF5: their layout, writing, reading and verification."""
