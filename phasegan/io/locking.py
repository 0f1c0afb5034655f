"""Locks on outputs, which end with the process that holds them."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from phasegan.errors import InputError
from phasegan.io.output_paths import check_plain, make_parent

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""Errors of file systems without locks."""


@contextlib.contextmanager
def file_lock(path: str | os.PathLike[str], what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock on an output; it ends with the process that holds it.

    Parameters
    ----------
    path : path
        The lock file, by convention `<output>/.lock` or `.<output>.lock`.
    what : str
        The output's name, for the message.
    wait : bool
        Wait for a process that holds it.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    InputError
        If another process holds it.
    """
    import filelock

    lock = Path(path)
    make_parent(lock)
    check_plain(lock)
    holder = lock.with_name(lock.name + ".pid")
    guard = filelock.FileLock(lock, timeout=-1 if wait else 0, fallback_to_soft=False)
    locked = True
    try:
        guard.acquire()
    except filelock.Timeout:
        process = _read_holder(holder)
        if process:
            raise InputError(
                f"{what} is being written by process {process}; wait for it or choose another -o"
            ) from None
        raise InputError(f"{what} is being written by another process; wait for it") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        locked = False
        _warn_of(lock.parent)
    try:
        _write_holder(holder)
        yield
    finally:
        for side in (holder, lock):
            with contextlib.suppress(OSError):  # Windows does not remove open files
                side.unlink(missing_ok=True)
        if locked:
            guard.release()


class NoLocksWarning(UserWarning):
    """Work without a lock, on a file system that has none."""


@functools.cache
def _warn_of(folder: Path) -> None:
    """Warn once of a file system without locks."""
    warnings.warn(
        f"{folder}: this file system has no locks; see to it that nothing else writes there",
        NoLocksWarning,
        stacklevel=4,
    )


def _write_holder(path: Path) -> None:
    """Write the process that holds a lock, for messages alone: failures are ignored."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as stream:
            stream.write(b"%d\n" % os.getpid())


def _read_holder(path: Path) -> str:
    """Return the number of a process; empty if the file does not say one."""
    with contextlib.suppress(OSError, ValueError):
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(path, flags), "rb") as stream:
            return str(int(stream.read(20)))
    return ""
