"""What the processes of a training share, and what they say to one another."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phasegan.data.unpaired_sampler import BatchSlice
from phasegan.distributed import SINGLE_PROCESS, Processes, StopConsensus

# --- what each takes ------------------------------------------------------------------


@given(total=st.integers(0, 200), count=st.integers(1, 17))
def test_shares_are_a_partition_in_order_of_alike_sizes(total, count):
    shares = [Processes(rank, count).share(total) for rank in range(count)]
    assert [i for share in shares for i in range(total)[share]] == list(range(total))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)  # who has nothing is never the main process


@given(
    total=st.integers(1, 80),
    count=st.integers(1, 9),
    most=st.one_of(st.none(), st.integers(1, 90)),
)
def test_parts_of_all_processes_are_the_batch(total, count, most):
    shares = [Processes(rank, count).share(total) for rank in range(count)]
    found = [BatchSlice(own.start, own.stop, total).split(most) for own in shares]
    parts = [part for own in found for part in own]
    assert [i for part in parts for i in range(total)[part.rows]] == list(range(total))
    assert all(part.total == total and part.stop > part.start for part in parts)
    assert sum(part.share for part in parts) == pytest.approx(1.0)
    for rank, own in enumerate(found):
        share = Processes(rank, count).share(total)
        sizes = [part.stop - part.start for part in own]
        assert sum(sizes) == share.stop - share.start
        if most is None:
            assert len(own) == bool(sizes)
        else:
            assert all(size <= most for size in sizes)
            assert len(own) == -(-sum(sizes) // most)  # no more parts than it takes
        assert not sizes or max(sizes) - min(sizes) <= 1


# --- alone ----------------------------------------------------------------------------


def test_alone_everything_is_as_it_is():
    values = [torch.arange(6.0).reshape(2, 3), torch.ones(())]
    before = [value.clone() for value in values]
    assert SINGLE_PROCESS.main
    SINGLE_PROCESS.all_reduce_sum(values)
    SINGLE_PROCESS.broadcast(values)
    SINGLE_PROCESS.barrier()
    assert SINGLE_PROCESS.gather_rows(values[0], 2) is values[0]
    assert SINGLE_PROCESS.all_reduce_max(values[0]) is values[0]
    assert SINGLE_PROCESS.broadcast_result(lambda: 7) == SINGLE_PROCESS.main_first(lambda: 7) == 7
    assert SINGLE_PROCESS.share(5) == slice(0, 5)
    assert all(torch.equal(*pair) for pair in zip(values, before, strict=True))


@pytest.mark.parametrize(
    "consensus",
    [
        StopConsensus(),
        SINGLE_PROCESS.stop_consensus(),
        Processes(1, 3).local_only().stop_consensus(),
    ],
)
def test_a_single_process_gets_its_own_code_at_once(consensus):
    assert consensus.submit_and_wait(7) == 7
    assert [consensus.submit(value) for value in (0, 15, 0, 1000)] == [0, 15, 0, 1000]
    assert consensus.drain() == 0


def test_a_local_process_has_its_share_and_sends_nothing():
    local = Processes(1, 3).local_only()
    value = torch.ones(2)
    local.all_reduce_sum([value])
    local.broadcast([value])
    assert value.tolist() == [1, 1]
    assert local.gather_rows(torch.ones(2, 4), 7).shape == (7, 4)
    assert local.all_reduce_max(value) is value
    assert local.broadcast_result(lambda: "own") == local.main_first(lambda: "own") == "own"
    assert (local.rank, local.count, local.main) == (1, 3, False)
    assert local.share(7) == Processes(1, 3).share(7)
