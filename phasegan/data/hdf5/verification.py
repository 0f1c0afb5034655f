"""Verification of prepared files against their checksums and their format."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phasegan.data.hdf5 import pair_layout
from phasegan.data.hdf5.container import decode_text
from phasegan.data.hdf5.layout import SHARDS, dataset_attributes
from phasegan.data.hdf5.pair_reader import HDF5Images, PairFile, is_pair_file
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.record_file import RecordFile
from phasegan.data.hdf5.records import dataset_checksum, mask_record
from phasegan.data.hdf5.split import PreparedSplit
from phasegan.errors import InputError, RunError
from phasegan.progress import Progress, ProgressTask

_BLOCK = 4096
_NAMED = 5
"""Damaged samples, or images, that are named."""


def verify(
    file: PreparedFile | PairFile, progress: Progress | None = None, *, records: bool = True
) -> list[str]:
    """Compute every checksum of a prepared file again.

    Parameters
    ----------
    file : PreparedFile or PairFile
        The file.
    progress : Progress, optional
        Follows the samples or images; silent by default.
    records : bool
        Also those of each sample or image, in shards too (default).

    Returns
    -------
    list of str
        What does not match: `attributes`, datasets with the samples or images that are
        damaged, descriptions, objects that the format does not know; empty when all
        is well.
    """
    progress = progress or Progress()
    if isinstance(file, PairFile):
        return _verify_pair(file, progress, records)
    names = [f"{s}/{d}" for s in ("train", "test") for d in file.layout.datasets]
    if file.has_images:
        names.append("train/mean_magnitude")
    wrong = [] if file.attributes["intact"] else ["attributes"]
    for shard in file.shards if records else ():
        wrong += [f"{shard.path.name}: {problem}" for problem in verify(shard, progress)]
    total = len(file.layout.raw) * (len(file.train) + len(file.test))
    with progress.task("verifying", total) as task:
        each = records and not file.shards  # each shard was verified by itself
        wrong += [problem for name in names if (problem := _check(file, name, task, each))]
    described = {name: dataset_attributes(name.split("/")[1], file.layout) for name in names}
    described |= {"train": {}, "test": {}}
    wrong += _misdescribed(file, wrong, described)
    if file.shards:
        wrong += [f"{name} (sources)" for name in names if not _of_shards(file, name)]
        names += [SHARDS, *(f"{SHARDS}/{name}" for name in ("file", "identity", "pieces"))]
    return wrong + _strangers(file, {"train", "test", *names})


def check_written(path: Path, final: Path) -> None:
    """Refuse a new file of which anything but samples is not what was written.

    An error of the disk while HDF5 closes an object is swallowed by h5py.

    Parameters
    ----------
    path : pathlib.Path
        The file, closed.
    final : pathlib.Path
        The name that it is to get, for messages.

    Raises
    ------
    RunError
        Naming what is wrong.
    """
    try:
        with (PairFile if is_pair_file(path) else PreparedFile)(path) as file:
            wrong = verify(file, records=False)
    except InputError as error:
        wrong = [str(error).removeprefix(f"{path}: ")]
    if wrong:
        raise RunError(
            f"{final}: the disk did not keep what was written ({'; '.join(wrong)}); check the "
            "disk, then give the same command again"
        )


def _verify_pair(file: PairFile, progress: Progress, records: bool) -> list[str]:
    wrong = [] if file.metadata.intact else ["attributes"]
    with progress.task("verifying", sum(map(len, file.groups.values()))) as task:
        for name, group in file.groups.items():
            wrong += _check_group(file, name, group, task, records)
    described: dict[str, dict[str, Any]] = {name: {} for name in file.groups} | {
        f"{group}/{name}": {"axes": ", ".join(labels)}
        for group in file.groups
        for name, labels in pair_layout.AXES.items()
    }
    return wrong + _misdescribed(file, wrong, described) + _strangers(file, described)


def _check_group(
    file: PairFile, name: str, group: HDF5Images, task: ProgressTask, records: bool
) -> list[str]:
    wrong: list[str] = []
    damaged: list[str] = []
    for row, intact in group.verify() if records else ():
        damaged += [] if intact else [group.names[row]]
        task.advance()
    if damaged:
        wrong.append(f"{name}/pixels ({_counted(damaged, 'picture')})")
    for dataset in pair_layout.CHECKSUMMED:
        key = f"{name}/{dataset}"
        if _checksum(file, key) != file.metadata.checksums.get(key):
            if dataset != "pixels":
                wrong.append(key)
            elif not damaged:
                wrong.append(f"{key} (checksums)")
    return wrong


def _checksum(file: PairFile, name: str) -> str:
    source = f"{name}_sha256" if name.endswith("/pixels") else name
    try:
        return dataset_checksum(file.read(lambda opened: opened[source][()]))
    except InputError:
        return "unreadable"


def _counted(items: Sequence[object], what: str) -> str:
    """Return a count with the first items, such as `7 samples: 0, 3, 4, 9, 12, …`."""
    first = ", ".join(map(str, items[:_NAMED])) + (", …" if len(items) > _NAMED else "")
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}: {first}"


def _misdescribed(
    file: RecordFile, wrong: Sequence[str], described: dict[str, dict[str, Any]]
) -> list[str]:
    """Return objects without the attributes of the format, but for those that are damaged."""
    damaged = {name.split(" ")[0] for name in wrong}

    def matches(name: str, expected: dict[str, Any]) -> bool:
        def attributes(opened: h5py.File) -> dict[str, Any]:
            return {
                key: decode_text(value) if isinstance(value, bytes) else value
                for key, value in opened[name].attrs.items()
                if key != "count"
            }

        try:
            return file.read(attributes) == expected
        except Exception:  # damaged descriptions fail in many ways inside libhdf5
            return False

    return [
        f"{name} (description)"
        for name, expected in described.items()
        if name not in damaged and not matches(name, expected)
    ]


def _strangers(file: RecordFile, format_names: Collection[str]) -> list[str]:
    """Return objects that the format does not know."""
    objects: list[str] = []
    file.read(lambda opened: opened.visit(objects.append))
    return [f"{name} (unknown)" for name in objects if name not in format_names]


def _of_shards(prepared: PreparedFile, name: str) -> bool:
    """Tell whether a dataset takes its values from the same dataset of the shards alone."""
    shards = {shard.path.name for shard in prepared.shards}

    def compare(file: h5py.File) -> bool:
        dataset = file[name]
        return not dataset.is_virtual or all(
            source.file_name in shards and source.dset_name.strip("/") == name
            for source in dataset.virtual_sources()
        )

    return prepared.read(compare)


def _check(prepared: PreparedFile, name: str, task: ProgressTask, each: bool) -> str:
    """Describe the damage to a dataset; empty if there is none."""
    group, short = name.split("/")
    expected = prepared.attributes["checksums"].get(name)
    split = prepared.split(group)
    try:
        if short in prepared.layout.raw:
            return _check_samples(split, short, name, expected, task, each)
        if short == "mean_magnitude":
            checksum = hashlib.sha256(prepared.mean_magnitude().data).hexdigest()
        elif short == "undefined":
            checksum, count = _undefined(split)
            if checksum == expected and count != split.undefined_count:
                return f"{name} (description)"
        elif short.startswith("source"):
            digest = hashlib.sha256()
            for start in range(0, len(split), _BLOCK):
                rows = slice(start, start + _BLOCK)
                texts = split.sources(rows) if short == "source" else split.source_sha256(rows)
                digest.update(b"".join(text.encode() + b"\0" for text in texts))
            checksum = digest.hexdigest()
        else:
            return ""  # checksums of samples, compared with those
    except (InputError, KeyError, TypeError, ValueError, UnicodeError):
        checksum = "unreadable"
    return "" if checksum == expected else name


def _check_samples(
    split: PreparedSplit,
    short: str,
    name: str,
    expected: str | None,
    task: ProgressTask,
    each: bool,
) -> str:
    checked = split.verify(short, task.advance) if each else ()
    wrong = [row for row, intact in checked if not intact]
    if wrong:
        return f"{name} ({_counted(wrong, 'sample')})"
    digest = hashlib.sha256()
    for start in range(0, len(split), _BLOCK):
        digest.update(split.digests(short, slice(start, start + _BLOCK)).data)
    return "" if digest.hexdigest() == expected else f"{name} (checksums)"


def _undefined(split: PreparedSplit) -> tuple[str, int]:
    digest, count = hashlib.sha256(), 0
    for row in split.undefined_rows():
        mask = split.undefined([row])[0]
        if mask.any():
            digest.update(mask_record(row, np.ascontiguousarray(mask)))
            count += int(mask.sum())
    return digest.hexdigest(), count
