"""Declaration of options: from one come click's option, Python's check, files and tables.

An option is a field of an `Options` model (or of a TypedDict that becomes one): its name is
Python's keyword, its annotation holds the range, `Cli` the rest. An option that sets a field
of a configuration refers to it with `From`, which brings range and default.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, create_model
from pydantic_core import CoreSchema

from phasegan.config.settings import Settings, build

Style = Literal["plain", "path", "numbers", "seeds", "names", "words", "duration", "size"]
"""How a value is written where the type does not tell: paths, lists with commas, times, sizes."""


GENERAL = "General"
"""Heading of what every command has; it comes last."""


@dataclass(frozen=True)
class Cli:
    """An option on the command line.

    Attributes
    ----------
    help : str
        One sentence; presets, range and default are added.
    group : str
        Heading of `--help-all`, and of the tables.
    flags : tuple of str
        Spellings, where they are not `--` and the name; `--on/--off` for a pair of switches.
    presets : tuple of str
        The presets that have it; all if empty.
    default : str
        Text for a default that is no value, such as "all".
    value : Any
        Default on the command line, where Python's None stands for it.
    aliases, renamed : tuple of str
        Other programs' spellings of the same thing; earlier spellings, with a note.
    metavar : str, optional
        Shown for the value.
    minimum : float, optional
        Least value on the command line, where Python also takes less, such as 0 for off.
    style : str
        How a value is written.
    multiple, required, negative : bool
        Given several times; must be given; a switch that sets False.
    python : bool
        Not on the command line.
    common : bool
        Among those that `--help` shows.
    """

    help: str
    group: str = GENERAL
    flags: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    default: str = ""
    value: Any = None
    aliases: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    metavar: str | None = None
    minimum: float | None = None
    style: Style = "plain"
    multiple: bool = False
    required: bool = False
    negative: bool = False
    python: bool = False
    common: bool = False


@dataclass(frozen=True)
class From:
    """Range and default of a field of a configuration.

    Attributes
    ----------
    model, field : type, str
        Where it is declared.
    preset : str
        Named beside the default, where presets have several.
    """

    model: type[BaseModel]
    field: str
    preset: str = ""

    @property
    def annotation(self) -> Any:
        """The type with its range."""
        field = self.model.model_fields[self.field]
        return (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        )

    @property
    def default(self) -> Any:
        """None where the field is required."""
        field = self.model.model_fields[self.field]
        return None if field.is_required() else field.default

    def __get_pydantic_core_schema__(self, annotation: Any, handler: Any) -> CoreSchema:
        """Check as the configuration does; None stands for the default."""
        schema: CoreSchema = handler.generate_schema(Union[self.annotation, None])  # noqa: UP007
        return schema


@dataclass(frozen=True)
class OneOf:
    """Choices of an option that Python's type calls a str."""

    annotation: Any
    """A Literal."""

    def __get_pydantic_core_schema__(self, annotation: Any, handler: Any) -> CoreSchema:
        """Check the choices; None stands for the default."""
        schema: CoreSchema = handler.generate_schema(Union[self.annotation, None])  # noqa: UP007
        return schema


@dataclass(frozen=True)
class Option:
    """An option as declared, resolved from its model."""

    name: str
    """Python's keyword."""
    cli: Cli
    type: Any
    """int, float, bool, str, or tuple."""
    value: Any
    """The default; None for one that depends on others."""
    sources: tuple[From, ...] = ()
    choices: tuple[str, ...] = ()
    bounds: tuple[float | None, float | None, bool, bool] = (None, None, False, False)
    """Least and largest value, and whether each of them is excluded."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Spellings that help shows; of a pair of switches, those that switch on."""
        spelled = self.cli.flags or (f"--{'no-' * self.cli.negative}{self.dashed}",)
        return tuple(flag.split("/")[0] for flag in spelled)

    @property
    def off_flags(self) -> tuple[str, ...]:
        """Spellings of a pair that switch off."""
        return tuple(flag.split("/")[1] for flag in self.cli.flags if "/" in flag)

    @property
    def dashed(self) -> str:
        """The name with dashes."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """The long spelling, for messages."""
        return next(flag for flag in self.flags if flag.startswith("--"))

    @property
    def key(self) -> str:
        """The name in files of options."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def other_flags(self) -> tuple[str, ...]:
        """Aliases with underscores and with dashes, then earlier spellings."""
        spelled = [s for alias in self.cli.aliases for s in (alias, alias.replace("_", "-"))]
        every = dict.fromkeys((*spelled, *self.cli.renamed))
        return tuple(flag for flag in every if flag not in self.flags)

    @property
    def owners(self) -> str:
        """The presets that have it; one-way has those of translation."""
        presets = self.cli.presets
        shown = [p for p in presets if p != "one-way" or "translation" not in presets]
        return ", ".join(shown)

    @property
    def default_text(self) -> str:
        """The default, for each preset where they differ; empty for none."""
        if self.cli.default:
            return self.cli.default
        values = {s.preset: s.default for s in self.sources if s.default is not None}
        if not values:
            shown = self.value is not None and self.type is not bool and self.value != ()
            return shown_value(self.value) if shown else ""
        first, *others = values.items()
        texts = [shown_value(first[1])]
        texts += [f"{preset} {shown_value(v)}" for preset, v in others if v != first[1]]
        return ", ".join(texts) if self.type is not bool or self.cli.python else ""

    @property
    def range_text(self) -> str:
        """Choices or bounds, such as `0 ≤ x < 1`; empty for any."""
        if self.choices:
            return ", ".join(self.choices)
        low, high, above, below = self.bounds
        if low is None and high is None:
            return ""
        if high is None:
            return f"{'>' if above else '≥'} {_bound(low)}"
        before = "" if low is None else f"{_bound(low)} {'<' if above else '≤'} "
        return f"{before}x {'<' if below else '≤'} {_bound(high)}"


def _bound(value: Any) -> str:
    return "π" if value == math.pi else f"{value:.12g}"


def shown_value(value: Any) -> str:
    """Return a default as users write it.

    Parameters
    ----------
    value : Any
        A number, a text, or a sequence of them.

    Returns
    -------
    str
        Commas between items.
    """
    if isinstance(value, tuple | list):
        return ",".join(map(shown_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


class Options(Settings):
    """Base of the options of a command: checked, no unknown names."""

    groups: ClassVar[tuple[str, ...]] = ()
    """Headings in the order of help; others follow as they are declared."""


def with_options(base: type[Options], *options: Any) -> type[Options]:
    """Return a model with the options of TypedDicts beside its own.

    Parameters
    ----------
    base : type
        The model, which gives name and docstring.
    *options : type
        TypedDicts; the default of their options is None.

    Returns
    -------
    type
        A model.
    """
    fields: dict[str, Any] = {}
    for typed in options:
        for name, hint in get_type_hints(typed, include_extras=True).items():
            fields[name] = (hint, None)
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)


@functools.cache
def options_of(model: type[Options]) -> dict[str, Option]:
    """Return the options of a model, in the order of help: the output comes first.

    Parameters
    ----------
    model : type
        The options of a command.

    Returns
    -------
    dict of Option
        By Python's names.
    """
    resolved: dict[str, Option] = {}
    for name, field in model.model_fields.items():
        cli = next((m for m in field.metadata if isinstance(m, Cli)), None)
        if cli is None:
            continue
        sources = tuple(m for m in field.metadata if isinstance(m, From))
        typed = [m.annotation for m in field.metadata if isinstance(m, From | OneOf)]
        annotated = typed[0] if typed else _joined(field.annotation, field.metadata)
        kind, choices, bounds = _resolved(annotated, cli.multiple)
        if cli.minimum is not None:
            bounds = (cli.minimum, bounds[1], False, bounds[3])
        value = field.default if cli.value is None else cli.value
        resolved[name] = Option(name, cli, kind, value, sources, choices, bounds)
    places = {"output": 0, "overwrite": 2}
    return dict(sorted(resolved.items(), key=lambda item: places.get(item[0], 1)))


def _joined(annotation: Any, metadata: Iterable[Any]) -> Any:
    return Annotated[(annotation, *metadata)] if metadata else annotation


def _resolved(annotation: Any, item: bool = False) -> tuple[Any, tuple[str, ...], Any]:
    """Return the plain type, the choices and the bounds of an annotation, or of a tuple's items."""
    low = high = None
    above = below = False
    choices: tuple[str, ...] = ()
    kind = annotation
    while True:
        origin = get_origin(kind)
        if origin is Annotated:
            kind, *metadata = get_args(kind)
            for part in metadata:
                for fact in getattr(part, "metadata", (part,)):
                    if getattr(fact, "ge", None) is not None:
                        low = fact.ge
                    if getattr(fact, "gt", None) is not None:
                        low, above = fact.gt, True
                    if getattr(fact, "le", None) is not None:
                        high = fact.le
                    if getattr(fact, "lt", None) is not None:
                        high, below = fact.lt, True
        elif origin in (Union, types.UnionType):
            kind = next(k for k in get_args(kind) if k is not type(None))
        else:
            break
    if origin is Literal:
        choices, kind = tuple(map(str, get_args(kind))), str
    elif origin is tuple:
        inner, choices, bounds = _resolved(get_args(kind)[0])
        return inner if item else tuple, choices, bounds
    if kind is int and below and high is not None:
        high, below = high - 1, False
    return kind, choices, (low, high, above, below)


def sorted_groups(options: Iterable[Option], first: Sequence[str]) -> list[str]:
    """Return the headings of options in the order of help.

    Parameters
    ----------
    options : iterable of Option
        Those that are listed.
    first : sequence of str
        Headings that come first; the others follow as they are declared.

    Returns
    -------
    list of str
        Each heading once.
    """
    titles = dict.fromkeys(option.cli.group for option in options)
    order = dict.fromkeys((*first, *(title for title in titles if title != GENERAL), GENERAL))
    return [title for title in order if title in titles]


def check_options(model: type[Options], values: Mapping[str, Any], where: str) -> None:
    """Check types and ranges of options from Python.

    Parameters
    ----------
    model : type
        The options of a function.
    values : mapping
        Options by name; None stands for the default.
    where : str
        The function, for the message.

    Raises
    ------
    InputError
        If one is of another type or out of range.
    """
    build(model, {name: value for name, value in values.items() if value is not None}, where)
