"""Data-parallel training: one process a device, on one machine or several.

torchrun or SLURM's srun starts the processes and sets each one's rank in the
environment. Every process holds the whole state and takes its share of every batch;
sums over all processes make the result that of a single process, within rounding.
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
"""Largest size of the tensors that are reduced in one message."""
TIMEOUT = datetime.timedelta(minutes=30)
"""A process that waits longer for another gives up."""
_LOST = "gloo/transport"
"""Part of the message that torch raises when it loses another process."""


class Processes:
    """Collective operations of the processes of one training; no-ops for a single process.

    Parameters
    ----------
    rank, count : int
        This process's number, from 0, and the number of processes.
    control : torch.distributed.ProcessGroup, optional
        Group for small messages on the CPU.
    local : bool
        Send nothing: for timing the work between messages.

    Attributes
    ----------
    rank, count : int
        The parameters of the same names.
    """

    def __init__(
        self, rank: int = 0, count: int = 1, control: Any = None, *, local: bool = False
    ) -> None:
        self.rank, self.count = rank, count
        self._control, self._local = control, local or count == 1

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def local_only(self) -> Processes:
        """Return the same rank with all communication switched off."""
        return Processes(self.rank, self.count, local=True)

    def share(self, total: int) -> slice:
        """Return this process's range of a batch; lengths of all ranks differ by at most 1.

        Parameters
        ----------
        total : int
            Rows of the whole batch.

        Returns
        -------
        slice
            Contiguous, in order of rank.
        """
        each, rest = divmod(total, self.count)
        start = self.rank * each + min(self.rank, rest)
        return slice(start, start + each + (self.rank < rest))

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes.

        Parameters
        ----------
        tensors : sequence of torch.Tensor
            Changed in place; of one dtype and on one device, alike in all processes.
        """
        if self._local:
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
        """Return the element-wise maximum over all processes.

        Parameters
        ----------
        values : torch.Tensor
            Of the same shape in all processes.

        Returns
        -------
        torch.Tensor
            Same shape; the argument itself for a single process.
        """
        if self._local:
            return values
        from torch import distributed

        largest = values.clone()
        distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        return largest

    def gather_rows(self, rows: Tensor, total: int) -> Tensor:
        """Return the rows of all processes in order of rank.

        Parameters
        ----------
        rows : torch.Tensor
            This process's rows: the range of `share(total)`.
        total : int
            Rows of all processes together.

        Returns
        -------
        torch.Tensor
            (total, …); without communication zeros, but for a single process its rows.
        """
        if self.count == 1:
            return rows
        import torch
        from torch import distributed

        if self._local:
            return rows.new_zeros((total, *rows.shape[1:]))
        most = -(-total // self.count)
        padded = rows.new_zeros((most, *rows.shape[1:]))
        padded[: len(rows)] = rows
        gathered = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(gathered, padded)
        counts = [Processes(rank, self.count).share(total) for rank in range(self.count)]
        return torch.cat(
            [part[: rows.stop - rows.start] for part, rows in zip(gathered, counts, strict=True)]
        )

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the main process.

        Parameters
        ----------
        tensors : sequence of torch.Tensor
            Changed in place; of the same shapes and dtypes in all processes.
        """
        if self._local:
            return
        from torch import distributed

        for tensor in tensors:
            values = tensor.contiguous()
            distributed.broadcast(values, 0)
            if values is not tensor:
                tensor.copy_(values)

    def broadcast_result(self, work: Callable[[], T]) -> T:
        """Call a function on the main process, and return its result on every process.

        Parameters
        ----------
        work : callable
            Called without arguments; its result must be picklable.

        Returns
        -------
        object
            The main process's result.

        Raises
        ------
        PhaseganError
            Raised by `work` on the main process; on the others `PeerFailedError`, which
            prints nothing.
        """
        if self._local:
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
        """Call a function on the main process, then on the others.

        Parameters
        ----------
        work : callable
            Called without arguments.

        Returns
        -------
        object
            This process's result.

        Raises
        ------
        PhaseganError
            As `broadcast_result`, before the other processes begin; or raised by `work` on
            this process.
        """
        if self._local:
            return work()
        results: list[T] = []
        self.broadcast_result(lambda: results.append(work()))
        return results[0] if results else work()

    def barrier(self) -> None:
        """Wait until every process has called this method."""
        if self._local:
            return
        from torch import distributed

        distributed.barrier(group=self._control)

    def stop_consensus(self) -> StopConsensus:
        """Return a consensus of these processes on stopping, for one training loop."""
        return StopConsensus(None if self._local else self)

    def _start_max(self, code: Tensor) -> Any:
        from torch import distributed

        return distributed.all_reduce(
            code, distributed.ReduceOp.MAX, group=self._control, async_op=True
        )

    def close(self) -> None:
        """Send nothing from now on, and release the group for small messages.

        Its threads end with its last reference; a thread that still runs while Python
        exits makes the process abort.
        """
        self._control, self._local = None, True


class StopConsensus:
    """Agreement of all processes on the largest code that one of them submits at a step.

    The answer of a step is that of the step before, so that no process waits; a single
    process is answered at once.

    Parameters
    ----------
    processes : Processes, optional
        None for a single process. Their group is not kept here: see `Processes.close`.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes
        self._pending: tuple[Tensor, Any] | None = None

    def submit(self, code: int) -> int:
        """Submit this process's code of a step without waiting for the others.

        Parameters
        ----------
        code : int
            At least 0; 0 to continue.

        Returns
        -------
        int
            The largest code of the step before; of a single process the code itself.
        """
        if self._processes is None:
            return code
        import torch

        answer = self.drain()
        largest = torch.tensor([code])
        self._pending = largest, self._processes._start_max(largest)
        return answer

    def submit_and_wait(self, code: int) -> int:
        """Submit this process's code and wait for those of the others.

        Parameters
        ----------
        code : int
            At least 0; 0 to continue.

        Returns
        -------
        int
            The largest code of this step and of the one before.
        """
        return max(self.submit(code), self.drain())

    def drain(self) -> int:
        """Wait for the codes that were submitted; return their largest, 0 if there are none."""
        if self._pending is None:
            return 0
        largest, work = self._pending
        self._pending = None
        work.wait()
        return int(largest)


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
    """Join the other processes of this training, if a launcher started any.

    Parameters
    ----------
    device : torch.device
        Type of this process's device, without an index: processes of one machine take a
        GPU each.

    Yields
    ------
    (Processes, torch.device)
        The processes, and this process's device.

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
        gpus = torch.cuda.device_count()
        if launch.local >= gpus:
            raise InputError(
                f"process {launch.local} of this machine has no GPU, there are {gpus}; start "
                f"{gpus} processes on it"
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
            "another process of this training ended, or did not answer; continue from what was "
            "saved with --resume"
        ) from error
    finally:
        processes.close()
        if ours:
            distributed.destroy_process_group()
