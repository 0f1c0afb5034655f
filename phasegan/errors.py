"""Errors whose message is meant for the user, and the exit status of each.

0 done, 1 failed while running, 2 bad input or a damaged file, 128 + signal
number when interrupted after saving.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator

_REASONS = {
    errno.ENOSPC: "the disk is full; make room",
    getattr(errno, "EDQUOT", errno.ENOSPC): "the quota of this disk is used up; make room",
    errno.EFBIG: "larger than files may be here; raise that limit (ulimit -f)",
}
_CUT_SHORT = re.compile(
    r"\d+ requested and \d+ written|problem writing element \d+ to file|encoder error -2 when"
)
_NO_MEMORY = re.compile(
    r"allocate memory|failed to map segment|could not create a primitive|can't start new thread|"
    r"bad.alloc"
)
"""Messages of Python, the loader of libraries, torch and oneDNN."""
_ERRNO_OF_HDF5 = re.compile(r"\berrno = (\d+)")


def printable(text: str) -> str:
    """Escape control characters, line breaks and lone surrogates.

    Parameters
    ----------
    text : str
        Text of any origin.

    Returns
    -------
    str
        Printable, in one line.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


class PhaseganError(Exception):
    """Base of every error that phasegan raises on purpose; the message is one line."""

    exit_status = 1


class RunError(PhaseganError):
    """The work itself failed: a loss that is not finite, no memory, a full disk."""

    exit_status = 1


class DiskFullError(RunError):
    """A file could not be written for lack of disk space.

    Parameters
    ----------
    what : str or path
        The file, by its final name, or the output.
    reason : str
        Why, and how to get some, as `disk_full_reason` tells.
    """

    def __init__(self, what: str | os.PathLike[str], reason: str) -> None:
        super().__init__(
            f"{os.fspath(what)}: {reason}, then give the same command again, with --resume where "
            "it has that"
        )


def disk_full_reason(error: BaseException | None) -> str | None:
    """Return why an error, or one that it came from, left no room on the disk.

    Parameters
    ----------
    error : BaseException or None
        Anything; numpy, Pillow and h5py hide the error of the operating system.

    Returns
    -------
    str or None
        Why there was none (a full disk, a quota, a limit on the size of files), and how to
        get some.
    """
    while error is not None:
        number = getattr(error, "errno", None)
        match = _ERRNO_OF_HDF5.search(str(error))
        if number is None and match is not None:
            number = int(match[1])
        if isinstance(number, int) and number in _REASONS:
            return _REASONS[number]
        if isinstance(error, OSError) and number is None and _CUT_SHORT.search(str(error)):
            return "cut short, as if the disk were full; make room"
        error = error.__cause__ or error.__context__
    return None


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came from, says that memory ran out.

    Parameters
    ----------
    error : BaseException or None
        Error of Python, torch or a library.

    Returns
    -------
    bool
        By class and message.
    """
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def disk_full_guard(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise one line that names the file in place of the errors of a full disk.

    Parameters
    ----------
    path : path
        The file, by its final name.

    Yields
    ------
    None
        While the file is written.

    Raises
    ------
    DiskFullError
        If the disk, a quota or a size limit is full; other errors pass.
    """
    try:
        yield
    except PhaseganError:
        raise
    except Exception as error:
        reason = disk_full_reason(error)
        if reason is None:
            raise
        raise DiskFullError(path, reason) from error


class InputError(PhaseganError, ValueError):
    """Bad input or a damaged file: says what is wrong, where, and what to do."""

    exit_status = 2


class Interrupted(PhaseganError):
    """Work was interrupted by a signal after its state had been saved.

    Parameters
    ----------
    message : str
        Saved state and how to resume.
    signal_number : int
        2 (SIGINT) or 15 (SIGTERM).
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal_number


class PeerFailedError(PhaseganError):
    """Another process of the same training failed, and says why; this one ends silently.

    Parameters
    ----------
    status : int
        The exit status of the other one.
    """

    def __init__(self, status: int) -> None:
        super().__init__("another process failed")
        self.exit_status = status
