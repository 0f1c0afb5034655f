"""The command line: commands, options, exit statuses."""

from __future__ import annotations

import io
import signal
import threading
import warnings

import click
import pytest
from PIL import Image

import phasegan.cli
from phasegan.cli import main

GROUP = next(value for value in vars(phasegan.cli).values() if isinstance(value, click.Group))


def every_command(group: click.Group, path: str = "") -> dict[str, click.Command]:
    """Return the commands by what is typed, those of groups too."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[f"{path}{name}"] = command
        if isinstance(command, click.Group):
            found |= every_command(command, f"{path}{name} ")
    return found


def type_of(parameter: click.Parameter) -> dict[str, object]:
    """Return what values a parameter takes; a type of phasegan's own says it by its name."""
    kind = parameter.type
    if type(kind).__module__.split(".")[0] == "phasegan":
        return {"own": kind.name}
    if isinstance(kind, click.Choice):
        return {"choices": [str(choice) for choice in kind.choices]}
    if isinstance(kind, click.Tuple):
        return {"tuple": [inner.name for inner in kind.types]}
    found: dict[str, object] = {"name": kind.name}
    for name in ("min", "max", "min_open", "max_open", "clamp"):
        if getattr(kind, name, None) not in (None, False):
            found[name] = getattr(kind, name)
    return found


def facts(parameter: click.Parameter) -> dict[str, object]:
    """Return how a parameter is given."""
    value = parameter.default
    known = value is None or isinstance(value, str | int | float | bool | tuple)
    found: dict[str, object] = {
        "type": type_of(parameter),
        "default": value if known else None,
        "nargs": parameter.nargs,
        "required": parameter.required,
        "environment": parameter.envvar,
    }
    if isinstance(parameter, click.Option):
        found |= {"flag": parameter.is_flag, "multiple": parameter.multiple}
    return found


def spelled(command: click.Command) -> dict[str, object]:
    """Return the facts of each spelling of an option, `--a or -a: off` for what switches it off."""
    found: dict[str, object] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            found |= {spelling: facts(parameter) for spelling in parameter.opts}
            found |= {
                spelling: facts(parameter) | {"switches off": True}
                for spelling in parameter.secondary_opts
            }
    return found


COMMANDS = every_command(GROUP)


def test_commands(snapshots):
    snapshots.hold("commands/names", sorted(COMMANDS))
    snapshots.hold("commands/options of phasegan", spelled(GROUP))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_options(name, snapshots):
    snapshots.hold(f"commands/options of {name}", spelled(COMMANDS[name]))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_arguments_by_place(name, snapshots):
    given = [p for p in COMMANDS[name].params if isinstance(p, click.Argument)]
    found = [{"shown": p.make_metavar(click.Context(COMMANDS[name])), **facts(p)} for p in given]
    snapshots.hold(f"commands/arguments of {name}", found, exactly=True)


SMALL = (
    *("--epochs", "1", "--blocks", "1", "--base-channels", "2", "--validation", "2"),
    *("--precision", "32", "--device", "cpu"),
)
EXITS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "nothing": ({}, ()),
    "help": ({}, ("--help",)),
    "short help": ({}, ("-h",)),
    "version": ({}, ("--version",)),
    "help of a command": ({}, ("train", "--help")),
    "unknown command": ({}, ("reconstrct",)),
    "unknown option": ({}, ("prepare", "--sise", "3")),
    "out of range": ({}, ("prepare", "--size", "1")),
    "not of the choices": ({}, ("train", "--preset", "no")),
    "required option left out": ({}, ("reconstruct", "x.h5")),
    "argument left out": ({}, ("inspect",)),
    "missing file": ({}, ("inspect", "none.h5")),
    "no such method": ({}, ("evaluate", "{tiny}", "--method", "none")),
    "dry run": ({}, ("prepare", "--size", "16", "--samples", "2", "--test", "1", "--dry-run")),
    "quiet": ({}, ("evaluate", "{tiny}", "--method", "zero", "-q")),
    "output in the way": ({}, ("reconstruct", "{tiny}", "--method", "zero", "-o", "{out}")),
    "run that is finished": (
        {},
        ("train", "{tiny}", "-o", "{paper}", "--preset", "paper", *SMALL),
    ),
    "intact": ({}, ("inspect", "{tiny}", "--verify")),
    "list": ({}, ("datasets", "list")),
    "list without saying it": ({}, ("datasets",)),
    "no such pair": ({}, ("datasets", "fetch", "horse2zebras")),
    "bad address": ({}, ("datasets", "fetch", "horse2zebra", "--url", "no-address")),
    "no pixels allowed": (
        {"PHASEGAN_MAX_PIXELS": "many"},
        ("translate", "{translation}", "{picture}", "-o", "a.png", "--direction", "a2b"),
    ),
    "too many pixels": (
        {"PHASEGAN_MAX_PIXELS": "100"},
        ("translate", "{translation}", "{picture}", "-o", "b.png", "--direction", "a2b"),
    ),
    "enough pixels": (
        {"PHASEGAN_MAX_PIXELS": "1000"},
        ("translate", "{translation}", "{picture}", "-o", "c.png", "--direction", "a2b"),
    ),
    "processes that contradict one another": (
        {"WORLD_SIZE": "2", "RANK": "x", "LOCAL_RANK": "0"},
        ("train", "{tiny}", "--dry-run", "--device", "cpu"),
    ),
}


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """An empty working folder; what `main` sets for the process is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.usefixtures("alone")
def test_exit_status(name, made, snapshots, monkeypatch, capfd):
    environment, words = EXITS[name]
    places = {
        "tiny": made.folder / "tiny.h5",
        "out": made.folder / "reconstructed",
        "paper": made.folder / "paper",
        "translation": made.folder / "translation",
        "picture": made.folder / "pair" / "testA" / "0.png",
    }
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    status = main([word.format(**places) for word in words])
    shown = capfd.readouterr().err
    assert "Traceback" not in shown
    snapshots.hold(f"commands/exit status of «{name}»", status)
    begins = [line.split(": ")[0:2] for line in shown.splitlines() if ": error: " in line]
    assert begins == ([["phasegan", "error"]] if status else []), shown


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (KeyboardInterrupt, 130),
        (click.Abort, 130),
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (MemoryError, 1),
        (BrokenPipeError, 1),
        (PermissionError(13, "no", "here"), 2),
    ],
)
@pytest.mark.usefixtures("alone")
def test_exit_status_of_what_ends_a_command(end, status, monkeypatch):
    def invoke(*_):
        if isinstance(end, signal.Signals):
            signal.raise_signal(end)
        raise end

    monkeypatch.setattr(click.Group, "invoke", invoke)
    monkeypatch.setattr("sys.stderr", io.StringIO())  # it may be closed
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert main(["inspect", "x"]) == status
