"""What the results of the pictures of a folder are called."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from phasegan.translation.image_writer import OTHERS

_LONGEST = 255
"""Bytes of a file's name, at most."""


def result_names(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return what the results of pictures may be called; no two have a name in common.

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
    taken = {*names, *(str(folder) for name in names for folder in PurePosixPath(name).parents)}
    found: dict[str, dict[str, str]] = {}
    for name in names:
        path = PurePosixPath(name)
        found[name] = {path.suffix: name}
        for suffix in OTHERS:
            if suffix == path.suffix:
                continue
            alone = stems[str(path.with_suffix(""))] == 1
            target = str(path.with_suffix(suffix)) if alone else _named(path, suffix)
            number = 1
            while target in taken or len(os.fsencode(PurePosixPath(target).name)) > _LONGEST:
                target = _named(path, f"-{number}{suffix}" if number > 1 else suffix)
                number += 1
            taken.add(target)
            found[name][suffix] = target
    return found


def _named(path: PurePosixPath, tail: str) -> str:
    """Return a path with something behind its name, which is cut where it gets too long."""
    name = path.name
    while len(os.fsencode(name + tail)) > _LONGEST:
        name = name[:-1]
    return str(path.with_name(name + tail))
