"""Loading of a whole split into memory or onto a device."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phasegan.data.hdf5.columns import TEXTS, Batch, ColumnSelection, SampleReader
from phasegan.data.samplers import check_integer
from phasegan.errors import InputError, RunError
from phasegan.free_memory import check_memory, format_bytes, free_memory
from phasegan.progress import Progress
from phasegan.resources import available_cores

if TYPE_CHECKING:
    import torch

BLOCK_BYTES = 4 * 2**20
"""Bytes that a thread reads at once."""
MAX_THREADS = 8
_ADVICE = "load fewer fields, give a smaller dtype, or read in batches"


def load(
    samples: SampleReader,
    fields: ColumnSelection,
    device: torch.device | None,
    threads: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Read all samples of a split with several threads.

    Parameters
    ----------
    samples : SampleReader
        The split.
    fields : ColumnSelection
        Columns to read.
    device : torch.device or None
        Where the tensors go; None: numpy arrays.
    threads : int or None
        As many as cores, at most 8, by default.
    progress : Progress
        Where to report.

    Returns
    -------
    dict
        Arrays or tensors by column; the first axis is the sample.

    Raises
    ------
    InputError
        If `threads` is out of range or samples are damaged.
    RunError
        If they do not fit into free memory.
    """
    layout, count = samples.layout, len(samples)
    arrays = {n: fields.array(n, layout) for n in fields.names if n not in TEXTS}
    sample = sum(int(np.prod(s, dtype=np.int64)) * d.itemsize for s, d in arrays.values())
    most = max(sample, fields.stored_bytes(layout), 1)
    block = max(1, BLOCK_BYTES // most)
    if threads is None:
        threads = min(MAX_THREADS, available_cores())
    check_integer("threads", threads, 1)
    needed = count * sample
    work = 3 * threads * block * most  # codes, radians, and their copy on the way to the device
    what = f"{samples.where}: {', '.join(fields.names)} of {samples.name}"
    on_host = device is None or device.type == "cpu"
    check_memory((needed if on_host else 0) + work, free_memory(), what, "of memory", _ADVICE)
    if not on_host:
        check_memory(needed, _free_on(device), what, f"on {device}", _ADVICE)
    try:
        values = {n: _empty((count, *s), d, device) for n, (s, d) in arrays.items()}
        _fill(samples, fields, values, range(0, count, block), threads, progress)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise RunError(
            f"{what} need {format_bytes(needed)} of memory, more than there is: {_ADVICE}"
        ) from None
    texts = ColumnSelection(tuple(n for n in fields.names if n in TEXTS), fields.dtype)
    values |= texts.read(samples, slice(None))
    return {name: values[name] for name in fields.names}


def check_device(fields: ColumnSelection, device: Any) -> torch.device | None:
    """Return a torch device that can hold the selected columns.

    Parameters
    ----------
    fields : ColumnSelection
        Columns that go there.
    device : str, torch.device or None
        As users name it.

    Returns
    -------
    torch.device or None
        None for numpy arrays.

    Raises
    ------
    InputError
        If torch knows no such device, it is not here, or texts should go there.
    """
    if device is None:
        return None
    import torch

    from phasegan.devices import DEVICES, choose_device

    texts = [name for name in fields.names if name in TEXTS]
    if texts:
        raise InputError(
            f"fields {', '.join(texts)} are texts and go to no device: load them apart"
        )
    if device == "auto":
        return choose_device(device)
    try:
        torch_device = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"device {device!r}: choose one of {', '.join(DEVICES)}") from None
    choose_device(torch_device.type)
    return torch_device


def _fill(
    samples: SampleReader,
    fields: ColumnSelection,
    targets: dict[str, Any],
    starts: range,
    threads: int,
    progress: Progress,
) -> None:
    """Read blocks in threads, each into its place; few are under way at once."""

    def one(start: int) -> int:
        stop = min(start + starts.step, starts.stop)
        _fill_block(samples, fields, targets, start, stop)
        return stop - start

    label = f"reading {samples.name}"
    with progress.task(label, starts.stop) as task:
        if threads == 1:
            for start in starts:
                task.advance(one(start))
            return
        with ThreadPoolExecutor(threads) as pool:
            for future in _under_way(pool, one, iter(starts), 2 * threads):
                task.advance(future.result())


def _under_way(
    pool: ThreadPoolExecutor, work: Any, items: Iterator[int], limit: int
) -> Iterator[Future[int]]:
    waiting = [pool.submit(work, item) for item in islice(items, limit)]
    try:
        while waiting:
            yield waiting.pop(0)
            waiting.extend(pool.submit(work, item) for item in islice(items, 1))
    finally:
        for future in waiting:
            future.cancel()


def _fill_block(
    samples: SampleReader, fields: ColumnSelection, targets: dict[str, Any], start: int, stop: int
) -> None:
    rows, rest = slice(start, stop), []
    for name in fields.names:
        target = targets.get(name)
        if name in ("images", "codes", "undefined") and isinstance(target, np.ndarray):
            samples.take("phase" if name == "codes" else name, rows, target[start:stop])
        elif target is not None:
            rest.append(name)
    if not rest:
        return
    values: Batch = ColumnSelection(tuple(rest), fields.dtype).read(samples, rows)
    for name, value in values.items():
        _put(targets[name], start, stop, value)


def _put(target: Any, start: int, stop: int, values: NDArray[Any]) -> None:
    if isinstance(target, np.ndarray):
        target[start:stop] = values
    else:
        import torch

        target[start:stop].copy_(torch.from_numpy(values))


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], device: torch.device | None) -> Any:
    if device is None:
        return np.empty(shape, dtype)
    import torch

    return torch.empty(shape, dtype=getattr(torch, dtype.name), device=device)


def _free_on(device: torch.device | None) -> int | None:
    import torch

    if device is None or device.type != "cuda":
        return None  # how much room others have is not known
    return int(torch.cuda.mem_get_info(device)[0])
