"""Writing the groups of a file of two picture domains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import h5py
import numpy as np

from phasegan.errors import InputError
from phasegan.progress import Progress, Task
from phasegan.store.domains import Part
from phasegan.store.encode import ordered_map
from phasegan.store.picture_schema import DATASETS, LABELS
from phasegan.store.planes import Kind, Planes, loaded, to_planes

_CHUNK = 2**20
"""Elements of a chunk of pixels, at most."""


class _Ready(NamedTuple):
    """A picture as it is written."""

    name: str
    sha256: str
    planes: Planes


class DomainsWriter:
    """Write groups of pictures one after the other.

    Parameters
    ----------
    file : h5py.File
        Open for writing, empty.
    threads : int
        That decode.
    task : Task
        Told of each picture.
    progress : Progress
        Told of what is left out.

    Attributes
    ----------
    checksums : dict of str
        By dataset: SHA-256 of its values.
    counts : dict of int
        Pictures by group.
    hashes : dict of set of str
        By group: SHA-256 of the files its pictures came from.
    left_out : list of (str, str)
        Name and reason of each test picture that cannot be used.
    """

    def __init__(self, file: h5py.File, threads: int, task: Task, progress: Progress) -> None:
        self._file, self._threads, self._task, self._progress = file, threads, task, progress
        self.checksums: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.hashes: dict[str, set[str]] = {}
        self.left_out: list[tuple[str, str]] = []

    def write(self, name: str, part: Part, kind: Kind, load: int, fit: str) -> None:
        """Decode the pictures of a group on many threads and write them in their order.

        Parameters
        ----------
        name : str
            trainA, trainB, testA or testB.
        part : Part
            The pictures.
        kind : Kind
            What they become.
        load, fit
            The size they are brought to, see `phasegan.store.planes.loaded`.

        Raises
        ------
        InputError
            If a training picture cannot be used.
        """
        group = self._file.create_group(name)
        dtype, element = np.dtype(kind.dtype), kind.channels * load**2
        pixels = group.create_dataset(
            "pixels", (0,), dtype, maxshape=(None,), chunks=(min(element, _CHUNK),)
        )
        digest = hashlib.sha256()
        names: list[str] = []
        hashes: list[str] = []
        shapes: list[tuple[int, int]] = []
        offsets = [0]
        work, rows = _reader(part, kind, load, fit), list(range(len(part)))
        with ThreadPoolExecutor(self._threads) as pool:
            for _, ready in ordered_map(pool, work, rows, 4 * self._threads):
                self._task.advance()
                if isinstance(ready, str):
                    if name.startswith("train"):
                        raise InputError(f"{ready}; it could be read a moment ago")
                    self._progress.warn(f"left out {ready}")
                    self.left_out.append(_parted(ready, part.label))
                    continue
                flat = np.ascontiguousarray(ready.planes, dtype).reshape(-1)
                offsets.append(offsets[-1] + flat.size)
                pixels.resize(offsets[-1], axis=0)
                pixels[offsets[-2] : offsets[-1]] = flat
                digest.update(flat.data)
                names.append(ready.name)
                hashes.append(ready.sha256)
                shapes.append((ready.planes.shape[1], ready.planes.shape[2]))
        values: dict[str, Any] = {
            "offsets": np.array(offsets, np.int64),
            "shapes": np.array(shapes, np.int32).reshape(-1, 2),
        }
        for key, array in values.items():
            group.create_dataset(key, data=array)
            self.checksums[f"{name}/{key}"] = hashlib.sha256(array.data).hexdigest()
        for key, texts in (("names", names), ("source_sha256", hashes)):
            group.create_dataset(key, (len(texts),), h5py.string_dtype(), np.array(texts, object))
            joined = b"".join(text.encode() + b"\0" for text in texts)
            self.checksums[f"{name}/{key}"] = hashlib.sha256(joined).hexdigest()
        self.checksums[f"{name}/pixels"] = digest.hexdigest()
        for key in DATASETS:
            for position, label in enumerate(LABELS[key]):
                group[key].dims[position].label = label
        self.counts[name], self.hashes[name] = len(names), set(hashes)


def _parted(text: str, label: str) -> tuple[str, str]:
    name, _, reason = text.removeprefix(f"{label}/").partition(": ")
    return name, reason


def _reader(part: Part, kind: Kind, load: int, fit: str) -> Callable[[int], _Ready | str]:
    names = part.names

    def read(index: int) -> _Ready | str:
        try:
            planes = loaded(to_planes(part.read(index), kind), load, fit)
            name = names[index].encode("utf-8", "surrogateescape")
            readable = name.decode("utf-8", "backslashreplace")
            return _Ready(readable, part.source_sha256(index), planes)
        except InputError as error:
            text = str(error)
            named = text.startswith(part.label)
            return text if named else f"{part.label}/{names[index]}: {text}"

    return read
