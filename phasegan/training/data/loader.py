"""Batches of two unpaired domains: read in this process or by workers, then moved to the device."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from phasegan.config.execution import Execution
from phasegan.data.unpaired_sampler import BatchSlice, StepIndices, UnpairedSampler
from phasegan.errors import InputError, PhaseganError, RunError
from phasegan.resources import available_cores

FORKS = sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods()
"""Whether workers share this process's memory; elsewhere each has its own."""
_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that a process gets when its parent ends."""
GRACE_SECONDS = 30
"""Time that a worker goes on after a SIGTERM."""
PREFETCHED = 2
"""Batches that each worker reads ahead."""
MAX_WORKERS = 8
"""Most workers that are started unasked."""


class MicroBatch(NamedTuple):
    """The data of a part of a batch, on the networks' device."""

    real_a: Any
    """Domain A; None in steps without it."""
    real_b: Any
    part: BatchSlice


class Batch(NamedTuple):
    """One process's share of a batch."""

    micro_batches: Sequence[MicroBatch]
    total: int
    """Images in the whole batch."""
    has_domain_a: bool = True
    """Whether the step uses domain A."""


def full_batch(real_a: Any, real_b: Any) -> Batch:
    """Return a batch in one part, of one process.

    Parameters
    ----------
    real_a, real_b : torch.Tensor or NamedTuple of them
        Of both domains, on the networks' device; `real_a` may be None.

    Returns
    -------
    Batch
        For a GAN's `training_step`.
    """
    part = BatchSlice.full(len(real_b if isinstance(real_b, torch.Tensor) else real_b[0]))
    return Batch([MicroBatch(real_a, real_b, part)], part.total, real_a is not None)


@dataclass(frozen=True)
class HostBatch:
    """What was read for a step, in memory: tensors, or arrays on their way from a worker."""

    indices: StepIndices
    real_a: Any
    real_b: Any

    def map(self, function: Callable[[Any], Any]) -> HostBatch:
        """Return the batch with a function of one tensor or array applied to all."""

        def apply(values: Any) -> Any:
            if isinstance(values, tuple):
                return tuple(map(function, values))
            return None if values is None else function(values)

        return HostBatch(self.indices, apply(self.real_a), apply(self.real_b))

    def pin_memory(self) -> HostBatch:
        """Return the batch in pinned memory; torch's DataLoader calls this."""
        return self.map(lambda values: torch.as_tensor(values).pin_memory())


class UnpairedBatches(Dataset[HostBatch | PhaseganError], ABC):
    """The batches of a training: a dataset whose samples are the steps of a run.

    Parameters
    ----------
    sampler : UnpairedSampler
        From the number of a step to its samples.
    device : torch.device
        Of the batches.
    execution : Execution
        Number of workers, and images that are computed at once.
    """

    def __init__(
        self, sampler: UnpairedSampler, device: torch.device, execution: Execution
    ) -> None:
        self.sampler, self.device, self.execution = sampler, device, execution

    @abstractmethod
    def read(self, indices: StepIndices) -> tuple[Any, Any]:
        """Read samples, perhaps in a worker.

        Parameters
        ----------
        indices : StepIndices
            Of at least one sample.

        Returns
        -------
        (object, object)
            Of domain A, None in steps without it, and of domain B: tensors on the CPU, or
            tuples of them.
        """

    @abstractmethod
    def to_device(self, batch: HostBatch, part: BatchSlice) -> tuple[Any, Any]:
        """Move a part of what was read to the device, and make the networks' input of it.

        Parameters
        ----------
        batch : HostBatch
            From `read`.
        part : BatchSlice
            Rows of the whole batch, within the process's share.

        Returns
        -------
        (object, object)
            Domain A, None in steps without it, and domain B.
        """

    @property
    def workers(self) -> int:
        """Worker processes that read: by default none on a CPU, which computes the steps too."""
        alone = multiprocessing.current_process().daemon  # such a process may start no others
        if self.execution.workers is not None:
            if alone and self.execution.workers:
                raise InputError("workers: a daemonic process can start none; give workers=0")
            return self.execution.workers
        if alone or self.device.type == "cpu" or self.is_on_device:
            return 0
        together = min(self.sampler.processes.count, max(1, torch.cuda.device_count()))
        return max(1, min(MAX_WORKERS, available_cores() // together - 1))

    @property
    def is_on_device(self) -> bool:
        """Whether all data are on the device, so that nothing is read."""
        return False

    def __getitem__(self, indices: StepIndices) -> HostBatch | PhaseganError:
        """Read the batch of a step; an error is returned, as a worker cannot raise it."""
        if indices.part.start == indices.part.stop:
            return HostBatch(indices, None, None)
        try:
            return HostBatch(indices, *self.read(indices))
        except PhaseganError as error:
            return error

    def load(self, number: int) -> Batch:
        """Return this process's share of the batch of one step.

        Parameters
        ----------
        number : int
            Of the step, from 0 over the whole run.

        Returns
        -------
        Batch
            On the device.
        """
        return self._to_batch(self[self.sampler[number]])

    def iterate(self, numbers: Iterable[int]) -> Generator[Batch, None, None]:
        """Yield the batches of some steps; workers read them ahead.

        Parameters
        ----------
        numbers : iterable of int
            Of the steps, from 0 over the whole run.

        Yields
        ------
        Batch
            As `load` returns it.

        Raises
        ------
        RuntimeError
            If a worker ends, which torch raises wherever the main thread is: see
            `phasegan.devices.worker_guard`.
        """
        workers, batches = self.workers, None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            loader: DataLoader[Any] = DataLoader(
                self,
                batch_size=None,
                sampler=map(self.sampler.__getitem__, numbers),
                num_workers=workers,
                collate_fn=_as_arrays,
                pin_memory=self.device.type == "cuda" and not self.is_on_device,
                worker_init_fn=_defer_signals if FORKS else None,
                prefetch_factor=PREFETCHED if workers else None,
                generator=torch.Generator(),  # the global one's state is kept in checkpoints
                multiprocessing_context="fork" if workers and FORKS else None,
            )
            batches = _start(loader)
        try:
            while (batch := next(batches, None)) is not None:
                yield self._to_batch(batch)
        finally:
            batches = None  # ends the workers, also where a traceback keeps this frame

    def _to_batch(self, batch: HostBatch | PhaseganError) -> Batch:
        if isinstance(batch, InputError):
            raise InputError(f"{batch}; restore it, and continue with --resume")
        if isinstance(batch, PhaseganError):
            raise batch
        batch, share, micro_batches = batch.map(torch.as_tensor), batch.indices.part, []
        for part in share.split(self.execution.micro_batch):
            micro_batches.append(MicroBatch(*self.to_device(batch, part), part))
        return Batch(micro_batches, share.total, batch.indices.rows_a is not None)


def _start(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers, or none of them."""
    before = set(multiprocessing.active_children())
    try:
        return iter(loader)
    except OSError as error:
        for child in set(multiprocessing.active_children()) - before:
            child.kill()
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "_workers" in vars(frame.f_locals.get("self", object)):
                frame.f_locals["self"]._shutdown = True  # else its __del__ fails aloud
        raise RunError(
            f"{loader.num_workers} processes that read the data cannot be started "
            f"({error.strerror or error}); give fewer --workers, or 0"
        ) from None


def _as_arrays(batch: Any) -> Any:
    """Return arrays, which pass through a pipe: tensors need room in /dev/shm, and hang without."""
    return batch.map(torch.Tensor.numpy) if isinstance(batch, HostBatch) else batch


def _defer_signals(worker: int) -> None:
    """Leave signals to the main process, which needs batches until it has stopped at a step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_SECONDS))
    # A worker that writes to a full pipe would not notice the end of the main process.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    main = multiprocessing.parent_process()
    if main is not None and os.getppid() != main.pid:  # it ended before
        os._exit(1)
