"""Atomic writes: a file or folder gets its name when it is complete; JSON."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phasegan.errors import InputError, disk_full_guard
from phasegan.io.output_paths import check_file_name, make_parent
from phasegan.io.untrusted import UnreadableFileError, read_regular

_LONGEST_NAME = 230
"""Bytes: file systems take 255, and something is put before and behind."""


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
    """Open a temporary path beside `path`, which is renamed to `path` when the block succeeds.

    Parameters
    ----------
    path : path
        The final name. Its folder is made when it is not there.

    Yields
    ------
    pathlib.Path
        Where to write: a name that nobody can guess, so that no link can wait there. It does
        not exist yet; after an exception nothing is left of it.

    Raises
    ------
    InputError
        If the parent is not a folder.
    """
    with atomic_files(path) as (temporary,):
        yield temporary


@contextlib.contextmanager
def atomic_files(*paths: str | os.PathLike[str]) -> Iterator[list[Path]]:
    """Give temporary paths beside several; rename all, in order, when the block succeeds.

    Parameters
    ----------
    *paths : path
        The final names, the one that says that all are there last.

    Yields
    ------
    list of pathlib.Path
        Where to write each, as in `atomic_file`.

    Raises
    ------
    InputError
        If the parent of one is not a folder.
    """
    finals = [Path(path) for path in paths]
    for final in finals:
        make_parent(final)
    temporaries = [final.with_name(_temporary_name(final.name)) for final in finals]
    new: list[Path] = []
    try:
        with disk_full_guard(finals[-1]):
            yield temporaries
            for temporary in temporaries:
                _sync(temporary)
            for temporary, final in zip(temporaries, finals, strict=True):
                new += [] if os.path.lexists(final) else [final]
                os.replace(temporary, final)
    finally:
        undone = new if temporaries[-1].exists() else []
        for path in (*temporaries, *undone):
            path.unlink(missing_ok=True)
    for folder in {final.parent for final in finals} if os.name == "posix" else ():
        _sync(folder)


def _temporary_name(name: str) -> str:
    """Return a name for the time of writing, no longer than file systems take."""
    return f".{_shortened(name)}.{secrets.token_hex(8)}.tmp"


def _shortened(name: str) -> str:
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[1:]
    return name


def replace(temporary: Path, final: Path) -> None:
    """Give a complete file its final name, once its contents are on the disk.

    Parameters
    ----------
    temporary : pathlib.Path
        The file, closed.
    final : pathlib.Path
        Its name, in the same folder.
    """
    _sync(temporary)
    os.replace(temporary, final)
    if os.name == "posix":
        _sync(final.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Make a temporary folder beside `path`, which is renamed to `path` when the block succeeds.

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
    make_parent(final)
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        if not overwrite:
            raise InputError(f"{final} is there already; choose another -o or add --overwrite")
        if not final.is_dir():
            raise InputError(f"{final} is a file, not a folder; choose another -o")
    temporary = final.with_name(_temporary_name(final.name))
    temporary.mkdir(0o700)
    old = temporary.with_suffix(".old")
    try:
        temporary.chmod(0o755)
        with disk_full_guard(final):
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


def leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """Return temporary files and folders of atomic writes that were killed.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    name : str, optional
        The final name; any by default.

    Returns
    -------
    list of pathlib.Path
        In any order.
    """
    middle = ".+" if name is None else re.escape(_shortened(name))
    # numbers of processes and mkdtemp's letters: of earlier versions
    pattern = re.compile(
        rf"\.{middle}\.([0-9a-f]{{16}}|[0-9]+|[a-z0-9_]{{8}})\.(tmp|old)", re.DOTALL
    )
    with contextlib.suppress(OSError):
        return [folder / entry for entry in os.listdir(folder) if pattern.fullmatch(entry)]
    return []


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what `leftovers` returns, and restore a folder that was being replaced.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look; its lock must be held, so that nobody is writing there.
    name : str, optional
        The final name; any by default, and then files alone.
    """
    for path in leftovers(folder, name):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        elif name is not None and path.suffix == ".old" and not (folder / name).exists():
            os.replace(path, folder / name)
        elif name is not None:
            shutil.rmtree(path, ignore_errors=True)


_BREAK = re.compile(r"\n *")  # never inside a JSON string
_INNERMOST = re.compile(r"\{[^{}\[\]]{1,200}\}")
_LIST_START, _LIST_END = re.compile(r"^\[\n *"), re.compile(r"\n *\]$")
_PLAIN_LIST = re.compile(r"\[[^\[\]{}\"]*\]")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write a text file atomically.

    Parameters
    ----------
    path : path
        The file.
    text : str
        Written as UTF-8 with `\n`.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _on_one_line(match: re.Match[str]) -> str:
    inside = _LIST_END.sub("]", _LIST_START.sub("[", match[0]))
    return _BREAK.sub(" ", inside)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write strict JSON atomically, short objects and lists of numbers on one line.

    Parameters
    ----------
    path : path
        The file.
    value : Any
        Plain values.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    text = _PLAIN_LIST.sub(_on_one_line, text)
    write_text(path, _INNERMOST.sub(lambda m: _BREAK.sub(" ", m[0]), text) + "\n")


def check_json_target(path: str | os.PathLike[str]) -> None:
    """Refuse a path to which JSON scores cannot be written.

    Parameters
    ----------
    path : path
        Where they are going to be written.

    Raises
    ------
    InputError
        If something else is there, or no file can be made there.
    """
    head = _head_of_target(path, "JSON")
    if head and head.lstrip()[:1] not in (b"{", b"["):
        raise InputError(f"{path} is there and is not JSON; name another file")
    check_file_name(path, "JSON", ".json", ".jsonl", ".txt")
    document = read_json(path) if head else {"rows": []}
    if not isinstance(document, dict) or "rows" not in document or "format" in document:
        raise InputError(f"{path} is there and holds no scores; name another file")


def check_png_target(path: str | os.PathLike[str]) -> None:
    """Refuse a path to which a PNG cannot be written.

    Parameters
    ----------
    path : path
        Where it is going to be written.

    Raises
    ------
    InputError
        If something else is there, or no file can be made there.
    """
    head = _head_of_target(path, "picture")
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path}: the picture is a PNG; give a name ending in .png")
    if head and not head.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path} is there and is not a PNG picture; name another file")


def _head_of_target(path: str | os.PathLike[str], what: str) -> bytes:
    """Return the first bytes of a file that is going to be replaced."""
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
    """Read a JSON file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Any
        Plain values.

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
