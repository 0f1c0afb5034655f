"""Verification of a file of two image domains against its checksums and its format."""

from __future__ import annotations

import h5py

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.pair_layout import AXES, CHECKSUMMED, DATASETS
from phasegan.data.hdf5.pair_reader import HDF5Images, PairFile
from phasegan.data.hdf5.raw_data import dataset_checksum
from phasegan.data.hdf5.verification import count_phrase
from phasegan.errors import InputError
from phasegan.progress import Progress, ProgressTask


def verify_pair_file(file: PairFile, progress: Progress | None = None) -> list[str]:
    """Compute every checksum of a file of image domains again.

    Parameters
    ----------
    file : PairFile
        The file.
    progress : Progress, optional
        Follows the images; silent by default.

    Returns
    -------
    list of str
        What does not match: `attributes`, datasets with the images that are
        damaged, descriptions, objects that the format does not know; empty when all
        is well.
    """
    wrong = [] if file.metadata.intact else ["attributes"]
    total = sum(map(len, file.groups.values()))
    with (progress or Progress()).task("verifying", total) as task:
        for name, group in file.groups.items():
            wrong += _check_group(file, name, group, task)
    names = [f"{group}/{name}" for group in file.groups for name in DATASETS]
    damaged = {name.split(" ")[0] for name in wrong}
    wrong += [
        f"{name} (description)"
        for name in [*file.groups, *names]
        if name not in damaged and not _described(file, name)
    ]
    return wrong + _strangers(file, {*file.groups, *names})


def _check_group(file: PairFile, name: str, group: HDF5Images, task: ProgressTask) -> list[str]:
    wrong: list[str] = []
    damaged: list[str] = []
    for row, image_name in enumerate(group.names):
        if not group.intact(row):
            damaged.append(image_name)
        task.advance()
    if damaged:
        wrong.append(f"{name}/pixels ({count_phrase(damaged, 'picture')})")
    for dataset in CHECKSUMMED:
        key = f"{name}/{dataset}"
        if _checksum(file, key) != file.metadata.checksums.get(key):
            if dataset != "pixels":
                wrong.append(key)
            elif not damaged:
                wrong.append(f"{key} (checksums)")
    return wrong


def _checksum(file: PairFile, name: str) -> str:
    source = f"{name}_sha256" if name.endswith("/pixels") else name
    try:
        return dataset_checksum(file.read(lambda opened: opened[source][()]))
    except InputError:
        return "unreadable"


def _described(file: PairFile, name: str) -> bool:
    """Tell whether a dataset names its axes as the format does, and nothing says more."""
    labels = AXES[name.split("/")[1]] if "/" in name else ()

    def compare(opened: h5py.File) -> bool:
        node = opened[name]
        attributes = {key: container.decode_text(value) for key, value in node.attrs.items()}
        return attributes == ({"axes": ", ".join(labels)} if labels else {})

    try:
        return file.read(compare)
    except Exception:  # damaged descriptions fail in many ways inside libhdf5
        return False


def _strangers(file: PairFile, format_names: set[str]) -> list[str]:
    """Return objects that the format does not know."""

    def find(opened: h5py.File) -> list[str]:
        names: list[str] = []
        opened.visit(names.append)
        return [f"{name} (unknown)" for name in names if name not in format_names]

    return file.read(find)
