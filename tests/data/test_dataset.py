"""Prepared files under torch's DataLoader: the same data, whoever reads them."""

from __future__ import annotations

import itertools
import os
import pickle
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import phasegan
from phasegan.errors import InputError

COUNT = 37
ROOT = Path(__file__).parents[2]
METHODS = ["fork", "spawn", "forkserver"] if os.name == "posix" else ["spawn"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("dataset") / "small.h5"
    phasegan.prepare("builtin", target, size=16, samples=COUNT, test=2)
    return target


@pytest.fixture(scope="module")
def images(path):
    with phasegan.open(path) as file:
        return torch.from_numpy(file.train.images())


def rows_of(loader):
    return [batch["index"].tolist() for batch in loader]


def doubled(item):
    return {"images": 2 * item["images"].to(torch.int64), "index": item["index"]}


def test_items_are_the_samples(path, images):
    dataset = phasegan.PhaseDataset(path, fields=["phase", "codes", "images", "index", "source"])
    assert len(dataset) == COUNT
    for number, item in enumerate(dataset):  # ends by itself
        assert int(item["index"]) == number
        assert torch.equal(item["images"], images[number])
        assert item["phase"].dtype == torch.float32
        assert item["source"] == dataset.file.train.sources([number])[0]
        expected = dataset.file.train.phase([number], np.float32)[0]
        np.testing.assert_array_equal(item["phase"].numpy(), expected)
    assert number == COUNT - 1
    assert torch.equal(dataset[-1]["images"], images[-1])
    assert len(phasegan.PhaseDataset(path, "test")) == 2


@pytest.mark.parametrize("index", [COUNT, -COUNT - 1, 10**6])
def test_an_index_outside_is_named(path, index):
    dataset = phasegan.PhaseDataset(path)
    with pytest.raises(InputError, match=f"index {index} is outside the 37 samples of train"):
        dataset[index]
    with pytest.raises(IndexError):
        dataset.__getitems__([0, index])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": "validation"}, "choose train or test"),
        ({"fields": ["pixels"]}, "field 'pixels'"),
        ({"dtype": torch.int32}, "phases are float16, float32 or float64"),
        ({"dtype": torch.bfloat16}, "phases are float16, float32 or float64"),
    ],
)
def test_wrong_values_are_named(path, values, message):
    with pytest.raises(InputError, match=message):
        phasegan.PhaseDataset(path, **values)
    with pytest.raises(InputError, match=message):
        phasegan.PhaseBatches(path, 4, **values)


@pytest.mark.parametrize(
    ("rank", "ranks", "message"),
    [(0, None, "both"), (2, 2, "there are 2"), (-1, 2, "rank = -1"), (0, 0, "ranks = 0")],
)
def test_a_rank_must_be_one_of_those_there_are(path, rank, ranks, message):
    with pytest.raises(InputError, match=message):
        phasegan.PhaseBatches(path, 4, rank=rank, ranks=ranks)


def test_sixteen_bits_and_colours_keep_their_types(tmp_path):
    target = tmp_path / "rgb16.h5"
    rng = np.random.default_rng(0)
    from tifffile import imwrite

    (tmp_path / "deep").mkdir()
    for i in range(4):
        pixels = rng.integers(0, 65536, (16, 16, 3), dtype=np.uint16)
        imwrite(tmp_path / "deep" / f"{i}.tif", pixels)
    phasegan.prepare(
        tmp_path / "deep", target, size=16, channels="rgb", samples=3, test=1, phase_dtype="float32"
    )
    dataset = phasegan.PhaseDataset(target, dtype=torch.float64)
    batch = next(iter(DataLoader(dataset, batch_size=3, num_workers=1)))
    assert batch["images"].dtype == torch.uint16
    assert batch["phase"].dtype == torch.float64
    np.testing.assert_array_equal(batch["images"].numpy(), dataset.file.train.images())
    np.testing.assert_array_equal(batch["phase"].numpy(), dataset.file.train.phase())


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_workers_however_started_give_what_one_process_gives(path, images, method):
    dataset = phasegan.PhaseDataset(path, fields=["images", "index"], transform=doubled)
    assert torch.equal(dataset[3]["images"], 2 * images[3].to(torch.int64))  # opened before
    seen = []
    workers = 2 if method == "fork" else 1  # the others take seconds to start
    loader = DataLoader(
        dataset, batch_size=5, shuffle=True, num_workers=workers, multiprocessing_context=method
    )
    for batch in loader:
        assert torch.equal(batch["images"], 2 * images[batch["index"]].to(torch.int64))
        seen += batch["index"].tolist()
    assert sorted(seen) == list(range(COUNT))


@pytest.mark.parametrize("method", METHODS[:2])
def test_batches_of_workers_however_started_are_those_of_one_process(path, images, method):
    batches = phasegan.PhaseBatches(
        path, 4, block=3, window=2, seed=5, fields=["images", "index"], rank=1, ranks=2
    )
    batches.set_epoch(3)
    alone = rows_of(DataLoader(batches, batch_size=None))
    assert len(alone) == len(batches)
    workers = 2 if method == "fork" else 1
    loader = DataLoader(
        batches, batch_size=None, num_workers=workers, multiprocessing_context=method
    )
    found = list(loader)
    assert sorted(rows_of(found)) == sorted(alone)
    assert all(torch.equal(batch["images"], images[batch["index"]]) for batch in found)


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (1, 2), (3, 0), (2, 2)])
def test_every_sample_once_an_epoch_over_ranks_and_workers(path, ranks, workers):
    for shuffle in ("none", "samples", "blocks") if workers == 0 else ("blocks",):
        seen = Counter()
        for rank in range(ranks):
            mine = phasegan.PhaseBatches(
                path, 4, shuffle=shuffle, block=3, window=2, fields=["index"], rank=rank,
                ranks=ranks,
            )  # fmt: skip
            loader = DataLoader(mine, batch_size=None, num_workers=workers)
            seen.update(itertools.chain(*rows_of(loader)))
        assert seen == Counter(range(COUNT))


def test_workers_that_persist_are_told_the_epoch(path):
    batches = phasegan.PhaseBatches(path, 4, block=3, window=2, fields=["index"])
    running = DataLoader(batches, batch_size=None, num_workers=1, persistent_workers=True)
    epochs = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        epochs.append(rows_of(running))
        assert epochs[-1] == rows_of(DataLoader(batches, batch_size=None))
    assert epochs[0] == epochs[2] != epochs[1]


def test_the_order_is_that_of_the_plain_iterator(path):
    values = {"shuffle": "blocks", "block": 3, "window": 2, "seed": 7, "fields": ["index"]}
    batches = phasegan.PhaseBatches(path, 4, **values)
    batches.set_epoch(2)
    with phasegan.open(path) as file:
        plain = file.train.batches(4, epoch=2, **values)
        assert rows_of(batches) == rows_of(plain)


def test_processes_of_a_group_share_and_their_workers_know(path, tmp_path):
    from torch import distributed

    batches = phasegan.PhaseBatches(path, 4, fields=["index"])
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1
    )
    try:
        assert batches.share == (0, 1)
        sent = pickle.dumps(batches)
    finally:
        distributed.destroy_process_group()
    assert pickle.loads(sent).share == (0, 1)
    other = phasegan.PhaseBatches(path, 4, fields=["index"], rank=1, ranks=3)
    assert pickle.loads(pickle.dumps(other)).share == (1, 3)
    assert rows_of(pickle.loads(pickle.dumps(other))) == rows_of(other)


def test_a_group_of_two_shares(path, monkeypatch):
    from torch import distributed

    batches = phasegan.PhaseBatches(path, 4, fields=["index"])
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    seen = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        sent = pickle.dumps(batches)
        with monkeypatch.context() as outside:
            outside.setattr(distributed, "is_initialized", lambda: False)
            seen += itertools.chain(*rows_of(pickle.loads(sent)))
        assert len(batches) == 5
    assert sorted(seen) == list(range(COUNT))


def test_a_dataset_can_be_pickled_and_closed_and_used_again(path, images):
    dataset = phasegan.PhaseDataset(path)
    copy = pickle.loads(pickle.dumps(dataset))
    dataset.file.close()
    for one in (dataset, copy):
        assert torch.equal(one[5]["images"], images[5])


def test_a_flipped_bit_is_an_error_of_the_loader(path, images, tmp_path):
    flipped = tmp_path / "flipped.h5"
    shutil.copy(path, flipped)
    data = bytearray(path.read_bytes())
    data[bytes(data).index(images[7].numpy().tobytes()) + 11] ^= 4
    flipped.write_bytes(data)
    samples, batches = phasegan.PhaseDataset(flipped), phasegan.PhaseBatches(flipped, 4)
    for loader in (
        DataLoader(samples, batch_size=4),
        DataLoader(samples, batch_size=4, num_workers=1),
        DataLoader(batches, batch_size=None),
    ):
        with pytest.raises(InputError, match="train/images of sample 7 is not what was written"):
            list(loader)
    assert len(list(phasegan.PhaseDataset(flipped, check=False))) == COUNT


def test_the_documented_example_runs(tmp_path, monkeypatch):
    import doctest

    monkeypatch.chdir(tmp_path)
    for example in doctest.DocTestFinder(recurse=False).find(phasegan.PhaseDataset, "it"):
        assert example.examples
        assert doctest.DocTestRunner().run(example).failed == 0


def test_the_code_in_the_reading_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phasegan.prepare("builtin", samples=8, test=1)
    text = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 8
    found = {}
    exec("\n".join(blocks), found)
    assert found["arrays"]["phase"].shape == (8, 128, 65)
    assert 0 <= found["white"].min() < found["white"].max() <= 1


@pytest.mark.parametrize(
    "indices",
    [[True, False], np.array([True]), [0.5, 1.9], [[1, 2]], 3, ["1"], {1, 2}, [None], [10**30]],
)
def test_indices_that_are_no_whole_numbers_are_refused(tiny, indices):
    with pytest.raises(InputError, match="give whole numbers"):
        phasegan.PhaseDataset(tiny, indices=indices)
    dataset = phasegan.PhaseDataset(tiny)
    with pytest.raises(InputError, match="give whole numbers"):
        dataset.read(indices)


@pytest.mark.parametrize("index", [[3, 4], (3, 4), np.array([3, 4]), 1.5, "1", True, 10**30])
def test_one_index_is_one_whole_number(tiny, index):
    with pytest.raises(InputError, match="give whole numbers"):
        phasegan.PhaseDataset(tiny)[index]


@pytest.mark.parametrize("in_memory", [False, True])
def test_indices_choose_samples_and_are_checked_at_once(tiny, in_memory):
    whole = phasegan.PhaseDataset(tiny, fields=["index"])
    chosen = phasegan.PhaseDataset(tiny, fields=["index"], indices=[2, -1, 2], in_memory=in_memory)
    assert [int(item["index"]) for item in chosen] == [2, len(whole) - 1, 2]
    assert int(chosen[-2]["index"]) == len(whole) - 1
    assert int(chosen[torch.tensor(0)]["index"]) == 2
    for outside in (3, -4, np.uint64(2**63 + 1)):
        with pytest.raises(IndexError, match=rf"index {outside} is outside the 3 samples"):
            chosen[outside]
    with pytest.raises(IndexError, match=f"index 99 is outside the {len(whole)} samples"):
        phasegan.PhaseDataset(tiny, indices=[0, 99])
