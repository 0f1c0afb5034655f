"""What the tests of shards share: pictures, preparing in this process, and comparing."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

import phasegan
import phasegan.data.prepare.worker_pool
from phasegan.data.hdf5.verification import verify

OWN = ("attributes_checksum",)
"""Attributes in which a joined file may differ from one that was made in one piece."""


class InProcessPool(phasegan.data.prepare.worker_pool.InProcessPool):
    """Decodes in this process: the tests of workers see to the others."""

    def __init__(self, work, count):
        super().__init__(work)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def save(path: Path, seed: int, side: int = 20, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (side, side) if mode == "L" else (side, side, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def make(source, path, **options):
    return phasegan.prepare(source, path, **{"size": 8, "workers": 1} | options)


def contents(path):
    """Return all values that plain h5py gives, but for the group of shards."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, node: (
                found.update({name: node[()]})
                if isinstance(node, h5py.Dataset) and not name.startswith("shards/")
                else None
            )
        )
        attributes = {k: v for k, v in file.attrs.items() if k not in OWN}
    return found, attributes


def assert_same(joined, whole):
    """The joined file is the other one: through h5py, and through phasegan."""
    one, other = contents(joined), contents(whole)
    assert one[0].keys() == other[0].keys()
    for name in one[0]:
        assert one[0][name].dtype == other[0][name].dtype, name
        np.testing.assert_array_equal(one[0][name], other[0][name], name)
    assert one[1] == other[1]
    with phasegan.open(joined) as a, phasegan.open(whole) as b:
        assert a.digest == b.digest
        assert a.layout == b.layout
        for mine, its in ((a.train, b.train), (a.test, b.test)):
            assert len(mine) == len(its)
            assert mine.undefined_count == its.undefined_count
            for name in a.layout.datasets:
                np.testing.assert_array_equal(
                    mine.take(name, slice(None)), its.take(name, slice(None)), name
                )
        assert verify(a) == []
