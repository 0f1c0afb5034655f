"""The parts of training one by one: pool, schedule, order, signals."""

from __future__ import annotations

import itertools
import os
import signal

import numpy as np
import pytest
import torch

import phasegan
from phasegan.training.data.cache_policy import CachePolicy, as_nchw, grey_levels
from phasegan.training.data.pair_batches import UnpairedBatches, choose_subset
from phasegan.training.data.prefetch import Prefetcher
from phasegan.training.image_pool import ImagePool
from phasegan.training.schedule import linear_decay, sample_epochs
from phasegan.training.stop_signals import SignalGuard


def pool(size, seed=0):
    return ImagePool(size, torch.Generator().manual_seed(seed))


def numbered(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)


def test_a_pool_passes_pictures_on_until_it_is_full():
    history = pool(50)
    for i in range(50):
        assert float(history.query(numbered(i))) == i
    assert len(history.images) == 50


def test_a_full_pool_swaps_half_of_the_time_and_loses_nothing():
    history = pool(50)
    for i in range(50):
        history.query(numbered(i))
    out = [float(history.query(numbered(100 + i))) for i in range(2000)]
    swapped = sum(value != 100 + i for i, value in enumerate(out))
    assert 900 < swapped < 1100
    kept = [float(p) for p in history.images]
    assert sorted(out + kept) == sorted([*range(50), *range(100, 2100)])


def test_a_pool_of_size_zero_passes_everything_on():
    batch = numbered(1, 2).requires_grad_()
    answer = pool(0).query(batch)
    assert torch.equal(answer, batch)
    assert not answer.requires_grad


def test_a_restored_pool_goes_on_alike():
    one = pool(3)
    for i in range(10):
        one.query(numbered(i))
    other = pool(3, seed=9)
    other.load_state_dict(one.state_dict(), torch.device("cpu"))
    for i in range(20):
        assert torch.equal(one.query(numbered(i, -i)), other.query(numbered(i, -i)))


def test_the_published_schedule():
    factors = [linear_decay(e, 200) for e in range(200)]
    assert factors[:100] == [1.0] * 100
    assert np.allclose(np.diff(factors[100:]), -1 / 101)
    assert factors[-1] == pytest.approx(1 / 101)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 50])
def test_rates_never_rise_and_never_vanish(epochs):
    factors = [linear_decay(e, epochs) for e in range(epochs)]
    assert factors[0] == 1
    assert all(a >= b > 0 for a, b in itertools.pairwise(factors))


@pytest.mark.parametrize("epochs", [1, 5, 20, 21, 50, 1000])
def test_sample_pictures_are_few_and_include_the_last(epochs):
    chosen = sample_epochs(epochs)
    assert epochs in chosen
    assert len(chosen) <= 21
    assert chosen <= set(range(1, epochs + 1))


def test_subsets_of_a_seed_are_nested():
    large = choose_subset(1000, 200, seed=3)
    assert len(set(large)) == 200
    np.testing.assert_array_equal(choose_subset(1000, 50, seed=3), large[:50])
    assert set(choose_subset(1000, 50, seed=4)) != set(large[:50])


def test_domains_are_shuffled_apart_and_every_sample_is_seen(tiny):
    with phasegan.open(tiny) as file:
        batches = UnpairedBatches(file, np.arange(6), 4, seed=0)
        orders = {(e, d): tuple(batches.order(e, d)) for e in range(4) for d in (0, 1)}
        assert all(sorted(order) == list(range(6)) for order in orders.values())
        assert len(set(orders.values())) > 6
        a, b = batches.load(0, 1)
        assert a.shape == b.shape == (2, 1, 32, 32)


def test_data_larger_than_memory_are_read_batch_by_batch(tiny, monkeypatch):
    with phasegan.open(tiny) as file:
        resident = UnpairedBatches(file, np.array([5, 1, 3]), 2, seed=0)
        monkeypatch.setattr("phasegan.training.data.cache_policy.RESIDENT_BYTES", 0)
        lazy = UnpairedBatches(file, np.array([5, 1, 3]), 2, seed=0)
        for step in (0, 1):
            for ours, theirs in zip(resident.load(0, step), lazy.load(0, step), strict=True):
                assert torch.equal(ours, theirs)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_signal_is_noted_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with SignalGuard() as guard:
        os.kill(os.getpid(), signal.SIGTERM)
        assert guard.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_batches_are_loaded_one_step_ahead_and_in_order():
    loaded = []

    def load(done):
        loaded.append(done)
        return done

    with Prefetcher(load, 5, active=True) as ahead:
        assert [ahead(done) for done in (0, 1, 2)] == [0, 1, 2]
        assert ahead(1) == 1  # back to an earlier state
        assert [ahead(done) for done in (2, 3, 4)] == [2, 3, 4]
    assert max(loaded) == 4
    assert loaded.count(2) <= 2
    loaded.clear()
    with Prefetcher(load, 5, active=False) as ahead:
        assert ahead(0) == 0
    assert loaded == [0]


def test_what_fails_in_the_thread_fails_where_the_batch_is_wanted():
    def load(done):
        if done == 1:
            raise OSError("gone")
        return done

    with Prefetcher(load, 5, active=True) as ahead:
        assert ahead(0) == 0
        with pytest.raises(OSError, match="gone"):
            ahead(1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_come_to_a_device_with_the_bytes_of_the_file(dtype):
    top = np.iinfo(dtype).max
    pixels = np.array([0, 1, top // 2 + 1, top], dtype).reshape(1, 2, 2)
    planes = as_nchw(pixels)
    assert planes.nbytes == pixels.nbytes
    assert planes.shape == (1, 1, 2, 2)
    assert grey_levels(torch.from_numpy(planes)).flatten().tolist() == pixels.flatten().tolist()


@pytest.mark.parametrize(
    ("wanted", "size", "held"),
    [(None, 2**30, True), (None, 2**32, False), ("memory", 2**40, True), ("disk", 1, False)],
)
def test_data_stay_in_memory_by_their_size_or_by_order(wanted, size, held):
    place = CachePolicy(torch.device("cpu"), wanted)
    assert place.in_memory(size) is held
    assert not place.on_device(size)
