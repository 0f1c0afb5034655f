"""Reading of untrusted files: regular ones only, within limits on their size.

A name can belong to a pipe that never ends, a device or a folder, and a header can
promise what would not fit into any memory. The limits stand here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from phasegan.errors import InputError

MAX_IMAGE_BYTES = 1 << 32
"""Bytes of a picture's file, and of its pixels in memory; the number of pixels has a
limit of its own, `PIL.Image.MAX_IMAGE_PIXELS`."""

MAX_TEXT_BYTES = 1 << 16
"""Bytes of a file of settings, which people write; parsers take long over hostile ones."""

MAX_GROWTH = 100
"""Bytes in memory per byte of a compressed file of numbers."""
SLACK = 1 << 30
"""Bytes in memory that a file of numbers may hold however small it is."""
_BLOCK = 1 << 20


class UnreadableFileError(InputError):
    """A file cannot be used; the message is the reason alone."""


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file for reading, never waiting for a writer.

    Parameters
    ----------
    path : path
        The file; links are followed.

    Returns
    -------
    file
        Binary, buffered, of a regular file.

    Raises
    ------
    UnreadableFileError
        If it is missing, may not be read, or is a pipe, a socket, a device or a folder.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"):
        flags |= getattr(os, name, 0)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before opening: devices notice that
            raise UnreadableFileError("not a regular file")
        descriptor = os.open(path, flags)
    except OSError as error:
        raise UnreadableFileError(_said(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableFileError("not a regular file")
    return os.fdopen(descriptor, "rb")


def read_head(path: str | os.PathLike[str], count: int) -> bytes:
    """Read the first bytes of a file; never waits for a pipe.

    Parameters
    ----------
    path : path
        The file.
    count : int
        Bytes.

    Returns
    -------
    bytes
        Fewer where the file is shorter.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags)
    try:
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)


def read_regular(path: str | os.PathLike[str], most: int = MAX_IMAGE_BYTES) -> bytes:
    """Read a whole file.

    Parameters
    ----------
    path : path
        The file.
    most : int
        Bytes that it may have.

    Returns
    -------
    bytes
        All of the file.

    Raises
    ------
    UnreadableFileError
        As `open_regular`; if it is larger; or if reading fails.
    """
    with open_regular(path) as stream:
        try:
            size = os.fstat(stream.fileno()).st_size
            if size > most:
                raise _too_large(size, most)
            data = stream.read(size + 1)  # one more, so that a growing file is noticed
            while len(data) > size and len(data) <= most and (more := stream.read(_BLOCK)):
                data += more
        except OSError as error:
            raise UnreadableFileError(_said(error)) from None
    if len(data) > most:
        raise _too_large(len(data), most)
    return data


def leads_back(link: str, root: str) -> bool:
    """Tell a link to a folder that is read anyway, or to one around it.

    Parameters
    ----------
    link : str
        Path of a link to a folder.
    root : str
        Folder that is searched.

    Returns
    -------
    bool
        Whether it leads into `root`, or to a folder that holds `root` or the link.
    """
    target, root = os.path.realpath(link), os.path.realpath(root)
    holder = os.path.realpath(os.path.dirname(link))
    return _inside(target, root) or _inside(root, target) or _inside(holder, target)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def walk(
    root: str | os.PathLike[str],
    linked: list[str] | None = None,
    followed: list[str] | None = None,
) -> Iterator[Path]:
    """Yield all files below a folder that are not hidden, in any order.

    Links to folders are followed, unless they lead back; what several lead to is yielded once.
    Pipes, sockets and dangling links are yielded, to be refused when they are opened.

    Parameters
    ----------
    root : path
        The folder.
    linked : list of str, optional
        Gets the path of each link that leads to a folder that is read anyway.
    followed : list of str, optional
        Gets the path of each other link to a folder.

    Yields
    ------
    pathlib.Path
        Path of each file.

    Raises
    ------
    UnreadableFileError
        If a folder cannot be listed: its files would be missing without a word. The
        message names it.
    """
    top = os.fspath(root)
    folders, seen = [(top, False)], set[tuple[int, int]]()
    while folders:
        folder, link = folders.pop()
        below: list[tuple[str, bool]] = []
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen or (link and leads_back(folder, top)):
                if linked is not None:
                    linked.append(folder)
                continue
            seen.add((status.st_dev, status.st_ino))
            if link and followed is not None:
                followed.append(folder)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        below.append((entry.path, False))
                    elif points_to_folder(entry):
                        below.append((entry.path, True))
                    else:
                        yield Path(entry.path)
        except OSError as error:
            raise UnreadableFileError(f"{folder}: {_said(error)}") from None
        folders += sorted(below, reverse=True)


def points_to_folder(entry: os.DirEntry[str]) -> bool:
    """Tell a folder or a link to one; a link in a loop is none.

    Parameters
    ----------
    entry : os.DirEntry
        Entry of `os.scandir`.

    Returns
    -------
    bool
        Whether it is one.
    """
    try:
        return entry.is_dir()
    except OSError:
        return False


def _too_large(size: int, most: int) -> UnreadableFileError:
    """Return the error for a file above the size limit."""
    return UnreadableFileError(f"{size:,} bytes, more than the limit of {most:,}")


def check_growth(size: int, source: str | os.PathLike[str] | int) -> None:
    """Refuse numbers that need far more memory than their file has bytes.

    Parameters
    ----------
    size : int
        Bytes in memory, as a header claims.
    source : path or int
        The file, or its size in bytes.

    Raises
    ------
    UnreadableFileError
        If that is more than `SLACK` and more than `MAX_GROWTH` times the file.
    """
    file_size = source if isinstance(source, int) else Path(source).stat().st_size
    if size > max(SLACK, MAX_GROWTH * file_size):
        raise UnreadableFileError(
            f"its header claims {size:,} bytes of numbers in a file of {file_size:,} bytes; at "
            f"most {MAX_GROWTH} times the file is taken, or {SLACK:,}"
        )


def _said(error: OSError) -> str:
    if error.errno == errno.ENXIO:  # a socket
        return "not a regular file"
    return error.strerror or "cannot be read"
