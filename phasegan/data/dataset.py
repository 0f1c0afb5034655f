"""Prepared files as torch datasets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from phasegan.data.hdf5.batches import make_sampling, read_batches
from phasegan.data.hdf5.columns import Batch, ColumnSelection
from phasegan.data.hdf5.reader import PreparedFile, open_prepared
from phasegan.data.samplers import ALL, WINDOW, Partition, check_integer
from phasegan.errors import InputError

TensorDict = dict[str, Any]
"""Tensors by their fields; texts as strings."""


class OutsideError(InputError, IndexError):
    """An index outside of a dataset; as an IndexError it also ends loops over the dataset."""


class PhaseDataset(Dataset[TensorDict]):
    """Samples of a prepared file by their number, for `torch.utils.data.DataLoader`.

    Workers started by fork, spawn or forkserver each open the file for themselves;
    samples of a batch are read together.

    Parameters
    ----------
    path : path or PreparedFile
        The prepared file; an open one stays as it is, with its own `check`.
    split : {"train", "test"}
        Which samples.
    fields, dtype
        As of `PreparedSplit.batches`; dtype may be torch's.
    transform : callable, optional
        Applied to each sample, a dict of tensors; its result is returned. It
        must be picklable where workers are spawned.
    indices : sequence of int, optional
        Which samples of the split, in which order; all by default.
    in_memory : bool
        Read the samples once, as stored, and keep them in memory.
    check : bool
        Compare each sample with its SHA-256 (default).

    Attributes
    ----------
    file : PreparedFile
        The file; `file.layout.data_range` is the white of `images`.
    samples : PreparedSplit
        The split, whatever `indices` are.
    columns : ColumnSelection
        The fields, and the dtype of phases.

    Raises
    ------
    InputError
        As of `phasegan.open`; if a field, a split or a dtype is unknown; and of
        a sample that is damaged, when it is read.

    Examples
    --------
    >>> import phasegan
    >>> from torch.utils.data import DataLoader
    >>> report = phasegan.prepare("builtin", "builtin.h5", samples=4, test=2)
    >>> loader = DataLoader(phasegan.PhaseDataset("builtin.h5"), batch_size=4, shuffle=True)
    >>> batch = next(iter(loader))
    >>> batch["phase"].shape, batch["images"].dtype
    (torch.Size([4, 128, 65]), torch.uint8)

    Two samples, read once:

    >>> subset = phasegan.PhaseDataset("builtin.h5", indices=[3, 0], in_memory=True)
    >>> [len(batch["phase"]) for batch in DataLoader(subset)]
    [1, 1]
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | PreparedFile,
        split: str = "train",
        fields: Sequence[str] | None = None,
        dtype: Any = torch.float32,
        transform: Callable[[TensorDict], Any] | None = None,
        *,
        indices: Sequence[int] | NDArray[np.integer] | None = None,
        in_memory: bool = False,
        check: bool = True,
    ) -> None:
        self.file = path if isinstance(path, PreparedFile) else open_prepared(path, check=check)
        self.transform = transform
        self.samples = self.file.split(split)
        self.columns = ColumnSelection.choose(self.samples, fields, _numpy_name(dtype))
        self._rows: NDArray[np.int64] | None = None
        if indices is not None:
            self._rows = self._positions(indices, len(self.samples))
        self._stored: Batch | None = None
        if in_memory:
            rows = slice(0, len(self.samples)) if self._rows is None else self._rows
            self._stored = self.columns.fetch(self.samples, rows)

    def __len__(self) -> int:
        return len(self.samples) if self._rows is None else len(self._rows)

    @property
    def in_memory(self) -> bool:
        """Whether the samples are kept in memory."""
        return self._stored is not None

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> Batch:
        """Read samples together.

        Parameters
        ----------
        indices : sequence of int
            Any order, repeats allowed; negative ones count from the end.

        Returns
        -------
        dict of numpy.ndarray
            Values by field; the first axis is the sample.

        Raises
        ------
        InputError
            If an index is not a whole number or outside, or a sample is damaged.
        """
        positions = self._positions(indices, len(self))
        if self._stored is not None:
            stored = {name: values[positions] for name, values in self._stored.items()}
            return self.columns.finish(stored)
        rows = positions if self._rows is None else self._rows[positions]
        return self.columns.read(self.samples, rows)

    def _positions(self, indices: Any, count: int) -> NDArray[np.int64]:
        """Return checked indices, those from the end as from the start."""
        try:
            array = np.asarray(indices)
        except (TypeError, ValueError):
            array = np.asarray(None)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise InputError(
                f"{self.file.path}: indices of shape {array.shape} and dtype {array.dtype}; give "
                "whole numbers, of a mask those of `numpy.flatnonzero`"
            )
        outside = (array < -count) | (array >= count)
        if outside.any():
            raise OutsideError(
                f"{self.file.path}: index {array[outside][0]} is outside the {count} samples of "
                f"{self.samples.name}"
            )
        return array.astype(np.int64) % max(count, 1)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Return samples, which are read together; negative indices count from the end."""
        batch = _tensors(self.read(indices))
        items = [{name: values[i] for name, values in batch.items()} for i in range(len(indices))]
        return items if self.transform is None else [self.transform(item) for item in items]


class PhaseBatches(IterableDataset[Any]):
    """Batches of a prepared file in one order, shared among processes and their workers.

    For `DataLoader(PhaseBatches(…), batch_size=None, num_workers=…)`. Every process of
    a distributed training reads a share of its own; together they read every sample
    once an epoch, and the workers of a process every batch of its share once. Give
    each epoch its number with `set_epoch`, or all have the order of the first.

    Parameters
    ----------
    path : path
        The prepared file.
    batch_size : int
        Samples of a batch of this process; the last of its share may be smaller.
    split : {"train", "test"}
        Which samples.
    shuffle, block, window, seed, fields, dtype
        As of `PreparedSplit.batches`; dtype may be torch's.
    transform : callable, optional
        Applied to each batch, a dict of tensors; its result is returned.
    drop_last : bool
        Leave out batches that are not full; then every process has equally many
        (without it the numbers may differ by one).
    rank, ranks : int, optional
        This process and how many there are, if not as torch.distributed says.
    check : bool
        Compare each sample with its SHA-256 (default).

    Attributes
    ----------
    file : PreparedFile
        The file.
    dataset : PhaseDataset
        Its samples by their number.

    Raises
    ------
    InputError
        As of `phasegan.open`; if a value is out of range; and of a sample that is
        damaged, when it is read.

    Examples
    --------
    >>> import phasegan
    >>> report = phasegan.prepare("builtin", "builtin.h5", samples=5, test=2)
    >>> batches = phasegan.PhaseBatches("builtin.h5", 2)
    >>> [len(batch["phase"]) for batch in batches]
    [2, 2, 1]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        batch_size: int,
        split: str = "train",
        *,
        shuffle: str = "blocks",
        block: int | None = None,
        window: int = WINDOW,
        seed: int = 0,
        fields: Sequence[str] | None = None,
        dtype: Any = torch.float32,
        transform: Callable[[TensorDict], Any] | None = None,
        drop_last: bool = False,
        rank: int | None = None,
        ranks: int | None = None,
        check: bool = True,
    ) -> None:
        self.dataset = PhaseDataset(path, split, fields, dtype, check=check)
        self.file, self.transform = self.dataset.file, transform
        self.sampling = make_sampling(
            self.dataset.samples, self.dataset.columns, batch_size, shuffle=shuffle, block=block,
            window=window, seed=seed, drop_last=drop_last,
        )  # fmt: skip
        self._share = _given_share(rank, ranks)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def share(self) -> Partition:
        """Which share of the samples this process reads."""
        return self._share or _share_of_process()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, and so the order, of the next pass; running workers follow.

        Parameters
        ----------
        epoch : int
            From 0.

        Raises
        ------
        InputError
            If it is negative or not an integer.
        """
        check_integer("epoch", epoch, 0)
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self.sampling.batches(self.share)

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        part = ALL if worker is None else Partition(worker.id, worker.num_workers)
        epoch = int(self._epoch)
        samples, columns = self.dataset.samples, self.dataset.columns
        for batch in read_batches(samples, columns, self.sampling, epoch, self.share, part):
            tensors = _tensors(batch)
            yield tensors if self.transform is None else self.transform(tensors)

    def __getstate__(self) -> dict[str, Any]:
        # spawned workers are not in the process group
        return self.__dict__ | {"_share": self.share}


def _given_share(rank: int | None, ranks: int | None) -> Partition | None:
    if rank is None and ranks is None:
        return None
    if rank is None or ranks is None:
        raise InputError("give both rank and ranks, or neither")
    check_integer("ranks", ranks, 1)
    check_integer("rank", rank, 0)
    if rank >= ranks:
        raise InputError(f"rank = {rank}: there are {ranks}, counted from 0")
    return Partition(rank, ranks)


def _share_of_process() -> Partition:
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return Partition(distributed.get_rank(), distributed.get_world_size())
    return ALL


def _numpy_name(dtype: Any) -> Any:
    """Return the name of a torch dtype, by which numpy knows it; others as they are."""
    return str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype


def _tensors(batch: Batch) -> TensorDict:
    return {
        name: values.tolist() if values.dtype.kind == "U" else torch.from_numpy(values)
        for name, values in batch.items()
    }


def as_nchw(values: NDArray[Any]) -> NDArray[Any]:
    """Return samples as (n, C, rows, columns), of a type that every device can index.

    Parameters
    ----------
    values : numpy.ndarray
        (n[, C], rows, columns), any dtype.

    Returns
    -------
    numpy.ndarray
        A view; uint16 as the int16 of the same bits, see `grey_levels`.
    """
    planes = values.reshape(len(values), -1, *values.shape[-2:])
    return planes.view(np.int16) if planes.dtype == np.uint16 else planes


def grey_levels(pixels: torch.Tensor) -> torch.Tensor:
    """Return the grey levels of images from `as_nchw`.

    Parameters
    ----------
    pixels : torch.Tensor
        (n, C, rows, columns), uint8, int16 or float32.

    Returns
    -------
    torch.Tensor
        Same shape, float32, in 0..255, 0..65535 or as they are.
    """
    if pixels.dtype == torch.int16:
        return (pixels.to(torch.int32) & 0xFFFF).to(torch.float32)
    return pixels.to(torch.float32)
