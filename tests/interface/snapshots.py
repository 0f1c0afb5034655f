"""Snapshots of what users see, and how they are compared; what a user could lose is an error.

`python -m pytest tests/interface --renew` writes the snapshots anew.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from phasegan.cli import main

FOLDER = Path(__file__).parent
UNKNOWN = "null"
"""Kind of a value that is not known here; it goes with every other kind."""
_OF_THE_CHECKOUT = {"commit"}
"""Keys that are there only where phasegan runs from a checkout."""
_AMONG_MODULES = {
    *("adds_up", "around", "check", "digests", "from_json", "holds", "is_of", "joined", "parent"),
    *("parts", "raw", "read", "require_images", "scaled", "take", "undefined_rows", "where"),
    *("without_amount", "dataset", "datasets", "planes", "generator_sizes", "undefined_count"),
}
"""Attributes by which modules of phasegan work together; no document tells of them."""


class Snapshots:
    """The files beside this one, a JSON object of named sections each."""

    def __init__(self, renew: bool) -> None:
        self.renew = renew

    def hold(self, section: str, found: Any, *, exactly: bool = False) -> None:
        """Compare with `file.json`'s part; `section` is `file/part`.

        Parameters
        ----------
        section : str
            Name of the file and of what is compared.
        found : Any
            Lists, dicts, strings, numbers.
        exactly : bool
            Whether what is new is an error too.
        """
        found = json.loads(json.dumps(found))
        known = self.kept(section, lambda: found)
        lines = [*lost(known, found, section)]
        if exactly:
            lines += [f"new: {line}" for line in lost(found, known, section)]
        assert not lines, "\n".join(lines)

    def hold_attributes(self, section: str, value: Any, depth: int = 3) -> None:
        """Compare the attributes of an object; those that it makes when asked count too."""
        known = self.kept(section, lambda: attributes(value, depth))
        self.hold(section, attributes(value, depth, known))

    def kept(self, section: str, find: Callable[[], Any]) -> Any:
        """Return a part of a snapshot; `find` makes it where it is to be renewed."""
        name, part = section.split("/")
        path = FOLDER / f"{name}.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if self.renew:
            known[part] = find()
            text = json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False)
            path.write_text(f"{_folded(text)}\n", encoding="utf-8")
        return known[part]


def _folded(text: str) -> str:
    """Put the innermost lists and objects on one line each where they are short."""

    def fold(match: re.Match[str]) -> str:
        line = " ".join(match[0].split())
        return line if len(line) <= 90 else match[0]

    return re.sub(r"[\[{][^\[\]{}]*[\]}]", fold, text)


def lost(old: Any, new: Any, where: str) -> Iterator[str]:
    """Say what `old` has and `new` has not, or has otherwise."""
    if UNKNOWN in (old, new) or old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key not in new:
                yield f"{where}.{key} is gone"
            else:
                yield from lost(value, new[key], f"{where}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and _are_names(old + new):
        known = {*new, UNKNOWN} if UNKNOWN not in new else {*old}
        yield from (f"{where}: {name} is gone" for name in old if name not in known)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from lost(before, after, f"{where}[{i}]")
    else:
        yield f"{where}: was {old}, is {new}"


def _are_names(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def tree(value: Any) -> Any:
    """Return the keys of a JSON document and the kinds of its values.

    A list becomes a list of the tree of all its elements, a key that is a digest `<digest>`.
    """
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            if key not in _OF_THE_CHECKOUT:
                name = "<digest>" if re.fullmatch(r"[0-9a-f]{12,64}", key) else key
                found[name] = _both(found.get(name, UNKNOWN), tree(inner))
        return found
    if isinstance(value, list):
        every: Any = UNKNOWN
        for inner in value:
            every = _both(every, tree(inner))
        return [every]
    if value is None:
        return UNKNOWN
    kinds = {bool: "true or false", int: "number", float: "number", str: "text"}
    return kinds[type(value)]


def _both(one: Any, other: Any) -> Any:
    """Return the tree of what is like one of two."""
    if one == UNKNOWN or other == UNKNOWN:
        return other if one == UNKNOWN else one
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _both(one.get(key, UNKNOWN), other.get(key, UNKNOWN)) for key in {**one, **other}
        }
    if isinstance(one, list) and isinstance(other, list):
        return [_both(one[0], other[0])]
    return one if one == other else f"{one} or {other}"


def json_tree(path: Path) -> Any:
    """Return the tree of a JSON file, or of the lines of a .jsonl file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return tree([json.loads(line) for line in text.splitlines()])
    return tree(json.loads(text))


def file_names(folder: Path) -> list[str]:
    """Return what is in a folder; digests and what names a machine are replaced."""
    found = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        name = re.sub(r"events\.out\.tfevents\..*", "events.out.tfevents.*", name)
        name = re.sub(r"(?<=-)[0-9a-f]{6}(?=[./])|(?<=/)[0-9a-f]{12}(?=\.)", "*", name)
        if path.is_file():
            found.add(name)
    return sorted(found)


def hdf5_tree(path: Path) -> dict[str, Any]:
    """Return groups and datasets by path: dtype, number of axes, attributes and their types."""

    def kinds(node: Any) -> dict[str, str]:
        return {name: type(value).__name__ for name, value in node.attrs.items()}

    with h5py.File(path) as file:
        found: dict[str, Any] = {"/": {"attributes": kinds(file)}}

        def note(name: str, node: Any) -> None:
            found[name] = {"attributes": kinds(node)}
            if isinstance(node, h5py.Dataset):
                words = "fixed text" if h5py.check_string_dtype(node.dtype) else node.dtype.str
                found[name] |= {"dtype": words, "axes": node.ndim}

        file.visititems(note)
    return found


def tensor_names(path: Path) -> dict[str, Any]:
    """Return the types of a safetensors file's tensors, and the keys of its metadata.

    Numbers in names are left out: tensors of layers that differ by them are one.
    """
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.pop("__metadata__", {})
    inner = {k: tree(json.loads(v)) if v[:1] in "{[" else "text" for k, v in metadata.items()}
    tensors = {k: f"{v['dtype']}, axes: {len(v['shape'])}" for k, v in header.items()}
    return {"metadata": _without_numbers(inner), "tensors": _without_numbers(tensors)}


def _without_numbers(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = re.sub(r"\d+", "#", key)
        found[name] = _both(found.get(name, UNKNOWN), _without_numbers(inner))
    return found


def signature(function: Any) -> dict[str, Any]:
    """Return kind and default of each parameter that can be given by name or place."""
    return {
        name: {"kind": p.kind.name.lower().replace("_", " "), "default": _default(p.default)}
        for name, p in inspect.signature(function).parameters.items()
        if name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def _default(value: Any) -> str:
    return "none, required" if value is inspect.Parameter.empty else repr(value)


def renamed(function: Any) -> dict[str, str]:
    """Return the present name of each parameter that is also taken by an earlier one."""
    return dict(getattr(function, "__renamed__", {}))


def accepted(function: Any) -> dict[str, Any]:
    """Return `signature`, also by the names that parameters had before."""
    now = signature(function)
    return {old: now.get(new, UNKNOWN) for old, new in renamed(function).items()} | now


def places(function: Any) -> list[str]:
    """Return the parameters that can be given by place, in order."""
    return [name for name, facts in signature(function).items() if "positional" in facts["kind"]]


def attributes(value: Any, depth: int = 3, known: Any = None) -> Any:
    """Return the public attributes of an object of phasegan: parameters, or what they hold.

    Attributes that are `known` from before are asked for by name, should they not be listed.
    """
    ours = [c for c in type(value).__mro__ if c.__module__.split(".")[0] == "phasegan"]
    if not ours and isinstance(value, list | tuple) and value:
        every: Any = UNKNOWN
        for inner in value:
            before = known[0] if isinstance(known, list) else None
            every = _both(every, attributes(inner, depth, before))
        return [every]
    if not ours or depth == 0 or isinstance(value, str):
        return _kind(value)
    names = {*getattr(value, "__dict__", {})}
    for kind in ours:
        names |= {*vars(kind), *vars(kind).get("__annotations__", {})}
    known = known if isinstance(known, dict) else {}
    names |= {name for name in known if hasattr(value, name)}
    found: dict[str, Any] = {}
    for name in sorted(n for n in names - _AMONG_MODULES if not n.startswith(("_", "model_"))):
        inner = getattr(value, name)
        if inspect.ismethod(inner) or inspect.isfunction(inner):
            found[name] = {"parameters": dict.fromkeys(accepted(inner), "taken")}
        else:
            found[name] = attributes(inner, depth - 1, known.get(name))
    return found


def _kind(value: Any) -> str:
    if value is None or (isinstance(value, list | tuple | dict) and not value):
        return UNKNOWN
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}"
    if isinstance(value, Path):
        return "path"
    if isinstance(value, bool | np.bool_):
        return "true or false"
    if isinstance(value, int | float | np.number):
        return "number"
    if isinstance(value, str):
        return "text"
    return type(value).__name__ if type(value).__module__ == "builtins" else "object"


def command(*arguments: object) -> str:
    """Run a command that must end well, and return what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main([str(a) for a in arguments])
    assert status == 0, arguments
    return out.getvalue()


def draw(folder: Path, counts: dict[str, int], shape: tuple[int, ...], kind: str = "uint8") -> Path:
    """Write random pictures into subfolders."""
    rng = np.random.default_rng(3)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, np.iinfo(kind).max, shape, dtype=kind)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder
