"""Where training data are between steps: on the device, in memory, or in their file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RESIDENT_BYTES = 2 * 2**30
"""Data up to this size are read into memory once."""
DEVICE_SHARE = 0.25
"""Of a GPU's free memory: data up to this size stay there."""


class CachePolicy(NamedTuple):
    """Where data are kept.

    Attributes
    ----------
    device : torch.device
        Where they are needed.
    wanted : {"device", "memory", "disk"} or None
        None: memory for what is not too large, and the device if it is a GPU with room.
    """

    device: torch.device
    wanted: str | None = None

    def in_memory(self, size: int) -> bool:
        """Tell whether so many bytes are kept in memory."""
        return self.wanted in ("memory", "device") or (
            self.wanted is None and size <= RESIDENT_BYTES
        )

    def on_device(self, size: int) -> bool:
        """Tell whether so many bytes are kept on the device too."""
        if self.device.type == "cpu" or self.wanted is not None:
            return self.device.type != "cpu" and self.wanted == "device"
        if self.device.type != "cuda":
            return False  # how much room it has is not known
        return size <= DEVICE_SHARE * torch.cuda.mem_get_info(self.device)[0]


def as_planes(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images as (n, C, N, N) of a type that every device can index; see `levels`."""
    planes = pixels.reshape(len(pixels), -1, *pixels.shape[-2:])
    return planes.view(np.int16) if planes.dtype == np.uint16 else planes


def levels(pixels: Tensor) -> Tensor:
    """Return the grey levels of images of `as_planes`, float32."""
    if pixels.dtype == torch.int16:
        return (pixels.to(torch.int32) & 0xFFFF).to(torch.float32)
    return pixels.to(torch.float32)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Bring values from memory to a device; through pinned memory, so that nobody waits."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
