"""What processes that were started together do together."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

import pytest
import torch

from phasegan import distributed
from phasegan.distributed import process_group
from phasegan.errors import InputError, PeerFailedError
from phasegan.launcher import is_main

CPU = torch.device("cpu")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs fork")
@pytest.mark.parametrize("count", [2, 5])
def test_what_processes_do_together(count):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["phasegan.cli.train", "phasegan.training.api"])
    port = free_port()
    together = [
        context.Process(target=start, args=(rank, count, port), daemon=True)
        for rank in range(count)
    ]
    for process in together:
        process.start()
    end = time.monotonic() + 300
    for process in together:
        process.join(max(0, end - time.monotonic()))
    codes = [process.exitcode for process in together]
    for process in together:
        process.kill()
        process.join()
    assert codes == [0] * count  # the reason is on standard error


def start(rank, count, port):
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    distributed.BUCKET_BYTES = 64
    with process_group(CPU) as (found, device):
        assert device == CPU
        assert (found.rank, found.count, found.main) == (rank, count, rank == 0)
        assert is_main() == found.main
        for law in (added, gathered, compared, copied, told, failed, ordered, agreed, waited):
            try:
                law(found)
            except BaseException:
                print(f"process {rank} of {count}: {law.__name__}", file=sys.stderr)
                raise
        importlib.import_module("torch._dynamo")  # as the first optimiser does

    assert not torch.distributed.is_initialized()
    if sys.platform == "linux":  # a thread of torch's that outlives Python aborts the process
        threads = [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")]
        assert not [name for name in threads if "gloo_run" in name], threads


def added(found):
    """Sums over buckets that hold several tensors, one, and part of none; any layout."""
    shapes = [(), (3,), (5, 2), (0,), (40,), (1,), (2, 3, 4, 5), (16,), (1,)]
    tensors = [torch.full(shape, float(found.rank + 1 + i)) for i, shape in enumerate(shapes)]
    tensors.append(torch.arange(6.0).reshape(2, 3).t() * (found.rank + 1))
    tensors.append(
        (torch.arange(120.0).reshape(2, 3, 4, 5) * (found.rank + 1)).contiguous(
            memory_format=torch.channels_last
        )
    )
    assert len(list(distributed._buckets(tensors))) > 3
    places = [tensor.data_ptr() for tensor in tensors]
    found.all_reduce_sum(tensors)
    everyone = sum(range(1, found.count + 1))
    for i, shape in enumerate(shapes):
        assert torch.equal(tensors[i], torch.full(shape, float(everyone + found.count * i)))
    assert torch.equal(tensors[-2], torch.arange(6.0).reshape(2, 3).t() * everyone)
    assert torch.equal(tensors[-1], torch.arange(120.0).reshape(2, 3, 4, 5) * everyone)
    assert places == [tensor.data_ptr() for tensor in tensors]  # in place
    found.all_reduce_sum([])
    double = torch.tensor([2.0**-40 + found.rank], dtype=torch.float64)
    found.all_reduce_sum([double])
    assert float(double) == found.count * 2.0**-40 + sum(range(found.count))


def gathered(found):
    for total in range(2 * found.count + 2):
        rows = torch.arange(total * 4.0).reshape(total, 2, 2)
        own = rows[found.share(total)]
        assert torch.equal(found.gather_rows(own, total), rows)
    total = found.count + 1
    rows = torch.arange(total * 24.0).reshape(total, 2, 3, 4)
    own = rows[found.share(total)].contiguous(memory_format=torch.channels_last)
    assert torch.equal(found.gather_rows(own, total), rows)


def compared(found):
    values = torch.tensor([float(found.rank), -float(found.rank), 5.0])
    assert found.all_reduce_max(values).tolist() == [found.count - 1, 0, 5]
    assert values.tolist() == [found.rank, -found.rank, 5]
    whole = torch.tensor([0 if found.main else 2**40])
    assert found.all_reduce_max(whole).tolist() == [2**40]


def copied(found):
    made = torch.Generator().manual_seed(found.rank)
    reals = torch.randn(4, 6, generator=made)
    tensors = [
        reals,
        torch.randn(3, 5, generator=made).t(),
        torch.randn(4, generator=made, dtype=torch.float64),
        torch.randn(2, 3, generator=made, dtype=torch.complex64),
        torch.arange(3) + found.rank,
        torch.arange(3) > found.rank,
        torch.tensor(float(found.rank)),
        torch.zeros(0),
        reals.half(),
    ]
    made = torch.Generator().manual_seed(0)
    wanted = [
        torch.randn(4, 6, generator=made),
        torch.randn(3, 5, generator=made).t(),
        torch.randn(4, generator=made, dtype=torch.float64),
        torch.randn(2, 3, generator=made, dtype=torch.complex64),
        torch.arange(3),
        torch.arange(3) > 0,
        torch.tensor(0.0),
        torch.zeros(0),
    ]
    wanted.append(wanted[0].half())
    found.broadcast(tensors)
    for tensor, want in zip(tensors, wanted, strict=True):
        assert torch.equal(tensor, want)
        assert tensor.stride() == want.stride()


def told(found):
    calls = []

    def work():
        calls.append(found.rank)
        return {"path": __file__, "numbers": (1, 2.5, None)}

    assert found.broadcast_result(work) == {"path": __file__, "numbers": (1, 2.5, None)}
    assert found.broadcast_result(lambda: None) is None
    assert calls == ([0] if found.main else [])


def failed(found):
    """The error of the main process is its own; the others only hear of its status."""

    def work():
        raise InputError("no such file")

    with pytest.raises(InputError if found.main else PeerFailedError) as caught:
        found.broadcast_result(work)
    assert caught.value.exit_status == InputError.exit_status
    assert str(caught.value) == ("no such file" if found.main else "another process failed")
    assert found.broadcast_result(lambda: "all is well again") == "all is well again"


def ordered(found):
    """The main process goes first; its error ends all, another's is its own."""
    ended, began = torch.zeros(2, 1, dtype=torch.float64)

    def work():
        began[:] = -time.monotonic()
        if found.main:
            time.sleep(0.2)
            ended[:] = time.monotonic()
            began[:] = -ended
        return found.rank

    assert found.main_first(work) == found.rank
    found.all_reduce_sum([ended])
    assert -float(found.all_reduce_max(began)) >= float(ended), (
        "somebody did not wait for the main one"
    )
    calls = []

    def fail():
        calls.append(found.rank)
        raise InputError("no such file")

    with pytest.raises(InputError if found.main else PeerFailedError):
        found.main_first(fail)
    assert calls == ([0] if found.main else [])

    def lack():
        if found.rank == 1:
            raise InputError("not on this machine")

    if found.rank == 1:
        with pytest.raises(InputError, match="not on this machine"):
            found.main_first(lack)
    else:
        found.main_first(lack)


def agreed(found):
    """An answer is that of the turn before, the same for all, and none is lost."""
    last = found.rank == found.count - 1
    consensus = found.stop_consensus()
    assert consensus.drain() == 0
    ballots = [0, 15 if last else 0, 2 if found.main else 0, 1000 if last else 15, 0]
    assert [consensus.submit(ballot) for ballot in ballots] == [0, 0, 15, 2, 1000]
    assert consensus.drain() == 0
    assert consensus.submit(7 if last else 0) == 0
    assert consensus.drain() == 7
    assert consensus.drain() == 0
    assert consensus.submit(0) == 0
    assert consensus.drain() == 0
    consensus.submit(0)
    assert consensus.submit_and_wait(found.rank) == found.count - 1
    assert consensus.drain() == 0


def waited(found):
    """Nobody goes on before the last has come."""
    for late in range(found.count):
        came = torch.zeros(1, dtype=torch.float64)
        if found.rank == late:
            time.sleep(0.2)
            came += time.monotonic()
        found.barrier()
        went = torch.tensor([-time.monotonic()], dtype=torch.float64)
        found.all_reduce_sum([came])
        first = -float(found.all_reduce_max(went))
        assert first >= float(came), f"somebody did not wait for process {late}"
