"""Means of losses over steps, without waiting for the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from phasegan.distributed import Processes


class LossMeter:
    """Means of losses since the last `flush`, each over the steps that computed it.

    Parameters
    ----------
    names : sequence of str
        Every loss that a step may return.
    device : torch.device
        Of the losses.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self._names, self._device = tuple(names), device
        self._clear()

    def _clear(self) -> None:
        self._sums = torch.zeros(len(self._names), device=self._device)
        self._counts = torch.zeros(len(self._names), dtype=torch.int64)

    def update(self, losses: dict[str, Tensor]) -> Tensor:
        """Add the losses of one step.

        Parameters
        ----------
        losses : dict of torch.Tensor
            Scalars by name.

        Returns
        -------
        torch.Tensor
            (n,), the same losses.
        """
        if not losses:
            return torch.zeros(0, device=self._device)
        values = torch.stack([value.float() for value in losses.values()])
        places = [self._names.index(name) for name in losses]
        if places == list(range(len(self._names))):
            self._sums += values
        else:
            for place, value in zip(places, values, strict=True):  # a list would be copied
                self._sums[place] += value
        self._counts[places] += 1
        return values

    def reduce(self, processes: Processes) -> None:
        """Sum the shares of all processes on the main one; the others start anew.

        Parameters
        ----------
        processes : Processes
            Those that train together.
        """
        if processes.count == 1:
            return
        processes.all_reduce_sum([self._sums])
        counts = self._counts.to(self._device)
        self._counts = processes.all_reduce_max(counts).cpu()
        if not processes.main:
            self._clear()

    def flush(self, processes: Processes) -> dict[str, float]:
        """Return the means over all processes, and start anew.

        Parameters
        ----------
        processes : Processes
            Those that train together.

        Returns
        -------
        dict of float
            By name; empty except on the main process.
        """
        self.reduce(processes)
        sums, counts = self._sums.tolist(), self._counts.tolist()
        self._clear()
        return {
            name: total / count
            for name, total, count in zip(self._names, sums, counts, strict=True)
            if count
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the sums since the last `flush`, for a checkpoint; call `reduce` before."""
        return {"names": list(self._names), "sums": self._sums, "counts": self._counts}

    def load_state_dict(self, state: dict[str, Any], processes: Processes) -> None:
        """Restore the state of a checkpoint.

        Parameters
        ----------
        state : dict
            From `state_dict`.
        processes : Processes
            Only the main one takes the sums.

        Raises
        ------
        ValueError
            If it is of other losses.
        """
        if tuple(state["names"]) != self._names:
            raise ValueError("losses of another preset")
        self._clear()
        if processes.main:
            self._sums.copy_(state["sums"])
            self._counts.copy_(state["counts"])
