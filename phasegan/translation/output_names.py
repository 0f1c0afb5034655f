"""File names of the results of a folder of pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from phasegan.translation.image_writer import FALLBACK_SUFFIXES

_MAX_NAME_BYTES = 255
"""Bytes of a file's name, at most."""


def result_names(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the names that results of pictures may get; no two have a name in common.

    Parameters
    ----------
    names : sequence of str
        Paths from the folder, with slashes.

    Returns
    -------
    dict of dict of str
        By picture, and by the suffix that its result may get: the picture's own name, or
        `a.png` for `a.jpg`, or `a.jpg.png` where that would be another one's.
    """
    stems = Counter(str(PurePosixPath(name).with_suffix("")) for name in names)
    reserved = {*names, *(str(folder) for name in names for folder in PurePosixPath(name).parents)}
    targets: dict[str, dict[str, str]] = {}
    for name in names:
        path = PurePosixPath(name)
        targets[name] = {path.suffix: name}
        for suffix in FALLBACK_SUFFIXES:
            if suffix == path.suffix:
                continue
            unique_stem = stems[str(path.with_suffix(""))] == 1
            target = str(path.with_suffix(suffix)) if unique_stem else _append_to_name(path, suffix)
            number = 1
            while (
                target in reserved or len(os.fsencode(PurePosixPath(target).name)) > _MAX_NAME_BYTES
            ):
                target = _append_to_name(path, f"-{number}{suffix}" if number > 1 else suffix)
                number += 1
            reserved.add(target)
            targets[name][suffix] = target
    return targets


def _append_to_name(path: PurePosixPath, tail: str) -> str:
    """Return a path with something behind its name, which is cut where it gets too long."""
    name = path.name
    while len(os.fsencode(name + tail)) > _MAX_NAME_BYTES:
        name = name[:-1]
    return str(path.with_name(name + tail))
