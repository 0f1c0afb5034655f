"""Results between processes: what arrives is what was sent, and stays so while it is held."""

import io
import os

import numpy as np
import pytest

from phasegan.data.hdf5.layout import Layout
from phasegan.data.prepare.encode import Encoder, ImageBatch
from phasegan.data.prepare.shared_buffer import SLOT_BYTES, SLOTS, SharedBuffer, attach, send
from phasegan.data.prepare.worker_pool import InProcessPool, WorkerPool
from phasegan.data.sources import ArrayLoader

in_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory here")


def passed(memory, shared, result, slot):
    pipe = io.BytesIO()
    send(result, slot, shared, pipe)
    length = pipe.tell()
    pipe.seek(0)
    return memory.receive(slot, pipe), length


@pytest.fixture
def both():
    memory = SharedBuffer()
    shared = attach(memory.descriptor)
    memory.close()
    return memory, shared


@in_memory
def test_arrays_go_through_the_memory_and_the_rest_through_the_pipe(both, rng):
    sent = {"a": rng.integers(0, 9, (3, 50, 7), np.uint8), "b": (rng.random(1001), "text", None)}
    found, length = passed(*both, sent, both[0].acquire())
    np.testing.assert_array_equal(found["a"], sent["a"])
    np.testing.assert_array_equal(found["b"][0], sent["b"][0])
    assert found["b"][1:] == sent["b"][1:]
    assert length < 1000
    assert all(a.ctypes.data % 64 == 0 for a in (found["a"], found["b"][0]))


@in_memory
def test_a_slot_is_taken_until_the_last_array_is_gone(both, rng):
    memory, shared = both
    sent = [[rng.random(100), rng.random(3)] for _ in range(SLOTS + 3)]
    held = [passed(memory, shared, one, memory.acquire())[0] for one in sent]
    assert memory.acquire() is None
    for one, found in zip(sent, held, strict=True):
        np.testing.assert_array_equal(found[0], one[0])
    part = held[1][1][1:]
    del held[1], found
    assert memory.acquire() is None
    np.testing.assert_array_equal(part, sent[1][1][1:])
    del part
    slot = memory.acquire()
    assert slot is not None
    assert memory.acquire() is None
    np.testing.assert_array_equal(passed(memory, shared, sent[0], slot)[0][0], sent[0][0])


@in_memory
def test_what_does_not_fit_goes_through_the_pipe(both):
    memory, shared = both
    sent = [np.full(SLOT_BYTES - 100, 3, np.uint8), np.full(200, 4, np.uint8), np.ones(1)]
    found, length = passed(memory, shared, sent, memory.acquire())
    assert all(map(np.array_equal, found, sent))
    assert 200 < length < 2000


@in_memory
def test_a_process_that_cannot_have_the_memory_sends_all(both, rng):
    memory, _ = both
    nothing = os.open(os.devnull, os.O_RDWR)
    assert attach(nothing) is None
    os.close(nothing)
    sent = rng.random((9, 9))
    np.testing.assert_array_equal(passed(memory, None, sent, memory.acquire())[0], sent)


def test_without_memory_the_pipe_carries_all(rng, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    memory = SharedBuffer()
    assert (memory.descriptor, memory.acquire(), attach(memory.descriptor)) == (-1, None, None)
    sent = rng.random((9, 9))
    np.testing.assert_array_equal(passed(memory, None, sent, None)[0], sent)


@pytest.mark.parametrize("shared", [True, False])
def test_results_that_are_held_stay_what_they_are(rng, monkeypatch, shared):
    if not shared:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    layout = Layout(size=32, padded=64, channels="rgb", bits=8, phase_dtype="uint16")
    encoder = Encoder(ArrayLoader(), layout, "crop", 0, 20)
    images = rng.integers(0, 256, (40, 32, 32, 3), np.uint8)
    tasks = [
        ImageBatch([(f"{i}", images[i]), (f"{i + 1}", images[i + 1])], [True, False])
        for i in range(39)
    ]
    wanted = [InProcessPool(encoder).submit(task).result() for task in tasks]
    with WorkerPool(encoder, 2) as pool:
        found = [future.result() for future in [pool.submit(task) for task in tasks]]
    for done, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(done.total, want.total)
        for one, other in zip(done.results, want.results, strict=True):
            assert one.digests == other.digests
            np.testing.assert_array_equal(one.values["phase"], other.values["phase"])
            np.testing.assert_array_equal(one.values["images"], other.values["images"])
