"""Every order gives every sample once, whoever reads which share of it."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import signal
import threading

import numpy as np
import pytest

import phasegan
from phasegan import free_memory
from phasegan.data.hdf5 import preload
from phasegan.data.samplers import ALL, SHUFFLES, Partition, Sampling
from phasegan.errors import InputError, RunError
from phasegan.progress import Progress

COUNT = 37


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("sampling") / "small.h5"
    phasegan.prepare("builtin", path, size=16, samples=COUNT, test=2)
    with phasegan.open(path) as opened:
        yield opened


def batches_of(sampling, epoch=0, share=ALL, part=ALL):
    """Return the rows of every batch."""
    return [
        window.rows[chosen].tolist()
        for window in sampling.windows(epoch, share, part)
        for chosen in window.batches(sampling.size)
    ]


SETTINGS = list(itertools.product(SHUFFLES, (0, 1, 5, 37, 101), (1, 4, 50), (1, 3, 200), (1, 2)))


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_every_sample_is_given_once_in_every_setting(ranks):
    for shuffle, count, size, block, window in SETTINGS:
        sampling = Sampling(count, size, shuffle, block, window, seed=3)
        shares = [batches_of(sampling, 2, Partition(rank, ranks)) for rank in range(ranks)]
        rows = [row for share in shares for batch in share for row in batch]
        assert sorted(rows) == list(range(count)), sampling
        for rank, share in enumerate(shares):
            assert len(share) == sampling.batches(Partition(rank, ranks))
            assert all(len(batch) == size for batch in share[:-1])


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_workers_divide_the_batches_of_their_process_among_them(workers):
    for shuffle, ranks in itertools.product(SHUFFLES, (1, 3)):
        sampling = Sampling(211, 4, shuffle, block=3, window=2, seed=1)
        for rank in range(ranks):
            share = Partition(rank, ranks)
            whole = batches_of(sampling, 5, share)
            parts = [batches_of(sampling, 5, share, Partition(w, workers)) for w in range(workers)]
            assert sorted(itertools.chain(*parts)) == sorted(whole)


def test_without_incomplete_batches_all_processes_have_equally_many():
    for shuffle, count, size, block, window in SETTINGS:
        for ranks in (1, 2, 5):
            sampling = Sampling(count, size, shuffle, block, window, drop_last=True)
            shares = [batches_of(sampling, 0, Partition(rank, ranks)) for rank in range(ranks)]
            assert {len(share) for share in shares} == {count // (size * ranks)}
            rows = [row for share in shares for batch in share for row in batch]
            assert len(rows) == len(set(rows)) == count // (size * ranks) * size * ranks


def test_the_order_is_that_of_the_seed_and_the_epoch():
    for shuffle in ("samples", "blocks"):
        orders = [
            batches_of(Sampling(101, 4, shuffle, block=5, window=3, seed=seed), epoch)
            for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
        ]
        assert orders[0] == orders[1]
        assert orders[0] != orders[2] != orders[3] != orders[0]
    plain = [batches_of(Sampling(101, 4, seed=s), e) for s, e in ((0, 0), (1, 3))]
    assert plain[0] == plain[1] == [list(range(i, min(i + 4, 101))) for i in range(0, 101, 4)]


def test_a_window_lies_in_few_pieces_and_is_bounded():
    sampling = Sampling(10_000, 32, "blocks", block=50, window=8)
    windows = list(sampling.windows())
    assert max(len(w.rows) for w in windows) == 416  # 8 × 50, rounded up to batches of 32
    for window in windows:
        assert np.count_nonzero(np.diff(window.rows) != 1) <= 10
    starts = [int(w.rows[0]) for w in windows]
    assert starts != sorted(starts)


def test_how_often_a_batch_has_two_samples_of_one_block_is_as_documented():
    size, block, window = 16, 10, 8
    sampling = Sampling(8000, size, "blocks", block, window)
    same = pairs = 0
    for epoch in range(4):
        for rows, order in sampling.windows(epoch):
            blocks = np.cumsum(np.diff(rows, prepend=rows[0]) != 1)
            for batch in (blocks[order[i : i + size]] for i in range(0, len(rows), size)):
                same += np.count_nonzero(batch[:, None] == batch) - len(batch)
                pairs += len(batch) * (len(batch) - 1)
    assert same / pairs == pytest.approx((block - 1) / (window * block - 1), rel=0.03)


def test_every_place_is_as_likely_for_every_sample():
    for shuffle in ("samples", "blocks"):
        seen = np.zeros((12, 12))
        for seed in range(2000):
            rows = itertools.chain(*batches_of(Sampling(12, 4, shuffle, 3, 2, seed=seed)))
            seen[np.arange(12), list(rows)] += 1
        assert np.abs(seen / 2000 - 1 / 12).max() < 0.035  # 5.6 standard deviations


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size = 0"),
        ({"size": True}, "size = True"),
        ({"size": 2.5}, "size = 2.5"),
        ({"shuffle": "all"}, "choose one of none, samples, blocks"),
        ({"block": 0}, "block = 0"),
        ({"window": 0}, "window = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"epoch": -1}, "epoch = -1"),
        ({"fields": ["fase"]}, "field 'fase': choose of phase, codes"),
        ({"fields": []}, "no fields"),
        ({"dtype": int}, "phases are float16, float32 or float64"),
        ({"dtype": "complex"}, "phases are float16, float32 or float64"),
        ({"dtype": "bfloat16"}, "phases are float16, float32 or float64"),
    ],
)
def test_wrong_values_are_named_at_once(file, values, message):
    with pytest.raises(InputError, match=message):
        file.train.batches(**{"size": 4, **values})


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_batches_hold_what_the_accessors_give(file, shuffle):
    fields = ("index", "phase", "codes", "images", "undefined", "source", "source_sha256")
    split, seen = file.train, []
    for batch in split.batches(5, shuffle=shuffle, block=3, window=2, fields=fields):
        assert tuple(batch) == fields
        rows = batch["index"]
        np.testing.assert_array_equal(batch["phase"], split.phase(rows, np.float32))
        np.testing.assert_array_equal(batch["codes"], split.codes(rows))
        np.testing.assert_array_equal(batch["images"], split.images(rows))
        np.testing.assert_array_equal(batch["undefined"], split.undefined(rows))
        assert batch["source"].tolist() == split.sources(rows)
        assert batch["source_sha256"].tolist() == split.source_sha256(rows)
        seen += rows.tolist()
    assert sorted(seen) == list(range(COUNT))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("stored", ["uint16", "float16", "float32"])
def test_phases_are_decoded_as_by_phase(tmp_path, stored, dtype):
    path = tmp_path / "a.h5"
    phasegan.prepare("builtin", path, size=16, samples=2, test=1, phase_dtype=stored)
    with phasegan.open(path) as opened:
        expected = opened.train.phase(dtype=np.dtype(dtype).type)
        batch = next(opened.train.batches(2, dtype=dtype))
        assert batch["phase"].dtype == dtype
        np.testing.assert_array_equal(batch["phase"], expected)
        np.testing.assert_array_equal(opened.train.load(dtype=dtype)["phase"], expected)


def test_a_file_of_phases_alone_gives_phases(tmp_path):
    path = tmp_path / "alone.h5"
    phasegan.prepare("builtin", path, size=16, samples=3, test=1, images=False)
    with phasegan.open(path) as opened:
        assert [set(batch) for batch in opened.train.batches(3)] == [{"phase"}]
        assert set(opened.train.load()) == {"phase"}
        with pytest.raises(InputError, match="no images: leave images out"):
            opened.train.batches(3, fields=["phase", "images"])


def test_an_empty_split_has_no_batches(tmp_path):
    path = tmp_path / "empty.h5"
    phasegan.prepare("builtin", path, size=16, samples=3, test=0)
    with phasegan.open(path) as opened:
        for shuffle in SHUFFLES:
            assert list(opened.test.batches(2, shuffle=shuffle)) == []
        assert opened.test.load()["images"].shape == (0, 16, 16)


def test_shards_are_read_as_one_file(file, tmp_path, monkeypatch):
    for shard in range(3):
        phasegan.prepare(
            "builtin", tmp_path / "set.h5", size=16, samples=COUNT, test=2, shards=3, shard=shard
        )
    monkeypatch.setattr(preload, "BLOCK_BYTES", 4000)
    with phasegan.open(tmp_path / "set.h5") as joined:
        for name, values in file.train.load().items():
            np.testing.assert_array_equal(joined.train.load(threads=2)[name], values)
        values = {"shuffle": "blocks", "block": 5, "window": 3, "fields": ["images", "source"]}
        pairs = zip(file.train.batches(4, **values), joined.train.batches(4, **values), strict=True)
        for one, other in pairs:
            np.testing.assert_array_equal(one["images"], other["images"])
            assert one["source"].tolist() == other["source"].tolist()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_loading_gives_everything(file, monkeypatch, threads, device):
    monkeypatch.setattr(preload, "BLOCK_BYTES", 4000)  # several blocks
    fields = ["phase", "codes", "images", "undefined", "index"]
    found = file.train.load(fields, device, threads=threads)
    assert list(found) == fields
    values = {name: np.asarray(value) for name, value in found.items()}
    np.testing.assert_array_equal(values["phase"], file.train.phase(dtype=np.float32))
    np.testing.assert_array_equal(values["codes"], file.train.codes())
    np.testing.assert_array_equal(values["images"], file.train.images())
    np.testing.assert_array_equal(values["undefined"], file.train.undefined())
    np.testing.assert_array_equal(values["index"], np.arange(COUNT))


def test_texts_are_loaded_but_not_to_a_device(file):
    found = file.train.load(["source", "source_sha256"])
    assert found["source"].tolist() == file.train.sources()
    assert found["source_sha256"].tolist() == file.train.source_sha256()
    with pytest.raises(InputError, match="source are texts"):
        file.train.load(["source"], "cpu")


@pytest.mark.parametrize("device", ["tpu", "cuda:x", 3.5])
def test_an_unknown_device_is_named(file, device):
    with pytest.raises(InputError, match=r"device .*choose one of auto, cpu, cuda, mps"):
        file.train.load(device=device)


def test_loading_reports_every_sample(file, monkeypatch):
    monkeypatch.setattr(preload, "BLOCK_BYTES", 4000)
    counted = []

    class Counting(Progress):
        def task(self, label, total, done=0):
            counted.append(total)
            return super().task(label, total, done)

    class Silent:
        def advance(self, count=1, note=""):
            counted.append(count)

    monkeypatch.setattr("phasegan.progress._Silent", Silent)
    file.train.load(progress=Counting())
    assert counted[0] == sum(counted[1:]) == COUNT
    assert len(counted) > 3


def test_what_does_not_fit_into_memory_is_refused_with_both_sizes(file, monkeypatch):
    monkeypatch.setattr(preload, "free_memory", lambda: 3 * 2**10)
    with pytest.raises(
        RunError, match=r"need .*iB of memory, 3\.0 KiB are free: load fewer"
    ) as got:
        file.train.load()
    assert "\n" not in str(got.value)
    monkeypatch.setattr(preload, "free_memory", lambda: None)
    file.train.load()


def test_memory_that_runs_out_after_all_is_one_line(file, monkeypatch):
    def none_left(*arguments):
        raise MemoryError

    monkeypatch.setattr(preload, "_empty", none_left)
    with pytest.raises(RunError, match="more than there is: load fewer fields"):
        file.train.load()


def test_the_least_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "_GROUPS", tmp_path)
    before = free_memory.free_memory()
    for name, text in (
        ("memory.max", "5000\n"),
        ("memory.current", "3000\n"),
        ("memory.stat", "anon 5\ninactive_file 700\n"),
    ):
        (tmp_path / name).write_text(text)
    assert free_memory.free_memory() == 2700
    (tmp_path / "memory.max").write_text("max\n")
    assert before is None or free_memory.free_memory() > 2**20
    assert free_memory.format_bytes(1536) == "1.5 KiB"
    assert free_memory.format_bytes(0) == "0 bytes"


def flip(path, target, name="images"):
    """Copy a file and flip a bit in the first of its training samples' values."""
    shutil.copy(path, target)
    with phasegan.open(path) as opened:
        values = np.ascontiguousarray(opened.train.take(name, [7])).tobytes()
    data = bytearray(target.read_bytes())
    data[bytes(data).index(values) + 11] ^= 4
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("name", ["images", "phase"])
def test_a_flipped_bit_is_found_by_every_way_of_reading(file, tmp_path, name):
    path = flip(file.path, tmp_path / "flipped.h5", name)
    with phasegan.open(path) as opened:
        for shuffle in SHUFFLES:
            with pytest.raises(InputError, match=f"train/{name} of sample 7"):
                list(opened.train.batches(4, shuffle=shuffle))
        for threads in (1, 2):
            with pytest.raises(InputError, match=f"train/{name} of sample 7"):
                opened.train.load(threads=threads)
        others = set(opened.layout.raw) - {name}
        opened.train.load(["codes" if n == "phase" else n for n in others])


def test_eight_threads_read_what_one_reads(file, rng):
    expected = {"codes": file.train.codes(), "images": file.train.images()}
    wrong, reads = [], [rng.integers(0, COUNT, (150, 3)) for _ in range(8)]
    start = threading.Barrier(8)
    copy = pickle.loads(pickle.dumps(file))

    def read(mine):
        start.wait()
        for rows in mine:
            for name, values in expected.items():
                if not np.array_equal(getattr(copy.train, name)(rows), values[rows]):
                    wrong.append(rows)
            if not copy.train.sources(rows)[0].startswith(file.train.sources(rows[:1])[0]):
                wrong.append(rows)

    threads = [threading.Thread(target=read, args=(mine,)) for mine in reads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_threads_read_harms_neither(file):
    expected, stop = file.train.images(), threading.Event()
    wrong = []

    def read():
        while not stop.is_set():
            if not np.array_equal(file.train.images([5, 1]), expected[[5, 1]]):
                wrong.append("parent")
            file.train.sources([3])

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        statuses = []
        for _ in range(15):
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # a child that waits for a lock for ever is a failure
                good = np.array_equal(file.train.images(), expected)
                os._exit(0 if good and len(file.train.sources()) == COUNT else 1)
            statuses.append(os.waitpid(child, 0)[1])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 15
    assert wrong == []


def test_an_iterator_goes_on_after_the_file_was_closed(file):
    expected = [batch["images"] for batch in file.train.batches(4)]
    found = []
    for batch in file.train.batches(4):
        found.append(batch["images"])
        file.close()
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(expected))
