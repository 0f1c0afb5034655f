"""Values that HDF5 makes up: those of chunks never written, and of sources that are gone.

HDF5 reads both as the fill value, 0 by default, without an error.
"""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np

from phasegan.errors import InputError
from phasegan.reading import UnreadableFileError, open_regular


def refuse_unwritten(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset of which values are missing.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of any layout; virtual ones are followed to their sources.
    path : pathlib.Path
        Its file, for messages.

    Raises
    ------
    InputError
        Naming the source that is gone, or the first rows that were never written.
    """
    if dataset.shape is None or dataset.size == 0:
        return
    if dataset.is_virtual:
        _refuse_lost_sources(dataset, path)
        return
    if dataset.chunks is None:
        if dataset.id.get_storage_size() == 0:
            raise InputError(f"{path}: {dataset.name} was never written")
        return
    counts = [-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    written = dataset.id.get_num_chunks()
    if written >= math.prod(counts):
        return
    there = np.zeros(counts, dtype=bool)
    for i in range(written):
        offset = dataset.id.get_chunk_info(i).chunk_offset
        there[tuple(o // c for o, c in zip(offset, dataset.chunks, strict=True))] = True
    first = np.argwhere(~there)[0] * dataset.chunks
    last = np.minimum(first + dataset.chunks, dataset.shape) - 1
    region = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in zip(first, last, strict=True))
    raise InputError(
        f"{path}: {math.prod(counts) - written} of {math.prod(counts)} chunks of {dataset.name} "
        f"were never written, the first at [{region}]; was the acquisition stopped? save what was "
        "measured, or name what to trust, --mask FILE (mask=…), with the rest as NaN"
    )


def _refuse_lost_sources(dataset: h5py.Dataset, path: Path) -> None:
    mapped = 0
    for source in dataset.virtual_sources():
        mapped += source.vspace.get_select_npoints()
        if source.file_name == ".":
            part = dataset.file.get(source.dset_name)
            where = path
            if not isinstance(part, h5py.Dataset):
                raise InputError(f"{path}: {dataset.name} lacks its source {source.dset_name}")
            refuse_unwritten(part, path)
            continue
        beside = path.parent / source.file_name
        where = beside if beside.exists() else Path(source.file_name)
        if not where.exists():
            raise InputError(
                f"{path}: {dataset.name} lacks its source {source.file_name}; put it beside this "
                "file"
            )
        try:
            open_regular(where).close()
            with h5py.File(where, "r") as file:
                part = file.get(source.dset_name)
                if not isinstance(part, h5py.Dataset):
                    raise InputError(
                        f"{path}: {dataset.name} lacks its source {source.dset_name} in {where}"
                    )
                refuse_unwritten(part, where)
        except (OSError, UnreadableFileError) as error:
            raise InputError(f"{path}: its source {where} cannot be read ({error})") from None
    if mapped < dataset.size:
        raise InputError(
            f"{path}: {dataset.size - mapped} of {dataset.size} values of {dataset.name} have no "
            "source"
        )
