"""Trees of tensors in one safetensors file: the format of checkpoints.

A tree is nested dicts (keys: str, int), lists and tuples of dense tensors on any device, None,
bool, int, float and str. It is split into tensors, named by their path in it such as
`gan/optimiser_g/state/0/exp_avg`, and a JSON document of everything else in the file's header.
JSON's own values stand for themselves; an object whose only key starts with `~` represents a
value that JSON has not:

{"~tensor": name}, {"~complex": name}   a tensor; complex ones are stored as pairs
{"~tuple": [...]}                       a tuple
{"~dict": [[key, value], ...]}          a dict with keys that JSON cannot keep
{"~float": "7ff0000000000000"}          a float that is not finite, IEEE 754, big-endian
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from phasegan.errors import printable
from phasegan.io.atomic import atomic_file

_HEADER_KEY = "phasegan"
_RESERVED = "__metadata__"
_REAL = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_INTEGER = {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}


def tensor_digest(state: dict[str, Tensor]) -> str:
    """Return the SHA-256 of tensors: names, dtypes, shapes and values, sorted by name.

    Parameters
    ----------
    state : dict of torch.Tensor
        On the CPU.

    Returns
    -------
    str
        Hexadecimal.
    """
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class OtherFormatError(ValueError):
    """A file of another number of format."""


def write_trees(
    path: Path, number: int, trees: Mapping[str, Any], prefixes: Mapping[str, str]
) -> None:
    """Write trees into one file, atomically, with a checksum.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    number : int
        Number of the format.
    trees : mapping
        Trees by name.
    prefixes : mapping of str
        First parts of the names of a tree's tensors, by its name.

    Raises
    ------
    TypeError
        If there is anything in a tree that the file cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    content: dict[str, Any] = {"format": number}
    for name, tree in trees.items():
        content[name] = _split(tree, prefixes[name], tensors)
    tensors = _unshared(tensors)
    document = {"sha256": _digest(content, tensors), **content}
    header = {_HEADER_KEY: json.dumps(document, allow_nan=False)}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=header))


def parse_trees(data: bytes, number: int) -> dict[str, Any]:
    """Return the trees of a file.

    Parameters
    ----------
    data : bytes
        Content of the file. Of a damaged one, any exception may be raised.
    number : int
        Number of the format that it must have.

    Returns
    -------
    dict
        Trees by name, their tensors contiguous, on the CPU, each with memory of its own.

    Raises
    ------
    OtherFormatError
        If it has another one.
    """
    tensors = load(data)
    end = 8 + int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8:end])[_RESERVED]  # safetensors reads it of files on disk only
    content = json.loads(metadata[_HEADER_KEY])
    if content.get("format") != number:
        raise OtherFormatError
    if content.pop("sha256") != _digest(content, tensors):
        raise ValueError("its checksum does not match")
    return {name: _join(tree, tensors) for name, tree in content.items() if name != "format"}


def tree_tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a tree.

    Parameters
    ----------
    value : object
        Nested dicts, lists and tuples.

    Yields
    ------
    torch.Tensor
        In order.
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tree_tensors(item)


def _split(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return a tree as JSON, and move its tensors to `tensors`, named by their path."""
    if isinstance(value, Tensor):
        return _split_tensor(value, name, tensors)
    if isinstance(value, dict):
        return _split_dict(value, name, tensors)
    if isinstance(value, list | tuple):
        items = [_split(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"~tuple": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {"~float": struct.pack(">d", value).hex()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{name}: a checkpoint cannot hold {type(value).__name__}")


def _split_tensor(value: Tensor, name: str, tensors: dict[str, Tensor]) -> dict[str, str]:
    pairs = value.is_complex()
    if value.layout is not torch.strided or not (pairs or value.dtype in _REAL | _INTEGER):
        raise TypeError(f"{name}: a checkpoint cannot hold {value.dtype}, {value.layout}")
    name = printable(name)
    while name in tensors or name == _RESERVED:
        name += "'"
    plain = value.detach().cpu().resolve_conj().resolve_neg()
    tensors[name] = torch.view_as_real(plain) if pairs else plain
    return {"~complex" if pairs else "~tensor": name}


def _split_dict(value: dict[Any, Any], name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str | int):
            raise TypeError(f"{name}: a checkpoint cannot hold a key {key!r}")
    items = [(k, _split(v, f"{name}/{k}" if name else str(k), tensors)) for k, v in value.items()]
    if all(isinstance(key, str) and not key.startswith("~") for key in value):
        return dict(items)
    return {"~dict": [list(item) for item in items]}


def _join(node: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a tree from the JSON and the tensors of `_split`."""
    if isinstance(node, list):
        return [_join(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    mark = next(iter(node), "")
    content: Any = node.get(mark)
    match mark:
        case "~tensor":
            return tensors[content]
        case "~complex":
            return torch.view_as_complex(tensors[content])
        case "~tuple":
            return tuple(_join(item, tensors) for item in content)
        case "~float":
            return struct.unpack(">d", bytes.fromhex(content))[0]
        case "~dict":
            return {key: _join(value, tensors) for key, value in content}
    return {key: _join(value, tensors) for key, value in node.items()}


def _digest(content: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the document and the tensors."""
    text = json.dumps(content, allow_nan=False)
    return hashlib.sha256(f"{text}\n{tensor_digest(tensors)}".encode()).hexdigest()


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous tensors that share no memory, as safetensors requires."""
    own, storages = {}, set()
    for name, value in tensors.items():
        tensor = value.contiguous()
        if tensor.untyped_storage().data_ptr() in storages:
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        own[name] = tensor
    return own
