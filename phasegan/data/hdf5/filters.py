"""Compression filters of HDF5 datasets, and errors that name missing ones."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

import h5py

from phasegan.errors import InputError, printable

_PLUGIN = "hdf5plugin"
_OF_PLUGIN = {
    307: "BZip2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2",
    32028: "SPERR",
}  # fmt: skip
"""Names of the registered filters that the Python package hdf5plugin brings."""


def is_compressed(dataset: h5py.Dataset) -> bool:
    """Tell whether values take another number of bytes in the file than in memory.

    Parameters
    ----------
    dataset : h5py.Dataset
        Dataset of any layout.

    Returns
    -------
    bool
        True for any filter but HDF5's checksum.
    """
    created = dataset.id.get_create_plist()
    numbers = {created.get_filter(i)[0] for i in range(created.get_nfilters())}
    return bool(numbers - {h5py.h5z.FILTER_FLETCHER32})


def missing_filter(dataset: h5py.Dataset) -> tuple[int, str] | None:
    """Return the first filter of a dataset that is not installed.

    Filters of the package hdf5plugin are loaded from there where it is installed.

    Parameters
    ----------
    dataset : h5py.Dataset
        Dataset of any layout.

    Returns
    -------
    (int, str) or None
        Its number and name; None if all filters are there.
    """
    created = dataset.id.get_create_plist()
    for i in range(created.get_nfilters()):
        number, _, _, name = created.get_filter(i)
        if h5py.h5z.filter_avail(number):
            continue
        if number in _OF_PLUGIN:
            with contextlib.suppress(ImportError):
                importlib.import_module(_PLUGIN)
            if h5py.h5z.filter_avail(number):
                continue
        return number, _OF_PLUGIN.get(number) or printable(name.decode("utf-8", "replace"))
    return None


def refuse_missing_filters(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset that is compressed in a way that cannot be undone here.

    Parameters
    ----------
    dataset : h5py.Dataset
        Dataset of any layout.
    path : pathlib.Path
        Its file, for messages.

    Raises
    ------
    InputError
        Naming the filter and the package to install.
    """
    missing = missing_filter(dataset)
    if missing is None:
        return
    number, name = missing
    advice = "install its plugin for HDF5 where HDF5_PLUGIN_PATH says"
    if number in _OF_PLUGIN:
        advice = f"pip install {_PLUGIN}"
    raise InputError(
        f"{path}: {printable(str(dataset.name))} is compressed with filter {number}"
        f"{f' ({name})' if name else ''}, which is not installed: {advice}, or save it without"
    )
