"""`phasegan inspect`."""

from __future__ import annotations

import json

import click

from phasegan.cli.common import Manners, common_options
from phasegan.errors import InputError, printable


@click.command("inspect")
@click.argument("path", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
@click.option("--verify", is_flag=True, help="Check every checksum; exit status 2 on a mismatch.")
@common_options(heavy=True)
def command(manners: Manners, path: str, as_json: bool, verify: bool) -> None:
    """Say what a prepared file or a run is, from its metadata."""
    from phasegan.evaluation.inspection import inspect

    found = inspect(path, verify=verify, progress=manners.progress)
    if as_json:
        click.echo(json.dumps(found.facts, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        for line in found.lines:
            click.echo(printable(line))
    if found.damaged:
        raise InputError(
            f"{path}: damaged, checksums do not match for {', '.join(found.damaged)}; "
            "restore it from a copy or make it again"
        )
