"""Writing of a file of two image domains: pixels first, everything else at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5 import container
from phasegan.data.hdf5.pair_layout import AXES, CHECKSUMMED, PairMetadata, to_attributes
from phasegan.data.hdf5.records import dataset_checksum
from phasegan.data.prepare.pairs.plan import ImageGroup


def create_pixels(path: Path, groups: Sequence[ImageGroup]) -> dict[str, int]:
    """Create a file with room for the pixels of all groups, and nothing else.

    Parameters
    ----------
    path : pathlib.Path
        The file; it must not be there.
    groups : sequence of ImageGroup
        Its images.

    Returns
    -------
    dict of int
        By group: offset of its first value in the file, in bytes.
    """
    with container.create(path) as file:
        return {
            group.name: _room(file.create_group(group.name), int(group.offsets[-1]), group.dtype)
            for group in groups
        }


def _room(group: h5py.ImageGroup, elements: int, dtype: np.dtype[Any]) -> int:
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_layout(h5py.h5d.CONTIGUOUS)
    created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    created.set_obj_track_times(False)
    space = h5py.h5s.create_simple((elements,))
    h5py.h5d.create(group.id, b"pixels", h5py.h5t.py_create(dtype), space, created)
    return group["pixels"].id.get_offset() or 0


def complete(
    path: Path,
    groups: Sequence[ImageGroup],
    digests: Mapping[str, NDArray[np.uint8]],
    metadata: PairMetadata,
) -> None:
    """Complete a file that has all its pixels.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    groups : sequence of ImageGroup
        Its images.
    digests : mapping of numpy.ndarray
        By group: (n, 32), SHA-256 of each image's values.
    metadata : PairMetadata
        For the root attributes; the checksums are added here.
    """
    checksums: dict[str, str] = {}
    with container.reopen(path) as file:
        for group in groups:
            digests_by_name = _complete(file[group.name], group, digests[group.name])
            checksums |= {
                f"{group.name}/{name}": sha256 for name, sha256 in digests_by_name.items()
            }
        container.set_attributes(file, to_attributes(metadata._replace(checksums=checksums)))


def _complete(
    node: h5py.ImageGroup, group: ImageGroup, digests: NDArray[np.uint8]
) -> dict[str, str]:
    """Write the small datasets of a group; return the checksums."""
    node.create_dataset("pixels_sha256", data=digests)
    values: dict[str, NDArray[Any]] = {"offsets": group.offsets, "shapes": group.shapes}
    for name, texts in (("names", group.names), ("source_sha256", group.hashes)):
        encoded = [text.encode() for text in texts]
        longest = max(map(len, encoded), default=0)
        values[name] = np.array(encoded, container.string_dtype(longest))
    for name, table in values.items():
        dataset = container.create_checksummed(
            node, name, len(table), table.shape[1:], table.dtype, container.CHUNK_ROWS
        )
        if len(table):
            dataset[...] = table
    for name, labels in AXES.items():
        container.set_attributes(node[name], {"axes": ", ".join(labels)})
    values_by_name: dict[str, NDArray[Any]] = values | {"pixels": digests}
    return {name: dataset_checksum(values_by_name[name]) for name in CHECKSUMMED}
