"""Typed settings: unknown keys are errors that name the nearest known one."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from phasegan.errors import InputError, printable
from phasegan.io.untrusted import MAX_TEXT_BYTES, UnreadableFileError, read_regular


class Settings(BaseModel):
    """Base of every configuration: immutable, no unknown keys, strict about numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is None:
            continue
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        nested = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return sorted(model.model_fields)


def unknown_key(shown: str, key: str, known: Sequence[str]) -> str:
    """Return a message on a key that there is not, with the nearest one.

    Parameters
    ----------
    shown, key : str
        The key with its section, and without.
    known : sequence of str
        The keys that there are.

    Returns
    -------
    str
        A message on one line.
    """
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
    return f"unknown key {shown}; {hint}"


_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}
"""Words for pydantic's errors on bounds."""


def _explain(model: type[BaseModel], problem: Any) -> str:
    location = tuple(problem["loc"])
    name = printable(".".join(str(part) for part in location)) or "settings"
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return unknown_key(name, str(location[-1]), known)
    if problem["type"] == "missing":
        return f"{name} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    facts = problem.get("ctx", {})
    if problem["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", facts["expected"])
        message = f"choose one of {', '.join(choices)}" if choices else message
    if problem["type"] in _BOUNDS:
        words, key = _BOUNDS[problem["type"]]
        message = f"must be {words} {facts[key]:.12g}"
    value = repr(problem["input"])
    value = value if len(value) <= 80 else f"{value[:80]}…"
    return f"{name} = {value}: {message[0].lower()}{message[1:]}"


def build(model: type[S], values: Mapping[str, Any], where: str) -> S:
    """Check values against a settings class.

    Parameters
    ----------
    model : type
        The settings class.
    values : mapping
        Keys and values as read from a file or a command line.
    where : str
        The file or command, for the message.

    Returns
    -------
    Settings
        The checked settings.

    Raises
    ------
    InputError
        Naming the first problem, and the nearest known key for an unknown one.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{where}: {_explain(model, problems[0])}{more}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    dict
        Its keys and values.

    Raises
    ------
    InputError
        If it is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(read_regular(path, MAX_TEXT_BYTES).decode("utf-8"))
    except UnreadableFileError as error:
        reason = "no such file" if not path.exists() else f"not readable as TOML ({error})"
        raise InputError(f"{path}: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as TOML ({error})") from None


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one `key: old → new` a difference, nested keys joined by dots.

    Parameters
    ----------
    old, new : mapping
        Nested values by key.

    Returns
    -------
    list of str
        Sorted by key.
    """
    lines: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += [f"{key}.{line}" for line in differences(before, after)]
        elif before != after:
            lines.append(f"{key}: {before} → {after}")
    return lines
