"""Options in TOML files: `--config run.toml`, and the commented file that lists them all."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from phasegan.config.options.foreign import FOREIGN
from phasegan.config.options.schema import Option, Options, options_of, sorted_groups
from phasegan.config.settings import build, read_toml, unknown_key
from phasegan.errors import InputError, printable

_WIDTH = 88


def read_options(
    model: type[Options],
    path: Path,
    foreign: bool = False,
    note: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """Read options from a TOML file.

    Parameters
    ----------
    model : type
        The options of the command.
    path : pathlib.Path
        The file: keys are names of options, with underscores or dashes.
    foreign : bool
        Whether names of other programs are translated.
    note : callable
        Receives a line for each earlier name of an option.

    Returns
    -------
    dict
        Values by Python's names, checked.

    Raises
    ------
    InputError
        If the file cannot be read, or a key or value is wrong.
    """
    options = {n: option for n, option in options_of(model).items() if not option.cli.python}
    keys = {key: option for option in options.values() for key in _keys(option)}
    values: dict[str, Any] = {}

    def put(name: str, value: Any, key: str) -> None:
        if name in values:
            raise InputError(f"{path}: {key}: the same option as another key; give one of them")
        values[name] = value

    for key, value in read_toml(path).items():
        spelled = key.replace("-", "_")
        if spelled in keys:
            option = keys[spelled]
            if option.type is bool and not isinstance(value, bool):
                raise InputError(f"{path}: {key} = {value!r}: must be true or false")
            if spelled in map(_spelling, option.cli.renamed):
                note(f"{path}: {key} is now {option.key}; the old name goes with the next version")
            negative = option.cli.negative and spelled != option.name
            off = negative or spelled in map(_spelling, option.off_flags)
            put(option.name, not value if off else value, key)
        elif foreign and spelled in FOREIGN:
            translated = FOREIGN[spelled].translate(value, f"{path}: {key}")
            for name, other in translated.items():
                put(name, other, key)
        else:
            known = sorted(option.key for option in options.values())
            raise InputError(f"{path}: {unknown_key(printable(key), spelled, known)}")
    checked = build(model, values, str(path))
    return {name: getattr(checked, name) for name in values}


def _keys(option: Option) -> Iterator[str]:
    """Yield the names of an option in a file."""
    yield option.name
    for flag in (*option.flags, *option.off_flags, *option.other_flags):
        if flag.startswith("--"):
            yield _spelling(flag)


def _spelling(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def options_file(model: type[Options], command: str) -> str:
    """Return a commented TOML file of all options.

    Parameters
    ----------
    model : type
        The options of the command.
    command : str
        Its name.

    Returns
    -------
    str
        The file: comments alone, valid TOML.
    """
    lines = [
        f"# Options of `phasegan {command} --config FILE`; the command line overrides them.",
        "# Remove the `# ` of a line to set its option. Where no value stands, the default depends",
        "# on others, or there is none. Paths start from the folder that the command is given in.",
    ]
    listed = [option for option in options_of(model).values() if not option.cli.python]
    for title in sorted_groups(listed, model.groups):
        lines += ["", f"# === {title} ==="]
        options = [option for option in listed if option.cli.group == title]
        for option in options:
            lines += ["", *_comment(option), f"# {option.key} = {_toml_default(option)}".rstrip()]
    return "\n".join(lines) + "\n"


def _comment(option: Option) -> list[str]:
    facts = [f"{option.owners}: " if option.owners else "", option.cli.help]
    text = "".join(facts)
    if option.range_text:
        text += f" [{option.range_text}]"
    if option.default_text:
        text += f" [default: {option.default_text}]"
    return [f"## {line}" for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]


def _toml_default(option: Option) -> str:
    """Return the default as TOML, empty where it depends on others."""
    if option.type is bool:
        return "false" if not option.off_flags else ""
    value = option.value
    if len({repr(source.default) for source in option.sources}) > 1:
        return ""
    if value is None and option.sources and not option.cli.default:
        value = option.sources[0].default
    if value is None or value == ():
        return ""
    return json.dumps(value, ensure_ascii=False)
