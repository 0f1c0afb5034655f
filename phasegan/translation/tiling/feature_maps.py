"""Feature maps of a whole picture, in memory or in a temporary file without a name."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from phasegan.errors import RunError
from phasegan.translation.tiling.operations import Band, Shape


class FeatureMap:
    """A map (1, channel, row, column) that is written and read by rows, channels innermost.

    Parameters
    ----------
    shape : Shape
        Its size.
    dtype : torch.dtype
        Dtype of its values.
    device : torch.device
        Where it lies; what is read comes to `compute_device`.
    folder : pathlib.Path, optional
        Keep it in a temporary file there instead.
    compute_device : torch.device, optional
        Where it is computed with; `device` by default.

    Raises
    ------
    RunError
        If there is no room for it.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: torch.dtype,
        device: torch.device,
        folder: Path | None = None,
        compute_device: torch.device | None = None,
    ) -> None:
        self.shape, self._dtype, self._compute_device = shape, dtype, compute_device or device
        self._row = shape.columns * shape.channels * dtype.itemsize
        self._values: Tensor | None = None
        if folder is None:
            size = (shape.rows, shape.columns, shape.channels)
            self._values = torch.empty(size, dtype=dtype, device=device)
            return
        self._folder = folder
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._disk_error(error) from None

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.shape.rows * self._row

    def read(self, band: Band) -> Tensor:
        """Read rows.

        Parameters
        ----------
        band : (int, int)
            The first row, and the one after the last.

        Returns
        -------
        torch.Tensor
            (1, channels, band, columns); it must not be changed.
        """
        if self._values is not None:
            rows = self._values[band[0] : band[1]]
        else:
            data = np.empty((band[1] - band[0]) * self._row, np.uint8)
            view, done = memoryview(data.data), 0
            self._file.seek(band[0] * self._row)
            while done < len(view):
                count = self._file.readinto(view[done:])
                if not count:
                    raise RunError(f"a temporary file in {self._folder} has been cut short")
                done += count
            size = (band[1] - band[0], self.shape.columns, self.shape.channels)
            rows = torch.from_numpy(data).view(self._dtype).view(size)
        return rows.to(self._compute_device).permute(2, 0, 1)[None]

    def write(self, first: int, x: Tensor) -> None:
        """Write rows.

        Parameters
        ----------
        first : int
            Number of the first row.
        x : torch.Tensor
            (1, channels, rows, columns).

        Raises
        ------
        RunError
            If the disk is full.
        """
        rows = x[0].permute(1, 2, 0)
        if self._values is not None:
            self._values[first : first + rows.shape[0]].copy_(rows)
            return
        data = rows.to("cpu", self._dtype).contiguous().view(torch.uint8).numpy()
        view, done = memoryview(data.data).cast("B"), 0
        try:
            self._file.seek(first * self._row)
            while done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            raise self._disk_error(error) from None

    def close(self) -> None:
        """Release its memory or file."""
        if self._values is None:
            self._file.close()
        self._values = None

    def _disk_error(self, error: OSError) -> RunError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return RunError(
                f"{self._folder}: no room for {self.nbytes / 1e9:.1f} GB of intermediate results; "
                "free some space or give more --memory"
            )
        return RunError(f"{self._folder}: {error.strerror} (for intermediate results)")
