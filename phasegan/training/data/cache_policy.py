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
        """Return whether data of so many bytes are kept in memory, or are on the way to the device.

        Parameters
        ----------
        size : int
            Bytes.

        Returns
        -------
        bool
            By `location`, or by size.
        """
        if self.location is None:
            return size <= RESIDENT_BYTES
        return self.location != "disk"

    def on_device(self, size: int) -> bool:
        """Return whether data of so many bytes are kept on the device; never on a CPU.

        Parameters
        ----------
        size : int
            Bytes.

        Returns
        -------
        bool
            By `location`, or by the free memory of a CUDA GPU: that of others is unknown.
        """
        if self.location is not None or self.device.type != "cuda":
            return self.device.type != "cpu" and self.location == "device"
        return size <= DEVICE_SHARE * torch.cuda.mem_get_info(self.device)[0]
