"""Checkpoints: everything that a resumed run needs, in one safetensors file.

The nested state is split into tensors, named by their path in it such as
`gan/optimiser_g/state/0/exp_avg`, and a JSON document of everything else in the file's
header. JSON's own values stand for themselves; an object whose only key starts with `~`
represents a value that JSON has not:

{"~tensor": name}, {"~complex": name}   a tensor; complex ones are stored as pairs
{"~tuple": [...]}                       a tuple
{"~dict": [[key, value], ...]}          a dict with keys that JSON cannot keep
{"~float": "7ff0000000000000"}          a float that is not finite, IEEE 754, big-endian
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from phasegan.errors import InputError, printable
from phasegan.io.atomic import atomic_file, remove_leftovers
from phasegan.models.weights import tensor_digest
from phasegan.progress import Progress

CHECKPOINT_FORMAT = 2

_HEADER_KEY = "phasegan"
_RESERVED = "__metadata__"
_REAL = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_INTEGER = {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool}
_FILE = re.compile(r"step-([0-9]{9,})\.safetensors")


class DamagedCheckpointError(InputError):
    """A checkpoint that cannot be read.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    reason : str
        Why.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: damaged checkpoint ({reason}); remove the run folder and train again"
        )
        self.reason = reason


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically, with torch's random states.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    state : dict
        Nested dicts (keys: str, int), lists and tuples of dense tensors on any
        device, None, bool, int, float and str.

    Raises
    ------
    TypeError
        If there is anything else in it.
    """
    tensors: dict[str, Tensor] = {}
    content = {
        "format": CHECKPOINT_FORMAT,
        "state": _split(state, "", tensors),
        "random": _split(_random_state(), "torch_random", tensors),
    }
    tensors = _unshared(tensors)
    document = {"sha256": _digest(content, tensors), **content}
    header = {_HEADER_KEY: json.dumps(document, allow_nan=False)}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=header))


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint and restore torch's random states from it.

    Parameters
    ----------
    path : pathlib.Path
        The file; nothing in it is executed.
    device : torch.device
        Of the resumed run; the random states of GPUs are restored if it is one.

    Returns
    -------
    dict
        The argument of `save_checkpoint`, its tensors contiguous, on the CPU, each with
        memory of its own.

    Raises
    ------
    InputError
        If it is missing, damaged or of another format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint")
    with checkpoint_errors(path):
        state, random = _read(path)
        torch.set_rng_state(random["cpu"])
        if device.type == "cuda":
            for index, value in enumerate(random["cuda"][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(value, index)
    return state


@contextlib.contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """Turn the exceptions that a damaged checkpoint causes into one line.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder, for the message.

    Yields
    ------
    None
        Inside, any exception but an `InputError` is taken for damage.

    Raises
    ------
    InputError
        Naming the file and a remedy.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files fail in many ways inside torch
        reason = str(error).split("\n", 1)[0][:120] or type(error).__name__
        raise DamagedCheckpointError(path, reason) from None


def is_finite(state: dict[str, Any]) -> bool:
    """Return whether all floating-point state of the networks is finite.

    Parameters
    ----------
    state : dict
        With a key `gan`.

    Returns
    -------
    bool
        False if a tensor under `state["gan"]` holds a NaN or an infinity.
    """
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(state["gan"]))


class Checkpoints:
    """The newest checkpoints of a run, `step-000001234.safetensors` in a folder of their own.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; it need not exist yet. A writer holds the run's lock.
    keep : int
        Number of checkpoints kept, at least 1.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep = {keep}")
        self.folder, self.keep = folder, keep

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint, then delete those that it replaces.

        These are all but the newest `keep`, and those of later steps: they are of a branch that
        was abandoned.

        Parameters
        ----------
        step : int
            Optimiser steps done.
        state : dict
            As of `save_checkpoint`.

        Returns
        -------
        pathlib.Path
            The file.
        """
        path = self.folder / f"step-{step:09d}.safetensors"
        if self.folder.is_dir():
            remove_leftovers(self.folder)
        save_checkpoint(path, state)
        paths = self.paths()
        here = paths.index(path) + 1
        for old in [*reversed(paths[here:]), *paths[: max(0, here - self.keep)]]:
            old.unlink(missing_ok=True)
        return path

    def paths(self) -> list[Path]:
        """Return the checkpoints by step; other files are ignored."""
        names = {p: _FILE.fullmatch(p.name) for p in self.folder.glob("step-*") if p.is_file()}
        steps = {path: int(match[1]) for path, match in names.items() if match}
        return sorted(steps, key=lambda path: (steps[path], path.name))

    def newest(self) -> Path | None:
        """Return the checkpoint of the latest step, None where there is none."""
        return next(reversed(self.paths()), None)

    def load(self, device: torch.device, progress: Progress) -> dict[str, Any]:
        """Read the newest intact checkpoint, as `load_checkpoint` does.

        Parameters
        ----------
        device : torch.device
            Of the resumed run.
        progress : Progress
            Warned of every damaged checkpoint that is skipped.

        Returns
        -------
        dict
            The state.

        Raises
        ------
        InputError
            If there is none, all are damaged, or one is of another format.
        """
        paths = self.paths()
        if not paths:
            raise InputError(f"{self.folder}: no checkpoint")
        for path, earlier in zip(reversed(paths), [*reversed(paths[:-1]), None], strict=True):
            try:
                return load_checkpoint(path, device)
            except DamagedCheckpointError as error:
                if earlier is None:
                    raise
                progress.warn(
                    f"{path}: damaged checkpoint ({error.reason}); trying {earlier.name} instead"
                )
        raise AssertionError


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _digest(content: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the document and the tensors."""
    text = json.dumps(content, allow_nan=False)
    return hashlib.sha256(f"{text}\n{tensor_digest(tensors)}".encode()).hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the state and the random states of a file; damage raises anything."""
    data = path.read_bytes()  # not a map of the file: a failing disk is an error, not a signal
    if data.startswith(b"PK"):
        raise InputError(
            f"{path}: damaged checkpoint, or one of an older phasegan (format 1); continue with "
            "the phasegan that wrote it, or remove the run folder and train again"
        )
    tensors = load(data)
    content = json.loads(_metadata(data)[_HEADER_KEY])
    if content.get("format") != CHECKPOINT_FORMAT:
        raise InputError(
            f"{path}: not a checkpoint of format {CHECKPOINT_FORMAT}, which this phasegan reads; "
            "continue with the phasegan that wrote it, or remove the run folder and train again"
        )
    if content.pop("sha256") != _digest(content, tensors):
        raise ValueError("its checksum does not match")
    return _join(content["state"], tensors), _join(content["random"], tensors)


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file, which safetensors reads from paths alone."""
    end = 8 + int.from_bytes(data[:8], "little")
    metadata: dict[str, str] = json.loads(data[8:end])[_RESERVED]
    return metadata


def _split(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON, and move its tensors to `tensors`."""
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


def _join(node: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the value from the JSON and the tensors of `_split`."""
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


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nested value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)
