"""Click's options from the declarations in `phasegan.config.options`, and their help."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from phasegan.cli.common import CommonOptions, command_seconds, deferred_signals
from phasegan.cli.parameter_types import Duration, NameList, NumberList, SeedList, SizeType
from phasegan.config.options.file import read_options
from phasegan.config.options.foreign import FOREIGN
from phasegan.config.options.habits import translate_words
from phasegan.config.options.schema import GENERAL, Option, Options, options_of, sorted_groups
from phasegan.devices import DEVICES, check_address_space, choose_device, set_threads
from phasegan.launcher import is_main
from phasegan.progress import TerminalProgress

_GENERAL = ("device", "threads", "seed", "quiet", "verbose")
_ONCE_EVERYWHERE = {
    "device": (click.Choice(DEVICES), "auto"), "threads": (click.IntRange(1, 4096), None),
    "seed": (click.IntRange(0, 2**32 - 1), None),
}  # fmt: skip
"""Options that every command took, also those where they do nothing."""


class DeclaredOption(click.Option):
    """A click option that shows only its own spelling: aliases are for `--help-all`."""

    def __init__(self, option: Option) -> None:
        cli = option.cli
        pairs = option.off_flags
        spelled = cli.flags if pairs else option.flags
        details: dict[str, Any] = {"help": _help(option), "required": cli.required}
        if option.type is bool:
            details["is_flag"] = True
            if pairs:
                details["default"] = option.value
        else:
            details |= {"type": _type(option), "multiple": cli.multiple}
            ranged = option.type in (int, float) and not option.choices
            details["metavar"] = cli.metavar or ("X" if ranged else None)
            if option.value not in (None, ()):
                details["default"] = option.value
        super().__init__([option.name, *spelled, *option.other_flags], **details)
        self.option = option

    def _own(self) -> click.Option:
        own = copy.copy(self)
        own.opts = [flag for flag in self.opts if flag in self.option.flags]
        return own

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the line of help without aliases."""
        return click.Option.get_help_record(self._own(), ctx)

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Leave range and default to the help."""
        return {}

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name the option without aliases."""
        return click.Option.get_error_hint(self._own(), ctx)


def _help(option: Option) -> str:
    facts = [option.range_text] if option.range_text and not option.choices else []
    facts += [f"default: {option.default_text}"] if option.default_text else []
    facts += ["required"] if option.cli.required else []
    after = f"  [{'; '.join(facts)}]" if facts else ""
    before = f"{option.owners}: " if option.owners else ""
    return f"{before}{option.cli.help}{after}"


def _type(option: Option) -> Any:
    style, choices, (low, high, above, below) = option.cli.style, option.choices, option.bounds
    match style:
        case "path":
            return click.Path()
        case "numbers":
            return NumberList()
        case "seeds":
            return SeedList()
        case "names":
            return NameList(choices)
        case "words":
            return click.STRING
        case "duration":
            return Duration()
        case "size":
            return SizeType(low, high)
    if choices:
        return click.Choice(choices)
    if option.type is tuple:
        return (float, float)
    if low is None and high is None:
        return option.type
    limits: dict[str, Any] = {"min": low, "max": high, "min_open": above, "max_open": below}
    return click.FloatRange(**limits) if option.type is float else click.IntRange(**limits)


class OptionCommand(click.Command):
    """A command whose `--help` shows the options that matter first, `--help-all` all in groups."""

    notes: dict[str, str]
    """By spelling: lines on earlier spellings, and on options without effect."""
    groups: tuple[str, ...] = ()
    """Headings in order."""
    foreign: tuple[str, ...] = ()
    """Names in `FOREIGN` that are translated."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and say which spellings go or do nothing."""
        own = frozenset(flag for p in self.params for flag in (*p.opts, *p.secondary_opts))
        args = translate_words(self.name or "", args, own, _note)
        for word in args[: args.index("--")] if "--" in args else args:
            note = self.notes.get(word.split("=")[0])
            if note and is_main():
                click.echo(f"phasegan: {note}", err=True)
        return super().parse_args(ctx, args)

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter, every: bool = False
    ) -> None:
        """Write the groups; without `every`, their common options alone."""
        declared = [p for p in self.params if isinstance(p, DeclaredOption)]
        others = [p for p in self.get_params(ctx) if p not in declared]
        listed = [p for p in declared if every or p.option.cli.common]
        groups: dict[str, list[click.Parameter]] = {}
        for title in sorted_groups([p.option for p in listed], self.groups):
            groups[title] = [p for p in listed if p.option.cli.group == title]
        groups[GENERAL] = [*groups.pop(GENERAL, []), *others]
        for title, parameters in groups.items():
            records = [
                record
                for parameter in parameters
                if isinstance(parameter, click.Option)
                for record in [parameter.get_help_record(ctx)]
                if record is not None
            ]
            with formatter.section(title if len(groups) > 1 else "Options"):
                formatter.write_dl(records)
        left = len(declared) - len(listed)
        if every:
            self._format_aliases(ctx, formatter)
        elif left:
            formatter.write_paragraph()
            formatter.write_text(
                f"{ctx.command_path} --help-all shows {left} more option{'s' * (left > 1)}."
            )

    def _format_aliases(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = []
        for parameter in self.get_params(ctx):
            if isinstance(parameter, DeclaredOption):
                option = parameter.option
                for flag in option.other_flags:
                    goes = "; goes with the next version" * (flag in option.cli.renamed)
                    records.append((flag, f"{option.flag}{goes}"))
        records += [(f"--{name}", FOREIGN[name].help) for name in self.foreign]
        if records:
            with formatter.section("Other spellings"):
                formatter.write_dl(records)


def _note(text: str) -> None:
    if is_main():
        click.echo(f"phasegan: {text}", err=True)


def option_command(
    name: str, model: type[Options], *, heavy: bool = True, foreign: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], OptionCommand]:
    """Return a decorator that makes a command with the options of a model.

    The function gets `common`, a `CommonOptions`, its arguments, and the options by Python's
    names.

    Parameters
    ----------
    name : str
        Of the command.
    model : type
        Its options.
    heavy : bool
        Whether the command needs torch.
    foreign : tuple of str
        Names in `FOREIGN` that it translates.

    Returns
    -------
    callable
        The decorator of the function.
    """

    def decorate(function: Callable[..., Any]) -> OptionCommand:
        options = {n: option for n, option in options_of(model).items() if not option.cli.python}

        @functools.wraps(function)
        def run(**values: Any) -> Any:
            for key in foreign:
                _translate(key, values)
            common = _common({n: values.pop(n) for n in _GENERAL if n in values}, heavy)
            for option in options.values():
                if option.name in values:
                    values[option.name] = _python_value(option, values[option.name])
            return function(common=common, **values)

        parameters: list[click.Parameter] = [DeclaredOption(o) for o in options.values()]
        notes = {
            flag: f"{flag} is now {option.flag}; the old name goes with the next version"
            for option in options.values()
            for flag in option.cli.renamed
        }
        for key in foreign:
            spelled = dict.fromkeys((f"--{key}", f"--{key.replace('_', '-')}"))
            kinds = click.Choice(tuple(FOREIGN[key].values))
            parameters.append(click.Option([_foreign(key), *spelled], type=kinds, hidden=True))
        for key, (kind, default) in _ONCE_EVERYWHERE.items():
            if key not in options:
                notes[f"--{key}"] = f"--{key} has no effect on {name}"
                parameters.append(
                    click.Option(
                        [f"--{key}"], type=kind, default=default, hidden=True, expose_value=False
                    )
                )
        if name != "config":
            parameters.append(
                click.Option(
                    ["--config"],
                    type=click.Path(),
                    multiple=True,
                    metavar="FILE.toml",
                    is_eager=True,
                    expose_value=False,
                    callback=functools.partial(_read_config, model, bool(foreign)),
                    help="Options from a file, as `phasegan config` writes it.",
                )
            )
        parameters.append(
            click.Option(
                ["--help-all"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_all,
                help="Show every option and exit.",
            )
        )
        built = click.command(name, cls=OptionCommand, params=parameters)(run)
        built.notes, built.foreign, built.groups = notes, foreign, model.groups
        return built

    return decorate


def _foreign(name: str) -> str:
    """Return the name of click's parameter."""
    return f"foreign_{name.lower()}"


def _translate(name: str, values: dict[str, Any]) -> None:
    """Replace an option of another program by ours."""
    value = values.pop(_foreign(name))
    if value is None:
        return
    source = click.get_current_context().get_parameter_source
    for target, translated in FOREIGN[name].values[value].items():
        if source(target) is click.core.ParameterSource.COMMANDLINE:
            flag = f"--{target.replace('_', '-')}"
            raise click.UsageError(f"--{name} stands for {flag}; give one of them")
        values[target] = translated


def _python_value(option: Option, value: Any) -> Any:
    """Return the value for the Python function; an absent one is the declared default."""
    if option.type is bool and not option.off_flags:
        return (not option.cli.negative) if value else option.value
    if value is None:
        return option.value
    return tuple(value.split(",")) if option.cli.style == "words" else value


def _common(values: dict[str, Any], heavy: bool) -> CommonOptions:
    device, threads = values.get("device", "auto"), values.get("threads")
    with deferred_signals():
        if heavy:
            check_address_space()
            import torch  # noqa: F401
        if device in ("cuda", "mps"):
            choose_device(device)
        set_threads(threads)
    verbosity = -1 if values["quiet"] else int(values["verbose"])
    return CommonOptions(
        device, threads, values.get("seed"), TerminalProgress(verbosity, command_seconds())
    )


def _read_config(
    model: type[Options],
    foreign: bool,
    ctx: click.Context,
    _: click.Parameter,
    paths: tuple[str, ...],
) -> None:
    """Take the defaults of click's options from a file."""
    if not paths:
        return
    if len(paths) > 1:
        raise click.UsageError("--config is given twice; put all options into one file")
    options = options_of(model)
    values = read_options(model, Path(paths[0]), foreign, lambda text: click.echo(text, err=True))
    ctx.default_map = {n: _click_value(options[n], value) for n, value in values.items()}


def _click_value(option: Option, value: Any) -> Any:
    """Return a value as it would be typed."""
    if option.cli.negative:
        return value is False
    if option.cli.style in ("numbers", "seeds", "names", "words"):
        return ",".join(map(str, value))
    return value


def _show_all(ctx: click.Context, _: click.Parameter, requested: bool) -> None:
    """Print the help with all options."""
    if not requested or ctx.resilient_parsing:
        return
    assert isinstance(ctx.command, OptionCommand)
    formatter = ctx.make_formatter()
    ctx.command.format_usage(ctx, formatter)
    ctx.command.format_help_text(ctx, formatter)
    ctx.command.format_options(ctx, formatter, every=True)
    click.echo(formatter.getvalue().rstrip("\n"), color=ctx.color)
    ctx.exit()
