"""Results of worker processes, their arrays through shared memory.

A pipe copies every byte in and out again. So where the platform has anonymous files
in memory, the bytes of arrays are put into one, and the pipe carries the rest: a pickle
and where its arrays are. Elsewhere, and for what does not fit, the pipe carries all.
"""

from __future__ import annotations

import mmap
import os
import pickle
import weakref
from typing import IO, Any

import numpy as np

SLOTS = 4
"""Results of a process that may lie in memory at once."""
SLOT_BYTES = 2**23
_ALIGNED = 64


class SharedBuffer:
    """Shared memory for the results of one worker process, which inherits its descriptor.

    Nothing of it is taken from the machine before it is used.

    Attributes
    ----------
    descriptor : int
        Descriptor of the file in memory, to be closed when the process has it; −1: there is none.
    """

    def __init__(self) -> None:
        self.descriptor = -1
        self._view: mmap.mmap | None = None
        self._free: list[int] = []
        if hasattr(os, "memfd_create"):
            try:
                self.descriptor = os.memfd_create("phasegan")
                os.ftruncate(self.descriptor, SLOTS * SLOT_BYTES)
                self._view = mmap.mmap(self.descriptor, SLOTS * SLOT_BYTES)
                self._free = list(range(SLOTS))
            except OSError:  # not allowed here, or no more descriptors: there is the pipe
                self.close()

    def close(self) -> None:
        """Close the descriptor; the memory stays as long as it is mapped."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def acquire(self) -> int | None:
        """Return a slot that is free; None if there is none."""
        return self._free.pop() if self._free else None

    def receive(self, slot: int | None, stream: IO[bytes]) -> Any:
        """Receive a result of `send`.

        Arrays lie in the slot, which is free again when the last of them is gone.

        Parameters
        ----------
        slot : int or None
            The slot that the sender was to use.
        stream : binary file
            The pipe from the worker.

        Returns
        -------
        Any
            The result.
        """
        if slot is None or self._view is None:
            payload, _ = pickle.load(stream)
            return pickle.loads(payload)
        lease = np.frombuffer(self._view, np.uint8, SLOT_BYTES, slot * SLOT_BYTES)
        weakref.finalize(lease, self._free.append, slot).atexit = False
        payload, places = pickle.load(stream)
        view = lease.data
        return pickle.loads(payload, buffers=[view[start:stop] for start, stop in places])


def attach(descriptor: int) -> mmap.mmap | None:
    """Map the shared memory of a descriptor that this process inherited.

    Parameters
    ----------
    descriptor : int
        −1: there is none.

    Returns
    -------
    mmap.mmap or None
        None where it cannot be mapped.
    """
    try:
        return mmap.mmap(descriptor, SLOTS * SLOT_BYTES) if descriptor >= 0 else None
    except OSError:
        return None


def send(result: Any, slot: int | None, memory: mmap.mmap | None, stream: IO[bytes]) -> None:
    """Send a result, its arrays through a slot of the shared memory.

    Parameters
    ----------
    result : Any
        Picklable.
    slot : int or None
        None: all through the pipe.
    memory : mmap.mmap or None
        As `attach` returns it.
    stream : binary file
        The pipe.
    """
    places: list[tuple[int, int]] = []

    def put(buffer: pickle.PickleBuffer) -> bool:
        if slot is None or memory is None:
            return True
        raw = buffer.raw()
        start = -(-places[-1][1] // _ALIGNED) * _ALIGNED if places else 0
        if start + raw.nbytes > SLOT_BYTES:
            return True
        first = slot * SLOT_BYTES + start
        memory[first : first + raw.nbytes] = raw
        places.append((start, start + raw.nbytes))
        return False

    payload = pickle.dumps(result, protocol=5, buffer_callback=put)
    pickle.dump((payload, places), stream, protocol=5)
    stream.flush()
