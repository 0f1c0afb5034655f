"""Checks of paths at which files and folders are made."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from phasegan.errors import InputError, printable

_FILES = """
    .avif .avi .bmp .ckpt .csv .exr .gif .gz .h5 .hdf5 .heic .html .ico .jp2 .jpeg .jpg .json .jsonl
    .log .mat .md .mkv .mov .mp4 .npy .npz .onnx .pbm .pdf .pgm .pkl .png .pnm .ppm .pt .pth
    .safetensors .svg .tar .tex .tga .tif .tiff .toml .txt .webm .webp .yaml .yml .zip
"""
FILE_SUFFIXES = frozenset(_FILES.split())
"""Ends of names that are those of files: no folder is made under one."""


def open_append(path: str | os.PathLike[str]) -> int:
    """Open a file to append to, made if it is not there, and never through a link.

    Parameters
    ----------
    path : path
        A name that others can guess: a link there would have its target written to.

    Returns
    -------
    int
        A descriptor for reading and appending.

    Raises
    ------
    InputError
        If there is a link or something else that is not a plain file.
    """
    check_plain(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o644)


def make_parent(path: Path) -> None:
    """Make the folder that a file or folder is to be made in.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder.

    Raises
    ------
    InputError
        If something on the way is a file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"{path}: {path.parent} is not a folder; choose another output path"
        ) from None


def is_read_only(folder: Path) -> bool:
    """Tell whether nothing can be written into a folder.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.

    Returns
    -------
    bool
        By the permissions of this process.
    """
    return not os.access(folder, os.W_OK)


def is_plain(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a regular file with one name, and no link.

    Parameters
    ----------
    path : path
        Any path.

    Returns
    -------
    bool
        False also if there is nothing.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink <= 1


def check_plain(path: str | os.PathLike[str]) -> None:
    """Refuse to write where a link, or anything but a regular file, stands.

    Parameters
    ----------
    path : path
        Where to write; nothing need be there.

    Raises
    ------
    InputError
        If it is not a regular file with one name.
    """
    if os.path.lexists(path) and not is_plain(path):
        raise InputError(
            f"{os.fspath(path)}: a link, or not a file; phasegan writes there: remove it"
        )


def check_text(name: str) -> None:
    """Refuse a name that is not UTF-8, as JSON and HDF5 store names.

    Parameters
    ----------
    name : str
        As the operating system gives it.

    Raises
    ------
    InputError
        If the operating system has bytes there that are not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{printable(name)}: a name that is not UTF-8; rename the file or folder"
        ) from None


def check_folder_name(path: str | os.PathLike[str], what: str, instead: str = "") -> None:
    """Refuse to make a folder under a name that ends like that of a file.

    Parameters
    ----------
    path : path
        Where a folder is to be made; one that is there already is taken.
    what : str
        Name of the contents, in the plural, for the message.
    instead : str
        An alternative: the end of the message.

    Raises
    ------
    InputError
        If the name ends so.
    """
    folder = Path(path)
    if not folder.is_dir() and folder.suffix.lower() in FILE_SUFFIXES:
        raise InputError(
            f"{folder}: {what} are written there, into a folder; give a name without "
            f"{folder.suffix}{instead}"
        )


def check_file_name(path: str | os.PathLike[str], what: str, *suffixes: str) -> None:
    """Refuse to write a file under a name that ends like that of another kind.

    Parameters
    ----------
    path : path
        The file.
    what : str
        Name of the contents, for the message.
    *suffixes : str
        Ends that fit, the usual one first; unknown ones and none at all do too.

    Raises
    ------
    InputError
        If the name ends like that of another kind of file.
    """
    if Path(path).suffix.lower() in FILE_SUFFIXES - {*suffixes}:
        raise InputError(f"{path}: {what} is written there; give a name ending in {suffixes[0]}")


def check_different(*paths: str | os.PathLike[str] | None) -> None:
    """Refuse outputs that are one and the same file.

    Parameters
    ----------
    *paths : path or None
        Where to write; None: not at all.

    Raises
    ------
    InputError
        Naming the first that is given twice.
    """
    targets: set[Path] = set()
    for path in paths:
        real = None if path is None else Path(path).resolve()
        if real in targets:
            raise InputError(f"{path}: two outputs would be written there; give them two names")
        if real is not None:
            targets.add(real)
