"""Datasets by name, over HTTP: fetched, resumed, unpacked."""
