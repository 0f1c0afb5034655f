"""Shards: joined they are what one file would be."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
from shard_helper import assert_same, make, save

import phasegan
from phasegan.data.hdf5.verification import verify
from phasegan.data.prepare.shards import shard_paths
from phasegan.errors import InputError

CASES = {
    "unsplit": {},
    "counts": {"samples": 17, "test": 6},
    "samples": {"samples": 12},
    "no test": {"test": 0},
    "seed": {"seed": 5},
    "phases": {"images": False},
    "rgb": {"channels": "rgb"},
    "noise": {"phase_noise": 0.3, "phase_bits": 5},
    "padded": {"oversample": 2, "phase_dtype": "float32"},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
@pytest.mark.parametrize("total", [1, 4])
def test_joined_shards_are_what_one_file_would_be(forty, tmp_path, options, total):
    whole = make(forty, tmp_path / "whole.h5", **options)
    joined = make(forty, tmp_path / "set.h5", shards=total, **options)
    assert_same(joined.path, whole.path)
    assert (joined.train, joined.test) == (whole.train, whole.test)
    assert joined.shards == (total, total)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"whole.h5", "set.h5", *(p.name for p in shard_paths(joined.path, total))}


@pytest.mark.parametrize("options", [{}, {"samples": 7, "test": 3, "seed": 2}, {"test": 0}])
@pytest.mark.parametrize("total", [3, 7])
def test_a_split_that_is_given_is_kept(presplit, tmp_path, options, total):
    whole = make(presplit, tmp_path / "whole.h5", **options)
    joined = make(presplit, tmp_path / "set.h5", shards=total, **options)
    assert_same(joined.path, whole.path)


def test_crops_of_photographs_are_cut_into_shards_too(tmp_path):
    options = {"samples": 7, "test": 4, "size": 16}
    whole = make("builtin", tmp_path / "whole.h5", **options)
    joined = make("builtin", tmp_path / "set.h5", shards=3, **options)
    assert_same(joined.path, whole.path)


def test_more_shards_than_training_samples_are_refused_by_every_job(presplit, forty, tmp_path):
    make(presplit, tmp_path / "most.h5", shards=11)
    for number in (None, 0, 11):
        with pytest.raises(InputError, match="without a training sample; ask for at most 11"):
            make(presplit, tmp_path / "set.h5", shards=12, shard=number)
    with pytest.raises(InputError, match="ask for at most 5"):  # of ten pictures and a rest
        make(forty, tmp_path / "set.h5", shards=6)
    with pytest.raises(InputError, match="ask for at most 3"):
        make(forty, tmp_path / "set.h5", shards=4, samples=3, test=9)
    assert not list(tmp_path.glob("set*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shard": 0}, "say of how many"),
        ({"shards": 3, "shard": 3}, "must be 0 to 2"),
        ({"shards": 0}, "must be at least 1"),
        ({"shards": 10000}, "must be at most 9999"),
        ({"shards": 3, "shard": 0, "scheduler": "tcp://127.0.0.1:1"}, "give one"),
    ],
)
def test_options_that_contradict_one_another_are_refused(forty, tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        make(forty, tmp_path / "set.h5", **options)


def test_arrays_have_no_shards(tmp_path, rng):
    with pytest.raises(InputError, match="in one piece, without shards"):
        make(rng.integers(0, 256, (9, 8, 8), dtype=np.uint8), tmp_path / "a.h5", shards=2)


@pytest.fixture
def damaged(forty, tmp_path):
    """The forty pictures, five of them damaged, and three there twice."""
    root = tmp_path / "damaged"
    shutil.copytree(forty, root)
    for name in ("0/4.png", "1/5.png", "2/14.png", "3/19.png", "0/20.png"):
        (root / name).write_bytes((root / name).read_bytes()[:60])
    for i, name in enumerate(("0/0.png", "1/1.png", "2/2.png")):
        shutil.copy(root / name, root / f"again{i}.png")
    return root


@pytest.mark.parametrize("total", [2, 5])
def test_damaged_pictures_are_left_out_and_no_sample_is_there_twice(damaged, tmp_path, total):
    report = make(damaged, tmp_path / "set.h5", shards=total)
    damages = [name for name, reason in report.skipped if "same file" not in reason]
    assert sorted(damages) == ["0/20.png", "0/4.png", "1/5.png", "2/14.png", "3/19.png"]
    with phasegan.open(report.path) as file:
        train, test = file.train.sources(), file.test.sources()
        names = {*train, *test, *(name for name, _ in report.skipped)}
        assert len(names) == len(train) + len(test) + len(report.skipped) == 46
        assert not {*file.train.source_sha256()} & {*file.test.source_sha256()}
        assert (report.train, report.test) == (len(train), len(test))
        assert verify(file) == []
    with h5py.File(report.path) as file:
        assert [text.decode() for text in file["test/source"]] == test


def test_counts_asked_for_are_met_in_spite_of_damaged_pictures(damaged, tmp_path):
    report = make(damaged, tmp_path / "set.h5", shards=2, samples=20, test=6)
    left_out = [name for name, reason in report.skipped if "same file" in reason]
    assert report.train == 20
    assert 6 - len(left_out) <= report.test <= 6


def duplicates(folder, deep=""):
    """Pictures of which every one stands there four times: some on both sides."""
    for i in range(30):
        save(folder / deep / f"{i}.png", i % 8)


@pytest.mark.parametrize("deep", ["", "train", "test"])
def test_a_file_in_two_shards_is_never_on_both_sides(tmp_path, deep):
    duplicates(tmp_path / "pictures", deep)
    report = make(tmp_path / "pictures", tmp_path / "set.h5", shards=3)
    with phasegan.open(report.path) as file:
        assert not {*file.train.source_sha256()} & {*file.test.source_sha256()}
        assert verify(file) == []
        left = [name for name, reason in report.skipped if "train split" in reason]
        assert not {*left} & {*file.test.sources(), *file.train.sources()}
    assert left
    assert report.shared == 0


def test_a_given_split_keeps_and_counts_what_is_on_both_sides(tmp_path):
    for i in range(9):
        save(tmp_path / "p" / "train" / f"{i}.png", i)
    for i in (2, 7, 20):
        save(tmp_path / "p" / "test" / f"{i}.png", i)
    whole = make(tmp_path / "p", tmp_path / "whole.h5")
    joined = make(tmp_path / "p", tmp_path / "set.h5", shards=3)
    assert joined.shared == whole.shared == 2
    assert_same(joined.path, whole.path)


def test_a_shard_that_would_not_fit_is_not_made(forty, tmp_path):
    path = tmp_path / "set.h5"
    for number in (0, 2):
        make(forty, path, shards=3, shard=number, size=(6, 8))
    kept = {name: name.read_bytes() for name in tmp_path.glob("*.h5")}
    with pytest.raises(InputError, match=r"set-0001-of-0003.*would not fit set-0000-of-0003"):
        make(forty, path, shards=3, shard=1, size=(8, 6))
    assert {name: name.read_bytes() for name in tmp_path.glob("*.h5")} == kept
    assert make(forty, path, shards=3, shard=1, size=(6, 8)).path == path
