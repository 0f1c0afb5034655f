"""The parts of training one by one: pool, schedule, order, signals."""

from __future__ import annotations

import itertools
import os
import signal

import numpy as np
import pytest
import torch

from phasegan.data.dataset import as_nchw, grey_levels
from phasegan.data.samplers import choose_subset
from phasegan.training.data.cache_policy import CachePolicy
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


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_signal_is_noted_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with SignalGuard() as guard:
        os.kill(os.getpid(), signal.SIGTERM)
        assert guard.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


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
