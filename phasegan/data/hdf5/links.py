"""Links in HDF5 files, followed only inside the file.

HDF5 itself follows links to other files, raw values kept in other files and virtual
sources wherever they lead, without a word.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py

from phasegan.data.hdf5.filters import is_compressed, refuse_missing_filters
from phasegan.errors import InputError, printable
from phasegan.io.untrusted import UnreadableFileError, check_growth

_MOST_LINKS = 32
_MAY_LACK_VALUES = "undefined"
"""Dataset of which only samples that have any are stored."""
_KINDS = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "a link to another file"}


def refuse_links(
    file: h5py.File, path: Path, groups: Collection[str], *, virtual: bool = False
) -> None:
    """Refuse a file of phasegan's own that leads elsewhere, or has two names for one thing.

    Parameters
    ----------
    file : h5py.File
        Open.
    path : pathlib.Path
        Its name, for messages.
    groups : collection of str
        Groups of its format. Their members and those of the root are checked.
    virtual : bool
        Let datasets of the groups be virtual.

    Raises
    ------
    InputError
        Naming the first link that is not a plain one, object with two names, dataset without
        its values or with values elsewhere, or filter that is not installed. Objects that cannot be
        opened are left to the reader.
    """
    _refuse_links(file, path, False)
    for name in groups:
        try:
            group = file[name]
        except Exception:  # damaged links fail in many ways inside libhdf5
            continue
        if isinstance(group, h5py.Group):
            _refuse_links(group, path, virtual)


def _refuse_links(group: h5py.Group, path: Path, virtual: bool) -> None:
    for name in group:
        kind = _kind(group, name)
        label = printable(f"{group.name.strip('/')}/{name}".lstrip("/"))
        violation = None if kind == h5py.h5l.TYPE_HARD else _KINDS.get(kind, "a link of a plugin")
        if violation is None:
            try:
                violation = _violation(group[name], path, virtual)
            except InputError:
                raise
            except Exception:  # damaged objects fail in many ways inside libhdf5
                continue
        if violation is not None:
            raise InputError(
                f"{path}: damaged, {label} is {violation}, which phasegan never writes; restore "
                "the file from a copy or prepare the pictures again"
            )


def _violation(node: Any, path: Path, virtual: bool) -> str | None:
    if h5py.h5o.get_info(node.id).rc > 1:
        return "one of two names of the same thing"
    if not isinstance(node, h5py.Dataset):
        return None
    if node.external:
        return "a dataset with its values in another file"
    if node.is_virtual:
        return None if virtual else "a virtual dataset"
    refuse_missing_filters(node, path)
    size = (node.size or 0) * node.dtype.itemsize
    if node.id.get_storage_size() >= size or node.name.endswith(f"/{_MAY_LACK_VALUES}"):
        return None
    if not is_compressed(node):
        return "a dataset that lacks values"
    try:
        check_growth(size, path)
    except UnreadableFileError as error:
        return f"a dataset that cannot be all there ({error})"
    return None


def _kind(group: h5py.Group, name: str) -> int:
    return int(group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type)


def resolve_name(file: h5py.File, name: str, path: Path) -> Any:
    """Return the object of a name in a file of unknown origin.

    Parameters
    ----------
    file : h5py.File
        Open.
    name : str
        From the root. Soft links are followed as long as they stay inside the file.
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    h5py.Group, h5py.Dataset, h5py.Datatype or None
        None where there is nothing of that name, or it cannot be opened.

    Raises
    ------
    InputError
        If the name leads to another file, or through too many links.
    """
    parts, links = _parts(name), 0
    node: Any = file["/"]
    while parts and isinstance(node, h5py.Group):
        part = parts.pop(0)
        member = _member(node, part)
        if isinstance(member, h5py.ExternalLink | int):
            raise _outside(node, part, member, path)
        if not isinstance(member, h5py.SoftLink):
            node = member
            continue
        links += 1
        if links > _MOST_LINKS:
            raise InputError(
                f"{path}: {printable(name)} leads through more than {_MOST_LINKS} links"
            )
        parts = [*_parts(member.path), *parts]
        if member.path.startswith("/"):
            node = file["/"]
    return None if parts else node


def _member(group: h5py.Group, name: str) -> Any:
    """Return an object, a link that is not plain (a number for a plugin's), or None."""
    try:
        if not has_member(group, name):
            return None
        kind = _kind(group, name)
        if kind == h5py.h5l.TYPE_HARD:
            return group[name]
        return group.get(name, getlink=True) if kind in _KINDS else kind
    except Exception:  # damaged links and objects fail in many ways inside libhdf5
        return None


def has_member(group: h5py.Group, name: str) -> bool:
    """Tell whether a group has a member of that name, whatever it leads to.

    Parameters
    ----------
    group : h5py.Group
        Open.
    name : str
        Name of the member.

    Returns
    -------
    bool
        True for links to nothing, too.
    """
    return bool(group.id.links.exists(name.encode("utf-8", "surrogateescape")))


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _outside(group: h5py.Group, name: str, link: Any, path: Path) -> InputError:
    label = printable(f"{group.name.rstrip('/')}/{name}")
    if not isinstance(link, h5py.ExternalLink):
        return InputError(f"{path}: {label} is a link of a plugin, which is not followed")
    target = printable(f"{path.parent / link.filename}::{link.path}")
    return InputError(
        f"{path}: {label} is a link to another file, which is not followed; if you trust that, "
        f"name it: {target}"
    )
