"""The processes of one training: one a device, on one machine or several.

They are started by torchrun or by SLURM's srun, which tell each its number in the
environment. Every process holds the whole state and takes its share of every
batch; sums over all make the result that of one process, within rounding.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from phasegan.errors import InputError, PeerFailedError, PhaseganError, RunError
from phasegan.launcher import read_launch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

BUCKET_BYTES = 32 * 2**20
"""Tensors are sent together up to this size."""
TIMEOUT = datetime.timedelta(minutes=30)
"""After which a process that waits for another gives up."""
_LOST = "gloo/transport"
"""In what torch raises when it loses another process."""


class Processes:
    """What the processes of a training do together; alone, nothing of it costs anything.

    Parameters
    ----------
    rank, count : int
        This process's number, from 0, and how many there are.
    control : optional
        The torch process group of small messages on the CPU.
    silent : bool
        Send nothing: for timing the work between messages.

    Attributes
    ----------
    rank, count : int
        As given.
    """

    def __init__(
        self, rank: int = 0, count: int = 1, control: Any = None, *, silent: bool = False
    ) -> None:
        self.rank, self.count = rank, count
        self._control, self._silent = control, silent or count == 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def local_only(self) -> Processes:
        """Return the same process, that sends nothing."""
        return Processes(self.rank, self.count, silent=True)

    def share(self, total: int) -> slice:
        """Return which of 0..total−1 are this process's: contiguous, alike within one."""
        each, rest = divmod(total, self.count)
        start = self.rank * each + min(self.rank, rest)
        return slice(start, start + each + (self.rank < rest))

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, of one type, by their sums over all processes."""
        if self._silent:
            return
        import torch
        from torch import distributed

        sent = []
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            sent.append((bucket, flat, distributed.all_reduce(flat, async_op=True)))
        for bucket, flat, work in sent:
            work.wait()
            parts = flat.split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def all_reduce_max(self, values: Tensor) -> Tensor:
        """Return the element-wise largest of all processes' values."""
        if self._silent:
            return values
        from torch import distributed

        found = values.clone()
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return found

    def gather_rows(self, rows: Tensor, total: int) -> Tensor:
        """Return the rows of all processes in their order, as `share(total)` divides them."""
        if self.count == 1:
            return rows
        import torch
        from torch import distributed

        if self._silent:
            return rows.new_zeros((total, *rows.shape[1:]))
        most = -(-total // self.count)
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(found, padded)
        counts = [Processes(rank, self.count).share(total) for rank in range(self.count)]
        return torch.cat(
            [part[: rows.stop - rows.start] for part, rows in zip(found, counts, strict=True)]
        )

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the main process."""
        if self._silent:
            return
        from torch import distributed

        for tensor in tensors:
            whole = tensor.contiguous()
            distributed.broadcast(whole, 0)
            if whole is not tensor:
                tensor.copy_(whole)

    def broadcast_result(self, work: Callable[[], T]) -> T:
        """Do something on the main process alone; all return what it returned.

        Raises
        ------
        PhaseganError
            Whatever the main process raised, of which the others say nothing.
        """
        if self._silent:
            return work()
        from torch import distributed

        result: list[Any] = [None, None]
        failure: PhaseganError | None = None
        if self.main:
            try:
                result[0] = work()
            except PhaseganError as error:
                failure, result[1] = error, error.exit_status
        distributed.broadcast_object_list(result, 0, group=self._control)
        if failure is not None:
            raise failure
        if result[1] is not None:
            raise PeerFailedError(result[1])
        return result[0]

    def main_first(self, work: Callable[[], T]) -> T:
        """Do something on every process, on the main one first: what it raises ends all.

        Raises
        ------
        PhaseganError
            As `broadcast_result`; or what this process alone raised.
        """
        if self._silent:
            return work()
        done: list[T] = []
        self.broadcast_result(lambda: done.append(work()))
        return done[0] if done else work()

    def barrier(self) -> None:
        """Return when every process has come here."""
        if self._silent:
            return
        from torch import distributed

        distributed.barrier(group=self._control)

    def stop_consensus(self) -> StopConsensus:
        """Return the votes of a loop."""
        return StopConsensus(None if self._silent else self)

    def vote(self, ballot: Tensor) -> Any:
        """Replace a number by the largest of all processes'; return what to wait for."""
        from torch import distributed

        return distributed.all_reduce(
            ballot, distributed.ReduceOp.MAX, group=self._control, async_op=True
        )

    def close(self) -> None:
        """Send nothing from now on, and let the group of small messages go.

        Its threads end with its last reference; one that still runs while Python ends
        makes the process abort.
        """
        self._control, self._silent = None, True


class StopConsensus:
    """Let all processes know the largest number that one of them has to say, once a turn.

    The answer of a turn is that of the turn before, so that nobody waits; alone, there
    is nobody to wait for.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes
        self._sent: tuple[Tensor, Any] | None = None

    def submit(self, value: int) -> int:
        """Vote; return the largest vote of the turn before, alone of this one."""
        if self._processes is None:
            return value
        import torch

        answer = self.drain()
        ballot = torch.tensor([value])
        self._sent = ballot, self._processes.vote(ballot)
        return answer

    def submit_and_wait(self, value: int) -> int:
        """Return the largest vote of this turn and those under way; waits for all."""
        return max(self.submit(value), self.drain())

    def drain(self) -> int:
        """Return the largest of the votes that are under way; 0 if none are."""
        if self._sent is None:
            return 0
        ballot, work = self._sent
        self._sent = None
        work.wait()
        return int(ballot)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.nbytes > BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket


SINGLE_PROCESS = Processes()


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Find the other processes of this training, if there are any.

    Parameters
    ----------
    device : torch.device
        Of this process, without a number: each on a machine takes a GPU of its own.

    Yields
    ------
    (Processes, torch.device)

    Raises
    ------
    InputError
        If the environment contradicts itself, or there are fewer GPUs than processes.
    RunError, PeerFailedError
        If another process ended: on the main one, on the others.
    """
    launch = read_launch(os.environ)
    if launch is None:
        yield SINGLE_PROCESS, device
        return
    import torch
    import torch.distributed.nn  # now: imported later, it would keep the group for ever
    from torch import distributed

    if device.type == "cuda":
        found = torch.cuda.device_count()
        if launch.local >= found:
            raise InputError(
                f"process {launch.local} of this machine has no GPU, there are {found}; start "
                f"{found} processes on it"
            )
        device = torch.device("cuda", launch.local)
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise InputError(f"several processes train on CPUs or CUDA GPUs, not on {device.type}")
    ours = not distributed.is_initialized()
    if ours:
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=launch.method,
            rank=launch.rank,
            world_size=launch.world,
            timeout=TIMEOUT,
        )
    processes = Processes(
        launch.rank, launch.world, distributed.new_group(backend="gloo", timeout=TIMEOUT)
    )
    try:
        yield processes, device
    except RuntimeError as error:
        if _LOST not in str(error):
            raise
        if launch.rank:
            raise PeerFailedError(RunError.exit_status) from error
        raise RunError(
            "another process of this training ended, or did not answer; what was saved goes on "
            "with --resume"
        ) from error
    finally:
        processes.close()
        if ours:
            distributed.destroy_process_group()
