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


def as_nchw(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images as (n, C, N, N), of a type that every device can index.

    Parameters
    ----------
    pixels : numpy.ndarray
        (n[, C], N, N), uint8 or uint16.

    Returns
    -------
    numpy.ndarray
        A view; uint16 as the int16 of the same bits, see `grey_levels`.
    """
    planes = pixels.reshape(len(pixels), -1, *pixels.shape[-2:])
    return planes.view(np.int16) if planes.dtype == np.uint16 else planes


def grey_levels(pixels: Tensor) -> Tensor:
    """Return the grey levels of images from `as_nchw`.

    Parameters
    ----------
    pixels : torch.Tensor
        (n, C, N, N), uint8 or int16.

    Returns
    -------
    torch.Tensor
        Same shape, float32, in 0..255 or 0..65535.
    """
    if pixels.dtype == torch.int16:
        return (pixels.to(torch.int32) & 0xFFFF).to(torch.float32)
    return pixels.to(torch.float32)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy values from memory to a device, without waiting for a GPU.

    Parameters
    ----------
    values : torch.Tensor
        On the CPU.
    device : torch.device
        The destination; CUDA through pinned memory.

    Returns
    -------
    torch.Tensor
        On the device.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
