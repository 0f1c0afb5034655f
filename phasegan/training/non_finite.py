"""Find losses that are not finite, at once and without holding the device up."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

LAG = 8
"""Steps after which a GPU's answer is read: by then it is there."""


class NonFiniteError(Exception):
    """A loss or a weight is not finite."""


class NonFiniteDetector:
    """Looks at every step's losses.

    On a CPU the answer is that of the step itself; on a GPU that of `LAG` steps
    before, copied to memory meanwhile.

    Parameters
    ----------
    device : torch.device
        Where losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._asked: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def update(self, values: Tensor) -> bool:
        """Tell whether all losses were finite, as far as is known.

        Parameters
        ----------
        values : torch.Tensor
            (n,), of one step.
        """
        if self._device.type == "cpu":
            return bool(torch.isfinite(values).all())
        finite = torch.isfinite(values).all()
        if self._device.type == "cuda":
            answer = torch.empty((), dtype=torch.bool, pin_memory=True)
            answer.copy_(finite, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._device))
            self._asked.append((answer, event))
        else:
            self._asked.append((finite, None))
        return self._answer() if len(self._asked) > LAG else True

    def drain(self) -> bool:
        """Tell whether all losses were finite, of every step so far."""
        good = True
        while self._asked:
            good = self._answer() and good
        return good

    def _answer(self) -> bool:
        finite, event = self._asked.popleft()
        if event is not None:
            event.synchronize()
        return bool(finite)
