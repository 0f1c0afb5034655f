"""Checking a prepared file against its checksums and its format."""

from __future__ import annotations

import hashlib

import h5py
import numpy as np

from phasegan.errors import InputError
from phasegan.store.reader import PreparedFile
from phasegan.store.schema import axis_labels, dataset_attributes


def verify(prepared: PreparedFile) -> list[str]:
    """Compute every checksum of a prepared file again.

    Parameters
    ----------
    prepared : PreparedFile
        The file.

    Returns
    -------
    list of str
        The datasets whose data do not match, and `attributes` where those do
        not; empty when all is well.
    """
    expected = prepared.attributes["checksums"]
    names = [f"{s}/{d}" for s in ("train", "test") for d in prepared.layout.datasets]
    if prepared.has_images:
        names.append("train/mean_magnitude")
    wrong = [name for name in names if _checksum(prepared, name) != expected.get(name)]
    if not prepared.attributes["intact"]:
        wrong.insert(0, "attributes")
    wrong += [
        f"{name} (description)"
        for name in names
        if name not in wrong and not _described(prepared, name)
    ]
    return wrong + _strangers(prepared, names)


def _strangers(prepared: PreparedFile, names: list[str]) -> list[str]:
    """Return objects that the format does not know."""
    known = {"train", "test", *names}

    def find(file: h5py.File) -> list[str]:
        found: list[str] = []
        file.visit(found.append)
        return [f"{name} (unknown)" for name in found if name not in known]

    return prepared.read(find)


def _described(prepared: PreparedFile, name: str) -> bool:
    """Tell whether a dataset has the attributes and labels of the format."""
    short = name.split("/")[1]
    wanted = dataset_attributes(short, prepared.layout)
    labels = axis_labels(short, prepared.layout)

    def compare(file: h5py.File) -> bool:
        dataset = file[name]
        found = {k: v for k, v in dataset.attrs.items() if k != "DIMENSION_LABELS"}
        if short == "undefined":
            counted = int(dataset[()].sum()) if dataset.size < 2**28 else found.get("count")
            if found.pop("count", None) != counted:
                return False
        return found == wanted and [d.label for d in dataset.dims] == labels

    try:
        return prepared.read(compare)
    except Exception:  # damaged descriptions fail in many ways inside libhdf5
        return False


def _checksum(prepared: PreparedFile, name: str) -> str:
    def compute(file: h5py.File) -> str:
        dataset = file[name]
        digest = hashlib.sha256()
        if h5py.check_string_dtype(dataset.dtype):
            for value in dataset[()]:
                digest.update((value if isinstance(value, bytes) else value.encode()) + b"\0")
        elif name == "train/mean_magnitude":
            digest.update(np.ascontiguousarray(dataset[()]).data)
        else:
            for start in range(0, dataset.shape[0], 64):
                block = dataset[start : start + 64]
                digest.update(np.ascontiguousarray(block).data)
        return digest.hexdigest()

    try:
        return prepared.read(compute)
    except (InputError, ValueError, UnicodeError):
        return "unreadable"
