"""Main loop of a worker process: batches from its input, results to its output.

Both are pickles between this process and the one that started it, see
`phasegan.data.prepare.worker_process`. It ends when its input does.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

import phasegan.data.prepare.encode  # noqa: F401 - what is unpickled needs it: loaded while waiting
from phasegan.data.images.decoding import quiet_decoders
from phasegan.data.prepare.shared_buffer import attach, send


def serve(descriptor: int) -> None:
    """Receive the work function, then batches, until the input ends.

    Parameters
    ----------
    descriptor : int
        Descriptor of the memory for results, see `phasegan.data.prepare.shared_buffer`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that writes
    source = sys.stdin.buffer
    # Output of decoders must not get between the results.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    memory = attach(descriptor)
    work = pickle.load(source)
    pickle.dump(True, target)
    target.flush()
    with quiet_decoders():
        while True:
            try:
                task, slot = pickle.load(source)
            except EOFError:
                return
            send(work(task), slot, memory, target)
