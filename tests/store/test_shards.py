"""Shards: joined they are what one file would be, and nothing foreign or missing is read."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import phasegan
import phasegan.store.workers
from phasegan.errors import InputError, RunError
from phasegan.store.folders import PictureFolder
from phasegan.store.shards import list_path, shard_path, shard_paths
from phasegan.store.verification import verify

OWN = ("attributes_checksum",)
"""Attributes in which a joined file may differ from one that was made in one piece."""


class Here(phasegan.store.workers.Here):
    """Decodes in this process: the tests of workers see to the others."""

    def __init__(self, work, count):
        super().__init__(work)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@pytest.fixture(autouse=True, scope="module")
def _here():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("phasegan.store.fill.Workers", Here)
        yield


def save(path: Path, seed: int, side: int = 20, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (side, side) if mode == "L" else (side, side, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)


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
        ({"shards": 0}, "must be 1 to 9999"),
        ({"shards": 10000}, "must be 1 to 9999"),
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


def test_jobs_come_in_any_order_and_the_last_one_joins(forty, tmp_path):
    whole = make(forty, tmp_path / "whole.h5")
    path, order = tmp_path / "set.h5", list(range(4))
    random.Random(3).shuffle(order)
    for done, number in enumerate(order, 1):
        assert not path.exists()
        report = make(forty, path, shards=4, shard=number)
        assert report.shards == (done, 4)
        assert report.path == (path if done == 4 else shard_path(path, number, 4))
    assert_same(path, whole.path)
    assert not list_path(path).exists()
    late = make(forty, path, shards=4, shard=2)
    assert not late.written
    assert (late.train, late.test) == (whole.train, whole.test)


def test_two_last_jobs_at_once_both_finish(forty, tmp_path, start_cli):
    path = tmp_path / "set.h5"
    words = ["prepare", forty, "-o", path, "--size", 8, "--workers", 1, "--shards", 3]
    jobs = [start_cli(*words, "--shard", number) for number in range(3)]
    said = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    with phasegan.open(path) as file:
        assert len(file.train) + len(file.test) == 43
        assert verify(file) == []
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert sum("joined from 3 shards" in out for out, _ in said) >= 1


def test_a_killed_shard_is_continued(tmp_path):
    for i in range(300):
        save(tmp_path / "p" / f"{i}.png", i, side=64)
    whole = make(tmp_path / "p", tmp_path / "whole.h5", size=64)
    path, number = tmp_path / "set.h5", 1
    words = ["prepare", tmp_path / "p", "-o", path, "--size", 64, "--workers", 1]
    words += ["--shards", 2, "--shard", number]
    job = subprocess.Popen(
        [sys.executable, "-m", "phasegan", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = shard_path(path, number, 2).with_name(f".{shard_path(path, number, 2).name}.journal")
    limit = time.monotonic() + 60
    while time.monotonic() < limit and job.poll() is None:
        if journal.exists() and journal.stat().st_size > 8000:
            break
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not shard_path(path, number, 2).exists()
    assert journal.exists()
    report = make(tmp_path / "p", path, size=64, shards=2, resume=True)
    assert 0 < report.resumed < 150
    assert_same(path, whole.path)


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
        assert queue.get(timeout=60) == expected
        child.join()
        assert file.train.sources()


def test_threads_read_across_shards(three):
    with phasegan.open(three / "set.h5") as file:
        expected = file.train.codes()
        orders = [np.random.default_rng(i).permutation(len(expected)) for i in range(8)]
        with ThreadPoolExecutor(8) as pool:
            for order, found in zip(orders, pool.map(file.train.codes, orders), strict=True):
                np.testing.assert_array_equal(found, expected[order])


def test_a_list_is_read_back_as_it_was(forty, tmp_path):
    folder = PictureFolder(forty)
    folder.save(tmp_path / "list")
    again = PictureFolder.restore(forty, tmp_path / "list")
    assert again is not None
    assert again.splits() == folder.splits()
    assert [again.item(i) for i in range(43)] == [folder.item(i) for i in range(43)]
    assert (again.listing(), again.depth(), again.longest(), again.ignored) == (
        folder.listing(), folder.depth(), folder.longest(), folder.ignored,
    )  # fmt: skip
    assert PictureFolder.restore(tmp_path, tmp_path / "list") is None


def test_a_damaged_list_is_not_believed(forty, tmp_path):
    PictureFolder(forty).save(tmp_path / "list")
    whole = (tmp_path / "list").read_bytes()
    draw = random.Random(2)
    for _ in range(200):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (tmp_path / "list").write_bytes(data)
        assert PictureFolder.restore(forty, tmp_path / "list") is None
    for size in (0, 10, 100, len(whole) - 1):
        (tmp_path / "list").write_bytes(whole[:size])
        assert PictureFolder.restore(forty, tmp_path / "list") is None


@pytest.mark.parametrize("change", ["added", "removed", "renamed"])
def test_a_list_that_is_out_of_date_is_written_again(forty, tmp_path, change):
    root, path = tmp_path / "p", tmp_path / "set.h5"
    shutil.copytree(forty, root)
    make(root, path, shards=2, shard=0)
    before = list_path(path).read_bytes()
    if change == "added":
        save(root / "1" / "new.png", 77)
    elif change == "removed":
        (root / "1" / "1.png").unlink()
    else:
        (root / "1" / "1.png").rename(root / "1" / "one.png")
    with pytest.raises(InputError, match=r"set-0000-of-0002\.h5 is there, but .* have changed"):
        make(root, path, shards=2)
    assert list_path(path).read_bytes() != before
    report = make(root, path, shards=2, overwrite=True)
    whole = make(root, tmp_path / "whole.h5")
    assert_same(report.path, whole.path)


def test_a_damaged_list_in_the_way_is_replaced(forty, tmp_path):
    path = tmp_path / "set.h5"
    make(forty, path, shards=2, shard=0)
    list_path(path).write_bytes(b"rubbish")
    assert make(forty, path, shards=2, shard=1).path == path


def test_output_may_stand_among_the_pictures(forty, tmp_path):
    root = tmp_path / "p"
    shutil.copytree(forty, root)
    make(root, root / "set.h5", shards=2, shard=0)
    before = list_path(root / "set.h5").stat().st_mtime_ns
    make(root, root / "other.h5")
    assert PictureFolder.restore(root, list_path(root / "set.h5")) is not None
    assert list_path(root / "set.h5").stat().st_mtime_ns == before
    assert make(root, root / "set.h5", shards=2, shard=1).shards == (2, 2)


def test_a_folder_without_a_name_is_the_same_folder(forty, tmp_path, monkeypatch):
    make(forty, tmp_path / "set.h5", shards=2, shard=0)
    monkeypatch.chdir(forty)
    assert make(".", tmp_path / "set.h5", shards=2, shard=1).shards == (2, 2)


@pytest.mark.parametrize("number", [None, 1])
def test_dry_run_says_what_would_be_done(forty, tmp_path, run_cli, number):
    words = [] if number is None else ["--shard", number]
    said = run_cli("prepare", forty, "-o", tmp_path / "set.h5", "--shards", 3, *words, "--dry-run")
    assert said.status == 0
    assert ("in 3 shards" in said.out) == (number is None)
    assert ("set-0001-of-0003.h5" in said.out) == (number == 1)
    assert not list(tmp_path.glob("*.h5*"))
    many = run_cli("prepare", forty, "--shards", 6, "--dry-run")
    assert many.status == 2
    assert "at most 5" in many.err


def test_what_is_there_is_kept_or_replaced_when_asked(forty, tmp_path):
    path = tmp_path / "set.h5"
    make(forty, path, shards=3)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.h5")}
    assert not make(forty, path, shards=3).written
    assert not make(forty, path).written
    with pytest.raises(InputError, match="was prepared otherwise"):
        make(forty, path, shards=3, seed=1)
    with pytest.raises(InputError, match="was prepared otherwise"):
        make(forty, path, shards=3, shard=0, seed=1)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.h5")} == before
    whole = make(forty, tmp_path / "whole.h5", seed=1)
    report = make(forty, path, shards=3, seed=1, overwrite=True)
    assert report.written
    assert_same(path, whole.path)


def test_jobs_replace_shards_one_by_one_and_the_last_one_joins(forty, tmp_path):
    path = tmp_path / "set.h5"
    make(forty, path, shards=3)
    whole = make(forty, tmp_path / "whole.h5", seed=1)
    for number in (2, 0, 1):
        report = make(forty, path, shards=3, shard=number, seed=1, overwrite=True)
        if number != 1:
            assert report.path == shard_path(path, number, 3)
            with pytest.raises(InputError, match="not the shard"):
                phasegan.open(path)
    assert_same(path, whole.path)


def test_a_file_in_one_piece_stays_when_shards_are_asked_for(forty, tmp_path):
    make(forty, tmp_path / "set.h5")
    before = (tmp_path / "set.h5").read_bytes()
    assert not make(forty, tmp_path / "set.h5", shards=3).written
    assert (tmp_path / "set.h5").read_bytes() == before
    assert not list(tmp_path.glob("set-*"))


def test_a_file_that_is_not_hdf5_is_never_replaced(forty, tmp_path):
    for name in ("set-0001-of-0002.h5", "set.h5"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(InputError):
            make(forty, tmp_path / "set.h5", shards=2, overwrite=True)
        assert (tmp_path / name).read_text() == "precious"
        (tmp_path / name).unlink()


def test_a_full_disk_leaves_no_joined_file(forty, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "phasegan.store.interrupted.shutil.disk_usage",
        lambda path: type("Usage", (), {"free": 100})(),
    )
    with pytest.raises(RunError, match="free some space"):
        make(forty, tmp_path / "set.h5", shards=2)
    assert not list(tmp_path.glob("*.h5"))


def test_a_recipe_with_a_checksum_is_held_to_it(forty, tmp_path):
    whole = make(forty, tmp_path / "whole.h5")
    with phasegan.open(whole.path) as file:
        checksum = file.attributes["source_checksum"]
    for name, asked in (("right", checksum), ("wrong", "sha256:" + "0" * 64)):
        recipe = tmp_path / f"{name}.toml"
        recipe.write_text(
            f'format = 1\nname = "{name}"\n[source]\nkind = "folder"\n'
            f"path = {json.dumps(str(forty))}\nchecksum = {json.dumps(asked)}\n"
        )
    assert make(tmp_path / "right.toml", tmp_path / "right.h5", shards=2).train == whole.train
    with pytest.raises(InputError, match="they are not the same set"):
        make(tmp_path / "wrong.toml", tmp_path / "wrong.h5", shards=2)
    assert not (tmp_path / "wrong.h5").exists()


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
        timeout=60,
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
