"""Joined shards: nothing foreign, missing or damaged is read."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from shard_helper import assert_same, make, save

import phasegan
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare.shards import shard_path
from phasegan.errors import InputError


def test_shards_are_moved_together(moved, three, run_cli):
    with phasegan.open(moved) as file, phasegan.open(three / "set.h5") as before:
        np.testing.assert_array_equal(file.train.codes(), before.train.codes())
    with h5py.File(moved) as file:
        assert file["train/phase"][()].any(axis=(1, 2)).all()
    assert run_cli("inspect", moved, "--verify").status == 0


def test_a_link_to_the_joined_file_is_enough(moved, tmp_path):
    link = tmp_path / "elsewhere" / "link.h5"
    link.parent.mkdir()
    link.symlink_to(moved)
    with phasegan.open(link) as file, h5py.File(link) as plain:
        np.testing.assert_array_equal(file.train.codes(), plain["train/phase"][()])
        assert verify(file) == []


def test_the_joined_file_alone_is_refused(moved, tmp_path):
    alone = tmp_path / "alone" / "set.h5"
    alone.parent.mkdir()
    shutil.copy(moved, alone)
    with pytest.raises(InputError, match=r"set-0000-of-0003\.h5: missing, a shard of set\.h5"):
        phasegan.open(alone)


def test_a_missing_shard_is_refused_and_made_again(moved, forty, three):
    shard_path(moved, 1, 3).unlink()
    with pytest.raises(InputError, match=r"set-0001-of-0003\.h5: missing"):
        phasegan.open(moved)
    report = make(forty, moved, shards=3)
    assert report.path == moved
    assert_same(moved, three / "set.h5")


def test_swapped_shards_are_refused(moved, forty):
    one, two, away = shard_path(moved, 0, 3), shard_path(moved, 1, 3), moved.with_name("away")
    one.rename(away)
    two.rename(one)
    away.rename(two)
    with pytest.raises(InputError, match=r"set-0000-of-0003\.h5: not the shard that set\.h5"):
        phasegan.open(moved)
    moved.unlink()
    with pytest.raises(InputError, match="is not what its name says"):
        make(forty, moved, shards=3)


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"size": 10}, {"phase_bits": 4}, {"images": False}]
)
def test_a_shard_of_other_options_is_not_joined(moved, forty, tmp_path, options):
    moved.unlink()
    make(forty, tmp_path / "set.h5", shards=3, shard=1, **options)
    shutil.copy(shard_path(tmp_path / "set.h5", 1, 3), moved.parent)
    with pytest.raises(InputError, match=r"set-0001-of-0003\.h5"):
        make(forty, moved, shards=3)
    with pytest.raises(InputError, match=r"set-0001-of-0003\.h5: .*--overwrite"):
        make(forty, moved, shards=3, shard=2)
    assert not moved.exists()


def test_a_shard_of_other_pictures_is_not_joined(moved, forty, tmp_path):
    moved.unlink()
    shutil.copytree(forty, tmp_path / "other" / "pictures")
    save(tmp_path / "other" / "pictures" / "new.png", 99)
    with pytest.raises(InputError, match="the source's files have changed since"):
        make(tmp_path / "other" / "pictures", moved, shards=3)
    shard_path(moved, 0, 3).unlink()
    with pytest.raises(InputError, match=r"0001-of-0003\.h5: .*other pictures in the source"):
        make(tmp_path / "other" / "pictures", moved, shards=3, shard=0)


def test_a_flipped_bit_in_a_shard_is_found(moved, run_cli):
    with phasegan.open(moved) as file:
        code = file.test.codes([1])
        ends = np.cumsum([len(shard.test) for shard in file.shards])
        number = int(np.searchsorted(ends, 1, side="right"))
        row = 1 - int(ends[number]) + len(file.shards[number].test)
    path = shard_path(moved, number, 3)
    data = bytearray(path.read_bytes())
    place = data.index(code.tobytes())
    data[place + 5] ^= 16
    path.write_bytes(data)
    with phasegan.open(moved) as file:
        with pytest.raises(InputError, match=rf"{path.name}: damaged, test/phase of sample"):
            file.test.codes([1])
        file.train.codes()
    found = run_cli("inspect", moved, "--verify")
    assert found.status == 2
    assert f"{path.name}: test/phase (1 sample: {row})" in found.out + found.err


def test_flipped_bits_in_the_joined_file_are_found(moved, three):
    whole = moved.read_bytes()
    with phasegan.open(three / "set.h5") as file:
        expected = file.train.codes(), file.test.images(), file.train.sources()
    draw = random.Random(1)
    for _ in range(60):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        moved.write_bytes(data)
        try:
            with phasegan.open(moved) as file:
                found = file.train.codes(), file.test.images(), file.train.sources()
        except InputError:
            continue
        for mine, its in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, its)


def test_random_access_crosses_the_borders_of_shards(three, forty, tmp_path, rng):
    make(forty, tmp_path / "whole.h5")
    with phasegan.open(three / "set.h5") as file, phasegan.open(tmp_path / "whole.h5") as whole:
        count = len(whole.train)
        wanted = rng.integers(0, count, 200)
        slices = [slice(3, 30), slice(None, None, -1), slice(25, 3, -4), slice(5, 5)]
        for indices in (wanted, wanted.tolist(), [], [count - 1], *slices):
            for name in ("phase", "images", "source", "undefined"):
                np.testing.assert_array_equal(
                    file.train.take(name, indices), whole.train.take(name, indices)
                )
        with pytest.raises(InputError, match=f"index {count} is outside"):
            file.train.codes([0, count])
        blocks = [file.train.batches(5, shuffle="blocks", block=4, fields=["index", "codes"])]
        seen = [int(i) for batches in blocks for batch in batches for i in batch["index"]]
        assert sorted(seen) == list(range(count))


def _codes_in_child(file, queue):
    queue.put(file.train.codes().sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_an_open_set_is_read_by_other_processes(three, method):
    context = multiprocessing.get_context(method)
    with phasegan.open(three / "set.h5") as file:
        expected, queue = file.train.codes().sum(), context.Queue()
        child = context.Process(target=_codes_in_child, args=(file, queue))
        child.start()
        assert queue.get(timeout=300) == expected
        child.join()
        assert file.train.sources()


def test_threads_read_across_shards(three):
    with phasegan.open(three / "set.h5") as file:
        expected = file.train.codes()
        orders = [np.random.default_rng(i).permutation(len(expected)) for i in range(8)]
        with ThreadPoolExecutor(8) as pool:
            for order, found in zip(orders, pool.map(file.train.codes, orders), strict=True):
                np.testing.assert_array_equal(found, expected[order])


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A file of forty shards; read only."""
    root = tmp_path_factory.mktemp("many")
    make("builtin", root / "set.h5", shards=40, size=4, samples=40, test=0)
    return root / "set.h5"


_READ = """
import resource, sys
import phasegan
from phasegan.errors import InputError
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[3])))
try:
    with phasegan.open(sys.argv[1]) as file:
        print(len(file.train.codes()), len(file.train.sources()), len(file.shards))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [(50, 4096, "40 40 40"), (50, 50, "40 shards, and this process may open 50 files")],
)
def test_more_shards_than_open_files(many, soft, hard, said):
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(many), str(soft), str(hard)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert said in done.stdout, done.stderr


def test_opening_keeps_no_shard_open(many):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    before = len(os.listdir("/proc/self/fd"))
    with phasegan.open(many) as file:
        assert len(os.listdir("/proc/self/fd")) < before + 5
        file.train.codes()
    assert len(os.listdir("/proc/self/fd")) == before
