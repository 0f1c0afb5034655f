"""The page of all options: `python -m phasegan.config.options.reference > docs/options.md`."""

from __future__ import annotations

from collections.abc import Iterator

from phasegan.config.options.commands import COMMANDS
from phasegan.config.options.foreign import FOREIGN
from phasegan.config.options.schema import Option, Options, options_of, sorted_groups

_HEAD = """# Options of every command

Written by `python -m phasegan.config.options.reference > docs/options.md`; do not edit it here.

`phasegan COMMAND --help` shows the options that matter first, `--help-all` all of these. `phasegan
config COMMAND -o FILE.toml` writes them to a file with their defaults as comments, and `phasegan
COMMAND --config FILE.toml` reads it: keys are the names below without `--`, with dashes or
underscores; switches are true or false, and paths start from the folder the command is given in.
The command line overrides the file, but a switch that the file sets stays on. In
Python they are keywords with underscores, and another name stands in brackets. *of* names the
presets that have an option; `one-way` has those of `translation`.
"""


def reference() -> str:
    """Return the page, Markdown."""
    sections = [_HEAD]
    for command, model in COMMANDS.items():
        sections.append("\n".join(_section(command, model)))
    return "\n".join(sections)


def _section(command: str, model: type[Options]) -> Iterator[str]:
    yield f"## phasegan {command}\n"
    options = list(options_of(model).values())
    yield "| option | range | default | |"
    yield "|---|---|---|---|"
    for title in sorted_groups(options, model.groups):
        yield f"| **{title}** | | | |"
        for option in options:
            if option.cli.group == title:
                yield f"| {' | '.join(map(_cell, _cells(option)))} |"
    yield ""
    others = [(flag, option) for option in options for flag in option.other_flags]
    if others:
        yield "| other spelling | stands for |"
        yield "|---|---|"
        for flag, option in others:
            goes = ", goes with the next version" * (flag in option.cli.renamed)
            yield f"| `{flag}` | `{option.flag}`{goes} |"
        if command == "train":
            for name, foreign in FOREIGN.items():
                yield f"| `--{name}` | {foreign.help} |"
        yield ""


def _cells(option: Option) -> tuple[str, str, str, str]:
    flags = ", ".join(f"`{flag}`" for flag in (*option.flags, *option.off_flags))
    if option.cli.python:
        flags = f"`{option.name}`, Python alone"
    elif option.cli.negative:
        flags = f"{flags} (`{option.name}=False`)"
    elif option.name != option.key:
        flags = f"{flags} (`{option.name}`)"
    owners = f"*of {option.owners}*: " if option.owners else ""
    return flags, option.range_text, option.default_text, f"{owners}{option.cli.help}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(reference(), end="")
