"""Where training data are between steps: on the device, in memory, or in their file."""

from __future__ import annotations

from typing import NamedTuple

import torch

RESIDENT_BYTES = 2 * 2**30
"""Data up to this size are read into memory once."""
DEVICE_SHARE = 0.25
"""Share of a GPU's free memory; data up to this size stay on it."""


class CachePolicy(NamedTuple):
    """Where training data are kept, by their size.

    Attributes
    ----------
    device : torch.device
        Where they are needed.
    location : {"device", "memory", "disk"} or None
        None: memory for data that are not too large, and the device if it is a GPU with room.
    """

    device: torch.device
    location: str | None = None

    def in_memory(self, size: int) -> bool:
        """Return whether data are kept in memory.

        Parameters
        ----------
        size : int
            Bytes.

        Returns
        -------
        bool
            True also for data that are copied to the device once.
        """
        return self.location in ("memory", "device") or (
            self.location is None and size <= RESIDENT_BYTES
        )

    def on_device(self, size: int) -> bool:
        """Return whether data are kept on the device too.

        Parameters
        ----------
        size : int
            Bytes.

        Returns
        -------
        bool
            False on a CPU.
        """
        if self.device.type == "cpu" or self.location is not None:
            return self.device.type != "cpu" and self.location == "device"
        if self.device.type != "cuda":
            return False  # its free memory is unknown
        return size <= DEVICE_SHARE * torch.cuda.mem_get_info(self.device)[0]
