"""Values of options that click has no type for."""

from __future__ import annotations

from typing import Any

import click

from phasegan.config.options.duration import parse_duration
from phasegan.config.options.size import SIZE_METAVAR, Size, SizeRange


class NumberList(click.ParamType):
    """Integers with commas between them."""

    name = "32,64,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the integers, all at least 1."""
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = (0,)
        if min(numbers) < 1:
            self.fail(f"{value!r}: integers from 1 with commas between, such as 32,64,128")
        return numbers


class SeedList(click.ParamType):
    """Seeds with commas between them."""

    name = "0,1,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the seeds, each once."""
        try:
            seeds = tuple(int(part) for part in value.split(","))
        except ValueError:
            seeds = (-1,)
        if not all(0 <= seed < 2**32 for seed in seeds) or len(set(seeds)) < len(seeds):
            self.fail(f"{value!r}: different integers from 0 with commas between, such as 0,1,2")
        return seeds


class NameList(click.ParamType):
    """Names with commas between them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names, self.name = names, ",".join(names)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names, each once."""
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        for name in names:
            if name not in self.names:
                self.fail(f"{name!r}: choose of {', '.join(self.names)}")
        return names


class Duration(click.ParamType):
    """A time such as `2h`, `90min`, `1h30m` or `45s`."""

    name = "2h"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds, above 0."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error))


class SizeType(click.ParamType):
    """A size such as `128` or `192x128`, rows before columns."""

    name = SIZE_METAVAR

    def __init__(self, least: float | None, largest: float | None) -> None:
        given = {"ge": least, "le": largest}
        self.range = SizeRange(**{key: int(v) for key, v in given.items() if v is not None})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        """Return a number for a square, (rows, columns) for a rectangle."""
        try:
            return self.range.check(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}")
