"""`phasegan datasets`."""

from __future__ import annotations

from typing import Any

import click

from phasegan.cli.common import CommonOptions
from phasegan.cli.options import option_command
from phasegan.config.options.data import FetchCommand, ListCommand


@click.group("datasets", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List and download pairs of domains for unpaired translation.

    Without a command, `list`.
    """
    if context.invoked_subcommand is None:
        _print_list()


@option_command("list", ListCommand, heavy=False)
def list_command(common: CommonOptions) -> None:
    """Say which pairs can be fetched, and which are in the working folder."""
    _print_list()


@option_command("fetch", FetchCommand, heavy=False)
@click.argument("name")
def fetch_command(common: CommonOptions, name: str, output: str | None, **options: Any) -> None:
    """Download a pair of domains: trainA, trainB, testA and testB.

    NAME is one that `phasegan datasets list` shows, or the path of a recipe
    (.toml). An interrupted download goes on when the command is given again.
    The licence of the pictures is their owners'; `list` shows what is stated.
    """
    from phasegan.data.download.fetch import fetch, read_fetched

    folder = fetch(name, output, progress=common.progress, **options)
    record = read_fetched(folder)
    if record is not None:
        counts = ", ".join(f"{number:,} {part}" for part, number in record.pictures.items())
        common.say(f"{folder}: {counts}")


command.add_command(list_command)
command.add_command(fetch_command)


def _print_list() -> None:
    from phasegan.data.download.fetch import read_fetched
    from phasegan.data.recipes import known_pairs, load_pair
    from phasegan.tables import Column, Table, TableRow, print_table

    rows = []
    for name in known_pairs():
        recipe = load_pair(name)
        size = recipe.download.bytes
        record = read_fetched(name)
        fetched = f"./{name}" if record is not None and record.name == name else "–"
        megabytes = f"{size / 1e6:,.0f} MB" if size else "?"
        rows.append(TableRow((name, recipe.title, megabytes, recipe.licence, fetched)))
    columns = (
        Column("name", align="left"),
        Column("title", align="left", optional=1),
        Column("size"),
        Column("licence", align="left", optional=2),
        Column("fetched"),
    )
    print_table(Table("Pairs", columns, tuple(rows)))
