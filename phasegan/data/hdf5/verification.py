"""Verification of a prepared file against its checksums and its format."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import h5py
import numpy as np

from phasegan.data.hdf5.layout import SHARDS, dataset_attributes
from phasegan.data.hdf5.raw_data import mask_record
from phasegan.data.hdf5.reader import PreparedFile
from phasegan.data.hdf5.split import PreparedSplit
from phasegan.errors import InputError
from phasegan.progress import Progress, ProgressTask

_BLOCK = 4096
_NAMED = 5
"""Damaged samples, or images, that are named."""


def verify(prepared: PreparedFile, progress: Progress | None = None) -> list[str]:
    """Compute every checksum of a prepared file again.

    Parameters
    ----------
    prepared : PreparedFile
        The file.
    progress : Progress, optional
        Follows the samples; silent by default.

    Returns
    -------
    list of str
        What does not match: `attributes`, datasets with the samples that are
        damaged, descriptions, objects that the format does not know; empty when all
        is well.
    """
    names = [f"{s}/{d}" for s in ("train", "test") for d in prepared.layout.datasets]
    if prepared.has_images:
        names.append("train/mean_magnitude")
    wrong = [] if prepared.attributes["intact"] else ["attributes"]
    for shard in prepared.shards:
        wrong += [f"{shard.path.name}: {problem}" for problem in verify(shard, progress)]
    total = len(prepared.layout.raw) * (len(prepared.train) + len(prepared.test))
    with (progress or Progress()).task("verifying", total) as task:
        wrong += [problem for name in names if (problem := _check(prepared, name, task))]
    damaged = {name.split(" ")[0] for name in wrong}
    wrong += [
        f"{name} (description)"
        for name in names
        if name not in damaged and not _described(prepared, name)
    ]
    if prepared.shards:
        wrong += [f"{name} (sources)" for name in names if not _of_shards(prepared, name)]
    return wrong + _strangers(prepared, names)


def count_phrase(items: Sequence[object], what: str) -> str:
    """Return a count with the first items, such as `7 samples: 0, 3, 4, 9, 12, …`.

    Parameters
    ----------
    items : sequence
        At most five are shown.
    what : str
        Their name in the singular.

    Returns
    -------
    str
        For a message.
    """
    first = ", ".join(map(str, items[:_NAMED])) + (", …" if len(items) > _NAMED else "")
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}: {first}"


def _strangers(prepared: PreparedFile, names: list[str]) -> list[str]:
    """Return objects that the format does not know."""
    format_names = {"train", "test", *names}
    if prepared.shards:
        format_names |= {SHARDS, *(f"{SHARDS}/{name}" for name in ("file", "identity", "pieces"))}

    def find(file: h5py.File) -> list[str]:
        objects: list[str] = []
        file.visit(objects.append)
        return [f"{name} (unknown)" for name in objects if name not in format_names]

    return prepared.read(find)


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


def _described(prepared: PreparedFile, name: str) -> bool:
    """Tell whether a dataset has the attributes of the format."""
    short = name.split("/")[1]
    expected = dataset_attributes(short, prepared.layout)

    def compare(file: h5py.File) -> bool:
        dataset = file[name]
        attributes = {
            k: v.decode() if isinstance(v, bytes) else v
            for k, v in dataset.attrs.items()
            if k != "count"
        }
        return attributes == expected

    try:
        return prepared.read(compare)
    except Exception:  # damaged descriptions fail in many ways inside libhdf5
        return False


def _check(prepared: PreparedFile, name: str, task: ProgressTask) -> str:
    """Describe the damage to a dataset; empty if there is none."""
    group, short = name.split("/")
    expected = prepared.attributes["checksums"].get(name)
    split = prepared.split(group)
    try:
        if short in prepared.layout.raw:
            return _check_samples(split, short, name, expected, task, bool(prepared.shards))
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
    shards: bool,
) -> str:
    checked = [] if shards else split.check(short, task.advance)  # each shard was, by itself
    wrong = [row for row, intact in checked if not intact]
    if wrong:
        return f"{name} ({count_phrase(wrong, 'sample')})"
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
