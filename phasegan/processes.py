"""The processes of one training: one a device, on one machine or several.

They are started by torchrun or by SLURM's srun, which tell each its number in the
environment. Every process holds the whole state and takes its share of every
batch; sums over all make the result that of one process, within rounding.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from phasegan.errors import Elsewhere, InputError, PhaseganError, RunError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")

BUCKET_BYTES = 32 * 2**20
"""Tensors are sent together up to this size."""
TIMEOUT = datetime.timedelta(minutes=30)
"""After which a process that waits for another gives up."""
_FIRST_PORT, _PORTS = 15000, 20000
_LOST = "gloo/transport"
"""In what torch raises when it loses another process."""


class Launch(NamedTuple):
    """What the environment says of a process."""

    rank: int
    """Its number among all, from 0."""
    world: int
    """How many there are."""
    local: int
    """Its number on its machine: which GPU it takes."""
    method: str
    """Where the processes find one another: torch's `init_method`."""


def launched(environment: Mapping[str, str]) -> Launch | None:
    """Read how this process was started; None if it is alone.

    Parameters
    ----------
    environment : mapping
        torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; srun
        sets SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST,
        SLURM_JOB_ID and SLURM_STEP_ID.

    Raises
    ------
    InputError
        If a variable is missing or no number.
    """

    def number(name: str, least: int = 0) -> int:
        text = environment.get(name, "")
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise InputError(
                f"{name} = {text!r} in the environment: start several processes with torchrun "
                "or srun, or unset it"
            )
        return int(text)

    if environment.get("WORLD_SIZE"):
        rank, count, local = number("RANK"), number("WORLD_SIZE", 1), number("LOCAL_RANK")
        if count > 1 and number("MASTER_PORT", 1) and not environment.get("MASTER_ADDR"):
            raise InputError("MASTER_ADDR is not in the environment: start with torchrun")
        method = "env://"
    elif environment.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        rank, count = number("SLURM_PROCID"), number("SLURM_STEP_NUM_TASKS", 1)
        local = number("SLURM_LOCALID")
        nodes = environment.get("SLURM_STEP_NODELIST", "")
        host = environment.get("MASTER_ADDR") or first_host(nodes)
        step = number("SLURM_STEP_ID") if environment.get("SLURM_STEP_ID") else 0
        port = _FIRST_PORT + (number("SLURM_JOB_ID") + step) % _PORTS
        if environment.get("MASTER_PORT"):
            port = number("MASTER_PORT", 1)
        method = f"tcp://{host}:{port}"
    else:
        return None
    if max(rank, local) >= count:
        raise InputError(
            f"process {rank} of {count}, {local} on its machine: the environment contradicts itself"
        )
    return Launch(rank, count, local, method) if count > 1 else None


def first_host(nodes: str) -> str:
    """Return the first name of a SLURM node list, such as `gpu[07-09,12],login`."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    if first is None:
        raise InputError("SLURM_STEP_NODELIST is empty: set MASTER_ADDR to the first machine")
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[0])


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

    def silenced(self) -> Processes:
        """Return the same process, that sends nothing."""
        return Processes(self.rank, self.count, silent=True)

    def share(self, total: int) -> slice:
        """Return which of 0..total−1 are this process's: contiguous, alike within one."""
        each, rest = divmod(total, self.count)
        start = self.rank * each + min(self.rank, rest)
        return slice(start, start + each + (self.rank < rest))

    def add_up(self, tensors: Sequence[Tensor]) -> None:
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

    def largest(self, values: Tensor) -> Tensor:
        """Return the element-wise largest of all processes' values."""
        if self._silent:
            return values
        from torch import distributed

        found = values.clone()
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return found

    def gather(self, rows: Tensor, total: int) -> Tensor:
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

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by those of the main process."""
        if self._silent:
            return
        from torch import distributed

        for tensor in tensors:
            whole = tensor.contiguous()
            distributed.broadcast(whole, 0)
            if whole is not tensor:
                tensor.copy_(whole)

    def from_main(self, work: Callable[[], T]) -> T:
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
            raise Elsewhere(result[1])
        return result[0]

    def after_main(self, work: Callable[[], T]) -> T:
        """Do something on every process, on the main one first: what it raises ends all.

        Raises
        ------
        PhaseganError
            As `from_main`; or what this process alone raised.
        """
        if self._silent:
            return work()
        done: list[T] = []
        self.from_main(lambda: done.append(work()))
        return done[0] if done else work()

    def wait(self) -> None:
        """Return when every process has come here."""
        if self._silent:
            return
        from torch import distributed

        distributed.barrier(group=self._control)

    def votes(self) -> Votes:
        """Return the votes of a loop."""
        return Votes(None if self._silent else self)

    def vote(self, ballot: Tensor) -> Any:
        """Replace a number by the largest of all processes'; return what to wait for."""
        from torch import distributed

        return distributed.all_reduce(
            ballot, distributed.ReduceOp.MAX, group=self._control, async_op=True
        )

    def leave(self) -> None:
        """Send nothing from now on, and let the group of small messages go.

        Its threads end with its last reference; one that still runs while Python ends
        makes the process abort.
        """
        self._control, self._silent = None, True


class Votes:
    """Let all processes know the largest number that one of them has to say, once a turn.

    The answer of a turn is that of the turn before, so that nobody waits; alone, there
    is nobody to wait for.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes
        self._sent: tuple[Tensor, Any] | None = None

    def cast(self, value: int) -> int:
        """Vote; return the largest vote of the turn before, alone of this one."""
        if self._processes is None:
            return value
        import torch

        answer = self.settle()
        ballot = torch.tensor([value])
        self._sent = ballot, self._processes.vote(ballot)
        return answer

    def settle(self) -> int:
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


ALONE = Processes()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
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
    RunError, Elsewhere
        If another process ended: on the main one, on the others.
    """
    launch = launched(os.environ)
    if launch is None:
        yield ALONE, device
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
            raise Elsewhere(RunError.exit_status) from error
        raise RunError(
            "another process of this training ended, or did not answer; what was saved goes on "
            "with --resume"
        ) from error
    finally:
        processes.leave()
        if ours:
            distributed.destroy_process_group()


def is_main() -> bool:
    """Tell whether this process reports, by the environment alone."""
    try:
        launch = launched(os.environ)
    except InputError:
        return True
    return launch is None or launch.rank == 0
