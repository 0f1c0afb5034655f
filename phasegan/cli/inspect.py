"""`phasegan inspect`."""

from __future__ import annotations

import json

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.data import InspectCommand
from phasegan.errors import InputError, printable


@option_command("inspect", InspectCommand)
@click.argument("path", type=click.Path())
def command(common: CommonOptions, path: str, as_json: bool, verify: bool) -> None:
    """Say what a prepared file or a run is, from its metadata."""
    from phasegan.evaluation.inspection import inspect

    result = inspect(path, verify=verify, progress=common.progress)
    if as_json:
        click.echo(json.dumps(result.facts, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        for line in result.lines:
            click.echo(printable(line))
    if result.damaged:
        raise InputError(
            f"{path}: damaged, checksums do not match for {', '.join(result.damaged)}; "
            "restore it from a copy or make it again"
        )
