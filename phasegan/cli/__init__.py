"""Command line: parse, call one function, report the result."""

from __future__ import annotations

import contextlib
import errno
import io
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import click

from phasegan._version import __version__
from phasegan.cli.common import start_command
from phasegan.errors import (
    DiskFullError,
    Interrupted,
    PeerFailedError,
    PhaseganError,
    disk_full_reason,
    is_out_of_memory,
    printable,
)
from phasegan.io.locking import NoLocksWarning
from phasegan.io.output_paths import check_text
from phasegan.launcher import is_main
from phasegan.resources import process_seconds

COMMANDS = {
    "prepare": "Turn images into phase-only spectra in an HDF5 file.",
    "train": "Train a CycleGAN from phases to images, or between two domains of pictures.",
    "translate": "Translate pictures, folders and videos with a trained generator.",
    "reconstruct": "Reconstruct images from phase spectra.",
    "evaluate": "Score methods and runs over a test split.",
    "export": "Write a generator for other programs: ONNX, torch.export, others' weights.",
    "datasets": "List well-known pairs of domains, and fetch them.",
    "bench": "Tabulate samples and epochs against average MSE.",
    "atlas": "Map where the phase determines the image.",
    "inspect": "Say what a prepared file or a run is, and check it.",
    "config": "Write a file of all options of a command, for --config.",
}


_ELSEWHERE = dict.fromkeys(
    ("test", "test.py"),
    "a trained generator runs by `phasegan translate RUN INPUT -o OUT`, scores are those of "
    "`phasegan evaluate`",
)
"""Commands of other programs, and what to type."""

MAX_MESSAGE = 1000
CLEANUP_SECONDS = 0.5
"""Time to clean up after a signal, in which another one does not interrupt."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived where nothing catches it: clean up and go."""

    number = signal.SIGTERM


class LazyGroup(click.Group):
    """Group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a workflow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import `phasegan.cli.<name>` and return its command."""
        if cmd_name in _ELSEWHERE:
            raise click.UsageError(f"no command {cmd_name}; {_ELSEWHERE[cmd_name]}", ctx)
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"phasegan.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="phasegan")
def cli() -> None:
    """Reconstruct images from their phase spectra, and translate pictures without pairs.

    Images go in, phase spectra are kept in HDF5, and methods that answer the
    question «which image has this phase?» are trained, run and scored.

    prepare, train and bench work without arguments, on photographs that ship
    inside scikit-image. Exit status: 0 done, 1 failed while running, 2 bad
    input or a damaged file, 130/143 interrupted.
    """


_received: set[int] = set()
"""Signals sent to this command."""
_cleanup_until = 0.0
"""By `time.monotonic`: until then a signal does not interrupt the cleanup."""


def _terminate(number: int, frame: Any) -> None:
    if _is_first(number):
        raise Terminated


def _interrupt(number: int, frame: Any) -> None:
    if _is_first(number):
        raise KeyboardInterrupt


def _is_first(number: int) -> bool:
    """Return whether a signal ends the command, and is none that arrives during the cleanup."""
    global _cleanup_until
    _received.add(number)
    now = time.monotonic()
    if now < _cleanup_until:
        return False
    _cleanup_until = now + CLEANUP_SECONDS
    return True


def _fail(message: str, status: int) -> int:
    short = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"
    click.echo(f"phasegan: error: {printable(short)}", err=True)
    return status


def _say(message: str) -> None:
    """Print a line from the main process of a training alone."""
    if is_main():
        click.echo(f"phasegan: {message}", err=True)


def _usage(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Instead of `sys.argv`.

    Returns
    -------
    int
        The exit status.
    """
    global _cleanup_until
    start_command(process_seconds() if arguments is None else 0.0)
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbose = any(a == "--verbose" or (a[:1] == "-" and a[1:2] == "v") for a in words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # no character may end a command
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with contextlib.suppress(ValueError):  # not the main thread: others look after signals
        signal.signal(signal.SIGTERM, _terminate)
        if before[signal.SIGINT] is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
    _received.clear()
    _cleanup_until = 0.0
    warnings.showwarning = _show_warning
    threading.excepthook = _thread_excepthook
    try:
        for word in words:
            check_text(word)
        status = cli.main(args=words, prog_name="phasegan", standalone_mode=False, obj=words)
        return status if isinstance(status, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        return 0
    except click.ClickException as error:
        return _fail(_usage(error), 2) if is_main() else 2
    except PeerFailedError as error:
        return error.exit_status
    except Interrupted as error:
        _say(str(error))
        return error.exit_status
    except PhaseganError as error:
        if verbose:
            import traceback

            traceback.print_exc()
        return _fail(str(error), error.exit_status)
    except (KeyboardInterrupt, click.Abort):
        return _stopped()
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        if verbose:
            import traceback

            traceback.print_exc()
        if _received:  # what it raised was swallowed, as by imports that fail then
            return _stopped()
        reason = disk_full_reason(error)
        if reason is not None:
            return _fail(str(DiskFullError(_file_of(error) or _output_of(words), reason)), 1)
        bad_place = isinstance(error, OSError) and error.errno in _BAD_PLACE
        return _fail(_unexpected(error), 2 if bad_place else 1)
    finally:
        if arguments is not None:  # called from Python, which goes on, and may fork
            _restore_handlers(before)


def _restore_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    with contextlib.suppress(ValueError):
        for number, handler in handlers.items():
            if handler is not None:  # None: not installed from Python
                signal.signal(number, handler)


# Errors of the operating system on paths: bad input, not a failure of the work.
_BAD_PLACE = {
    errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENOENT, errno.ELOOP, errno.EBUSY, errno.EINVAL,
}  # fmt: skip


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **to: Any) -> None:
    """Show our own warning in one line, those of libraries as Python does."""
    if issubclass(category, NoLocksWarning):
        click.echo(f"warning: {printable(str(message))}", err=True)
    else:
        _python_shows(message, category, *where, **to)


_python_shows = warnings.showwarning


def _stopped() -> int:
    if signal.SIGTERM in _received:
        _say("terminated; nothing half-written is left")
        return 143
    _say("interrupted; nothing half-written is left")
    return 130


def _thread_excepthook(failure: threading.ExceptHookArgs) -> None:
    """Leave a full disk to the main thread's message."""
    if disk_full_reason(failure.exc_value) is None:
        threading.__excepthook__(failure)


def _file_of(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, OSError) and error.filename is not None:
            return str(error.filename)
        error = error.__cause__ or error.__context__
    return None


def _output_of(words: list[str]) -> str:
    """Return the value of -o on the command line."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("-o", "--output") and following:
            return following
        if word.startswith("--output="):
            return word.removeprefix("--output=")
    return "the output"


def _unexpected(error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    if is_out_of_memory(error):
        return "not enough memory; lower --size, --batch-size or --workers"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    return f"unexpected {type(error).__name__}: {reason} (-v shows the traceback)"
