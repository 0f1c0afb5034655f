"""Reading a split in batches, or all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phasegan.data.hdf5.columns import Batch, ColumnSelection, SampleReader
from phasegan.data.hdf5.preload import check_device, load
from phasegan.data.samplers import ALL, BLOCK_BYTES, WINDOW, Partition, Sampling, check_integer
from phasegan.progress import Progress

if TYPE_CHECKING:
    import torch


class BatchReader(SampleReader):
    """Samples in batches or all at once: a base of `PreparedSplit`."""

    def batches(
        self,
        size: int,
        *,
        shuffle: str = "none",
        block: int | None = None,
        window: int = WINDOW,
        seed: int = 0,
        epoch: int = 0,
        fields: Sequence[str] | None = None,
        dtype: Any = np.float32,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Return an iterator over all samples, once, in batches.

        Parameters
        ----------
        size : int
            Samples of a batch; the last may be smaller.
        shuffle : {"none", "samples", "blocks"}
            The order: as in the file; every order as likely as another; or blocks
            of consecutive samples in any order, read one block after the other and
            mixed with `window` blocks at a time. The last reads the file in large
            pieces, for disks and networks where finding a sample takes longer than
            reading it.
        block : int, optional
            Samples of a block; by default as many as are 4 MiB in the file.
        window : int
            Blocks of a window, which are in memory together.
        seed, epoch : int
            They decide the order, with `size`, `block` and `window`.
        fields : sequence of str, optional
            Any of `phase` (radians), `codes` (phases as stored), `images`, `undefined`,
            `index` (of the sample in the split), `source` and `source_sha256`; by
            default `phase`, and `images` where there are any.
        dtype : numpy dtype
            Dtype of `phase`: float16, float32 or float64.
        drop_last : bool
            Leave the last batch out if it is smaller.

        Returns
        -------
        iterator of dict
            Arrays by their fields; the first axis is the sample.

        Raises
        ------
        InputError
            If a value is out of range; while reading, if samples are damaged.

        Examples
        --------
        >>> import phasegan
        >>> report = phasegan.prepare("builtin", "builtin.h5", samples=4, test=2)
        >>> with phasegan.open("builtin.h5") as file:
        ...     sizes = [len(b["phase"]) for b in file.train.batches(3, shuffle="samples")]
        >>> sizes
        [3, 1]
        """
        check_integer("epoch", epoch, 0)
        columns = ColumnSelection.choose(self, fields, dtype)
        sampling = make_sampling(
            self, columns, size, shuffle=shuffle, block=block, window=window, seed=seed,
            drop_last=drop_last,
        )  # fmt: skip
        return read_batches(self, columns, sampling, epoch)

    def load(
        self,
        fields: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        *,
        dtype: Any = np.float32,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Return all samples, in memory or on a device.

        They are read and checked in blocks of some 4 MiB by several threads, each
        block to its place in the result: no second copy is made.

        Parameters
        ----------
        fields, dtype
            As of `batches`.
        device : str or torch.device, optional
            Where torch tensors shall be; None: numpy arrays.
        threads : int, optional
            By default as many as there are cores, at most 8.
        progress : Progress, optional
            Where to report.

        Returns
        -------
        dict
            Arrays, or tensors, by their fields; the first axis is the sample.

        Raises
        ------
        InputError
            If a value is out of range, or samples are damaged.
        RunError
            If they do not fit into the memory that is free: how much that is, and
            how much they need.

        Examples
        --------
        >>> import phasegan
        >>> report = phasegan.prepare("builtin", "builtin.h5", samples=4, test=2)
        >>> with phasegan.open("builtin.h5") as file:
        ...     images = file.train.load(["images"])["images"]
        >>> images.shape, images.dtype
        ((4, 128, 128), dtype('uint8'))
        """
        columns = ColumnSelection.choose(self, fields, dtype)
        return load(self, columns, check_device(columns, device), threads, progress or Progress())


def make_sampling(
    samples: SampleReader, fields: ColumnSelection, size: int, *, block: int | None, **values: Any
) -> Sampling:
    """Return the order in which a split is read.

    Parameters
    ----------
    samples : SampleReader
        The split.
    fields : ColumnSelection
        Columns to read; they decide the samples of a block of 4 MiB.
    size : int
        Samples of a batch.
    block : int or None
        Samples of a block; None: as many as are 4 MiB in the file.
    **values : Any
        Other parameters of `Sampling`.

    Returns
    -------
    Sampling
        Order of all samples of the split.

    Raises
    ------
    InputError
        If a value is out of range.
    """
    if block is None:
        block = max(1, BLOCK_BYTES // max(fields.stored_bytes(samples.layout), 1))
    return Sampling(len(samples), size, block=block, **values)


def read_batches(
    samples: SampleReader,
    fields: ColumnSelection,
    sampling: Sampling,
    epoch: int = 0,
    share: Partition = ALL,
    part: Partition = ALL,
) -> Iterator[Batch]:
    """Read the batches of an order.

    Parameters
    ----------
    samples : SampleReader
        The split.
    fields : ColumnSelection
        Columns to read.
    sampling : Sampling
        The order.
    epoch : int
        From 0.
    share, part : Partition
        Shares of a process and of one of its workers, as of `Sampling.windows`.

    Yields
    ------
    dict of numpy.ndarray
        Arrays by field; the first axis is the sample.
    """
    for window in sampling.windows(epoch, share, part):
        fetched = fields.fetch(samples, window.rows)
        for positions in window.batches(sampling.size):
            yield fields.finish({name: values[positions] for name, values in fetched.items()})
