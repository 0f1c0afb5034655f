"""`phasegan config`."""

from __future__ import annotations

from pathlib import Path

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.commands import COMMANDS
from phasegan.config.options.data import ConfigCommand
from phasegan.config.options.file import options_file
from phasegan.errors import InputError
from phasegan.io.atomic import write_text
from phasegan.io.output_paths import check_file_name


@option_command("config", ConfigCommand, heavy=False)
@click.argument("words", metavar="[COMMAND]", nargs=-1)
def command(common: CommonOptions, words: tuple[str, ...], output: str | None) -> None:
    """Write a file of all options for --config, with defaults, ranges and help.

    COMMAND is train by default. The lines are comments: remove the `# ` of
    those that are to be set, then give the file as `phasegan COMMAND --config FILE`.
    """
    name = " ".join(words) or "train"
    known = [command for command in COMMANDS if command != "config"]
    if name not in known:
        raise InputError(f"{name}: no such command; choose one of {', '.join(known)}")
    text = options_file(COMMANDS[name], name)
    if output is None:
        click.echo(text, nl=False)
        return
    check_file_name(output, "TOML", ".toml")
    if Path(output).exists():
        raise InputError(f"{output} is there already; name another file")
    write_text(output, text)
    common.say(f"wrote {output}: remove the # of what is to be set, then --config {output}")
