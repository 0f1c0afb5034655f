"""Pictures, and shards of them that are joined."""

from __future__ import annotations

import shutil

import pytest
from shard_helper import InProcessPool, make, save


@pytest.fixture(autouse=True, scope="module")
def _here():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("phasegan.data.prepare.loop.WorkerPool", InProcessPool)
        yield


@pytest.fixture(scope="module")
def forty(tmp_path_factory):
    """A folder of forty-three pictures without a split, in subfolders; read only."""
    root = tmp_path_factory.mktemp("forty") / "pictures"
    for i in range(43):
        save(root / f"{i % 4}" / f"{i}.png", i, mode="RGB")
    return root


@pytest.fixture(scope="module")
def presplit(tmp_path_factory):
    """A folder of 11 pictures in train/ and 7 in test/; read only."""
    root = tmp_path_factory.mktemp("presplit") / "pictures"
    for i in range(18):
        save(root / ("train" if i < 11 else "test") / f"{i}.png", i)
    return root


@pytest.fixture(scope="module")
def three(forty, tmp_path_factory):
    """The forty in three shards, joined; copied before it is changed."""
    folder = tmp_path_factory.mktemp("three")
    make(forty, folder / "set.h5", shards=3)
    return folder


@pytest.fixture
def moved(three, tmp_path):
    """The three shards and what joins them, in another folder."""
    shutil.copytree(three, tmp_path / "moved")
    return tmp_path / "moved" / "set.h5"
