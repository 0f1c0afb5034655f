"""Keywords of public functions: their ranges, earlier names, and those that a TypedDict lists."""

from __future__ import annotations

import functools
import inspect
import textwrap
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

from phasegan.config.options.schema import Option, Options, check_options, options_of

P = ParamSpec("P")
R = TypeVar("R")


def takes_options(
    model: type[Options], *options: Any
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Check the options of a command among the keywords, and accept their earlier names.

    Numbers, texts and switches are checked; arrays and sequences are the function's own. An
    earlier name is taken for one version, with a warning.

    Parameters
    ----------
    model : type
        The options of the function's command.
    *options : type
        TypedDicts that the function takes as `**options`: its signature lists them, and its
        docstring in the place of `{options}`.

    Returns
    -------
    callable
        The decorator; `__renamed__` of the function maps earlier names to present ones.
    """
    declared = options_of(model)
    present = {
        flag.removeprefix("--").replace("-", "_"): option.name
        for option in declared.values()
        for flag in option.cli.renamed
    }

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in present.keys() & kwargs.keys():
                new = present[old]
                if new in kwargs:
                    raise TypeError(f"{name}() got {new!r} and its earlier name {old!r}")
                message = f"{name}({old}=…) is now {new}; the old name goes with the next version"
                warnings.warn(message, FutureWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            values = {n: _plain(value) for n, value in kwargs.items() if n in declared}
            scalars = {n: value for n, value in values.items() if isinstance(value, _SCALARS)}
            check_options(model, scalars, name)
            return function(*args, **kwargs)

        call.__renamed__ = present  # type: ignore[attr-defined]
        if options:
            call.__signature__ = _listed(function, options)  # type: ignore[attr-defined]
            names = [name for typed in options for name in get_type_hints(typed)]
            sections = "\n".join(_documented(declared[name]) for name in names)
            call.__doc__ = (function.__doc__ or "").replace("{options}", sections.lstrip())
        return call

    return decorate


_SCALARS = (bool, int, float, str)


def _plain(value: Any) -> Any:
    """Return numpy's and torch's scalars as Python's."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _listed(function: Callable[..., Any], options: tuple[Any, ...]) -> inspect.Signature:
    """Return a signature with each of the options in the place of `**options`."""
    kind = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    for typed in options:
        parameters += [
            inspect.Parameter(name, kind, default=None, annotation=hint)
            for name, hint in get_type_hints(typed).items()
        ]
    return signature.replace(parameters=parameters)


def _documented(option: Option) -> str:
    """Return the lines of an option in a docstring, within `**options`."""
    kind = f"{{{option.range_text}}}" if option.choices else option.type.__name__
    kind = f"tuple of {kind}" if option.choices and option.type is tuple else kind
    facts = [kind, *([option.range_text] if option.range_text and not option.choices else [])]
    facts += [f"default {option.default_text}"] if option.default_text else []
    owners = f"{option.owners}: " if option.owners else ""
    text = f"{owners}{'False: ' if option.cli.negative else ''}{option.cli.help}"
    wrap = functools.partial(
        textwrap.wrap, width=80, subsequent_indent=" " * 4, break_on_hyphens=False
    )
    lines = wrap(f"{option.name} : {', '.join(facts)}") + wrap(text, initial_indent=" " * 4)
    return textwrap.indent("\n".join(lines), " " * 8)
