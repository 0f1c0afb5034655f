"""Detect losses that are not finite, without waiting for the device."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

LAG = 8
"""Steps after which a GPU's answer is read, without waiting for it."""


class NonFiniteError(Exception):
    """A loss or a weight is not finite."""


class NonFiniteDetector:
    """Checks every step's losses.

    On a CPU the answer is that of the step itself; on a GPU that of `LAG` steps before,
    copied to memory meanwhile.

    Parameters
    ----------
    device : torch.device
        Of the losses.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pending: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def update(self, values: Tensor) -> bool:
        """Check the losses of a step.

        Parameters
        ----------
        values : torch.Tensor
            (n,), of one step.

        Returns
        -------
        bool
            False if losses were not finite, of this step or of an earlier one.
        """
        if self._device.type == "cpu":
            return bool(torch.isfinite(values).all())
        finite = torch.isfinite(values).all()
        if self._device.type == "cuda":
            answer = torch.empty((), dtype=torch.bool, pin_memory=True)
            answer.copy_(finite, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._device))
            self._pending.append((answer, event))
        else:
            self._pending.append((finite, None))
        return self._answer() if len(self._pending) > LAG else True

    def drain(self) -> bool:
        """Wait for the answers of all steps so far; return whether all losses were finite."""
        good = True
        while self._pending:
            good = self._answer() and good
        return good

    def _answer(self) -> bool:
        finite, event = self._pending.popleft()
        if event is not None:
            event.synchronize()
        return bool(finite)
