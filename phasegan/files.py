"""Files that are whole or not there: atomic writes and locks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phasegan.errors import InputError, room_for
from phasegan.reading import UnreadableFileError, read_regular

_LONGEST_NAME = 230
"""Bytes: file systems take 255, and something is put before and behind."""


def _check_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"{path}: {path.parent} is not a folder; choose another output path"
        ) from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems cannot sync a folder
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : path
        The final name. Its folder is made when it is not there.

    Yields
    ------
    pathlib.Path
        Where to write. It does not exist yet; after an exception nothing is left of it.

    Raises
    ------
    InputError
        If the parent is not a folder.
    """
    final = Path(path)
    _check_parent(final)
    temporary = final.with_name(_temporary_name(final.name))
    try:
        with room_for(final):
            yield temporary
            replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(name: str) -> str:
    """Return a name for the time of writing, no longer than file systems take."""
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[1:]
    return f".{name}.{os.getpid()}.tmp"


def replace(temporary: Path, final: Path) -> None:
    """Give a whole file its final name, once the disk has its contents."""
    _sync(temporary)
    os.replace(temporary, final)
    if os.name == "posix":
        _sync(final.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path`; rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : path
        The final name.
    overwrite : bool
        Replace a folder that is there.

    Yields
    ------
    pathlib.Path
        An empty folder; after an exception nothing is left of it.

    Raises
    ------
    InputError
        If `path` is there and is not an empty folder and `overwrite` is false.
    """
    final = Path(path)
    _check_parent(final)
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        if not overwrite:
            raise InputError(f"{final} is there already; choose another -o or add --overwrite")
        if not final.is_dir():
            raise InputError(f"{final} is a file, not a folder; choose another -o")
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".tmp", dir=final.parent))
    old = temporary.with_suffix(".old")
    try:
        temporary.chmod(0o755)
        with room_for(final):
            yield temporary
        if final.exists():
            os.replace(final, old)
        os.replace(temporary, final)
    except BaseException:
        if old.exists() and not final.exists():
            os.replace(old, final)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove temporary files that a killed process left of its atomic writes.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look; its lock must be held, so that nobody is writing there.
    name : str
        The final name, or a pattern.
    """
    for path in folder.glob(f".{name}.*.tmp"):
        if path.is_file():
            path.unlink(missing_ok=True)


_BREAK = re.compile(r"\n *")  # never inside a JSON string
_INNERMOST = re.compile(r"\{[^{}\[\]]{1,200}\}")
_LIST_START, _LIST_END = re.compile(r"^\[\n *"), re.compile(r"\n *\]$")
_PLAIN_LIST = re.compile(r"\[[^\[\]{}\"]*\]")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _on_one_line(match: re.Match[str]) -> str:
    inside = _LIST_END.sub("]", _LIST_START.sub("[", match[0]))
    return _BREAK.sub(" ", inside)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write strict JSON atomically, short objects and lists of numbers on one line.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    text = _PLAIN_LIST.sub(_on_one_line, text)
    write_text(path, _INNERMOST.sub(lambda m: _BREAK.sub(" ", m[0]), text) + "\n")


def check_json_target(path: str | os.PathLike[str]) -> None:
    """Refuse to write JSON over something that is not JSON, or where no file can be.

    Raises
    ------
    InputError
        Before any work is done.
    """
    head = _head_of_target(path, "JSON")
    if head and head.lstrip()[:1] not in (b"{", b"["):
        raise InputError(f"{path} is there and is not JSON; name another file")


def check_png_target(path: str | os.PathLike[str]) -> None:
    """Refuse to write a PNG picture over something else, or where no file can be.

    Raises
    ------
    InputError
        Before any work is done.
    """
    head = _head_of_target(path, "picture")
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: the picture is a PNG; give a name ending in .png")
    if head and not head.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path} is there and is not a PNG picture; name another file")


def _head_of_target(path: str | os.PathLike[str], what: str) -> bytes:
    """Return the first bytes of what stands where a file is to be written."""
    target = Path(path)
    if not target.name:
        raise InputError(f"the name of the {what} file is empty")
    if target.is_dir() or (target.exists() and not target.is_file()):
        raise InputError(f"{target}: not a file; name another one for the {what}")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}")
    if not target.exists():
        return b""
    with open(target, "rb") as stream:
        return stream.read(64)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON.

    Raises
    ------
    InputError
        If the file is missing, unreadable or not JSON.
    """
    if not os.path.lexists(path):
        raise InputError(f"{path}: no such file")
    try:
        return json.loads(read_regular(path).decode("utf-8"))
    except (UnreadableFileError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock on an output, which ends with the process that holds it.

    Parameters
    ----------
    path : path
        The lock file, by convention `<output>/.lock` or `.<output>.lock`.
    what : str
        The output's name, for the message.
    wait : bool
        Wait for a process that holds it.

    Raises
    ------
    InputError
        If another process holds it.
    """
    import filelock

    lock = Path(path)
    _check_parent(lock)
    holder = lock.with_name(lock.name + ".pid")
    guard = filelock.FileLock(lock, timeout=-1 if wait else 0)
    try:
        guard.acquire()
    except filelock.Timeout:
        with contextlib.suppress(OSError):
            process = holder.read_text(encoding="utf-8").strip()
            raise InputError(
                f"{what} is being written by process {process}; wait for it or choose another -o"
            ) from None
        raise InputError(f"{what} is being written by another process; wait for it") from None
    try:
        with room_for(what):
            holder.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Windows does not remove what is open
            lock.unlink(missing_ok=True)
        guard.release()


def shipped_folder(installed: str, checkout: str) -> Path:
    """Return a folder of data files that comes with phasegan.

    Parameters
    ----------
    installed : str
        Its place inside an installed package, as in `setup.cfg`'s `package_dir`.
    checkout : str
        Its place in a checkout of the project, where editable installs leave it.
    """
    package = Path(__file__).parent
    inside = package / installed
    return inside if inside.is_dir() else package.parent / checkout


def allow_open_files(count: int) -> float:
    """Raise this process's limit on open files, where the system lets it.

    Parameters
    ----------
    count : int
        How many more are going to be opened.

    Returns
    -------
    float
        The limit then; infinite where there is none that is known.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = count + 256
        if soft != resource.RLIM_INFINITY and soft < wanted:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft != resource.RLIM_INFINITY:
            return float(soft)
    return math.inf
