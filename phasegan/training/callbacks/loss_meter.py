"""Averages of losses over steps, without waiting for the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from phasegan.distributed import Processes


class LossMeter:
    """Losses since they were last taken, each over the steps that had it.

    Parameters
    ----------
    names : sequence of str
        Every loss that there may be.
    device : torch.device
        Where losses are.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names, self._device = tuple(names), device
        self._clear()

    def _clear(self) -> None:
        self._sums = torch.zeros(len(self._names), device=self._device)
        self._counts = torch.zeros(len(self._names), dtype=torch.int64)

    def add(self, losses: dict[str, Tensor]) -> Tensor:
        """Take the losses of one step, scalars; return them, (n,)."""
        if not losses:
            return torch.zeros(0, device=self._device)
        values = torch.stack([value.float() for value in losses.values()])
        places = [self._names.index(name) for name in losses]
        if places == list(range(len(self._names))):
            self._sums += values
        else:
            self._sums[places] += values
        self._counts[places] += 1
        return values

    def gather(self, processes: Processes) -> None:
        """Bring the shares of all processes to the main one."""
        if processes.count == 1:
            return
        processes.all_reduce_sum([self._sums])
        counts = self._counts.to(self._device)
        self._counts = processes.all_reduce_max(counts).cpu()
        if not processes.main:
            self._clear()

    def take(self, processes: Processes) -> dict[str, float]:
        """Return the means by name, in the main process alone; begin anew."""
        self.gather(processes)
        sums, counts = self._sums.tolist(), self._counts.tolist()
        self._clear()
        return {
            name: total / count
            for name, total, count in zip(self._names, sums, counts, strict=True)
            if count
        }

    def state(self) -> dict[str, Any]:
        """Return what was not yet taken, for a checkpoint; after `gather`."""
        return {"names": list(self._names), "sums": self._sums, "counts": self._counts}

    def restore(self, state: dict[str, Any], processes: Processes) -> None:
        """Take the state of a checkpoint."""
        if tuple(state["names"]) != self._names:
            raise ValueError("losses of another preset")
        self._clear()
        if processes.main:
            self._sums.copy_(state["sums"])
            self._counts.copy_(state["counts"])
