"""Interruptions, resuming and disk space of preparations."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from phasegan.config.settings import differences
from phasegan.data.prepare.partial import PartialFile, PartialPaths
from phasegan.errors import InputError, Interrupted, RunError, disk_full_guard
from phasegan.io.atomic import replace


def check_partial(path: Path, fingerprint: dict[str, Any], *, discard: bool) -> bool:
    """Look for the files of an interrupted preparation; the output's lock must be held.

    Parameters
    ----------
    path : pathlib.Path
        The final name.
    fingerprint : dict
        Everything that decides the bytes of the file, in plain values.
    discard : bool
        Remove the files of a preparation of something else.

    Returns
    -------
    bool
        Whether there is a preparation to resume.

    Raises
    ------
    InputError
        If a preparation of something else is in the way.
    """
    names, previous = PartialPaths.of(path), PartialFile.fingerprint(path)
    changes = [] if previous is None else differences(previous, fingerprint)
    if changes and not discard:
        raise InputError(
            f"{path}: an interrupted preparation is in the way, of something else "
            f"({'; '.join(changes)}); finish that one, or add --overwrite to throw it away"
        )
    if previous is None or changes:
        names.remove()
    return previous is not None and not changes


class PartialOutput(Protocol):
    """A file that is being written: of phases, or of images."""

    paths: PartialPaths

    def close(self) -> None:
        """Close the files; they stay on the disk."""


U = TypeVar("U", bound=PartialOutput)


@contextlib.contextmanager
def resumable_output(path: Path, begin: Callable[[], U]) -> Iterator[U]:
    """Open a partial file, and give it its final name when the block has completed it.

    An interruption or a full disk leaves the partial files, to be resumed; bad input removes them.

    Parameters
    ----------
    path : pathlib.Path
        The final name.
    begin : callable
        Opens the partial file.

    Yields
    ------
    PartialOutput
        Result of `begin`.

    Raises
    ------
    Interrupted
        In place of KeyboardInterrupt.
    DiskFullError
        In place of the errors of a full disk.
    """
    with resume_hint(path):
        output, invalid = begin(), False
        try:
            yield output
        except InputError:
            invalid = True
            raise
        finally:
            output.close()
            if invalid:
                output.paths.remove()
        replace(output.paths.part, path)
    output.paths.remove()


@contextlib.contextmanager
def resume_hint(path: Path) -> Iterator[None]:
    """Say how to resume after an interruption or a full disk.

    Parameters
    ----------
    path : pathlib.Path
        The final name.

    Yields
    ------
    None
        While the work is done.

    Raises
    ------
    Interrupted
        In place of KeyboardInterrupt.
    DiskFullError
        In place of the errors of a full disk.
    """
    try:
        with disk_full_guard(path):
            yield
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"{path}: interrupted; what is prepared so far is kept, continue with --resume",
            getattr(error, "number", signal.SIGINT),
        ) from None


def check_disk_space(path: Path, needed: int, smaller: str) -> None:
    """Refuse to start where the disk has too little space.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    needed : int
        Bytes.
    smaller : str
        Advice for needing less: the end of the message.

    Raises
    ------
    RunError
        Saying how much is missing.
    """
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f"{path}: needs about {needed / 1e6:,.1f} MB, its disk has {free / 1e6:,.1f} MB free; "
            f"free some space, or choose another -o or {smaller}"
        )
